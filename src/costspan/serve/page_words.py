"""Figures and names as the page writes them: rounded for people, never a zero for what is not zero or not known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from shlex import quote
from typing import Final, TypeAlias

from costspan.budgets.policy import USD
from costspan.facts.money import NANO_PER_USD
from costspan.report import amounts
from costspan.report.as_data import no_formula
from costspan.report.naming import EMPTY, NOT_SET, harmless
from costspan.report.values import UsageTotals

_THOUSAND: Final = 1_000
_SIZES: Final = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_LONGEST: Final = 80
_CENT: Final = NANO_PER_USD // 100
#: In the place of an amount that nobody knows.
NO_PRICE: Final = "no price"


def name(value: str | None) -> str:
    """A name as text: what steers, hides or turns the direction is written as an escape."""
    if value is None:
        return NOT_SET
    text = harmless(value) or EMPTY
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}…{text[-19:]}"


def quoted(word: str) -> str:
    """A word of a command."""
    return harmless(quote(word))


def has_cost(totals: UsageTotals) -> bool:
    """Whether an amount is known: none is of calls and items without a price."""
    return not (totals.unpriced_calls or totals.unpriced_items) or bool(totals.cost_usd)


def amount(totals: UsageTotals, decimals: int | None = None) -> str:
    """What has a price came to; with `decimals` as in a column."""
    booked = amounts.nano(totals.cost_usd)
    return amounts.average_usd(booked, 1) if decimals is None else amounts.short_usd(booked, decimals)


def cost(totals: UsageTotals) -> str:
    """What the calls cost, in USD, as a piece of a sentence."""
    if not has_cost(totals):
        return NO_PRICE
    return f"{'at least ' if totals.is_lower_bound else ''}{amount(totals)} USD"


def exact(amount: Decimal) -> str:
    """An amount in USD to its last digit."""
    return f"{amount:f}"


def of_budget(amount: Decimal, unit: str) -> str:
    """An amount of a budget, which may be USD, tokens or requests; USD below a cent have their digits."""
    if unit != USD:
        return f"{amount.quantize(Decimal(1)):,f}"
    nano_usd = amounts.nano(amount)
    if 0 < nano_usd < _CENT:
        return amounts.average_usd(nano_usd, 1)
    return f"{amount.quantize(Decimal('0.01')):,f}".removesuffix(".00")


def quality(value: str | None) -> str:
    """How sure the amounts of calls are; of a call that brought no answer there is none."""
    return {None: "without an answer to bill", "incomplete": "with a lower bound"}.get(value) or name(value)


def share(totals: UsageTotals, whole: UsageTotals) -> str:
    """The part of all cost; empty where no amount is known."""
    return amounts.percent(amounts.nano(totals.cost_usd), amounts.nano(whole.cost_usd)) if has_cost(totals) else ""


def change(now: UsageTotals, before: UsageTotals) -> str:
    """How much more or less the calls cost than those before."""
    if not before.calls:
        return "nothing in the period before"
    if not has_cost(before) or not has_cost(now):
        return f"the period before: {cost(before)}"
    earlier = amounts.nano(before.cost_usd)
    if not earlier:
        return "0.00 USD in the period before"
    percent = Decimal(amounts.nano(now.cost_usd) - earlier) * 100 / earlier
    return f"{percent:+,.1f} % against {cost(before)} in the period before"


def short(count: int) -> str:
    """A count with three figures: 950, 1.2k, 34.5M."""
    for size, letter in _SIZES:
        if count >= size:
            shown = Decimal(count) / size
            return f"{shown.quantize(Decimal('0.1') if shown < _THOUSAND // 10 else Decimal(1)):f}{letter}"
    return str(count)


def usd_at_axis(booked: int) -> str:
    """An amount at the axis of a chart."""
    return f"{amounts.average_usd(booked, 1)} $"


def per_day(count: int, days: int) -> str:
    """A count for each of some days."""
    return amounts.average(count, days) if days else "0"


def tokens(totals: UsageTotals) -> int:
    """Input and output together; what came from a cache is in the input."""
    return totals.input_tokens + totals.output_tokens


_COLUMNS: Final = (
    "requests", "input_tokens", "output_tokens", "cache_read_tokens", "tokens", "cost_usd", "unpriced_requests",
)  # fmt: skip


#: Of a table: the words of a row, and its sums.
Row: TypeAlias = tuple[Iterable[str | None], UsageTotals]


def csv_of(by: Sequence[str], rows: Iterable[Row]) -> bytes:
    """The rows as CSV, without the total, so that a sum over a column is right. A cost that is not known is empty; a name that a
    spreadsheet would take for a formula has an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([*by, *_COLUMNS])
    for words, sums in rows:
        known = exact(sums.cost_usd) if has_cost(sums) else ""
        writer.writerow([
            *(no_formula(value or "") for value in words),
            sums.calls, sums.input_tokens, sums.output_tokens, sums.cache_read_tokens, tokens(sums), known, sums.unpriced_calls,
        ])  # fmt: skip
    return text.getvalue().encode("utf-8", "replace")
