"""README and docs say what is so: tables are fresh, code runs, commands, settings and links exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
import openai
import pytest

import show_clients
import show_decisions
import show_settings
import show_telemetry
from costspan import names
from costspan.budgets import reading
from costspan.cli.commands import costspan
from costspan.pricing.overrides import read_overrides
from costspan.serve import tokens
from costspan.settings import SETTINGS
from places import ROOT
from promtools import promtool
from provider import Provider
from watching import Watched

PAGES: Final = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "*/README.md", "prometheus/runbooks/*.md")
    for path in ROOT.glob(pattern)
    if not path.is_symlink() and not path.relative_to(ROOT).parts[0].startswith(".")
)
SETTING_NAMES: Final = {setting.name for setting in SETTINGS}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class Block(NamedTuple):
    """A piece of code on a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{named(self.page)}:{self.line}"


def blocks(language: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if found[1] == language:
                yield Block(page, text.count("\n", 0, found.start()) + 1, language, found[2])


# --- generated parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "written"),
    [
        (show_telemetry.PAGE, show_telemetry.shown),
        (show_settings.PAGE, show_settings.shown),
        (show_clients.PAGE, show_clients.shown),
        (show_clients.README, show_clients.shown),
        (show_decisions.PAGE, show_decisions.shown),
    ],
    ids=["telemetry", "settings", "clients", "README", "decisions"],
)
def test_a_generated_part_is_fresh(page: Path, written: Callable[[str], str]) -> None:
    """What a script writes is as the code has it: make generate."""
    text = page.read_text()
    assert written(text) == text


def places() -> dict[str, set[str]]:
    """Where each attribute stands, as docs/telemetry.md says."""
    rows = re.findall(r"^\| `([\w.]+)` \|.*\| ([\w, ]*) \|$", show_telemetry.attributes(), re.MULTILINE)
    return {name: set(where.split(", ")) for name, where in rows}


def test_what_is_emitted_is_documented(watched: Watched, provider: Provider) -> None:
    """The attributes of a real call's span and event stand in the table with their places, and no others."""
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
    (span,) = watched.spans()
    (event,) = watched.events()
    told = places()
    shown, written = set(span.attributes or ()), set[str](event.attributes or ())
    assert {name for name in shown if "span" not in told[name]} == set()
    assert {name for name in written if "event" not in told[name]} == set()
    assert written - shown == show_telemetry.EVENT_ALONE


# --- code -----------------------------------------------------------------------------------------------------

# What a page leaves to the reader (`answer`, `my_framework`) is there, and does nothing.
RUNNER: Final = """
import builtins, sys
class Reader(dict):
    def __missing__(self, name):
        if hasattr(builtins, name):
            raise KeyError(name)
        return Anything()
class Anything:
    def __call__(self, *args, **kwargs): return self
    def __getattr__(self, name): return self
for block in sys.stdin.read().split("\\0"):
    exec(compile(block, "page", "exec"), {"__name__": "page"}, Reader())
"""


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}), ids=named)
def test_python_on_a_page_runs(page: Path, tmp_path: Path) -> None:
    """Whoever copies it gets no error; names that a page leaves to the reader are filled in."""
    (tmp_path / "job.py").touch()
    code = "\0".join(block.text for block in blocks("python") if block.page == page)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=code,
        cwd=tmp_path,
        env={
            **os.environ,
            "XDG_DATA_HOME": str(tmp_path),  # not the ledger of whoever runs the tests
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "costspan",  # no word that nothing is counted here
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=str)
def test_yaml_on_a_page_is_accepted(block: Block, tmp_path: Path) -> None:
    """Budgets and prices are read by the readers of such files, which refuse every mistake."""
    file = tmp_path / "shown.yaml"
    file.write_text(block.text)
    if block.text.startswith("scrape_configs:"):
        promtool("check", "config", "--syntax-only", file)
        return
    readers: dict[str, Callable[[Path], object]] = {
        "budgets|max_usd_per_session|anomaly": reading.load,
        "prices": read_overrides,
        "tokens": tokens.read,
    }
    (reader,) = [read for key, read in readers.items() if re.search(rf"^{key}:", block.text, re.MULTILINE)]
    reader(file)


# --- commands -------------------------------------------------------------------------------------------------


