"""The ledger's sums for Prometheus: the counters of names.py, with labels of a bounded number of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from starlette.responses import Response

from costspan import names
from costspan.facts.attribution_words import ATTRIBUTE_OF
from costspan.names import COMMON, UNKNOWN, Metric, prometheus_label
from costspan.report.period import between
from costspan.report.values import UsageRow
from costspan.serve.asked import Asked

#: The text format of Prometheus.
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: By which words the ledger is asked for the labels that all counters have.
_WORDS: Final = {
    names.OPERATION: "operation", names.PROVIDER: "provider", names.REQUEST_MODEL: "model",
    names.RESPONSE_MODEL: "answered_model", names.PERIOD: "month",
    **{attribute: word for word, attribute in ATTRIBUTE_OF.items() if attribute in COMMON},
}  # fmt: skip
_QUALITY: Final = "quality"
_OUTCOME: Final = "outcome"
_REASON: Final = "unpriced_reason"
_ASKED: Final = (*(_WORDS[label] for label in COMMON), _QUALITY, _OUTCOME, _REASON)
_UNPRICED: Final = "unpriced"
_TOKENS: Final = {
    names.INPUT_TOKENS: "input_tokens", names.OUTPUT_TOKENS: "output_tokens", names.CACHE_READ_TOKENS: "cache_read_tokens",
    names.CACHE_WRITE_TOKENS: "cache_write_tokens", names.REASONING_TOKENS: "reasoning_tokens",
}  # fmt: skip
_ALWAYS: Final = (names.INPUT_TOKENS, names.OUTPUT_TOKENS)

_Labels = tuple[str, ...]
_Number = int | Decimal


def metrics(asked: Asked) -> Response:
    """`GET /metrics`: the sums of this month and the one before, and what the ledger lost."""
    period = between("last-month", None, asked.time_zone, asked.moment.now_s)
    rows = asked.query.summary(*_ASKED, period=period).rows
    sums: dict[Metric, dict[_Labels, _Number]] = {}
    for row in rows:
        labels = asked.served.limits.labels({label: row.words[_WORDS[label]] for label in COMMON})
        for metric, last, amount in _readings(row):
            of_metric = sums.setdefault(metric, {})
            of_metric[(*labels, last)] = of_metric.get((*labels, last), 0) + amount
    if asked.caller.sees_all:
        calls, amount = asked.query.lost()
        sums |= {names.LEDGER_LOST: {(): calls}, names.LEDGER_LOST_USD: {(): amount}}
    return Response("".join(_lines(sums)), media_type=MEDIA_TYPE)


def _readings(row: UsageRow) -> Iterator[tuple[Metric, str, _Number]]:
    """What a group adds to which counter, with the value of the label that the counter has beside the common ones."""
    words, totals = row.words, row.totals
    yield names.REQUESTS, words[_OUTCOME] or UNKNOWN, totals.calls
    quality, reason = words[_QUALITY], words[_REASON]
    if reason is not None:
        yield names.UNPRICED_REQUESTS, reason, totals.unpriced_calls
        yield names.UNPRICED_TOKENS, reason, totals.unpriced_tokens
    elif quality not in {None, _UNPRICED}:
        yield names.COST_USD, str(quality), totals.cost_usd
    for metric, name in _TOKENS.items():
        count: int = getattr(totals, name)
        if count or metric in _ALWAYS:
            yield metric, UNKNOWN, count  # the ledger's sums tell no modalities apart


def _lines(sums: Mapping[Metric, Mapping[_Labels, _Number]]) -> Iterator[str]:
    for metric, series in sorted(sums.items(), key=lambda each: each[0].prometheus):
        yield f"# HELP {metric.prometheus} {metric.description}\n# TYPE {metric.prometheus} {metric.kind}\n"
        for values, amount in sorted(series.items()):
            told = ",".join(f'{prometheus_label(label)}="{_escaped(one)}"' for label, one in _named(metric, values))
            yield f"{metric.prometheus}{{{told}}} {amount:f}\n" if told else f"{metric.prometheus} {amount:f}\n"


def _named(metric: Metric, values: _Labels) -> Iterator[tuple[str, str]]:
    """The labels that have a value: without a label is the same series as with an empty one."""
    return zip(metric.labels, values, strict=True)


def _escaped(value: str) -> str:
    """The value as it stands between quotes in the text format."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
