"""A part of hard budgets that a program reserves itself, for work that it is about to do: `costspan.reserve`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from types import TracebackType
from typing import Any, Final

from costspan import guard
from costspan.budgets import bounds
from costspan.budgets.admission import Admission, Wanted
from costspan.budgets.counted import Counted, Facts
from costspan.budgets.held import Held
from costspan.budgets.policy import REQUESTS, TOKENS, USD
from costspan.budgets.store import (
    COMMITTED,
    HELD,
    RELEASED,
    ClockBehind,
    Granted,
    Hold,
    Refused,
    ReservationError,
    StoreUnavailableError,
)
from costspan.calls.engine import new_id
from costspan.facts import usage as units
from costspan.facts.attribution_words import WORDS
from costspan.facts.call import Answer
from costspan.facts.money import INCOMPLETE, Cost, nano_from_usd
from costspan.scope import attribution, transaction

Usd = Decimal | float | int | str
_NS_PER_S: Final = 1e9
_MOST_COUNT: Final = 10**15
_LONGEST_KEY: Final = 200


class Amounts(dict[str, int]):
    """How much, by unit: nano-USD, tokens, requests. A unit that is left out is absent."""

    @classmethod
    def of(cls, amount_usd: Usd | None, tokens: int | None, requests: int | None) -> Amounts:
        """Raises ReservationError for what is no amount from 0 on."""
        made = cls()
        if amount_usd is not None:
            nano_usd = nano_from_usd(amount_usd)
            if nano_usd is None:
                raise ReservationError(f"amount_usd is {amount_usd!r}: expected an amount from 0 to 1,000,000 USD")
            made[USD] = nano_usd
        for name, number in ((TOKENS, tokens), (REQUESTS, requests)):
            if number is None:
                continue
            if type(number) is not int or not 0 <= number <= _MOST_COUNT:
                raise ReservationError(f"{name} is {number!r}: expected a whole number from 0 on")
            made[name] = number
        return made


class Reservation:
    """It stands until `commit` or `release`, or until its process ends. Within `with`, calls are made under it.

    `key` is what it is known by, `transaction_id` what the records of its calls carry, `budgets` are the names of those that
    it holds of (none where no hard budget concerns it), `state` is `held`, `committed`, `released`
    or `expired`. Its methods raise ReservationError, which is a ValueError, and then have changed nothing.
    """

    def __init__(self, admission: Admission, found: Granted, wanted: Wanted, facts: Facts) -> None:
        self.key = found.key
        self.transaction_id = found.transaction
        self.state = found.state
        self.budgets = tuple(dict.fromkeys(budget.budget.name for budget, _, _ in wanted))
        self._admission = admission
        self._pairs = [(budget, key) for budget, key, _ in wanted]
        self._facts = facts
        self._within: ExitStack | None = None
        #: Entered with it: the estimate whose bound it holds, for the call that is made.
        self.estimate: AbstractContextManager[object] | None = None

    def commit(self, actual_usd: Usd | None = None, *, tokens: int | None = None, requests: int | None = None) -> None:
        """It came to so much in all, what its calls cost included; the rest is free again.

        What is left out came to what its calls have cost. What came to more than was reserved has to be extended before.
        """
        amounts = Amounts.of(actual_usd, tokens, requests)
        told = {key: amounts[budget.budget.unit] for budget, key in self._pairs if budget.budget.unit in amounts}
        self._do(lambda: self._admission.store.commit(self.key, told), "committed")
        self.state = COMMITTED

    def extend(self, amount_usd: Usd | None = None, *, tokens: int | None = None, requests: int | None = None) -> None:
        """Reserve so much more. Raises BudgetExceeded where that does not fit: what was reserved stands."""
        wanted = wanted_of(self._pairs, Amounts.of(amount_usd, tokens, requests))
        put = functools.partial(self._admission.store.extend, self.key)
        found = self._do(lambda: self._admission.ask(wanted, put)[0], "extended")
        if isinstance(found, Refused):
            raise self._admission.refusal(wanted, found)

    def release(self) -> None:
        """It is not needed: all that is left of it is free again. What its calls have cost stays spent."""
        self._do(lambda: self._admission.store.release(self.key), "released")
        self.state = RELEASED

    def _do(self, act: Callable[[], Any], done: str) -> Any:
        try:
            return act()
        except StoreUnavailableError as fault:
            raise ReservationError(f"the reservation {self.key!r} could not be {done} now: {fault}") from fault

    def __enter__(self) -> Reservation:  # noqa: PYI034 - Self is of Python 3.11
        if self._within is not None:
            raise ReservationError(f"the reservation {self.key!r} is entered already")
        self._within = within = ExitStack()
        said = {word: self._facts.get(word) for word in WORDS}
        within.enter_context(attribution(**{word: value for word, value in said.items() if value is not None}))
        if self.estimate is not None:
            within.enter_context(self.estimate)
        token = transaction.entered(transaction.Transaction(self.key, self.transaction_id))
        within.callback(transaction.left, token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is still held comes to what its calls have cost; an exception lets go of the rest likewise."""
        within, self._within = self._within, None
        if within is not None:
            within.close()
        if self.state == HELD:
            self._end(is_done=error is None)

    async def __aenter__(self) -> Reservation:  # noqa: PYI034
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _end(self, *, is_done: bool) -> None:
        try:
            if is_done:
                self.commit()
            else:
                self.release()
        except ReservationError as fault:  # the work is done, and nobody waits for this: it is tried again
            guard.tell_once(f"reservation:{fault}", "costspan: %s; it is let go of later", fault)
            self._admission.late.append((Held(self.key, []), []))

    def __repr__(self) -> str:
        return f"<Reservation {self.key!r} {self.state}, budgets: {', '.join(self.budgets) or 'none'}>"


