"""`costspan docs`: the pages that messages point to, from an installed package and without a network."""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click

from costspan.cli import shipped

_RUNBOOKS: Final = "prometheus/runbooks"
_DECISIONS: Final = "docs/decisions"
#: Names for what is no page of docs/, in the order in which they are listed: the file or the folder, and what it is.
FILES: Final = {
    "schema": ("src/costspan/budgets/budgets.schema.json", "JSON schema of budgets.yaml"),
    "rules": ("prometheus/rules/budgets.yml", "Prometheus rules, compiled from the example budgets"),
    "own-rules": ("prometheus/rules/meter.yml", "Prometheus rules about the telemetry itself"),
    "routes": ("prometheus/alertmanager-routes.yml", "Routes of Alertmanager, compiled from the example budgets"),
    "receivers": ("prometheus/receivers.example.yml", "Receivers: Slack, e-mail, PagerDuty"),
    "example-budgets": ("examples/budgets/budgets.yaml", "An example budgets.yaml"),
    "example-agent": (
        "examples/agent/README.md",
        "The agent that `costspan demo` runs, and its stand-in for the providers",
    ),
    "examples-in-code": (
        "examples/in_code/README.md",
        "FastAPI, Django, Flask, Celery, notebook, pytest: whole examples",
    ),
    "collectors": ("collector-config/README.md", "The configurations of the Collectors"),
    "decisions": (f"{_DECISIONS}/README.md", "Why things are as they are: the list of decisions"),
    "readme": ("README.md", "What costspan is, and all pages in their order"),
    "benchmarks": ("benchmarks/README.md", "How right the figures are and what watching costs: how it is measured"),
    "results": ("benchmarks/RESULTS.md", "The results of the benchmarks"),
    "changes": ("CHANGELOG.md", "What has changed"),
    "contributing": ("CONTRIBUTING.md", "How to change costspan"),
    "security": ("SECURITY.md", "How to report a vulnerability"),
    "code-of-conduct": ("CODE_OF_CONDUCT.md", "Code of conduct"),
}
_HEADING: Final = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
_MEANING: Final = re.compile(r"^## Meaning\n\n(.+?)(?:[.:](?=\s)|\Z)", re.MULTILINE | re.DOTALL)
_WIDEST_MEANING: Final = 90
_MOST_SUGGESTED: Final = 8
_ALIKE: Final = 0.75  # of difflib's ratio: `prcing` is pricing, `task` is not stack
_OF_THE_TITLE: Final = 100
_OF_A_HEADING: Final = 20
_MOST_COUNTED: Final = 60  # how often a page says a word, at most


class Topic(NamedTuple):
    """Something that can be printed: the word that names it, where it lies, what it is about; `file` is its path in the repository, of
    what is no page of docs/.
    """

    word: str
    path: Path
    title: str
    file: str = ""

    @property
    def text(self) -> str:
        """What the file says."""
        return self.path.read_text(encoding="utf-8")


