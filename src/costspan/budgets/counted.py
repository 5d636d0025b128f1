"""A budget as a store counts it: which calls it concerns, under which key, in which slot of time, how much each is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from decimal import Decimal
from hashlib import blake2b
from typing import Final, NamedTuple

from costspan.budgets.periods import NS_PER_S, Stretch, WholeSession, Window
from costspan.budgets.policy import TOKENS, USD, Budget
from costspan.facts import usage as units
from costspan.facts.attribution import Attribution
from costspan.facts.attribution_words import WORDS
from costspan.facts.call import Call
from costspan.facts.money import Cost, usd

#: A rolling window is counted in so many slots. One that has begun to fall out of it still counts.
_SLOTS_OF_WINDOW: Final = 200
_WHOLE_SESSION: Final = 0
_CENTS: Final = 2

#: What budgets choose by: words of the attribution, `provider` and `model`.
Facts = Mapping[str, "str | None"]


def facts_of(who: Attribution, provider: str | None, model: str | None) -> dict[str, str | None]:
    """What budgets may choose a call by."""
    return {**dict(zip(WORDS, who, strict=True)), "provider": provider, "model": model}


class Named(NamedTuple):
    """What a key says by itself."""

    budget: str
    unit: str
    value: str | None


def named(key: str) -> Named:
    """What a key says by itself, whatever budgets there are now."""
    definition, _, value = key.partition("/")
    budget, _, rest = definition.partition("#")
    return Named(budget, rest.partition(".")[0], value or None)


class Counted:
    """One budget. `definition` names what is counted, so that a changed scope or period begins a count of its own."""

    def __init__(self, budget: Budget, zone: tzinfo) -> None:
        self.budget = budget
        self._zone = zone
        self._stretch = Stretch("", 0, 0, 0.0)
        self._window = budget.span if isinstance(budget.span, Window) else None
        what = f"{budget.period} {budget.unit} {sorted(budget.scope.items())} {budget.each} {zone}"
        self.definition = f"{budget.name}#{budget.unit}.{blake2b(what.encode(), digest_size=4).hexdigest()}"
        most = budget.refuses_from
        #: What no call may pass, as the store counts it; None for a soft budget.
        self.limit = None if most is None else int(budget.counted(most))

    def key(self, facts: Facts) -> str | None:
        """The key that a call counts under, or None for one that the budget does not concern."""
        budget = self.budget
        for word, chosen in budget.scope.items():
            if facts.get(word) not in chosen:
                return None
        if budget.each is None:
            return self.definition
        value = facts.get(budget.each)
        return None if value is None else f"{self.definition}/{value}"

    def value(self, key: str) -> str | None:
        """The value of `each` that a key stands for."""
        return key[len(self.definition) + 1 :] or None

    def slot(self, ns: int) -> int:
        """The slot that a call which began at a moment is booked in."""
        if self._window is not None:
            width = self._width()
            return ns // width * width
        if isinstance(self.budget.span, WholeSession):
            return _WHOLE_SESSION
        return self.stretch(ns).start_ns

    def slot_in_sql(self, since: int) -> str:
        """The same of a row of the ledger that began at `since` or later."""
        if self._window is not None:
            return f"started_ns / {self._width()} * {self._width()}"
        return str(self.slot(since))

    def since(self, now_ns: int) -> int:
        """The first slot that counts against the limit at a moment."""
        return self.slot(now_ns) if self._window is None else self.slot(now_ns - self._window.length_s * NS_PER_S)

    def stretch(self, ns: int) -> Stretch:
        """The period around a moment."""
        found = self._stretch
        if self._window is not None or not found.start_ns <= ns < found.end_ns:
            found = self._stretch = self.budget.span.around(self._zone, ns)
        return found

    def tells_once(self, now_ns: int) -> int:
        """The slot in which a crossing is told once, by the moment of its beginning: the period, or the length of a window."""
        if self._window is None:
            return self.since(now_ns)
        length_ns = self._window.length_s * NS_PER_S
        return now_ns // length_ns * length_ns

    def resets_at(self, now_ns: int) -> datetime | None:
        """When the period ends, None where that is not by the calendar."""
        if self._window is not None or isinstance(self.budget.span, WholeSession):
            return None
        return datetime.fromtimestamp(self.stretch(now_ns).end_ns / NS_PER_S, timezone.utc)

    def _width(self) -> int:
        return max(NS_PER_S, self._window.length_s * NS_PER_S // _SLOTS_OF_WINDOW) if self._window is not None else 1

    def amount(self, call: Call) -> int | None:
        """What a finished call comes to; None where it may have cost something and nobody knows what."""
        unit = self.budget.unit
        if unit == USD:
            return call.price.nano_usd if isinstance(call.price, Cost) else 0 if call.price is None else None
        if unit == TOKENS:
            usage = call.usage
            if usage is None:
                return 0 if call.price is None else None
            return usage.get(units.INPUT) + usage.get(units.OUTPUT)
        return 1

    def shown(self, amount: int) -> Decimal | int:
        """An amount as people get it: USD exactly, the others as whole numbers."""
        return usd(amount) if self.budget.unit == USD else amount

    def text(self, amount: int) -> str:
        """The same in words."""
        return in_words(amount, self.budget.unit)


def in_words(amount: int, unit: str) -> str:
    """An amount of a unit, with all of its decimals."""
    if unit != USD:
        return f"{amount:,} {unit}"
    value = usd(amount)
    places = max(_CENTS, -int(value.normalize().as_tuple().exponent)) if amount else _CENTS
    return f"{value:.{places}f} USD"
