"""Before a call: does it fit into all hard budgets that it concerns? After it: what it really came to.

In the caller's thread, and only where a hard budget is declared. Raises BudgetExceeded and nothing else.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from costspan import guard
from costspan.budgets import bounds
from costspan.budgets.counted import Counted, Facts, facts_of
from costspan.budgets.held import Held
from costspan.budgets.policy import CLOSED, REQUESTS, TOKENS, USD
from costspan.budgets.store import (
    ClockBehind,
    Granted,
    Hold,
    Refused,
    ReservationStore,
    Spent,
    StoreUnavailableError,
)
from costspan.calls.engine import ObservedCall, new_id
from costspan.facts import usage as units
from costspan.facts.call import Answer, Call
from costspan.facts.money import INCOMPLETE, Cost, Price
from costspan.facts.recent import Recent
from costspan.facts.refusal import LIMIT, UNAVAILABLE, UNBOUNDED, BudgetExceeded
from costspan.facts.usage import Usage

if TYPE_CHECKING:
    from costspan.scope.transaction import Transaction

_NS_PER_S: Final = 1e9
_MOST_MATCHES: Final = 4_096
_MOST_LATE: Final = 10_000

Match = tuple[Counted, str]
#: What a call holds: for each budget it concerns, its key and the amount.
Wanted = Sequence[tuple[Counted, str, int]]


class Pricer(Protocol):
    """What admission asks of the price table."""

    def price(self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float) -> Price:
        """What an answer costs."""
        ...


class Admission:
    """The hard budgets of this process. `is_recorded`: its calls get into the ledger of the machine."""

    def __init__(
        self, budgets: Sequence[Counted], store: ReservationStore, prices: Pricer, *, is_recorded: bool,
        now_ns: Callable[[], int] = time_ns,
    ) -> None:  # fmt: skip
        self.budgets = [budget for budget in budgets if budget.limit is not None]
        self.store = store
        self.prices = prices
        self._is_recorded = is_recorded
        self.now_ns = now_ns
        self._matches: Recent[tuple[Any, ...], tuple[Match, ...]] = Recent(_MOST_MATCHES)
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a forked child: what is held and counted is the parent's."""
        self._counting = threading.RLock()
        #: Of this process: nano-USD that its calls hold, calls that were refused, by the name of a budget.
        self.reserved: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        #: Calls that could not be settled when they finished.
        self.late: deque[tuple[Held, list[Spent]]] = deque(maxlen=_MOST_LATE)

    # -- before --------------------------------------------------------------------------------------------

    def admit(self, observed: ObservedCall, transaction: Transaction | None = None) -> None:
        """Reserve what the call costs at most; it has begun, and nothing was sent. Raises BudgetExceeded."""
        if observed.endpoint.fetches or observed.endpoint.each:
            return  # what is fetched was asked for before
        call = observed.call
        answer = self._asked(call, observed, transaction)
        if answer is None:
            answer = self.without_answer(self._matching(call), "a fault of costspan, see its log")
        if isinstance(answer, BudgetExceeded):
            self._count(self.refused, answer.budget, 1)
            observed.refused(answer)
            observed.recorder.left(observed)
            raise answer

    @guard.guarded_positional("budgets.admission")
    def _asked(self, call: Call, observed: ObservedCall, transaction: Transaction | None) -> BudgetExceeded | bool:
        """True where the call may be made. None, by the guard, where that could not be found out."""
        if transaction is not None:
            call.transaction = transaction.id
        matches = self._matching(call)
        if not matches:
            return True
        usage = bounds.bound(call.operation, observed.body, call.request_model)
        wanted = self._wanted(call, matches, usage)
        if isinstance(wanted, BudgetExceeded):
            return wanted
        is_open = call.operation != "realtime" and bounds.stated_output(observed.body) is None
        return self._hold(call, wanted, transaction, usage.get(units.OUTPUT) if is_open else 0)

    def _hold(
        self, call: Call, wanted: Wanted, transaction: Transaction | None, unstated: int
    ) -> BudgetExceeded | bool:
        call.id = key = new_id(call.started_ns)
        parent = None if transaction is None else transaction.key
        label = f"{call.client} {call.request_model or call.operation}"
        ask = self.store.reserve
        try:
            found, holds = self.ask(wanted, lambda held, now_ns: ask(key, held, now_ns, label=label, parent=parent))
        except StoreUnavailableError as fault:
            return self.without_answer([(budget, key) for budget, key, _ in wanted], str(fault)) or True
        if isinstance(found, Refused):
            return self.refusal(wanted, found, unstated)
        budgets = [budget for budget, _, _ in wanted]
        pairs = list(zip(budgets, holds, strict=True))
        call.held = Held(key, pairs)
        self._note(pairs, 1)
        return True

    def ask(
        self, wanted: Wanted, put: Callable[[Sequence[Hold], int], Granted | Refused | ClockBehind]
    ) -> tuple[Granted | Refused, list[Hold]]:
        """Put holds to the store, at the later of its clock and ours."""
        now_ns = self.now_ns()
        holds = _holds(wanted, now_ns)
        found = put(holds, now_ns)
        while isinstance(found, ClockBehind):
            off_s = (found.now_ns - now_ns) / _NS_PER_S
            sentence = (
                "costspan: the clock of this machine is %.0f s %s a moment that its budgets have seen: until both agree,"
                " calls count in the period of that moment"
            )
            guard.tell_once("budgets:clock", sentence, abs(off_s), "behind" if off_s > 0 else "ahead of")
            now_ns = found.now_ns
            holds = _holds(wanted, now_ns)
            found = put(holds, now_ns)
        return found, holds

    def _matching(self, call: Call) -> Sequence[Match]:
        who = (call.attribution, call.provider, call.request_model)
        found = self._matches.get(who)
        return self._matches.keep(who, tuple(self.matching(facts_of(*who)))) if found is None else found

    def matching(self, facts: Facts) -> Iterable[Match]:
        """The hard budgets that a call concerns, with its key in each."""
        for budget in self.budgets:
            key = budget.key(facts)
            if key is not None:
                yield budget, key

    def _wanted(self, call: Call, matches: Sequence[Match], usage: Usage) -> Wanted | BudgetExceeded:
        wanted: list[tuple[Counted, str, int]] = []
        for budget, key in matches:
            amount = self._most(budget, call, usage)
            if amount is not None:
                wanted.append((budget, key, amount))
                continue
            what = f"{call.request_model or call.operation} of {call.provider} has no price that bounds its cost"
            if budget.budget.on_failure == CLOSED:
                return BudgetExceeded(
                    f"budget {budget.budget.name}: {what}, and it says on_failure: closed (`costspan docs enforcement`)",
                    budget=budget.budget.name, unit=budget.budget.unit, value=budget.value(key), reason=UNBOUNDED,
                )  # fmt: skip
            sentence = "costspan: budget %s: %s: such calls pass, as it says on_failure: open"
            guard.tell_once(f"budgets:unbounded:{budget.budget.name}:{what}", sentence, budget.budget.name, what)
        return wanted

    def _most(self, budget: Counted, call: Call, usage: Usage) -> int | None:
        unit = budget.budget.unit
        if unit == REQUESTS:
            return 1
        if unit == TOKENS:
            return usage.get(units.INPUT) + usage.get(units.OUTPUT)
        answer, started_s = Answer(usage=usage), call.started_ns / _NS_PER_S
        price = self.prices.price(call.provider, call.address, call.request_model, answer, started_s)
        return price.nano_usd if isinstance(price, Cost) and price.quality != INCOMPLETE else None

    def refusal(self, wanted: Wanted, refused: Refused, unstated: int = 0) -> BudgetExceeded:
        """What a caller is told where the store has refused; `unstated` output tokens are reserved as the request limits none."""
        at = next(index for index, (_, key, _) in enumerate(wanted) if key == refused.hold.budget)
        budget, key, amount = wanted[at]
        name, value, resets_at = budget.budget.name, budget.value(key), budget.resets_at(refused.hold.slot)
        whose = f" of {value}" if value else ""
        when = f", resets at {resets_at.isoformat()}" if resets_at is not None else ""
        message = (
            f"budget {name}{whose}: {budget.text(refused.spent)} of {budget.text(refused.hold.limit)} spent,"
            f" {budget.text(refused.reserved)} reserved; this may come to {budget.text(amount)},"
            f" {budget.text(refused.would_fit)} would fit{when}"
        )
        if unstated:
            message += f"; the request sets no limit of output tokens, so {unstated:,} are reserved: set one, such as max_tokens"
        shown = budget.shown
        return BudgetExceeded(
            message, budget=name, unit=budget.budget.unit, value=value, limit=shown(refused.hold.limit),
            spent=shown(refused.spent), reserved=shown(refused.reserved), asked=shown(amount),
            would_fit=shown(refused.would_fit), resets_at=resets_at, reason=LIMIT,
        )  # fmt: skip

    def without_answer(self, matches: Sequence[Match], why: str) -> BudgetExceeded | None:
        """The refusal of the first budget that says `on_failure: closed`; None where all let the call pass."""
        for budget, key in matches:
            name = budget.budget.name
            if budget.budget.on_failure == CLOSED:
                message = f"budget {name} cannot be asked ({why}), and it says on_failure: closed (`costspan docs enforcement`)"
                return BudgetExceeded(
                    message, budget=name, unit=budget.budget.unit, value=budget.value(key), reason=UNAVAILABLE
                )
        guard.count("budgets.unavailable")
        sentence = "costspan: hard budgets cannot be asked (%s): calls pass, as they say on_failure: open"
        guard.tell_once("budgets:open", sentence, why)
        return None

    # -- after ---------------------------------------------------------------------------------------------

    def settle(self, observed: ObservedCall) -> None:
        """The call has finished: book what it came to, let go of the rest. Never raises for a fault of the store."""
        call = observed.call
        held: Held | None = call.held
        if held is None or held.is_over or (call.answer.pending and call.is_fetchable):
            return
        self.settle_held(held, call)

    def settle_held(self, held: Held, call: Call) -> None:
        """The same for what a call holds, or another held for it."""
        held.is_over = True
        self._note(held.holds, -1)
        spent: list[Spent] = []
        for budget, hold in held.holds:
            amount = budget.amount(call)
            spent.append(Spent(hold.budget, hold.slot, hold.amount if amount is None else amount))
            if amount is not None and amount > hold.amount:
                _tell_too_low(budget, call, amount, hold.amount)
        try:
            self.store.settle(held.key, spent, is_recorded=self._is_recorded)
        except StoreUnavailableError as fault:
            guard.count("budgets.late")
            guard.tell_once("budgets:late", "costspan: a call is settled later, its reservation stands (%s)", fault)
            self.late.append((held, spent))

    def let_go(self, call: Call) -> None:
        """Another call that is made within this one holds for it."""
        held: Held | None = call.held
        if held is None or held.is_over:
            return
        held.is_over = True
        self._note(held.holds, -1)
        nothing = [Spent(hold.budget, hold.slot, 0) for _, hold in held.holds]
        try:
            self.store.settle(held.key, nothing, is_recorded=False)
        except StoreUnavailableError:
            self.late.append((held, nothing))

    def _note(self, holds: Iterable[tuple[Counted, Hold]], sign: int) -> None:
        for budget, hold in holds:
            if budget.budget.unit == USD:
                self._count(self.reserved, budget.budget.name, sign * hold.amount)

    def _count(self, table: dict[str, int], name: str, amount: int) -> None:
        with self._counting:
            table[name] = table.get(name, 0) + amount


def _holds(wanted: Wanted, now_ns: int) -> list[Hold]:
    return [
        Hold(key, budget.since(now_ns), budget.slot(now_ns), budget.limit or 0, amount)
        for budget, key, amount in wanted
    ]


def _tell_too_low(budget: Counted, call: Call, amount: int, held: int) -> None:
    guard.count("budgets.bound")
    sentence = (
        "costspan: a call of %s (%s) came to %s of budget %s, and %s was reserved as the most that it could: what stands at"
        " the provider's, or is searched there, is not in the request (`costspan docs enforcement`)"
    )
    guard.tell_once(
        f"budgets:bound:{call.request_model}", sentence, call.request_model, call.client, budget.text(amount),
        budget.budget.name, budget.text(held),
    )  # fmt: skip
