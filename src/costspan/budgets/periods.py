"""The periods that a limit may be for: one record each. What Prometheus needs of them stands in `alerting/periods.py`."""

from __future__ import annotations

import calendar
import functools
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple, Protocol

from costspan.facts import attribution_words
from costspan.facts.periods import NS_PER_S

_LAST_DAY: Final = 31
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_LABEL: Final = re.compile(r"(\d{4})(W?\d\d)(\d\d)?")
_UNIT_S: Final = {"m": 60, "h": 3_600, "d": 86_400}
#: The longest rolling window, in seconds: what rules keep apart of a process' spend is no older.
LONGEST_WINDOW_S: Final = 31 * 86_400


class Stretch(NamedTuple):
    """A period around a moment: its label, its first and last (exclusive) nanosecond, and the part of it that is over."""

    label: str
    start_ns: int
    end_ns: int
    elapsed: float


class Span(Protocol):
    """What every period knows. `name` is its name in labels and records, `every` says it in a sentence ("5 USD a day"),
    `noun` names it ("the day"), `of` is the dimension of which every value has a period for itself, if any.
    """

    @property
    def name(self) -> str:
        """Its name in labels and records, e.g. `day`, `month-15`, `24h`."""
        ...

    @property
    def every(self) -> str:
        """How a limit is said, e.g. `a day`, `in any 24h`."""
        ...

    @property
    def noun(self) -> str:
        """The word for one of them, e.g. `month`."""
        ...

    def around(self, zone: tzinfo, now_ns: int) -> Stretch:
        """The period around a moment."""
        ...

    def shown(self, label: str) -> str:
        """A label as people write it."""
        ...


class Period(NamedTuple):
    """A stretch of the calendar that comes again. All three functions take what the clock on the wall shows.

    `label` names the period around a moment (the label `llm_period`), `start` gives its first moment, `end` the first
    moment after it, of its start.
    """

    name: str
    label: Callable[[datetime], str]
    start: Callable[[datetime], datetime]
    end: Callable[[datetime], datetime]
    every: str
    noun: str
    prefix: str = ""

    def shown(self, label: str) -> str:
        """A label as people write it: `2026-11-15`, `2026-11`, `2026-W47`, `from 2026-11-15`."""
        match = _LABEL.fullmatch(label)
        return self.prefix + ("-".join(filter(None, match.groups())) if match else label)

    def around(self, zone: tzinfo, now_ns: int) -> Stretch:
        """The part that is over is by the clock on the wall: the rules' own reckoning, so that both project alike."""
        local = datetime.fromtimestamp(now_ns // NS_PER_S, zone).replace(tzinfo=None)
        start = self.start(local)
        end = self.end(start)
        return Stretch(self.label(local), _ns(start, zone), _ns(end, zone), (local - start) / (end - start))


class Window(NamedTuple):
    """So many seconds up to now, wherever the calendar stands. It never ends: what is older falls out of it."""

    name: str
    length_s: int

    @property
    def every(self) -> str:
        """How a limit is said."""
        return f"in any {self.name}"

    @property
    def noun(self) -> str:
        """The word for one of them."""
        return f"window of {self.name}"

    def shown(self, label: str) -> str:
        """A label as people write it."""
        return label

    def around(self, zone: tzinfo, now_ns: int) -> Stretch:
        """The window that ends at the moment, which is in it."""
        del zone  # hours have no zone
        return Stretch(self.name, now_ns - self.length_s * NS_PER_S + 1, now_ns + 1, 1.0)


class WholeSession(NamedTuple):
    """A session from its first call on, however long it lives."""

    name: str = attribution_words.SESSION
    every: str = f"a {attribution_words.SESSION}"
    noun: str = attribution_words.SESSION

    def shown(self, label: str) -> str:
        """A label as people write it."""
        return label

    def around(self, zone: tzinfo, now_ns: int) -> Stretch:
        """All time up to the moment: which calls are of the session, its name says."""
        del zone  # a session has no calendar
        return Stretch(self.name, 0, now_ns + 1, 1.0)


def _ns(wall: datetime, zone: tzinfo) -> int:
    """The first moment at which the wall clock shows this time, or passes it."""
    return round(wall.replace(tzinfo=zone).astimezone(timezone.utc).timestamp()) * NS_PER_S


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _next_day(start: datetime) -> datetime:
    return start + timedelta(days=1)


def _monday(local: datetime) -> datetime:
    return _midnight(local) - timedelta(days=local.weekday())


def _next_monday(start: datetime) -> datetime:
    return start + timedelta(days=7)


def _first_of_month(local: datetime) -> datetime:
    return _midnight(local).replace(day=1)


def _next_month(start: datetime) -> datetime:
    return (start + timedelta(days=31)).replace(day=1)


def _on(day: int, month: datetime) -> datetime:
    """That day of the month, or its last day where it is shorter."""
    return month.replace(day=min(day, calendar.monthrange(month.year, month.month)[1]))


def _cycle_start(day: int, local: datetime) -> datetime:
    first = _first_of_month(local)
    start = _on(day, first)
    return start if start <= local else _on(day, _first_of_month(first - timedelta(days=1)))


def _cycle_end(day: int, start: datetime) -> datetime:
    return _on(day, _next_month(start.replace(day=1)))


def _cycle_label(day: int, local: datetime) -> str:
    return f"{_cycle_start(day, local):%Y%m%d}"


DAY: Final = Period("day", "{:%Y%m%d}".format, _midnight, _next_day, "a day", "day")
WEEK: Final = Period("week", "{:%GW%V}".format, _monday, _next_monday, "a week", "week")
MONTH: Final = Period("month", "{:%Y%m}".format, _first_of_month, _next_month, "a month", "month")
SESSION: Final = WholeSession()
#: By the word that stands in budgets.yaml.
PERIODS: Final[dict[str, Span]] = {period.name: period for period in (DAY, WEEK, MONTH, SESSION)}


@functools.lru_cache(_LAST_DAY)
def month_from(day: int) -> Period:
    """The month that begins on that day, 1 to 31: on its last day where a month is shorter."""
    if day == 1:
        return MONTH
    return Period(
        f"{MONTH.name}-{day}",
        functools.partial(_cycle_label, day),
        functools.partial(_cycle_start, day),
        functools.partial(_cycle_end, day),
        f"a month from day {day}",
        "month",
        "from ",
    )


def window(word: str) -> Window | None:
    """The rolling window of a word such as `90m`, `24h` or `7d`; None where it is none, or longer than 31 days."""
    match = _WINDOW.fullmatch(word)
    length_s = int(match[1]) * _UNIT_S[match[2]] if match else 0
    return Window(word, length_s) if 0 < length_s <= LONGEST_WINDOW_S else None


def of(name: str) -> Span:
    """The period of that name. Raises ValueError for a name that is none."""
    known = PERIODS.get(name) or window(name)
    if known is not None:
        return known
    word, _, day = name.rpartition("-")
    if word == MONTH.name and day.isdecimal() and 1 <= int(day) <= _LAST_DAY:
        return month_from(int(day))
    raise ValueError(f"{name!r} is no period: expected {', '.join(PERIODS)}, month-2 to month-31, or a window like 24h")
