"""`costspan usage --watch` and `--open`: the same question on a screen that keeps up, and on the page in a browser."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from costspan.report import Page, Question
from costspan.report.words import SIGNS

_IS: Final = frozenset({SIGNS[0], SIGNS[2]})
_LEAST_ROWS: Final = 1
_HOST: Final = "127.0.0.1"
#: Prints the answer on a page, with at most so many rows of its table.
Show = Callable[[Page, int | None], None]


class _Screen(io.StringIO):
    """What is printed, as it would be on a terminal."""

    def isatty(self) -> bool:
        """So that names which are read from right to left do not turn figures around."""
        return True


def watch(show: Show, every_s: float, zone: tzinfo, top: int | None) -> None:
    """Show the answer anew every so many seconds until Ctrl+C; the last one stays on the terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    if not console.is_terminal or not sys.stdout.isatty():
        raise click.UsageError(
            "--watch draws on a terminal, and standard output is none: expected a terminal, or no --watch"
        )
    signal.signal(signal.SIGTERM, _end)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                said = f"Every {every_s:g} s, last at {datetime.now(zone):%H:%M:%S}. Ctrl+C ends."
                live.update(
                    Text.from_ansi(_fitting(show, console.width, console.height - 2, top) + "\n" + said), refresh=True
                )
                time.sleep(every_s)
    except KeyboardInterrupt:
        pass
    show(Page(), top)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _fitting(show: Show, width: int, height: int, top: int | None) -> str:
    """The answer in so many lines: with fewer rows where it is longer."""
    lines = _printed(show, width, top)
    if len(lines) > height:
        rows = max(height - _beside_rows(show, width, top), _LEAST_ROWS)
        lines = _printed(show, width, rows if top is None else min(rows, top))
    return "\n".join(lines[:height])


def _beside_rows(show: Show, width: int, top: int | None) -> int:
    """How many lines the answer has beside its rows, with one for the rest of them."""
    return len(_printed(show, width, _LEAST_ROWS if top is None else min(top, _LEAST_ROWS))) - _LEAST_ROWS


def _printed(show: Show, width: int, top: int | None) -> list[str]:
    screen = _Screen()
    show(Page(screen, width), top)
    return screen.getvalue().splitlines()


def serve(ledger: Path, query: Sequence[tuple[str, str]], zone: tzinfo) -> None:
    """Serve the page on a free port of this machine until Ctrl+C, and open it in a browser with these filters."""
    from costspan.serve import app, listening

    choice, _ = _choices().read(query)
    built = app.build(ledger, time_zone=zone)
    try:
        listener = listening.bound(_HOST, 0)
    except OSError as fault:
        raise click.ClickException(str(fault)) from fault
    url = listening.address(listener, _HOST, is_secure=False).removesuffix("/") + choice.link()

    def began() -> None:
        click.echo(f"The page of the ledger {ledger}: {url} (Ctrl+C ends it)")
        if not (_has_desktop() and webbrowser.open(url)):
            click.echo("No browser could be started here: open the address above", err=True)

    with listener:
        listening.run(built, listener, began)


def _choices() -> Any:
    """What knows the filters of the page. Ends the command where the server is not installed."""
    try:
        from costspan.serve import page_choice
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"the page needs the package {missing.name}: pip install 'costspan[serve]'"
        ) from missing
    return page_choice


def _has_desktop() -> bool:
    """Whether there is a desktop to open a browser on, as far as can be told: a text browser would take the terminal."""
    is_set = any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    return (is_set or sys.platform == "darwin") and not os.environ.get("SSH_CONNECTION")


def query_of(question: Question, said: Mapping[str, str | None], by: tuple[str, ...]) -> list[tuple[str, str]]:
    """The question as the page is asked; `said` are the texts of its times. Raises ValueError for what the page cannot be asked."""
    choices = _choices()
    found = {name: value for name, value in said.items() if value} or {"period": "all"}
    found["time_zone"] = str(question.zone)
    if by:
        tables = {(word,): word for word in choices.GROUPS} | {words: word for word, words in choices.GROUPS.items()}
        if by not in tables:
            raise ValueError(f"the page has no table by {','.join(by)}: expected --by {' or '.join(choices.GROUPS)}")
        found["by"] = tables[by]
    for one in question.filters:
        text = f"{one.word}{one.sign}{one.value}"
        if one.sign not in _IS or "*" in one.value:
            raise ValueError(f"the page has no filter {text}: expected WORD=VALUE without a star")
        if one.word in found:
            raise ValueError(f"the page has one value for {one.word}: {text} is a second one")
        found[one.word] = choices.written(one.value or None)
    return list(found.items())
