"""cli/: what a command prints for which ledger and files, each story in a text file of tests/report/stories.

A story is a sentence, files, commands and what they print:

    # One sentence.
    -- calls.jsonl --            a line for each call to book into the ledger: fields of ledger_calls.call
    -- prices.yaml --            any other file
    $ costspan usage --json      run where the files are; $DIR stands for that place, $TABLE for the price table
    [exit 1]                     unless it is 0
    what is printed, on both outputs; ... at the end of a line or alone stands for anything

Rewrite what is printed by COSTSPAN_REWRITE=1 pytest tests/report/test_cli.py, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import show_help
from costspan.cli.commands import COMMANDS, costspan
from costspan.facts.money import EXACT, Cost, Unpriced
from costspan.facts.usage import Usage
from ledger_calls import at_ns, call, write
from places import TESTS

STORIES = sorted((TESTS / "report" / "stories").glob("*.txt"))
NOW_S = at_ns("2026-11-22 10:00") / 1e9
_PART = re.compile(r"^(?:-- (?P<file>\S+) --|\$ (?P<command>.*))$", re.MULTILINE)

# The version of the price table, which moves with every release of it.
_TABLE = re.compile(r"genai-prices \S+ \S+ sha256:[0-9a-f]+")


def parts(story: str) -> list[tuple[str | None, str | None, str]]:
    """File name or None, command or None, and the text that follows."""
    found = list(_PART.finditer(story))
    ends = [one.start() for one in found[1:]] + [len(story)]
    return [(one["file"], one["command"], story[one.end() + 1 : end]) for one, end in zip(found, ends, strict=True)]


def book(line: str, ledger: Path) -> None:
    """A call of the story into the ledger. `cost`, `unpriced`, `detail` and `started` are words of the stories."""
    fields: dict[str, Any] = json.loads(line)
    if "started" in fields:
        fields["started_ns"] = at_ns(fields.pop("started"))
    if "usage" in fields:
        fields["usage"] = Usage(fields["usage"], complete=fields.pop("complete", True))
    if "cost" in fields:
        fields["price"] = Cost(**fields.pop("cost"))
    if "unpriced" in fields:
        fields["price"] = Unpriced(fields.pop("unpriced"), fields.pop("detail", ""))
    write(ledger, call(**fields))


def run(command: str, place: Path) -> str:
    """What a command prints in that place, with its exit code where it is not 0."""
    words = [re.sub(r"^['\"]|['\"]$", "", word) for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", command)]
    environ: dict[str, str | None] = {
        name: None for name in os.environ if name.startswith(("OTEL_", "XDG_", "COLUMNS"))
    }
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    assert words[0] == "costspan"
    result = CliRunner().invoke(costspan, words[1:], prog_name="costspan", env={"HOME": str(place), **environ})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    printed = _TABLE.sub("$TABLE", result.output.replace(str(place), "$DIR"))
    told = "\n".join(line.rstrip() for line in printed.splitlines() if line.strip())
    return (f"[exit {result.exit_code}]\n" if result.exit_code else "") + told


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command prints what its story says, for the ledger and the files of the story."""
    monkeypatch.setattr(time, "time", lambda: NOW_S)
    monkeypatch.chdir(tmp_path)
    story = path.read_text()
    rewritten = story[: _PART.search(story).start()]  # type: ignore[union-attr]  # every story has a part
    for file, command, text in parts(story):
        if command is None:
            _lay(tmp_path / str(file), text)
            rewritten += f"-- {file} --\n{text}"
            continue
        printed = run(command, tmp_path)
        rewritten += f"$ {command}\n{printed}\n\n"
        if not os.environ.get("COSTSPAN_REWRITE"):
            assert_is(printed, text.strip("\n"))
    if os.environ.get("COSTSPAN_REWRITE"):
        path.write_text(rewritten.rstrip() + "\n")


def _lay(file: Path, text: str) -> None:
    if file.name == "calls.jsonl":
        ledger = Path(file.parent, ".local/share/costspan/ledger.db")
        for line in text.split("\n"):
            if line:
                book(line, ledger)
    else:
        file.write_text(text.rstrip() + "\n")


def assert_is(printed: str, told: str) -> None:
    """Each line is the one told, up to its `...`."""
    if "..." not in told:
        assert printed == told
        return
    pattern = "".join(".*" if piece == "..." else re.escape(piece) for piece in re.split(r"(\.\.\.)", told))
    assert re.fullmatch(pattern, printed, re.DOTALL), printed


def test_the_help_in_the_docs_is_fresh() -> None:
    """docs/usage.md shows the help of every command as it is printed; scripts/show_help.py writes it."""
    page = show_help.PAGE.read_text()
    assert page == show_help.shown(page)
    missing = [command for command in show_help.commands() if f"<!-- {command} -->" not in page]
    assert missing == []


def test_a_command_is_imported_when_it_is_asked_for() -> None:
    """`costspan run` starts a program: it must not wait for tables, prices and client libraries."""
    code = (
        "import sys; from costspan.cli.commands import costspan; costspan(['run', '--help'], standalone_mode=False);"
        "print([name for name in ('rich', 'costspan.pricing', 'costspan.report', 'sqlite3', 'openai') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_every_command_of_the_group_is_there() -> None:
    """A name in COMMANDS leads to a module with a command of that name."""
    listed = CliRunner().invoke(costspan, ["--help"]).output
    assert all(f"\n  {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize(("nano_usd", "written"), [(0, "0.000000000"), (1, "0.000000001"), (100, "0.000000100")])
def test_small_amounts_are_written_out(nano_usd: int, written: str, tmp_path: Path) -> None:
    """Of one call, and of what `ledger compact` would roll up: no exponent."""
    path = tmp_path / "ledger.db"
    write(path, call(id="a", started_ns=at_ns("2024-01-01 12:00"), price=Cost(nano_usd, EXACT)), call())
    for words, said in (
        (("explain", "a"), f"{written} USD, exact"),
        (("ledger", "compact", "--older-than", "400d", "--dry-run"), f"{written} USD, would become"),
    ):
        result = CliRunner().invoke(costspan, [*words, "--ledger", str(path)])
        assert said in " ".join(result.output.split()), result.output


def test_no_list_of_commands_is_cut() -> None:
    """On a terminal of 80 columns each command says what it does in whole words."""
    groups = [
        "",
        *(name for name in COMMANDS if isinstance(costspan.get_command(click.Context(costspan), name), click.Group)),
    ]
    told = [CliRunner().invoke(costspan, [*name.split(), "--help"]).output for name in groups]
    cut = [line for text in told for line in text.splitlines()[1:] if line.endswith("...")]
    assert cut == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("task", "attribution"), ("unpriced", "pricing"), ("killed", "exits"), ("streaming", "clients"), ("prcing", "pricing"),
        ("jupyter", "start/notebook"), ("429", "start/fastapi"), ("unknown seller", "clients"), ("sigkill", "exits"),
    ],
)  # fmt: skip
def test_a_word_that_is_no_page_finds_the_page_about_it(asked: str, found: str) -> None:
    """The page that says it most comes first, in whichever ending the word was asked."""
    told = CliRunner().invoke(costspan, ["docs", asked])
    assert told.exit_code == 1
    assert told.stderr.splitlines()[2].split()[2] == found