#: A command within a sentence.
SPOKEN: Final = re.compile(r"`((?:OTEL_\w+=\S+ )*costspan [^`]+)`")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `costspan ...` on a page, in a block or within a sentence."""
    text = page.read_text()
    shell = [
        line for block in blocks("sh") if block.page == page for line in block.text.replace("\\\n", " ").splitlines()
    ]
    for line in shell + SPOKEN.findall(text):
        words = shlex.split(line, comments=True)
        while words and re.match(r"\w+=", words[0]):
            words.pop(0)
        if words[:1] == ["costspan"]:
            yield words[1:]


def chosen(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that the first of these words name, and the words after it; a group where they name no more."""
    command: click.Command = costspan
    context = click.Context(costspan, **costspan.context_settings)
    while isinstance(command, click.Group) and words and words[0] in command.list_commands(context):
        found = command.get_command(context, words[0])
        assert found is not None
        command, words = found, words[1:]
        context = click.Context(command, parent=context, **command.context_settings)
    return command, context, words


def refusal(words: list[str]) -> str:
    """Why the command line refuses these words; only names are looked at, files need not exist."""
    command, context, words = chosen(words)
    if isinstance(command, click.Group):
        return "" if words[:1] in ([], ["--help"], ["--version"], ["..."]) else f"no command {words[0]}"
    try:
        command.make_parser(context).parse_args([word for word in words if word not in {"...", ">"}])
    except click.UsageError as mistake:
        return mistake.message
    return ""


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=named)
def test_a_command_on_a_page_can_be_typed(page: Path) -> None:
    """Its command and options exist."""
    refused = {" ".join(words): refusal(list(words)) for words in commands(page)}
    assert {words: why for words, why in refused.items() if why} == {}


def test_a_command_that_cannot_be_typed_is_seen() -> None:
    """The check knows commands and options from others."""
    assert refusal(["usage", "--by", "model"]) == ""
    assert refusal(["usages"])
    assert refusal(["usage", "--bye", "model"])
    assert refusal(["budgets", "compile", "a.yaml", "--outer", "b"])


@pytest.mark.parametrize("page", [page for page in PAGES if "make " in page.read_text()], ids=named)
def test_a_verb_on_a_page_exists(page: Path) -> None:
    """`make something` can be typed."""
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "stack.mk").read_text()
    verbs = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    text = page.read_text()
    typed = re.findall(r"`make ([a-z -]+)`", text) + re.findall(r"^\s*make ([a-z -]+?)\s*(?:#.*)?$", text, re.MULTILINE)
    assert {verb for words in typed for verb in words.split()} <= verbs


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_setting_on_a_page_exists(page: Path) -> None:
    """Every OTEL_COSTSPAN_... is a setting."""
    assert set(re.findall(r"\bOTEL_COSTSPAN_[A-Z_]*[A-Z]\b", page.read_text())) <= SETTING_NAMES


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_name_of_telemetry_on_a_page_exists(page: Path) -> None:
    """Every `llm.…`, `gen_ai.…` and `costspan.…` with dots in quotes is a name of names.py, or leads to some."""
    known = (
        {metric.name for metric in names.METRICS}
        | {each.name for each in names.ATTRIBUTES}
        | {names.USAGE_EVENT, names.RECORD}
    )
    spoken = set(re.findall(r"`((?:llm|gen_ai)\.[a-z_.]+[a-z_])`", page.read_text())) - FOREIGN
    assert {name for name in spoken if not any(each == name or each.startswith(name + ".") for each in known)} == set()


# Names of the conventions that costspan reads and does not emit.
FOREIGN: Final = {"gen_ai.conversation.id", "gen_ai.agent.name"}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_leads_somewhere(page: Path) -> None:
    """Every link within the repository leads to a file, and to a heading of it where it names one."""
    broken: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_page_that_the_code_names_exists() -> None:
    """An error or a docstring that sends somebody to a page sends them to one that is there."""
    sources = [
        path for folder in ("src", "stack", "scripts", "grafana", "prometheus") for path in (ROOT / folder).rglob("*")
    ]
    named_pages = {
        page
        for path in sources
        if path.suffix in {".py", ".yml", ".yaml", ".json"}
        for page in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())
    }
    assert {page for page in named_pages if not (ROOT / page).exists()} == set()


def test_every_page_of_docs_is_read_on_from_the_readme() -> None:
    """A newcomer finds each page from the first one."""
    text = (ROOT / "README.md").read_text()
    pages = {named(path) for path in (ROOT / "docs").glob("*.md")} | {"docs/decisions/README.md"}
    assert {page for page in pages if f"]({page})" not in text} == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("0*.md")), ids=named)
def test_a_decision_is_short_and_says_it_first(page: Path) -> None:
    """At most 60 lines: a title with its number, then the decision in one bold sentence."""
    lines = page.read_text().splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith(f"# {page.name[:4]}: ")
    assert lines[2].startswith("**")