@click.command()
@click.argument("word", required=False)
@click.option("--path", "is_path", is_flag=True, help="Print where the file lies instead of what it says.")
def docs(word: str | None, *, is_path: bool) -> None:
    """Print the page about WORD: of this version, without a network. Without WORD, list the pages.

    \b
    costspan docs pricing
    costspan docs LlmBudgetThreshold
    costspan docs schema > budgets.schema.json
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    found = list(topics(shipped.root()))
    if word is None:
        click.echo("\n".join(_listing(found)))
        return
    topic = find(word, found)
    if topic is None:
        raise click.ClickException("\n".join([f"no page is about {word!r}.", *_suggestions(word, found)]))
    if is_path:
        click.echo(str(topic.path))
    elif topic.path.suffix == ".md" and sys.stdout.isatty():
        _render(topic.text)
    else:
        click.echo(topic.text, nl=False)


def topics(root: Path) -> Iterator[Topic]:
    """Everything that can be printed, below the root of what is shipped."""
    for path in sorted((root / "docs").rglob("*.md")):
        inside = path.relative_to(root / "docs").with_suffix("")
        if inside.parts[0] != "decisions":
            yield Topic(inside.as_posix(), path, _title(path))
    for word, (file, title) in FILES.items():
        yield Topic(word, source(root, file), title, file)
    for path in sorted((root / _RUNBOOKS).glob("*.md")):
        yield Topic(path.stem, path, _meaning(path))
    for path in sorted((root / _DECISIONS).glob("0*.md")):
        yield Topic(path.stem, path, _title(path))


def source(root: Path, file: str) -> Path:
    """Where a file of `FILES` lies. A file of the package itself lies beside this one, in a wheel as in a checkout."""
    inside = file.removeprefix("src/costspan/")
    return root / file if inside == file else Path(__file__).parents[1] / inside


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)


def _meaning(path: Path) -> str:
    """The first sentence of what an alert means: the heading of a runbook is its name."""
    found = _MEANING.search(path.read_text(encoding="utf-8"))
    return textwrap.shorten(found[1].replace("`", ""), _WIDEST_MEANING, placeholder=" ...") if found else ""


def find(word: str, topics: Iterable[Topic]) -> Topic | None:
    """By its word in any case, by its path as messages and pages write it, by the number of a decision."""
    path = re.sub(r"^(\.\.?/)+", "", word.partition("#")[0])
    asked = path.removesuffix(".md").lower().removeprefix("docs/")
    by_name: Topic | None = None
    for topic in topics:
        if topic.file and asked == topic.file.lower().removesuffix(".md").removeprefix("docs/"):
            return topic
        names = {topic.word.lower(), topic.word.rpartition("/")[2].lower()}
        names.add(f"prometheus/runbooks/{topic.word.lower()}")
        if topic.word[:4].isdigit():
            names |= {topic.word[:4], f"decisions/{topic.word.lower()}"}
        if asked in names:
            by_name = by_name or topic
    return by_name


def _suggestions(word: str, topics: list[Topic]) -> Iterator[str]:
    """Pages with a name like it where it is a misspelled one, then those that say it, the one that says it most first."""
    pages = {topic.word.rpartition("/")[2].lower(): topic for topic in topics}
    near = [pages[name] for name in difflib.get_close_matches(word.lower(), pages, n=3, cutoff=_ALIKE)]
    words = [re.compile(r"\b" + re.escape(_stem(part)), re.IGNORECASE) for part in re.split(r"[\s_-]+", word) if part]
    weights = {topic: _weight(topic, words) for topic in topics}
    said = sorted((topic for topic in topics if weights[topic]), key=lambda topic: -weights[topic])
    found = dict.fromkeys([*near, *said])
    if found:
        yield "Pages that say it, the best first:" if said else "Near to it:"
        yield from (f"  costspan docs {topic.word:24}  {topic.title}" for topic in list(found)[:_MOST_SUGGESTED])
    yield "All pages: costspan docs"


def _stem(word: str) -> str:
    """A word without its ending, so that `streaming` finds `stream`."""
    return re.sub(r"(?<=\w{4})(?:ing|ed|es|s|e)$", "", word, flags=re.IGNORECASE)


def _weight(topic: Topic, words: list[re.Pattern[str]]) -> int:
    """How much a page is about words: 0 where it lacks one of them. Decisions are asked by their titles, files after pages."""
    text = topic.title if _is_numbered(topic) else topic.text
    counts = [len(one.findall(text)) for one in words]
    if not words or not all(counts):
        return 0
    headings = " ".join(_HEADING.findall(text))
    told = sum(_OF_THE_TITLE for one in words if one.search(f"{topic.word} {topic.title}"))
    told += sum(_OF_A_HEADING for one in words if one.search(headings)) + min(sum(counts), _MOST_COUNTED)
    return told if _is_page(topic) else 1


def _listing(topics: list[Topic]) -> Iterator[str]:
    groups = {
        "Pages": [one for one in topics if _is_page(one)],
        "Files": [one for one in topics if one.word in FILES],
        "Runbooks": [one for one in topics if _is_runbook(one)],
    }
    width = max(len(topic.word) for members in groups.values() for topic in members)
    for name, members in groups.items():
        yield f"{name}:"
        yield from (f"  {topic.word:{width}}  {topic.title}" for topic in members)
        yield ""
    yield "Decisions, by their number: costspan docs 0007"
    yield "The files of the stack: costspan stack init DIRECTORY"


def _is_page(topic: Topic) -> bool:
    return topic.word not in FILES and not _is_numbered(topic) and not _is_runbook(topic)


def _is_numbered(topic: Topic) -> bool:
    return topic.word[:4].isdigit()


def _is_runbook(topic: Topic) -> bool:
    return topic.path.parent.name == "runbooks"


def _render(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(re.sub(r"^<!--.*?-->\n", "", text, flags=re.MULTILINE | re.DOTALL)))
