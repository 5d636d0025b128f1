"""Answers from a server, as plain values: those that a ledger's file gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeVar

from costspan.facts.attribution_words import ACCOUNT, SESSION
from costspan.facts.periods import NS_PER_S, offset, zone
from costspan.remote.server import Server
from costspan.report import forms
from costspan.report.answers import MOST_ROWS, Daily, NewestWords, Stats, Summary, UsageSpan
from costspan.report.usage import Question
from costspan.report.values import CacheSavings, UsageDay, UsagePage, UsageRow, UsageSummary
from costspan.report.words import SIGNS, Filter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_IS: Final = SIGNS[2]
_A = TypeVar("_A")


class OfServer:
    """A `Source` over HTTP. `refresh` is called before each question."""

    def __init__(self, server: Server, refresh: Callable[[], object]) -> None:
        self._server = server
        self._refresh = refresh

    def now_s(self) -> float:
        """The time of the clock here: the server is told moments."""
        return time.time()

    def apart(self) -> OfServer:
        """The same: each answer of a server is of a moment of its own."""
        return self

    def summary(self, question: Question, top: int | None, *, is_brief: bool) -> UsageSummary:
        """The sums of each group, and of all. Raises ServerError where there are more groups than a server tells at once."""
        del is_brief
        most = min(top or MOST_ROWS, MOST_ROWS)
        asked = [("by", word) for word in question.groups or ("total",)]
        found = self._get("/v1/usage/summary", question, Summary, *asked, ("top", str(most)))
        if not question.groups:
            return _of_all(found)
        if len(found.rows) < min(top or found.groups, found.groups):
            raise self._server.error(
                f"has {found.groups:,} groups and tells {MOST_ROWS:,} at once: expected top=..., a filter or a shorter period"
            )
        return UsageSummary(found.rows, found.groups, found.total, found.days, found.unpriced, found.notices)

    def cache_savings(self, question: Question) -> CacheSavings:
        """By the list prices of now, of the server."""
        return self._get("/v1/usage/summary", question, Summary, ("by", "total")).cache

    def daily(self, question: Question) -> tuple[UsageDay, ...]:
        """The sums of each day. Raises ValueError for more days than a server tells."""
        return self._get("/v1/usage/daily", question, Daily).days

    def records(self, question: Question, limit: int, after: str | None) -> UsagePage:
        """Some calls, the newest first."""
        asked = [("limit", str(limit)), *([] if after is None else [("after", after)])]
        return self._get("/v1/usage/records", question, UsagePage, *asked)

    def last_used(self, question: Question) -> datetime | None:
        """When the last call began."""
        return self._span(question).last_used

    def first_used(self, question: Question) -> datetime | None:
        """When the first call began."""
        return self._span(question).first_used

    def _span(self, question: Question) -> UsageSpan:
        return self._read("/v1/usage/span", _filters(question.filters), UsageSpan)

    def lost(self) -> tuple[int, Decimal]:
        """What the ledger could not take; nothing for a token that sees a part."""
        total = self._get("/v1/usage/summary", Question(), Summary, ("by", "total")).total
        return total.lost_calls, total.lost_usd

    def notices(self, question: Question) -> tuple[str, ...]:
        """Sentences on days that are kept as sums only."""
        return self.records(question, 1, None).notices

    def unattributed(self, question: Question) -> Mapping[str, int]:
        """How many calls lack each word."""
        return self._get("/v1/stats", question, Stats).unattributed

    def newest(self, question: Question) -> Mapping[str, Sequence[str | None]]:
        """The sessions and accounts of the last calls."""
        found = self._get("/v1/usage/newest", question, NewestWords)
        return MappingProxyType({SESSION: list(found.session), ACCOUNT: list(found.account)})

    def _get(self, path: str, question: Question, answer: type[_A], *asked: tuple[str, str]) -> _A:
        when = {"from": question.period.start_ns, "until": question.period.end_ns}
        said = [(name, _moment(at_ns)) for name, at_ns in when.items() if at_ns is not None] or [("period", "all")]
        said += [("time_zone", named(question.zone)), *_filters(question.filters), *asked]
        return self._read(path, said, answer)

    def _read(self, path: str, asked: Sequence[tuple[str, str]], answer: type[_A]) -> _A:
        self._refresh()
        found = self._server.get(path, asked)
        try:
            return forms.understood(answer, found, is_told=True)
        except forms.MisreadError as fault:
            said = (
                f"answers {path} otherwise than its document says ({fault}): expected a costspan serve of this version"
            )
            raise self._server.error(said) from None


def named(place: tzinfo) -> str:
    """The name by which a server knows a time zone. Raises ValueError for one that it cannot be told."""
    fixed = place.utcoffset(None) if isinstance(place, timezone) else None
    name = str(place if fixed is None else timezone(fixed))
    try:
        return str(offset(name) or zone(name))
    except ValueError:
        expected = "expected a zone of the tz database or an offset of whole minutes: a server is told its name"
        raise ValueError(f"time_zone={place!r}: {expected}") from None


def _filters(filters: Sequence[Filter]) -> list[tuple[str, str]]:
    # With a space, as a value may begin with the sign of an equation.
    return [
        (each.word, each.value) if each.sign == _IS else ("where", f"{each.word}{each.sign} {each.value}")
        for each in filters
    ]


def _moment(at_ns: int) -> str:
    return (_EPOCH + timedelta(seconds=at_ns // NS_PER_S)).isoformat()


def _of_all(found: Summary) -> UsageSummary:
    """A question without groups: one row of all calls, where there are any."""
    total = found.total
    alone = UsageRow(MappingProxyType({}), replace(total, lost_calls=0, lost_usd=Decimal(0)))
    rows = (alone,) if total.calls or total.items else ()
    return UsageSummary(rows, len(rows), total, found.days, found.unpriced, found.notices)
