"""Every command on a page is typed as it stands there, at a shell, by a reader who has done what the page says before it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner
from test_docs import PAGES, SPOKEN, blocks, chosen, named
from test_setup import PROJECT

from costspan import names
from costspan.cli.commands import costspan
from otlp_receiver import Received, over_grpc
from places import ROOT
from reader import TABLE, Reader
from stand_in_process import stand_in
from store_servers import RedisHere

#: What is not typed here: why, or the test that types it.
NOT_TYPED: Final = {
    r"gunicorn ": "tests/process/test_in_code.py",
    r"uvicorn ": "tests/process/test_in_code.py",
    r"celery ": "tests/process/test_in_code.py",
    r"pytest$": "tests/process/test_in_code.py",
    r"pip install ": "it installs from an index; test_wheel.py installs the wheel, and the extras are looked at here",
    r"(uv|poetry) add costspan$": "it installs from an index",
    r"(uv|poetry) run costspan ": "it needs a project that has costspan from an index; test_in_code.py has `uv run`",
    r"kubectl |systemctl |docker compose ": "there is no cluster, no service and no engine of containers here",
    r"(otelcol-contrib|prometheus|alertmanager) --|python stack/webhook": "they go on until they are ended; tests/stack starts them with these flags, as the compose file has them",
    r"kill PID": "the process is the reader's",
    r"amtool silence add ": "the Alertmanager is that of the stack",
}
TYPED_ELSEWHERE: Final = [pattern for pattern, why in NOT_TYPED.items() if why.startswith("tests/")]
GOES_ON: Final = re.compile(r"(\w+=\S+ )*costspan (serve\b|deliver --watch|usage .*--(watch|open)\b)")
SIGN: Final = r"Ctrl\+C"
#: Programs of the system that pages use.
TOOLS: Final = ("curl", "jq", "openssl", "sqlite3")


def lines(text: str) -> Iterator[str]:
    """The commands of a block, each whole and with its comment; in a `console` block they stand behind a dollar."""
    text = text.replace("\\\n", " ")
    typed = re.findall(r"^\$ (.*)$", text, re.MULTILINE) or text.splitlines()
    for line in typed:
        if shlex.split(line, comments=True):
            yield line.strip()


def typed(page: Path) -> list[tuple[str, str]]:
    """What a reader of the page does, in its order: (language, line or whole block)."""
    found = [
        (block.line, language, block.text)
        for language in ("sh", "console", "json", "sql")
        for block in blocks(language)
        if block.page == page
    ]
    return [
        (language, line)
        for _, language, text in sorted(found)
        for line in (lines(text) if language in {"sh", "console"} else [text])
    ]


WITH_COMMANDS: Final = [page for page in PAGES if any(language in {"sh", "console"} for language, _ in typed(page))]
COLLECTOR, STORE = "http://localhost:4317", "rediss://costspan:secret@redis.internal:6380/0"


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, address: str) -> Reader:
    """Somebody who has made a call and types nothing else: every reader gets a copy of what it left."""
    someone = Reader(tmp_path_factory.mktemp("caller"), address)
    someone.has_made_calls()
    return someone


@pytest.fixture
def reader(tmp_path: Path, address: str, caller: Reader) -> Generator[Reader]:
    """Somebody who has made a call, and who has a stand-in for the providers."""
    someone = Reader(tmp_path, address)
    someone.has_made_the_calls_of(caller)
    try:
        yield someone
    finally:
        someone.leaves()


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=named)
def test_the_commands_of_a_page_do_what_it_says(page: Path, reader: Reader, tmp_path: Path) -> None:
    """Each in turn, in one shell; what goes on until Ctrl+C goes on until the next such command, and ends well."""
    lines_typed = typed(page)
    text = "\n".join(line for _, line in lines_typed)
    for tool in TOOLS:
        if f"{tool} " in text and shutil.which(tool) is None:
            assert not os.environ.get("CI"), f"CI has to type commands of {tool}"
            pytest.skip(f"{named(page)} is not typed: {tool} is missing")
    received: Received | None = None
    with contextlib.ExitStack() as servers:
        if COLLECTOR in text:
            reader.places[COLLECTOR], received = servers.enter_context(over_grpc())
        if STORE in text:
            (tmp_path / "redis").mkdir()
            store = RedisHere(tmp_path / "redis")
            servers.callback(store.end)
            reader.places[STORE] = store.url
        for language, line in lines_typed:
            _do(reader, language, line)
        reader.presses_ctrl_c()
    if received is not None:
        assert received.points(names.REQUESTS.name)


def _do(reader: Reader, language: str, text: str) -> None:
    if language == "json":
        reader.books(text)
    elif language == "sql":
        assert reader.types(f"sqlite3 -readonly ~/.local/share/costspan/ledger.db {shlex.quote(text)}")
    elif any(re.match(pattern, text) for pattern in NOT_TYPED):
        return
    elif GOES_ON.match(text):
        reader.starts(text, SIGN)
    else:
        reader.types(text)


@pytest.mark.parametrize("pattern", TYPED_ELSEWHERE)
def test_what_is_typed_elsewhere_is(pattern: str) -> None:
    """The test that is named has such a command."""
    assert pattern.strip("$ ") in (ROOT / NOT_TYPED[pattern]).read_text()


def test_what_is_not_typed_is_on_a_page() -> None:
    """The list of what no test types holds nothing but that."""
    every = [line for page in WITH_COMMANDS for _, line in typed(page)]
    assert [pattern for pattern in NOT_TYPED if not any(re.match(pattern, line) for line in every)] == []


def test_extras_on_pages_exist() -> None:
    """`pip install 'costspan[...]'` asks for what the package offers."""
    offered = set(PROJECT["project"]["optional-dependencies"])
    asked = {
        extra.strip() for page in PAGES if "decisions" not in page.parts for found in re.findall(r"costspan\[([\w, -]+)\]", page.read_text())
        for extra in found.split(",")
    }  # fmt: skip
    assert {"serve", "redis"} <= asked <= offered


# --- within sentences -------------------------------------------------------------------------------------------------

#: What pages leave to the reader, by the command that takes it.
FILLED: Final = {
    "budgets": {"FILE": "budgets.yaml"},
    "ledger": {"FILE": "usage.jsonl"},
    "prices": {
        "FILE": "own.yaml",
        "PROVIDER": "openai",
        "MODEL": "gpt-5",
        "TABLE": "prices.jsonl",
        "DIGEST": hashlib.sha256(TABLE.read_bytes()).hexdigest(),
    },
    "docs": {"WORD": "pricing"},
    "stack": {"DIRECTORY": "mine"},
    "run": {"COMMAND": "python agent.py"},
    "explain": {"CALL": "--last"},
}
#: Programs of people's own, which test_in_code.py starts.
THEIRS: Final = re.compile(r"costspan run (celery|gunicorn|uvicorn|pytest|python manage\.py|uv run)\b")


def spoken() -> list[str]:
    """The commands within the sentences of pages, each once, with what they leave to the reader."""
    found = {
        " ".join(command.split())
        for page in PAGES
        for command in SPOKEN.findall(page.read_text())
        if re.search(r"costspan\s\w", command)
    }
    return sorted({_filled(command) for command in found if not THEIRS.match(command)})


def _filled(command: str) -> str:
    words = FILLED.get(command.partition("costspan ")[2].split()[0], {})
    return re.sub(r"\b[A-Z]+\b", lambda found: words.get(found[0], found[0]), command)


def _is_whole(words: list[str]) -> bool:
    """Whether the command line takes the words as they are; what lacks its arguments is a name of the command."""
    command, context, words = chosen(words)
    try:
        command.parse_args(context, list(words))
    except click.MissingParameter:
        return False
    return not isinstance(command, click.Group)


def test_commands_in_sentences_do_what_they_say(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, by one reader: a program in the shell, a question in this process."""
    monkeypatch.chdir(reader.home)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(reader.home))
    monkeypatch.setenv("XDG_DATA_HOME", "")
    asked = 0
    for command in spoken():
        words = shlex.split(command.partition(" > ")[0])
        words = words[words.index("costspan") + 1 :]
        if GOES_ON.match(command):
            reader.starts(command, SIGN)
            reader.presses_ctrl_c()
        elif not _is_whole(words):
            continue  # the name of a command
        elif words[0] in {"run", "demo"} or " > " in command or "=" in command.partition("costspan")[0]:
            reader.types(command)
        else:
            said = CliRunner().invoke(costspan, words)
            is_name = said.exit_code == click.UsageError.exit_code and len(words) == 1
            assert said.exit_code == 0 or is_name, f"{command}\n{said.output}"
            asked += 1
    assert asked > 30
