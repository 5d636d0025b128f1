"""The package as an index has it: built twice the same, complete, and enough to work from without this repository."""

from __future__ import annotations

import ast
import email
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from stack.binaries import program

from costspan.alerting import compiled
from costspan.cli import docs as pages_of_docs
from costspan.cli.commands import costspan
from places import ROOT
from provider import Provider
from stack_clients import needing_programs

UV: Final = str(Path(sys.executable).with_name("uv"))
_PAGE: Final = re.compile(r"costspan docs ([a-z][\w/-]*)")


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist, with the times of their files as a release has them."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1764000000"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=120)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def committed(*folders: str) -> set[str]:
    """What git knows below the folders, as it lies there now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return {name for name in names if (ROOT / name).is_file()}


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_what_is_built_is_the_same_twice_and_complete(tmp_path: Path) -> None:
    """The same bytes from the same source; every file that a command shows, once; a README that works on an index."""
    (wheel, sdist), again = build(tmp_path / "a"), build(tmp_path / "b")
    assert [wheel.read_bytes(), sdist.read_bytes()] == [path.read_bytes() for path in again]

    shipped = "costspan/cli/shipped/"
    with zipfile.ZipFile(wheel) as opened:
        carried = {name.removeprefix(shipped) for name in opened.namelist() if name.startswith(shipped)}
        told = metadata(opened)
    folders = ("docs", "examples", "collector-config", "prometheus", "grafana/dashboards", "grafana/provisioning")
    wanted = committed(*folders, "stack/kubernetes", "stack/password.py", "stack/webhook.py")
    wanted |= {"CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"}
    wanted |= {"benchmarks/README.md", "benchmarks/RESULTS.md"}
    assert carried == wanted | {"README.md", "docker-compose.yml"}
    with tarfile.open(sdist) as opened_sdist:
        source = {name.partition("/")[2] for name in opened_sdist.getnames()}
    assert wanted <= source, "a wheel is built from the sdist too"

    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} == {
        line.partition(",")[0] for line in told.get_all("Project-URL", [])
    }
    assert told["Description-Content-Type"] == "text/markdown"
    readme = str(told.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    ours = re.compile(
        rf"https://(?:raw\.githubusercontent|github)\.com/costspan/costspan/(?:blob/)?v{told['Version']}/"
    )
    broken = [link for link in links if ours.match(link) and not (ROOT / ours.sub("", link).partition("#")[0]).exists()]
    assert broken == []


# --- installed --------------------------------------------------------------------------------------------------------

_AGENT: Final = """
import os
import openai

