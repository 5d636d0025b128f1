"""`costspan usage`: what was used and what it cost."""

from __future__ import annotations

import os
import sys
import time
from datetime import tzinfo
from pathlib import Path
from typing import Final

import click

from costspan.cli import left, live, options
from costspan.ledger import rolled
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.intake import read
from costspan.ledger.store import Store
from costspan.pricing import Prices, loaded
from costspan.report import Page, Question, Report, as_data, as_text, ask, notices, savings
from costspan.report.priced_now import Now, place, priced_now
from costspan.report.usage import NO_LEDGER
from costspan.report.words import WORDS, filters, groups
from costspan.settings import Settings

_UNPRICED: Final = ("model,provider,unpriced_reason", "quality=unpriced")


@click.command()
@click.option(
    "--by",
    multiple=True,
    is_flag=False,
    flag_value="",
    metavar="WORD",
    help=f"Group by {', '.join(WORDS[:-1])} or {WORDS[-1]}; several with commas, or `total` for none.  [default: model]",
)
@options.where
@click.option("--unpriced", is_flag=True, help="The models that have no price, and why: what the cost leaves out.")
@options.period
@options.since
@options.until
@options.time_zone
@click.option("--top", type=click.IntRange(min=1), help="Show this many rows; in a table the rest is one row.")
@options.ledger
@options.as_json
@click.option("--csv", "is_csv", is_flag=True, help="Answer in CSV, one line per group, without the totals.")
@click.option("--watch", "is_watched", is_flag=True, help="Show the answer anew every --every seconds, until Ctrl+C.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.5, 3_600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
@click.option(
    "--open",
    "is_opened",
    is_flag=True,
    help="Serve the page on this machine until Ctrl+C, and open it in a browser with these filters.",
)
def usage(
    by: tuple[str, ...],
    where: tuple[str, ...],
    period: str | None,
    since: str | None,
    until: str | None,
    time_zone: tzinfo,
    top: int | None,
    ledger: Path | None,
    *,
    unpriced: bool,
    is_json: bool,
    is_csv: bool,
    is_watched: bool,
    every_s: float,
    is_opened: bool,
) -> None:
    """Requests, tokens and cost, from the ledger.

    \b
    costspan usage --by team --period this-month
    costspan usage --by model,day --where source=heartbeat --since 7d
    costspan usage --by session --top 20 --where "model!=gpt-*"
    costspan usage --by account --period last-month --csv > accounts.csv
    costspan usage --by session --period today --top 10 --watch
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    if is_json + is_csv + is_watched + is_opened > 1:
        raise click.UsageError("--json, --csv, --watch and --open are forms of one answer: expected one of them")
    given_by = by
    if unpriced:
        by, where = by or _UNPRICED[:1], (*where, _UNPRICED[1])

    def question(now_s: float) -> Question:
        return Question(
            groups(by or ("model",)),
            filters(where),
            options.chosen_period(period, since, until, time_zone, now_s),
            time_zone,
        )

    now_s, path = time.time(), options.ledger_path(ledger)
    try:
        asked = question(now_s)
        times = {"period": period, "from": since, "until": until}
        query = live.query_of(asked, times, groups(given_by) if given_by else ()) if is_opened else []
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    form = _Form(is_json=is_json, is_csv=is_csv, is_own=ledger is None)
    if is_opened:
        live.serve(path, query, time_zone)
    elif is_watched:
        live.watch(
            lambda page, most: _answer(path, question(time.time()), time.time(), form, page, most),
            every_s,
            time_zone,
            top,
        )
    else:
        _answer(path, asked, now_s, form, Page(), top)


class _Form:
    """How the answer is to be given."""

    def __init__(self, *, is_json: bool, is_csv: bool, is_own: bool) -> None:
        self._is_own = is_own
        #: Whether what holds for all rows has a place.
        self.has_notes = not is_csv
        self._write = as_data.write_json if is_json else as_data.write_csv if is_csv else None

    def give(self, report: Report, now_s: float, last_ns: int | None, page: Page, top: int | None) -> None:
        """Print the report, up to `top` rows of it, and what is owed of calls that are not in it unless a ledger was asked by its name."""
        if self._is_own:
            report.notices += notices.of(
                os.environ, now_s, report.question.period, last_ns=last_ns, ledger=Path(report.path)
            )
            report.notices += left.usage(Settings.read(os.environ), os.environ)
        if self._write:
            self._write(report, sys.stdout, top)
        else:
            as_text.show(report, page, top=top)


def _asked(store: Store, question: Question, now_s: float, form: _Form) -> Report:
    """The report, with what the cache saved where the form has a place for it: all of one moment."""
    with store.at_one_moment():
        report = ask(store, question, now_s)
        if form.has_notes and savings.is_used(report.total):
            report.cache = savings.saved(store, question, _prices, now_s)
        if form.has_notes and report.unpriced:
            _look_at_settings(store, report, now_s)
    return report


def _look_at_settings(store: Store, report: Report, now_s: float) -> None:
    """Tell advice that was followed since from advice that was not: what is booked without a price is never priced again."""
    now = Now(_prices(), Settings.read(os.environ).hosts, now_s)
    found = priced_now(store, report.question, now)
    report.priced_now = found.calls
    report.unknown_sellers = [said for said in report.unknown_sellers if place(said) not in found.places]


def _prices() -> Prices:
    """As programs of this environment price their calls."""
    return loaded(Settings.read(os.environ).prices)


def _answer(path: Path, question: Question, now_s: float, form: _Form, page: Page, top: int | None) -> None:
    try:
        with read(path) as store:
            last_ns = rolled.last_ns(store)
            form.give(_asked(store, question, now_s, form), now_s, last_ns, page, top)
    except NoLedger:
        form.give(Report(question, NO_LEDGER, str(path)), now_s, None, page, top)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
