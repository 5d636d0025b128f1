"""A request as it was understood: who asks, which calls, when; and what the server answers from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request

from costspan.facts.periods import Periods
from costspan.ledger.booking import Booking
from costspan.pricing import Prices
from costspan.report.moment import Moment
from costspan.report.of_ledger import OfLedger
from costspan.report.period import Period
from costspan.report.query import UsageQuery
from costspan.report.words import SIGNS, Filter
from costspan.serve import parameters
from costspan.serve.label_limits import LabelLimits
from costspan.serve.parameters import Parameter
from costspan.serve.problems import RequestError

_IS: Final = SIGNS[2]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for the log, and the words that bound what is seen (and booked): none for whoever sees all.

    `sees` says whether anything may be seen at all, `books` whether usage may be booked.
    """

    name: str
    bounds: Mapping[str, str] = field(default_factory=dict[str, str])
    sees: bool = True
    books: bool = False

    @property
    def sees_all(self) -> bool:
        """Whether every call may be shown."""
        return self.sees and not self.bounds


#: Whoever asks a server that wants no token.
ANYBODY: Final = Caller("anybody", books=True)


@dataclass(frozen=True)
class Served:
    """What the server answers from. `time_zone` is the one of questions that name none, `is_own` says that the ledger is where the
    programs of this user write: what they left behind is told with it.
    """

    ledger: Path
    time_zone: tzinfo = timezone.utc
    overrides: Path | None = None
    budgets: Path | None = None
    accepts: bool = False
    is_own: bool = False
    limits: LabelLimits = field(default_factory=LabelLimits)

    @cached_property
    def booking(self) -> Booking:
        """What books that which others send; its days are those of the server."""
        return Booking(self.ledger, Periods(str(self.time_zone)))

    @cached_property
    def prices(self) -> Prices:
        """The prices in force, read once. Raises OverrideError for a file of the user's own with mistakes."""
        return Prices.load(self.overrides)


class Asked:
    """One request. Raises RequestError for values that are none, and for calls that the caller may not see."""

    def __init__(
        self,
        served: Served,
        caller: Caller,
        given: Sequence[tuple[str, str]],
        known: Sequence[Parameter],
        moment: Moment | None = None,
    ) -> None:
        self.served = served
        #: What the body says, where the route takes one.
        self.body: Any = None
        self.caller = caller
        #: All questions of the answer are put to the ledger as it stands then.
        self.moment = moment or Moment(served.ledger)
        self.values: dict[str, Any] = parameters.read(given, known)
        self.time_zone: tzinfo = self.values.get(parameters.TIME_ZONE.name) or served.time_zone
        self.filters = _bounded(parameters.filters(self.values), caller)

    @classmethod
    def of(
        cls,
        request: Request,
        known: Sequence[Parameter],
        *,
        books: bool = False,
        given: Sequence[tuple[str, str]] | None = None,
        moment: Moment | None = None,
    ) -> Asked:
        """The request as it was understood, with the parameters that its route knows. `books` says that the route books
        usage; `given` stands for the query; `moment` is the one of another question of the same answer.
        """
        caller: Caller = request.scope["caller"]
        served: Served = request.app.state.served
        if books and not served.accepts:
            raise RequestError(
                403, "this server reads only: expected one that was started with --accept", expected="--accept"
            )
        if not (caller.books if books else caller.sees):
            may = "a token that books" if books else "a token that sees something"
            raise RequestError(403, f"this token may not: expected {may}", field="Authorization", expected=may)
        return cls(served, caller, request.query_params.multi_items() if given is None else given, known, moment)

    @property
    def query(self) -> UsageQuery:
        """The question about the calls that are meant and may be seen, at the moment of the request."""
        served = self.served
        source = OfLedger(served.ledger, _nothing, lambda: served.prices, self.moment)
        return UsageQuery(source, self.filters, self.time_zone)

    def period(self, default: str = "all") -> Period:
        """When. For whoever does not see all, time without a beginning begins with their own first call."""
        asked = parameters.asked_period(self.values, self.time_zone, self.moment.now_s, default)
        if asked.start_ns is not None or self.caller.sees_all:
            return asked
        first = self.query.first_used()
        return asked if first is None else asked._replace(start_ns=int(first.timestamp()) * 1_000_000_000)


def _nothing() -> None:
    """The calls of other programs are in the ledger, or beside it; this one makes none."""


def _bounded(filters: tuple[Filter, ...], caller: Caller) -> tuple[Filter, ...]:
    """The filters, with those of the caller in the place of what such a word is to be: values of one word are alternatives. What
    it is not to be leaves less of them.
    """
    some = [one for one in filters if not one.sign.startswith("!")]
    for one in some:
        own = caller.bounds.get(one.word)
        if own is not None and one.value != own:
            expected = f"the {one.word} of your token, or none"
            raise RequestError(
                403, f"{one.word} is not yours to see: expected {expected}", field=one.word, expected=expected
            )
    rest = [one for one in filters if one.word not in caller.bounds or one not in some]
    return (*rest, *(Filter(word, _IS, own) for word, own in caller.bounds.items()))
