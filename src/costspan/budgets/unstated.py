"""What hard budgets reserve for a request that sets no limit of output tokens: by the example of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from costspan.budgets import bounds
from costspan.budgets.counted import in_words
from costspan.budgets.policy import REQUESTS, USD
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.money import INCOMPLETE, Cost
from costspan.ledger.columns import IS_CALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from costspan.budgets.policy import Budget
    from costspan.ledger.store import Store
    from costspan.pricing import Prices


class Called(NamedTuple):
    """A model that is called, and where."""

    provider: str
    host: str | None
    model: str


class Example(NamedTuple):
    """A hard budget and what a call of `model` without a limit of output reserves of it; `fitting` such calls fit at once.

    `tokens` are those of its answer; `amount` is in nano-USD, or in tokens.
    """

    budget: Budget
    model: str
    tokens: int
    amount: int
    fitting: int

    @property
    def said(self) -> str:
        """The example as a sentence."""
        budget = self.budget
        usd = f", {in_words(self.amount, USD)}" if budget.unit == USD else ""
        many = f"{self.fitting:,} such calls fit at once" if self.fitting > 1 else "one such call fits at once"
        return (
            f"a call of {self.model} without a limit of output (such as max_tokens) reserves its longest answer, "
            f"{self.tokens:,} tokens{usd}: {many if self.fitting else 'none fits'}"
        )


#: Taken where a budget names no model and no ledger says which are called.
USUAL = Called("openai", None, "gpt-5")


def examples(
    budgets: Iterable[Budget], prices: Prices, now_s: float, called: Called | None = None
) -> Iterator[Example]:
    """An example for each hard budget whose amount depends on the length of an answer: by its first model that has a price, else by
    the one that is called.
    """
    for budget in budgets:
        ceiling = budget.refuses_from
        if ceiling is None or budget.unit == REQUESTS:
            continue
        own = [Called(prices.vendor(model) or "", None, model) for model in budget.scope.get("model", ())]
        for each in (*own, called or USUAL, USUAL):
            reserved = _reserved(budget, each, prices, now_s)
            if reserved:
                tokens, amount = reserved
                yield Example(budget, each.model, tokens, amount, int(budget.counted(ceiling) // amount))
                break


def _reserved(budget: Budget, called: Called, prices: Prices, now_s: float) -> tuple[int, int] | None:
    """The output tokens and the amount that such a call reserves; None where the model's price bounds no cost."""
    usage = bounds.bound("chat", {}, called.model)
    output = usage.get(units.OUTPUT)
    if budget.unit != USD:
        return output, usage.get(units.INPUT) + output
    price = prices.price(called.provider, called.host, called.model, Answer(usage=usage), now_s)
    if not isinstance(price, Cost) or price.quality == INCOMPLETE or not price.nano_usd:
        return None
    return output, price.nano_usd


def most_called(ledger: Store, start_ns: int, end_ns: int) -> Called | None:
    """The model that wrote the most answers in a period. Raises LedgerError."""
    question = (
        "SELECT provider, max(host), request_model FROM calls WHERE started_ns >= ? AND started_ns < ? AND output_tokens > 0 "  # noqa: S608
        f"AND request_model IS NOT NULL AND provider IS NOT NULL AND {IS_CALL} "  # words of the code; values are bound
        "GROUP BY provider, request_model ORDER BY count(*) DESC, request_model LIMIT 1"
    )
    return next((Called(*row) for row in ledger.select(question, [start_ns, end_ns])), None)
