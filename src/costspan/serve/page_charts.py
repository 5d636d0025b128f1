"""The bars of the page: tokens and cost of each day, with the words of their tooltips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from costspan.facts.attribution_words import SOURCES
from costspan.facts.counting import number
from costspan.report.amounts import nano
from costspan.report.values import UsageTotals
from costspan.serve import page_words
from costspan.serve.chart import Chart, Column, stacked
from costspan.serve.page_choice import Choice
from costspan.serve.page_figures import Figures, Span

#: What lies on each other in a bar, from below.
TOKENS: Final = ("input", "output")
COST: Final = ("priced", "estimated", "lower bound")
INITIATORS: Final = (*(source.replace("_", " ") for source in SOURCES), "others")


def charts(choice: Choice, found: Figures) -> dict[str, Any]:
    """The charts for the template, each with the names of its parts; None where there is nothing to show."""
    return {
        "tokens": _chart(choice, found, _tokens, page_words.short),
        "cost_bars": _chart(choice, found, _cost, page_words.usd_at_axis),
        "sources": stacked([_by_source(choice, found, span) for span in found.spans], page_words.short),
        "of_sources": [(span, tokens_by_source(found, span)) for span in found.spans if found.sources],
        "parts": {"tokens": TOKENS, "cost": COST, "sources": INITIATORS},
    }


def tokens_by_source(found: Figures, span: Span) -> tuple[int, ...]:
    """The tokens of some days by who initiated the calls, in the order of INITIATORS; zeros where there is one source alone."""
    days = [sums for day, sums in found.sources.items() if span.first <= day <= span.last]
    return tuple(sum(sums[part] for sums in days) for part in range(len(INITIATORS)))


def _by_source(choice: Choice, found: Figures, span: Span) -> Column:
    amounts = tokens_by_source(found, span)
    said = [f"{count:,} {name}" for count, name in zip(amounts, INITIATORS, strict=True) if count]
    words = ", ".join([written_span(span.first, span.last), *said])
    return Column(_LABELS[found.step](span.first), words, amounts, choice.of_days(span.first, span.last).link())


def written_span(first: date, last: date) -> str:
    """The days from the first to the last."""
    return f"{first}" if first == last else f"{first} to {last}"


def _chart(
    choice: Choice, found: Figures, of: Callable[[UsageTotals], tuple[int, ...]], text: Callable[[int], str]
) -> Chart | None:
    return stacked([_column(choice, found, span, of(span.totals)) for span in found.spans], text)


def _column(choice: Choice, found: Figures, span: Span, amounts: tuple[int, ...]) -> Column:
    label = _LABELS[found.step](span.first)
    has_gap = bool(span.totals.unpriced_calls or span.totals.unpriced_items)
    return Column(label, _words(span), amounts, choice.of_days(span.first, span.last).link(), has_gap)


_LABELS: Final[Mapping[str, Callable[[date], str]]] = {
    "day": lambda day: f"{day:%m-%d}",
    "week": lambda day: f"{day:%y-%m-%d}",
    "month": lambda day: f"{day:%Y-%m}",
    "year": lambda day: f"{day:%Y}",
}


def _words(span: Span) -> str:
    totals = span.totals
    said = (
        written_span(span.first, span.last), f"{totals.input_tokens:,} input", f"{totals.output_tokens:,} output",
        page_words.cost(totals),
        f"{number(totals.unpriced_calls, 'call')} without a price" if totals.unpriced_calls else "",
        f"{number(totals.unpriced_items, 'item')} without a price" if totals.unpriced_items else "",
    )  # fmt: skip
    return ", ".join(filter(None, said))


def _tokens(totals: UsageTotals) -> tuple[int, ...]:
    return totals.input_tokens, totals.output_tokens


def _cost(totals: UsageTotals) -> tuple[int, ...]:
    estimated, incomplete = nano(totals.estimated_usd), nano(totals.incomplete_usd)
    return nano(totals.cost_usd) - estimated - incomplete, estimated, incomplete
