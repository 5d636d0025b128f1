"""The calendar in PromQL: what day and month it is in the budget time zone, without a running process of ours.

PromQL knows UTC only. The changes of a zone's clock are known in advance, so they are compiled into the expression
as constants. The table runs from `TABLE_START` to `TABLE_END`; after that the clock is absent rather than wrong.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.facts.periods import zone

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_START: Final = datetime(2025, 1, 1, tzinfo=timezone.utc)
TABLE_END: Final = datetime(2041, 1, 1, tzinfo=timezone.utc)
_DAY_S: Final = 86_400


class Change(NamedTuple):
    """A change of the clock: from this second since the epoch on, it is ahead of before by `step_s`."""

    at_s: int
    step_s: int


def offset_s(clock: tzinfo, moment_s: int) -> int:
    """By how many seconds the zone's clock is ahead of UTC."""
    ahead = datetime.fromtimestamp(moment_s, clock).utcoffset() or timedelta()
    return round(ahead.total_seconds())


def changes(clock: tzinfo, start: datetime = TABLE_START, end: datetime = TABLE_END) -> Iterator[Change]:
    """All changes of the clock between two moments. (No zone changes twice in four days since 1917.)"""
    low_s, end_s = round(start.timestamp()), round(end.timestamp())
    while low_s < end_s:
        high_s = min(low_s + _DAY_S, end_s)
        step_s = offset_s(clock, high_s) - offset_s(clock, low_s)
        if step_s:
            yield Change(_first_after(clock, low_s, high_s), step_s)
        low_s = high_s


def _first_after(clock: tzinfo, low_s: int, high_s: int) -> int:
    """The second in which the offset of `low_s` ends, by halving."""
    before = offset_s(clock, low_s)
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if offset_s(clock, middle_s) == before:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def local_time(time_zone: str, start: datetime = TABLE_START, end: datetime = TABLE_END) -> str:
    """PromQL: the seconds since the epoch that a UTC clock would show if it showed the zone's time."""
    clock = zone(time_zone)
    base_s, table = offset_s(clock, round(start.timestamp())), list(changes(clock, start, end))
    base = "time()" + (f" {_signed(base_s)}" if base_s else "")
    if not table:
        return f"vector({base})"
    steps = [f"{_signed(step_s)} * (time() >= bool {at_s})" for at_s, step_s in table]
    lines = [" ".join(pair) for pair in zip(steps[::2], [*steps[1::2], ""], strict=False)]
    inner = "\n  ".join([base, *(line.rstrip() for line in lines)])
    return f"vector(\n  {inner}\n)\nand on () vector(time()) < {round(end.timestamp())}"


def _signed(seconds: int) -> str:
    return f"{'+' if seconds >= 0 else '-'} {abs(seconds)}"


def month(local: str) -> str:
    """PromQL: one series with the label `llm_period`, e.g. `202611`. `local` is the local time, or its name."""
    return f'count_values("llm_period", year({local}) * 100 + month({local}))'


def day(local: str, days_ago: int = 0) -> str:
    """PromQL: one series with the label `llm_period`, e.g. `20261122`: today's, or that of an earlier day."""
    local = _ago(local, days_ago)
    return f'count_values("llm_period", (year({local}) * 100 + month({local})) * 100 + day_of_month({local}))'


def week(local: str) -> str:
    """PromQL: one series with the label `llm_period`, e.g. `2026W48`: the week belongs to the year of its Thursday (ISO 8601)."""
    thursday = f"({local} + (3 - {_since_monday(local)}) * {_DAY_S})"
    number = f"year({thursday}) * 100 + floor((day_of_year({thursday}) + 6) / 7)"
    return f'label_replace(count_values("llm_period", {number}), "llm_period", "${{1}}W$2", "llm_period", "(....)(..)")'


def weekday(local: str, days_ago: int = 0) -> str:
    """PromQL: one series with the label `llm_weekday`, `1` (Monday) to `7`: today's, or that of an earlier day of this week.

    A number below 1, which no counter carries, where that day was in another week.
    """
    return f'count_values("llm_weekday", {_since_monday(local)} {_signed(1 - days_ago)})'


def any_weekday(local: str, days_ago: int) -> str:
    """PromQL: one series with the label `llm_weekday`, `1` to `7`: that of an earlier day of whichever week."""
    return f'count_values("llm_weekday", (day_of_week({_ago(local, days_ago)}) + 6) % 7 + 1)'


def _ago(local: str, days: int) -> str:
    return f"({local} - {days * _DAY_S})" if days else local


def _since_monday(local: str) -> str:
    """PromQL: how many days of the week are over."""
    return f"(day_of_week({local}) + 6) % 7"


def month_elapsed(local: str) -> str:
    """PromQL: the part of the month that is over, 0 to 1, by the clock on the wall."""
    return f"((day_of_month({local}) - 1) * {_DAY_S} + {local} % {_DAY_S}) / (days_in_month({local}) * {_DAY_S})"


def week_elapsed(local: str) -> str:
    """PromQL: the part of the week that is over, 0 to 1, by the clock on the wall."""
    return f"({_since_monday(local)} * {_DAY_S} + {local} % {_DAY_S}) / {7 * _DAY_S}"


def day_elapsed(local: str) -> str:
    """PromQL: the part of the day that is over, 0 to 1, by the clock on the wall."""
    return f"{local} % {_DAY_S} / {_DAY_S}"
