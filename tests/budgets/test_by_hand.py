"""`costspan.reserve`: a part of a hard budget that a program holds itself, for work that it is about to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import openai
import pytest

import costspan
from budgeted import MESSAGES, ask, budgeted, reserved_in
from costspan import BudgetExceeded, ReservationError, names
from costspan.facts.money import Cost
from costspan.ledger.store import Store
from forking import in_child
from provider import Provider
from watching import Watched

_PLAN = """
budgets:
  - {name: plan, period: month, each: account, limit_usd: 1, hard: true, overage: false}
  - {name: all, period: day, limit_usd: 1.5, hard: true, overage: false}
  - {name: calls, period: month, each: account, limit_requests: 3, hard: true, overage: false}
"""


@pytest.fixture
def obeying(tmp_path: Path) -> Iterator[Watched]:
    """This process, with a plan for accounts and a budget above them."""
    with budgeted(tmp_path, _PLAN) as watched:
        yield watched


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    """A client of OpenAI's library."""
    with openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as made:
        yield made


def _left(account: str = "acme") -> Decimal:
    """What could be reserved for an account now."""
    with pytest.raises(BudgetExceeded) as refused:
        costspan.reserve(account=account, amount_usd=10)
    assert isinstance(refused.value.would_fit, Decimal)
    return refused.value.would_fit


@pytest.mark.usefixtures("obeying")
def test_a_reservation_comes_to_what_is_committed(tmp_path: Path) -> None:
    """Until then it takes all of its amount; it holds of every budget that it concerns, or of none."""
    reservation = costspan.reserve(account="acme", amount_usd="0.4")
    assert (reservation.state, reservation.budgets) == ("held", ("plan", "all"))
    assert _left() == Decimal("0.6")
    with pytest.raises(BudgetExceeded) as refused:
        costspan.reserve(account="other", amount_usd="1.2")
    assert (refused.value.budget, refused.value.value, refused.value.limit) == ("plan", "other", 1)
    assert _left("other") == 1  # of `all` nothing was held for it either
    reservation.commit("0.1")
    assert reservation.state == "committed"
    assert _left() == Decimal("0.9")
    assert reserved_in(tmp_path) == []


@pytest.mark.usefixtures("obeying")
def test_several_budgets_are_held_together() -> None:
    """The second account fits into its plan, and not into what is above all of them."""
    costspan.reserve(account="acme", amount_usd=1)
    with pytest.raises(BudgetExceeded) as refused:
        costspan.reserve(account="other", amount_usd="0.6")
    assert (refused.value.budget, refused.value.would_fit) == ("all", Decimal("0.5"))
    assert refused.value.resets_at is not None


@pytest.mark.usefixtures("obeying")
def test_mistakes_are_named_and_change_nothing() -> None:
    """Committed twice, extended after its end, above what was reserved, no amount at all."""
    reservation = costspan.reserve(account="acme", amount_usd="0.4", key="order-17")
    with pytest.raises(
        ReservationError, match=r"'order-17' cannot come to 500000000 .*: it reserved 400000000; extend it"
    ):
        reservation.commit("0.5")
    reservation.extend("0.1")
    with pytest.raises(BudgetExceeded):
        reservation.extend(1)
    assert _left() == Decimal("0.5")
    reservation.commit("0.5")
    for act, done in ((reservation.commit, "committed"), (reservation.release, "released")):
        with pytest.raises(ReservationError, match=f"'order-17' cannot be {done}: it was committed before"):
            act()
    with pytest.raises(ReservationError, match="cannot be extended: it was committed before"):
        reservation.extend("0.1")
    assert _left() == Decimal("0.5")
    for mistaken in (-1, "a lot", float("nan")):
        with pytest.raises(ReservationError, match="expected an amount"):
            costspan.reserve(account="acme", amount_usd=mistaken)
    with pytest.raises(ReservationError, match="expected a whole number"):
        costspan.reserve(account="acme", requests=-1)
    with pytest.raises(ReservationError, match="nothing is to be reserved"):
        costspan.reserve(account="acme")


