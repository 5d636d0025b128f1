"""A report for people: a table, and sentences about what the figures leave out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from costspan.facts.counting import number
from costspan.facts.money import NO_USAGE, UNKNOWN_SELLER
from costspan.facts.sellers import UNKNOWN
from costspan.ledger.place import NoHome, default_path
from costspan.report import savings, table, usage
from costspan.report.amounts import average, average_usd, decimals_for, percent, short_usd
from costspan.report.naming import NOT_SET, harmless, shortened
from costspan.report.page import Page
from costspan.report.table import Column, Table
from costspan.report.usage import Report, Totals
from costspan.report.words import Filter

_MODELS_NAMED: Final = 5
_LONGEST_IN_A_SENTENCE: Final = 60
_UNPRICED: Final = Filter("quality", "=", "unpriced")
_NS: Final = 1_000_000_000

# With what goes first where there is no room for all; --json and --csv have them all.
_FIGURES: Final = (
    Column("Requests"),
    Column("Input"),
    Column("Output"),
    Column("Cached", leave_out=3),
    Column("Reasoning", leave_out=2),
    Column("Cost USD"),
    Column("Share", leave_out=4),
    Column("USD/request", leave_out=1),
)


def show(report: Report, page: Page, *, top: int | None = None) -> None:
    """Print the report: a title, the table with its totals row, the notes."""
    page.title(_title(report))
    if report.state == usage.OK:
        print_table(report, page, top=top)
    for note in notes(report):
        page.sentence(note)


def print_table(report: Report, page: Page, *, top: int | None = None) -> None:
    """Print the rows of the report and their total; of more than `top` rows the rest is one row."""
    groups = report.question.groups
    names = [Column(word.replace("_", " ").capitalize(), is_name=True) for word in groups]
    shown = len(report.rows) if top is None else min(top, len(report.rows))
    rest = None
    if shown < len(report.rows):
        others = report.total
        for row in report.rows.first(shown):
            others = others.minus(row.totals)
        rest = _labelled(f"{len(report.rows) - shown:,} more", groups, others, report)
    foot = _labelled("Total", groups, report.total, report)

    def rows() -> Iterator[table.Row]:
        return ((*row.key, *_cells(row.totals, report)) for row in report.rows.first(shown))

    if groups:
        page.table(Table([*names, *_FIGURES], rows, rest, foot))
    else:
        page.table(Table([Column("", is_left=True), *_FIGURES], tuple, foot=foot, has_rows=False))


def _labelled(label: str, groups: Iterable[str], totals: Totals, report: Report) -> table.Row:
    return (label, *[""] * (len(list(groups)) - 1), *_cells(totals, report))


def _cells(totals: Totals, report: Report) -> tuple[str, ...]:
    known = totals.has_price
    return (
        f"{totals.requests:,}",
        f"{totals.input_tokens:,}",
        f"{totals.output_tokens:,}",
        f"{totals.cache_read_tokens:,}",
        f"{totals.reasoning_tokens:,}",
        _cost(totals, decimals_for(report.total.nano_usd)) if known else "unpriced",
        percent(totals.nano_usd, report.total.nano_usd) if known else "",
        _a_request(totals),
    )


def _a_request(totals: Totals) -> str:
    """The average of the calls that have a price; a lower bound where one has a price for a part."""
    if not totals.priced_requests:
        return ""
    sign = ">= " if totals.incomplete_nano_usd else ""
    return sign + average_usd(totals.nano_usd - totals.items_nano_usd, totals.priced_requests)


def _cost(totals: Totals, decimals: int) -> str:
    sign = ">= " if totals.is_lower_bound else ""
    return sign + short_usd(totals.nano_usd, decimals)


def _title(report: Report) -> str:
    question = report.question
    by = f" by {', '.join(word.replace('_', ' ') for word in question.groups)}" if question.groups else ""
    where = "".join(f", {one.word}{one.sign}{one.value or NOT_SET}" for one in question.filters)
    return f"Usage{by}{where}: {_when(report)}, {question.zone}"


def _when(report: Report) -> str:
    """The period in dates, the last one included, and the words for it."""
    asked = report.question.period
    words = "all time" if asked.text == "all" else asked.text.replace("-", " ")
    if report.start_ns is None:
        return words if asked.end_ns is None else f"until {_last_day(report)}"
    begin = _day(report.start_ns, report) if asked.start_ns is None else _moment(report.start_ns, report)
    end = _last_day(report)
    dates = begin if begin == end else f"{begin} to {end}"
    return f"{dates} ({words})" if words[:1].isalpha() else dates


def _last_day(report: Report) -> str:
    if report.end_ns is None:
        return _day(int(report.now_s) * _NS, report)
    whole_day = _moment(report.end_ns, report)
    return _day(report.end_ns - 1, report) if " " not in whole_day else whole_day


def _day(at_ns: int, report: Report) -> str:
    return f"{datetime.fromtimestamp(at_ns // _NS, report.question.zone):%Y-%m-%d}"


def _moment(at_ns: int, report: Report) -> str:
    """The day that begins here; with the time, where it is within a day."""
    moment = datetime.fromtimestamp(at_ns // _NS, report.question.zone)
    is_midnight = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%Y-%m-%d}" if is_midnight else f"{moment:%Y-%m-%d %H:%M}"


def notes(report: Report) -> Iterator[str]:
    """What the figures say of themselves, one sentence each."""
    total = report.total
    yield _average(report) if report.state == usage.OK else _state(report)
    if total.unpriced_requests:
        known = "A lower bound" if total.has_price else "No cost is known"
        yield (
            f"{known}: without a price {_are(total.unpriced_requests)} {number(total.unpriced_requests, 'call')} with "
            f"{number(total.unpriced_tokens, 'token')} ({_unpriced(report)}). {_all_of_them(report)}"
            f"{_advice(report)}"
        )
        yield from _followed(report)
    if total.items:
        amount = average_usd(total.items_nano_usd, 1)
        yield (
            f"Of the cost, {amount} USD is of items that are no call ({total.items:,}), such as uptime and storage: "
            "`costspan usage --by kind,instance`."
        )
    if total.unpriced_items:
        yield (
            f"A lower bound: without a price {_are(total.unpriced_items)} {number(total.unpriced_items, 'item')}, as "
            "the prices file lacks their rate: "
            "`costspan usage --by instance --where quality=unpriced`."
        )
    yield from (f"Without a price: {harmless(sentence)}." for sentence in report.unknown_sellers)
    if total.incomplete_nano_usd:
        yield (
            f"A lower bound: {_portion(total.incomplete_nano_usd, report)} is of calls with a unit that has no price."
        )
    if total.estimated_nano_usd:
        yield f"Estimated: {_portion(total.estimated_nano_usd, report)} is of streams that were cut short."
    if report.cache is not None:
        said = savings.sentence(report.cache)
        yield f"{said[:1].upper()}{said[1:]}."
    if report.lost_records:
        yield (
            f"Missing: {number(report.lost_records, 'record')} of {average_usd(report.lost_nano_usd, 1)} USD that the "
            "ledger could not take. `costspan doctor` says why."
        )
    yield from report.notices


def _state(report: Report) -> str:
    if report.state == usage.NOTHING and report.question.filters == (_UNPRICED,):
        return f"Every call of this period in the ledger {report.path} has a price."
    if report.state == usage.NOTHING:
        return f"Nothing in these filters and this period. The ledger {report.path} has records of other calls."
    if report.state == usage.NO_RECORDS:
        return f"No records yet: the ledger {report.path} is there, and no call has been booked in it."
    if report.notices:
        return f"No ledger at {report.path}."
    return (
        f"No ledger at {report.path}: no call of a program under costspan has been booked. Start yours by: "
        "costspan run python your_program.py"
    )


def _average(report: Report) -> str:
    total, days = report.total, report.days
    requests = f"{_rate(total.requests, days)} requests"
    over = f"over {number(days, 'day')}"
    if not total.has_price:
        return f"On average {requests} a day, {over}."
    a_day = f"{'at least ' if total.is_lower_bound else ''}{average_usd(total.nano_usd, days)} USD a day"
    if not total.priced_requests:
        return f"On average {requests} and {a_day}, {over}."
    a_request = _a_request(total).replace(">=", "at least")
    which = "a request that has a price" if total.unpriced_requests else "a request"
    return f"On average {a_request} USD {which}; {requests} and {a_day}, {over}."


def _rate(count: int, days: int) -> str:
    return f"{count / days:,.1f}" if count * 10 >= days else average(count, days)


def _portion(nano_usd: int, report: Report) -> str:
    amount = short_usd(nano_usd, decimals_for(report.total.nano_usd))
    return f"{amount} USD ({percent(nano_usd, report.total.nano_usd)})"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _followed(report: Report) -> Iterator[str]:
    """What of the unpriced calls the settings of now would price: advice that was followed, and what it does not change."""
    count = report.priced_now
    if count:
        which = "each" if count == report.total.unpriced_requests else f"{count:,}"
        yield (
            f"Of the calls without a price, {which} would have one by the settings of now, and new calls have it. What is booked stays as it is: "
            "`costspan records --where quality=unpriced` lists them, `costspan explain CALL` says what one would have cost."
        )


def _all_of_them(report: Report) -> str:
    if _UNPRICED in report.question.filters:
        return ""
    return f"All of them: `costspan usage --unpriced{of_ledger(report.path)}`. "


def of_ledger(path: str) -> str:
    """The option with which a command asks this ledger; empty for the one that is asked without."""
    try:
        is_default = path == str(default_path(os.environ))
    except NoHome:
        is_default = False
    return "" if is_default else f" --ledger {shlex.quote(path)}"


def _unpriced(report: Report) -> str:
    """Models and why they have no price, those with one reason together."""
    named: dict[tuple[str | None, str], list[str]] = {}
    for unpriced in report.unpriced[:_MODELS_NAMED]:
        models = named.setdefault((unpriced.provider, unpriced.reason), [])
        models.append(_name(unpriced.model) or "no model")
    whys = [
        f"{', '.join(models)}{_of(provider)}: {reason.replace('_', ' ')}"
        for (provider, reason), models in named.items()
    ]
    more = len(report.unpriced) - _MODELS_NAMED
    return "; ".join([*whys, f"{more} more"] if more > 0 else whys)


def _of(provider: str | None) -> str:
    return f" of {provider}" if provider not in (None, UNKNOWN) else ""


def _advice(report: Report) -> str:
    """What to do about calls without a price, where a price is what they lack: the sentences about hosts say what those lack."""
    is_followed = report.priced_now == report.total.unpriced_requests
    lacks = {unpriced.reason for unpriced in report.unpriced} - {UNKNOWN_SELLER, NO_USAGE}
    return "Give the model a price: `costspan docs pricing`." if lacks and not is_followed else ""


def _name(text: str | None) -> str:
    return shortened(harmless(text or ""), _LONGEST_IN_A_SENTENCE)