with openai.OpenAI(base_url=os.environ["URL"], api_key="k") as client:
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
"""


class Newcomer:
    """Somebody with a fresh environment, an empty home directory and nothing of this repository."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        self._uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
        python = str(folder / "venv" / "bin" / "python")
        # Their dependencies as they are locked; hashes are for what is on an index, and the wheel is not.
        locked = ("--no-verify-hashes", "--constraints", str(ROOT / "requirements.lock"))
        self._uv("pip", "install", "--quiet", "--python", python, *locked, str(wheel), "openai")

    @staticmethod
    def _uv(*words: str) -> None:
        done = subprocess.run([UV, *words], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr

    def types(self, *words: str, **environment: str) -> str:
        """What a command prints, on both outputs."""
        path = f"{self.folder / 'venv' / 'bin'}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **environment}
        done = subprocess.run(
            words, cwd=self.home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout


def test_who_has_only_the_wheel_gets_all_that_pages_promise(tmp_path: Path, provider: Provider) -> None:
    """Pages, the stack with its own checkers, own budgets in it, and a first number: in one fresh environment."""
    wheel, _ = build(tmp_path / "built")
    newcomer = Newcomer(tmp_path, wheel)
    _pages(newcomer)
    _the_stack(newcomer)
    _a_number(newcomer, provider)


def _pages(newcomer: Newcomer) -> None:
    printed = newcomer.types("costspan", "docs", "pricing")
    assert printed == (ROOT / "docs" / "pricing.md").read_text()
    schema = newcomer.types("costspan", "docs", "schema")
    assert json.loads(schema)["title"] == "budgets.yaml"
    place = Path(newcomer.types("costspan", "docs", "stack", "--path").strip())
    assert place.is_relative_to(newcomer.folder / "venv")


def _the_stack(newcomer: Newcomer) -> None:
    told = newcomer.types("costspan", "stack", "init", "mine")
    mine = newcomer.home / "mine"
    assert "docker compose --project-directory mine up" in told
    assert (mine / "docker-compose.yml").read_text() == (ROOT / "docker-compose.yml").read_text()
    assert {oct(path.stat().st_mode)[-3:] for path in mine.rglob("*")} == {"644", "755"}, (
        "containers have users of their own"
    )

    checked = newcomer.types(_program("docker-compose"), "--project-directory", "mine", "--profile", "*", "config")
    assert re.search(r"COSTSPAN: costspan==\d", checked)
    newcomer.types(
        _program("promtool"), "check", "rules", *(f"mine/prometheus/rules/{name}.yml" for name in ("budgets", "meter"))
    )
    newcomer.types(_program("amtool"), "check-config", "mine/prometheus/alertmanager.yml")
    collector = [f"--config=mine/collector-config/{name}.yaml" for name in ("allow-list", "collector")]
    newcomer.types(_program("otelcol"), "validate", *collector)

    receivers = mine / "prometheus" / "receivers.yml"
    receivers.write_text(receivers.read_text() + "# mine\n")
    newcomer.types(
        "costspan", "budgets", "compile", "mine/budgets.yaml", "--out", "mine/prometheus", "--receivers", str(receivers)
    )
    assert (mine / "prometheus/rules/budgets.yml").read_text() == (ROOT / "prometheus/rules/budgets.yml").read_text()


def _program(name: str) -> str:
    return str(needing_programs(lambda: program(name)))


def _a_number(newcomer: Newcomer, provider: Provider) -> None:
    (newcomer.home / "agent.py").write_text(_AGENT)
    where = {"URL": f"{provider.url}/v1", "OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor"}
    newcomer.types("costspan", "run", "python", "agent.py", **where)
    assert json.loads(newcomer.types("costspan", "usage", "--json"))["total"]["requests"] == 1


# --- in this process --------------------------------------------------------------------------------------------------


def said(path: Path) -> list[str]:
    """The texts of a module that are not its docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]  # fmt: skip


def test_a_message_sends_people_to_pages_that_an_installed_package_prints() -> None:
    """By `costspan docs WORD`, never by the path of a file that only a clone has."""
    texts = [text for path in (ROOT / "src").rglob("*.py") for text in said(path)]
    texts += [path.read_text() for path in (ROOT / "src").rglob("*.html")]
    paths = [text for text in texts if re.search(r"(?<![\w./])docs/[\w/-]+\.md", text)]
    assert paths == []
    words = {word for text in texts for word in _PAGE.findall(text)}
    assert {"pricing", "settings", "clients", "enforcement"} <= words
    assert {word: CliRunner().invoke(costspan, ["docs", word]).output for word in words if not _is_printed(word)} == {}


def _is_printed(word: str) -> bool:
    return CliRunner().invoke(costspan, ["docs", word]).exit_code == 0


def test_pages_are_found_by_name_path_and_number_and_a_wrong_word_has_neighbours() -> None:
    """As people write it; what is unknown names what is near, and where the list is."""
    asked = CliRunner()
    for word in ("pricing", "docs/pricing.md", "Pricing", "docs/pricing.md#your-own-prices"):
        assert asked.invoke(costspan, ["docs", word]).output.startswith("# Prices"), word
    assert asked.invoke(costspan, ["docs", "0007"]).output.startswith("# 0007")
    assert asked.invoke(costspan, ["docs", "llmbudgetthreshold"]).output.startswith("# LlmBudgetThreshold")
    wrong = asked.invoke(costspan, ["docs", "price"])
    assert (wrong.exit_code, "costspan docs pricing " in wrong.output) == (1, True)
    listed = asked.invoke(costspan, ["docs"]).output
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"^  (\S+)", listed, re.MULTILINE))


def test_every_page_that_a_page_links_to_is_printed() -> None:
    """As the link says it, from wherever the page lies; a reader with the package alone has no other way to it."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *(ROOT / "prometheus/runbooks").glob("*.md")]
    pages += [*(ROOT / "examples").glob("**/README.md"), *(ROOT / "benchmarks").glob("*.md")]
    topics = list(pages_of_docs.topics(ROOT))
    lost: dict[str, str] = {}
    for page in pages:
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+\.md)", page.read_text()):
            target = (page.parent / link).resolve()
            for asked in (link, target.relative_to(ROOT).as_posix()):
                found = pages_of_docs.find(asked, topics)
                if found is None or (asked != link and found.path != target):
                    lost[asked] = page.relative_to(ROOT).as_posix()
    assert lost == {}
    assert "example-agent" in CliRunner().invoke(costspan, ["docs"]).output


#: A path of the repository as a text names it; what stands in an address is none.
_NAMED: Final = re.compile(
    r"(?<![\w:/.$\"-])((?:\.\./)*(?:docs|src|tests|scripts|benchmarks|examples|stack|grafana|prometheus|collector-config)/[\w./-]*\w)"
)
_LINK: Final = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def test_what_a_written_file_names_is_there(tmp_path: Path) -> None:
    """Every path of the repository in a file of `stack init`, and every link; what is not written is linked to at its release."""
    assert CliRunner().invoke(costspan, ["stack", "init", str(tmp_path)]).exit_code == 0
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json"}
    lost = [
        (path.relative_to(tmp_path).as_posix(), name)
        for path, text in files.items()
        for name in {
            *_NAMED.findall(text),
            *(_LINK.findall(text) if path.suffix == ".md" else ()),
            *re.findall(r"schema=(\S+)", text),
        }
        if name != "grafana/grafana"  # an image
        and not (tmp_path / name).exists()
        and not (path.parent / name).exists()
    ]
    assert lost == [], lost
    commands = [(path.name, found) for path, text in files.items() for found in re.findall(r"python -m stack\b", text)]
    assert commands == [], "it is a command of the repository"
    for path, text in files.items():
        assert text.count("`make ") <= text.count("clone of the repository"), path
        for word in _PAGE.findall(text):
            assert _is_printed(word), (path, word)
    readme = files[tmp_path / "collector-config" / "README.md"]
    assert f"(https://github.com/costspan/costspan/blob/v{version('costspan')}/docs/stack.md#kubernetes)" in readme
    assert json.loads((tmp_path / "budgets.schema.json").read_text())["title"]


def test_the_files_of_the_stack_replace_nothing_unless_they_are_told_to(tmp_path: Path) -> None:
    """Not one is written where one differs; --overwrite replaces ours, and never what the user edits."""
    asked = CliRunner()
    assert asked.invoke(costspan, ["stack", "init", str(tmp_path)]).exit_code == 0
    assert asked.invoke(costspan, ["stack", "init", str(tmp_path)]).exit_code == 0, "the same again is no conflict"
    changed, lost, own = (
        tmp_path / "docker-compose.yml",
        tmp_path / "prometheus/alertmanager.yml",
        tmp_path / "budgets.yaml",
    )
    changed.write_text("name: mine\n")
    own.write_text("budgets: []\n")
    lost.unlink()
    refused = asked.invoke(costspan, ["stack", "init", str(tmp_path)])
    assert (refused.exit_code, "docker-compose.yml" in refused.output, lost.exists()) == (1, True, False)
    assert asked.invoke(costspan, ["stack", "init", str(tmp_path), "--overwrite"]).exit_code == 0
    assert (changed.read_text(), own.read_text()) == ((ROOT / "docker-compose.yml").read_text(), "budgets: []\n")
    assert lost.exists()


def test_the_files_of_the_stack_can_be_read_by_all_and_lie_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory named from here, under a umask that lets nobody in: containers run as users of their own."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        assert CliRunner().invoke(costspan, ["stack", "init", "new/mine"]).exit_code == 0
    finally:
        os.umask(before)
    assert oct((tmp_path / "new/mine").stat().st_mode)[-3:] == "755"
    assert not (tmp_path / "new/mine/new").exists()


def test_rules_of_the_users_own_budgets_are_never_the_examples_again(tmp_path: Path) -> None:
    """What is compiled from files that the user has edited stays, and it is said; where they are ours, it is renewed."""
    asked = CliRunner()
    assert asked.invoke(costspan, ["stack", "init", str(tmp_path)]).exit_code == 0
    rules, budgets = tmp_path / "prometheus/rules/budgets.yml", tmp_path / "budgets.yaml"
    shipped = rules.read_text()
    rules.write_text("groups: []\n")
    renewed = asked.invoke(costspan, ["stack", "init", str(tmp_path), "--overwrite"])
    assert (renewed.exit_code, rules.read_text(), "were kept" in renewed.output) == (0, shipped, False)
    own = "time_zone: Asia/Tokyo\nanomaly: {do: log}\nbudgets: [{name: mine, period: day, limit_usd: 20}]\n"
    budgets.write_text(own)
    words = ["--out", str(tmp_path / "prometheus"), "--receivers", str(tmp_path / "prometheus/receivers.yml")]
    assert asked.invoke(costspan, ["budgets", "compile", str(budgets), *words]).exit_code == 0
    mine = {path: path.read_text() for path in (budgets, *(tmp_path / "prometheus" / name for name in compiled.NAMES))}
    assert all(
        text != (ROOT / path.relative_to(tmp_path)).read_text() for path, text in mine.items() if path != budgets
    )
    for more in ([], ["--overwrite"]):
        kept = asked.invoke(costspan, ["stack", "init", str(tmp_path), *more])
        assert (kept.exit_code, "were kept" in kept.output) == (0, True)
        assert {path: path.read_text() for path in mine} == mine


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_place_where_no_file_can_be_written_is_told(tmp_path: Path, folder: str) -> None:
    """With the reason, and without a traceback."""
    (tmp_path / "file").touch()
    refused = CliRunner().invoke(costspan, ["stack", "init", str(tmp_path / folder)])
    assert (refused.exit_code in {1, 2}, "Traceback" in refused.output) == (True, False)
