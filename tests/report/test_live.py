"""`costspan usage --watch` on a real terminal, and `--open` with a real server: the same question, kept up or on the page."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from stack.processes import until

from costspan.cli.commands import costspan
from ledger_calls import call, write

#: Becomes the owner of the terminal, as a shell's program is, so that Ctrl+C reaches it.
_ON_TERMINAL: Final = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.executable, [sys.executable, '-m', 'costspan', *sys.argv[1:]])"
)
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HOME: Final = "\x1b[H"
_ENTERED, _LEFT = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A terminal of 80 columns and 20 lines with `costspan` on it; `said` is all that was written to it."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 80, 0, 0))
        environ = {**os.environ, "TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):
            environ.pop(name, None)
        command = [sys.executable, "-c", _ON_TERMINAL, *words]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.said = ""

    def shows(self, text: str) -> bool:
        """Whether the newest screen has the text."""
        return text in self.screen()

    def screen(self) -> str:
        """The newest whole screen, without colours."""
        self.read()
        frames = self.said.partition(_LEFT)[0].split(_HOME)
        return _ESCAPE.sub("", frames[-1] if "Ctrl+C ends" in frames[-1] else frames[-2] if len(frames) > 1 else "")

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # OSError where its program has ended
            while piece := os.read(self._ours, 65_536):
                self.said += piece.decode()

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    write(path, *(call(model=f"model-{number:02}") for number in range(40)))
    return path


@contextlib.contextmanager
def terminal(*words: str) -> Generator[Terminal]:
    opened = Terminal(*words)
    try:
        yield opened
    finally:
        opened.close()


def test_a_watched_question_keeps_up(path: Path) -> None:
    """A screen of its own, no longer than the terminal, with what was booked since; Ctrl+C leaves the last answer behind."""
    with terminal("usage", "--watch", "--every", "0.5", "--ledger", str(path)) as shown:
        until(lambda: shown.shows("Every 0.5 s, last at"), "a screen is to be shown", 60)
        lines = shown.screen().splitlines()
        assert len(lines) <= 20
        assert re.search(r"^ *\d+ more +\d+", shown.screen(), re.MULTILINE)
        assert re.search(r"^ *Total +40 ", shown.screen(), re.MULTILINE)
        write(path, call(model="model-00"))
        until(
            lambda: bool(re.search(r"^ *Total +41 ", shown.screen(), re.MULTILINE)), "the new call is to be shown", 30
        )
        shown.press(b"\x03")
        assert shown.process.wait(30) == 0
        shown.read()
        entered, _, after = shown.said.partition(_LEFT)
        assert entered.count(_ENTERED) == 1
        assert re.search(r"model-39 +1 .*Total +41 ", _ESCAPE.sub("", after), re.DOTALL)
    with terminal("usage", "--watch", "--by", "total", "--ledger", str(path)) as shown:
        until(lambda: shown.shows("Every 2 s, last at"), "a screen is to be shown", 60)
        shown.process.send_signal(signal.SIGTERM)
        assert shown.process.wait(30) == 128 + signal.SIGTERM
        shown.read()
        assert shown.said.rstrip().endswith(_LEFT) or _LEFT in shown.said


def test_what_cannot_be_watched_or_opened_is_refused(path: Path) -> None:
    """Without a terminal, in two forms at once, and by what the page has no filter for."""
    for words, sentence in (
        (["--watch"], "standard output is none"), (["--watch", "--json"], "expected one of them"), (["--open", "--csv"], "expected one of them"),
        (["--every", "0.1"], "Invalid value for '--every'"), (["--open", "--by", "day"], "the page has no table by day"),
        (["--open", "--where", "model=gpt*"], "the page has no filter model=gpt*"), (["--open", "--where", "team!=a"], "no filter team!=a"),
        (["--open", "--where", "team=a", "--where", "team=b"], "team=b is a second one"),
    ):  # fmt: skip
        said = CliRunner().invoke(costspan, ["usage", *words, "--ledger", str(path)])
        assert (said.exit_code, sentence in " ".join(said.stderr.split())) == (2, True), words


def is_written(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def test_the_page_is_opened_with_the_same_filters(path: Path, tmp_path: Path) -> None:
    """By the browser that is there, or its address is said; Ctrl+C ends the server."""
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {seen}\n')
    browser.chmod(0o700)
    words = [
        "--open",
        "--by",
        "model",
        "--where",
        "team=search",
        "--where",
        "account=",
        "--since",
        "2026-11-01",
        "--ledger",
        str(path),
    ]
    bare = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"}
    }
    for environ, has_browser in (
        ({"BROWSER": f"{browser} %s"}, True),
        ({"SSH_CONNECTION": "x", "DISPLAY": ":0"}, False),
    ):
        with subprocess.Popen(
            [sys.executable, "-m", "costspan", "usage", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**bare, **environ},
        ) as process:  # fmt: skip
            assert process.stdout
            line = process.stdout.readline()
            try:
                url = line.partition(": ")[2].partition(" (Ctrl+C")[0]
                assert url.endswith("/?from=2026-11-01&time_zone=UTC&team=search&account=~"), line
                with urllib.request.urlopen(url, timeout=60) as page:
                    assert b'value="search" selected' in page.read()
                if has_browser:
                    until(functools.partial(is_written, seen, url), "the browser is to be started", 30)
            finally:
                process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        assert (process.returncode, "No browser could be started here" in said) == (0, not has_browser)