@pytest.mark.usefixtures("obeying")
def test_a_key_reserves_once() -> None:
    """Who comes again gets the same reservation, also when it is over."""
    first = costspan.reserve(account="acme", amount_usd="0.4", key="order-17")
    again = costspan.reserve(account="acme", amount_usd="0.4", key="order-17")
    assert (again.state, again.transaction_id) == ("held", first.transaction_id)
    assert _left() == Decimal("0.6")
    first.commit("0.3")
    late = costspan.reserve(account="acme", amount_usd="0.4", key="order-17")
    assert (late.state, late.transaction_id) == ("committed", first.transaction_id)
    assert _left() == Decimal("0.7")


@pytest.mark.usefixtures("obeying")
def test_another_process_may_not_end_it() -> None:
    """It says whose the reservation is."""
    reservation = costspan.reserve(account="acme", amount_usd="0.4", key="order-17")

    def work() -> None:
        for act in (reservation.release, reservation.commit, lambda: costspan.reserve(amount_usd=1, key="order-17")):
            with pytest.raises(ReservationError, match="another process"):
                act()

    assert in_child(work) == 0
    reservation.release()
    assert _left() == 1


def test_calls_within_are_made_under_it(client: openai.OpenAI, obeying: Watched, tmp_path: Path) -> None:
    """They are for its account, their records carry its transaction, and what they cost is part of what it comes to."""
    with costspan.reserve(account="acme", amount_usd="0.4") as reservation:
        ask(client)
        assert _left() == Decimal("0.6")
    assert reservation.state == "committed"
    call = obeying.call()
    assert isinstance(call.price, Cost)
    assert (call.attribution.account, call.transaction) == ("acme", reservation.transaction_id)
    assert _left() == 1 - Decimal(call.price.nano_usd) / 10**9
    (span,) = obeying.spans()
    assert span.attributes is not None
    assert span.attributes[names.TRANSACTION] == reservation.transaction_id
    assert obeying.events()[0].attributes[names.TRANSACTION] == reservation.transaction_id
    with Store.read(tmp_path / "ledger.db") as ledger:
        assert ledger.select("SELECT account, transaction_id FROM calls") == [("acme", reservation.transaction_id)]
    ask(client)
    assert obeying.calls()[1].transaction is None


def test_a_reservation_is_not_less_than_its_calls(client: openai.OpenAI, obeying: Watched) -> None:
    """What was charged is a fact."""
    reservation = costspan.reserve(account="acme", amount_usd="0.4")

    def work() -> None:
        with reservation:
            ask(client)
            with pytest.raises(ReservationError, match="its calls have spent"):
                reservation.commit(0)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert reservation.state == "released"
    price = obeying.call().price
    assert isinstance(price, Cost)
    assert _left() == 1 - Decimal(price.nano_usd) / 10**9


def test_a_call_that_needs_more_takes_it_from_the_budget(client: openai.OpenAI, obeying: Watched) -> None:
    """And is refused where that has no room."""
    with costspan.reserve(account="acme", amount_usd="0.000001"):
        ask(client)
        with pytest.raises(BudgetExceeded):
            ask(client, max_tokens=10**9)
    assert [call.outcome for call in obeying.calls()] == ["ok", "refused"]


@pytest.mark.usefixtures("obeying")
def test_an_async_program(provider: Provider) -> None:
    """The same, in a task; what it starts meanwhile is made under it, too."""

    async def work() -> costspan.Reservation:
        async with openai.AsyncOpenAI(api_key="local", base_url=provider.url, max_retries=0) as client:

            async def ask() -> None:
                await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=64)

            async with costspan.reserve(account="acme", amount_usd="0.4", requests=2) as reservation:
                await asyncio.gather(ask(), ask())
        return reservation

    reservation = asyncio.run(work())
    assert reservation.state == "committed"
    assert set(reservation.budgets) == {"plan", "all", "calls"}


@pytest.mark.usefixtures("obeying")
def test_an_estimate_is_reserved() -> None:
    """The upper bound of a request; for a model without a price there is none."""
    reservation = costspan.reserve(
        account="acme", estimate={"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 1_000_000}
    )
    assert Decimal("0.39") < _left() < Decimal("0.4")
    reservation.release()
    with pytest.raises(ReservationError, match="no price"):
        costspan.reserve(account="acme", estimate={"model": "nobodys", "messages": MESSAGES})


def test_without_a_hard_budget_there_is_nothing_to_reserve() -> None:
    """It says what to do."""
    with Watched(), pytest.raises(ReservationError, match="OTEL_COSTSPAN_BUDGETS"):
        costspan.reserve(account="acme", amount_usd=1)