def wanted_of(pairs: Sequence[tuple[Counted, str]], amounts: Mapping[str, int]) -> Wanted:
    """What is to be held of budgets whose unit an amount is given for."""
    return [(budget, key, amounts[budget.budget.unit]) for budget, key in pairs if budget.budget.unit in amounts]


def reserved(admission: Admission, key: str | None, facts: Facts, amounts: Amounts, label: str) -> Reservation:
    """Reserve. Raises BudgetExceeded where it does not fit, and ReservationError where the key is another process's."""
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise ReservationError(f"the key {key!r} is no text of 1 to {_LONGEST_KEY} printable characters")
    pairs = list(admission.matching(facts))
    wanted = wanted_of(pairs, amounts)
    name, made = key or new_id(admission.now_ns()), new_id(admission.now_ns())

    def put(holds: Sequence[Hold], now_ns: int) -> Granted | Refused | ClockBehind:
        return admission.store.reserve(name, holds, now_ns, label=label, transaction=made)

    try:
        found, _ = admission.ask(wanted, put)
    except StoreUnavailableError as fault:
        refusal = admission.without_answer(pairs, str(fault))
        if refusal is not None:
            raise refusal from fault
        return Reservation(admission, Granted(name, made, RELEASED), [], facts)
    if isinstance(found, Refused):
        raise admission.refusal(wanted, found)
    return Reservation(admission, found, wanted, facts)


def estimated(admission: Admission, request: Mapping[str, Any], provider: str | None) -> Amounts:
    """The upper bound of a request, as it is given to a client library: `model`, `messages`, `max_tokens`, ...

    Raises ReservationError where its cost has none.
    """
    model = request.get("model")
    usage = bounds.bound("chat", request, model if isinstance(model, str) else None)
    amounts = Amounts({TOKENS: usage.get(units.INPUT) + usage.get(units.OUTPUT), REQUESTS: 1})
    at_s = admission.now_ns() / _NS_PER_S
    price = admission.prices.price(provider or "openai", None, str(model), Answer(usage=usage), at_s)
    if not isinstance(price, Cost) or price.quality == INCOMPLETE:
        raise ReservationError(
            f"estimate: {model!r} of {provider or 'openai'} has no price that bounds its cost: say amount_usd, or provider"
        )
    amounts[USD] = price.nano_usd
    return amounts
