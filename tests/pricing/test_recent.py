"""The bounded table behind plans and span names: nothing is cleared at once, what is in use stays."""

from __future__ import annotations

import pytest

from costspan.emit import spans
from costspan.facts.call import Answer, Call
from costspan.facts.money import Cost, Unpriced
from costspan.facts.recent import Recent
from costspan.facts.usage import Usage
from costspan.pricing import Prices

AT_S = 1_795_310_400.0


def test_what_is_asked_for_stays_and_the_rest_goes_by_halves() -> None:
    """At most twice `most` keys, and never fewer than those that were asked for last."""
    table: Recent[int, int] = Recent(10)
    for number in range(100):
        table.keep(number, number)
        assert table.get(0) == 0
        assert len(table) <= 20
    assert [table.get(number) for number in range(91, 100)] == list(range(91, 100))
    assert table.get(50) is None


def test_keys_in_turn_are_all_kept_up_to_the_bound() -> None:
    """Whoever asks for as many keys as are held finds each of them on every round."""
    table: Recent[int, int] = Recent(10)
    for number in range(17):
        table.keep(number, number)
    assert all(table.get(number) == number for _ in range(5) for number in range(7, 17))


def test_ten_thousand_fine_tuned_models_are_resolved_once_and_need_one_plan() -> None:
    """The second round looks nothing up, and what is kept of a name is the name."""
    prices = Prices.load()
    names = [f"ft:gpt-4o-2024-08-06:acme::{number:05}" for number in range(10_000)]
    plans = {id(_plan(prices, name)) for name in names}
    assert len(plans) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("costspan.pricing.prices.resolve", None)
        assert {id(_plan(prices, name)) for name in names} == plans


def _plan(prices: Prices, name: str) -> object:
    price = prices.price("openai", "api.openai.com", name, Answer(Usage(input=1_000), name), AT_S)
    assert isinstance(price, Cost)
    return prices._plans.get(  # pyright: ignore[reportPrivateUsage]
        ("openai", "api.openai.com", name, name, None, None, None, None)
    )


def test_a_model_without_a_price_costs_one_look() -> None:
    """The answer that there is no price is kept like a price."""
    prices = Prices.load()
    answer = Answer(Usage(input=1_000, output=10), "acme-large-9")
    first, second = (prices.price("openai", None, "acme-large-9", answer, AT_S) for _ in range(2))
    assert isinstance(first, Unpriced)
    assert second is first


def test_the_name_of_a_span_is_made_once_for_calls_that_are_alike() -> None:
    call = Call("", "openai", "openai", "chat", 0, "gpt-4o")
    assert spans.start(call) is spans.start(call)
