"""Hours that cost many times what the same hour of other days did, for each team: from the sums of the ledger."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.budgets.finding import DAY_NS, HOUR, Finding, Unjudged
from costspan.budgets.usual import Usual
from costspan.facts.attribution_words import TEAM
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S
from costspan.ledger import cover, rolled
from costspan.ledger.columns import COLUMNS, IS_CALL

if TYPE_CHECKING:
    from costspan.budgets.policy import Anomaly
    from costspan.ledger.store import Store

#: With fewer days before it no hour is judged.
FEWEST_DAYS: Final = 7
# The same weekday is compared as soon as it has come so often: the hour of a Monday with that of other Mondays.
_FEWEST_OF_WEEKDAY: Final = 4
_DAYS_OF_WEEKDAY: Final = timedelta(days=56)
#: What is usual is the median of the days with spend in that hour, where there are so many; else nothing.
_FEWEST_WITH_SPEND: Final = 2

# Every zone's offset has been a multiple of 15 minutes since 1980: a quarter of an hour lies within one hour of any zone.
_QUARTER_S: Final = 900
_QUARTER_NS: Final = _QUARTER_S * NS_PER_S
_QUARTERS_BEFORE: Final = 8


class Hour(NamedTuple):
    """An hour by the clock on the wall. Where the clock goes back an hour comes twice, each with its own `key`."""

    key: str
    day: date
    hour: int
    start_ns: int
    end_ns: int


class _Spend(NamedTuple):
    nano_usd: int
    unpriced: int
    calls: int


_NOTHING: Final = _Spend(0, 0, 0)


def hours(zone: tzinfo, start_ns: int, end_ns: int) -> list[Hour]:
    """The hours that a stretch of time touches, each as a whole."""
    found: list[Hour] = []
    first = start_ns // _QUARTER_NS - _QUARTERS_BEFORE
    for quarter in range(first, -(-end_ns // _QUARTER_NS) + _QUARTERS_BEFORE):
        at = datetime.fromtimestamp(quarter * _QUARTER_S, zone)
        key, quarter_ns = _key(at), quarter * _QUARTER_NS
        if found and found[-1].key == key:
            found[-1] = found[-1]._replace(end_ns=quarter_ns + _QUARTER_NS)
        else:
            found.append(Hour(key, at.date(), at.hour, quarter_ns, quarter_ns + _QUARTER_NS))
    return [hour for hour in found if hour.end_ns > start_ns and hour.start_ns < end_ns]


def _key(at: datetime) -> str:
    return at.replace(minute=0).isoformat(timespec="minutes")


def unusual(ledger: Store, anomaly: Anomaly, zone: tzinfo, start_ns: int, end_ns: int) -> Iterator[Finding | Unjudged]:
    """What is unlike its usual of the hours that a stretch of time touches. Raises LedgerError."""
    hours_known_ns = rolled.until_ns(ledger)
    asked = hours(zone, max(start_ns - (_DAYS_OF_WEEKDAY.days + 1) * DAY_NS, hours_known_ns), end_ns)
    if not asked:
        return
    floor = int(anomaly.floor_usd * NANO_PER_USD)
    with ledger.at_one_moment():
        spend, known = _spend(ledger, zone, asked[0].start_ns, asked[-1].end_ns), _known(ledger, asked[0].start_ns)
    judged = [number for number, hour in enumerate(asked) if hour.end_ns > start_ns]
    alike: dict[int, list[int]] = defaultdict(list)
    for number, hour in enumerate(asked):
        alike[hour.hour].append(number)
    for team, of_team in sorted(spend.items(), key=lambda each: each[0] or ""):
        first = 0 if team in known else next(number for number, hour in enumerate(asked) if hour.key in of_team)
        skipped = 0
        for number in judged:
            hour, spent = asked[number], of_team.get(asked[number].key, _NOTHING)
            if not spent.nano_usd or spent.nano_usd < floor:
                continue
            before = [asked[other] for other in alike[hour.hour] if other >= first and asked[other].day < hour.day]
            others, said = _compared(hour, before)
            if not others:
                skipped += 1
                continue
            usual = _usual(others, of_team)
            if usual.is_exceeded(spent.nano_usd, anomaly.factor):
                yield Finding(
                    HOUR, hour.start_ns, hour.end_ns, ((TEAM, team),), spent.nano_usd, usual.amount, _days_of(others), said,
                    spent.nano_usd, spent.unpriced, spent.calls,
                )  # fmt: skip
        if skipped:
            known_days = len({hour.day for hour in asked[first:]}) - 1
            yield Unjudged(HOUR, ((TEAM, team),), skipped, min(known_days, FEWEST_DAYS - 1), FEWEST_DAYS)


def _compared(hour: Hour, before: Sequence[Hour]) -> tuple[Sequence[Hour], str]:
    """The hours that one is compared with, and what to call their days; none where too few are known."""
    same = [
        other
        for other in before
        if other.day.weekday() == hour.day.weekday() and other.day >= hour.day - _DAYS_OF_WEEKDAY
    ]
    if _days_of(same) >= _FEWEST_OF_WEEKDAY:
        return same, f"{hour.day:%A}s before"
    return (before, "days before") if _days_of(before) >= FEWEST_DAYS else ([], "")


def _days_of(found: Sequence[Hour]) -> int:
    return len({hour.day for hour in found})


def _usual(others: Sequence[Hour], spend: dict[str, _Spend]) -> Usual:
    amounts = [spend[other.key].nano_usd for other in others if other.key in spend and spend[other.key].nano_usd]
    return Usual.of(amounts if len(amounts) >= _FEWEST_WITH_SPEND else ())


def _spend(ledger: Store, zone: tzinfo, start_ns: int, end_ns: int) -> dict[str | None, dict[str, _Spend]]:
    """What each team spent in each hour with calls, by the key of the hour."""

    @functools.lru_cache(4096)
    def key(quarter: int) -> str:
        return _key(datetime.fromtimestamp(quarter * _QUARTER_S, zone))

    def is_one(first_ns: int, last_ns: int) -> bool:
        return key(first_ns // _QUARTER_NS) == key(last_ns // _QUARTER_NS)

    ledger.define("LOCAL_HOUR", key, 1)
    source = cover.source(ledger, cover.Wanted(frozenset({TEAM}), start_ns, end_ns, is_one))
    question = (
        f"SELECT {COLUMNS[TEAM]}, LOCAL_HOUR(started_ns / {_QUARTER_NS}), coalesce(sum(cost_nano_usd), 0),"  # noqa: S608
        f" coalesce(sum(CASE WHEN unpriced_reason IS NOT NULL THEN calls END), 0), coalesce(sum(({IS_CALL}) * calls), 0)"
        f" FROM ({source.sql}) WHERE started_ns >= ? AND started_ns < ? GROUP BY 1, 2"  # words of the code; values are bound
    )
    found: dict[str | None, dict[str, _Spend]] = defaultdict(dict)
    for team, hour, *sums in ledger.select(question, (start_ns, end_ns)):
        found[team][hour] = _Spend(*sums)
    return found


def _known(ledger: Store, before_ns: int) -> set[str | None]:
    """The teams that have calls before a moment."""
    source = cover.source(ledger, cover.Wanted(frozenset({TEAM}), None, before_ns))
    question = f"SELECT DISTINCT {COLUMNS[TEAM]} FROM ({source.sql}) WHERE started_ns < ?"  # noqa: S608
    return {team for (team,) in ledger.select(question, (before_ns,))}
