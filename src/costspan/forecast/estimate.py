"""An estimate of a call: what it will probably use and cost, what it stays below, and what that is told from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Any, Final

from costspan.budgets import bounds
from costspan.calls.estimating import input_tokens, tokens_by_words
from costspan.facts import usage as units
from costspan.facts.attribution_words import TASK_TYPE
from costspan.facts.call import Answer
from costspan.facts.money import INCOMPLETE, NANO_PER_USD, UNKNOWN_SELLER, Cost, Price, Unpriced, usd
from costspan.facts.sellers import UNKNOWN
from costspan.facts.usage import Usage
from costspan.forecast.history import Known, Spread, learned_input, spread
from costspan.forecast.noted import COST, Noted, note
from costspan.forecast.request import Asked
from costspan.pricing import Prices
from costspan.scope import attribution
from costspan.scope.run import Run
from costspan.scope.session import Attributed

#: What a figure is told from.
LEARNED: Final = "learned"  # calls before, in the ledger
WORDS: Final = "words"  # the words of the request
BYTES: Final = "bytes"  # no token is shorter than a byte
REQUEST: Final = "request"  # the limit that the request states
MODEL: Final = "model"  # the most that models of this family write
NOTHING: Final = "unknown"

#: How good an estimate is: with a history, without, or without a part that cannot be told.
QUALITIES: Final = (LEARNED, "default", INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens by kind (`input`, `output`) and the cost in USD. A kind that is not known is absent; a cost likewise None."""

    tokens: Mapping[str, int]
    cost_usd: Decimal | None

    @property
    def figures(self) -> dict[str, int]:
        """Tokens, and the cost in nano-USD, as records keep them."""
        return dict(self.tokens) if self.cost_usd is None else {**self.tokens, COST: int(self.cost_usd * NANO_PER_USD)}


@dataclass(frozen=True, slots=True)
class Basis:
    """What the expected and the highest number of tokens are told from, and how many calls of the ledger that were."""

    expected: str
    bound: str
    calls: int = 0
    of: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A call before it is sent. `expected` is the median, `bound` what 95 of 100 calls stay below (or all, by a limit).

    `basis` says for `input` and `output` what that is told from. `quality` is `learned`, `default` (no history)
    or `incomplete`: `left_out` names what is in no figure, and then there is no bound. `price_quality` is the word
    of docs/pricing.md, `unpriced` the sentence where there is no price.

    Within `with` or `async with`, the first call of the model that is answered carries the estimate in its record, and both are
    compared: `costspan estimate --accuracy`.
    """

    model: str
    provider: str
    task_type: str | None
    expected: Amount
    bound: Amount
    basis: Mapping[str, Basis]
    quality: str
    left_out: tuple[str, ...]
    price_quality: str | None
    price_version: str
    unpriced: str
    _words: int = field(default=0, repr=False)
    _has_tools: bool = field(default=False, repr=False)
    #: The scopes that it is entered in, with their runs, which are alive for as long as somebody holds them.
    _within: list[tuple[Attributed, Run]] = field(
        default_factory=list["tuple[Attributed, Run]"], repr=False, compare=False
    )

    def __enter__(self) -> Estimate:  # noqa: PYI034 - Self is of Python 3.11
        scope = attribution()
        run = scope.__enter__()
        noted = Noted(self._words, self._has_tools, self.expected.figures, self.bound.figures)
        run.awaited.append((self.model, note(noted)))
        self._within.append((scope, run))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._within:
            scope, _ = self._within.pop()
            scope.__exit__(kind, error, trace)

    async def __aenter__(self) -> Estimate:  # noqa: PYI034
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def as_object(self) -> dict[str, Any]:
        """The estimate as JSON has it; amounts are exact, as text."""
        return {
            "model": self.model, "provider": self.provider, TASK_TYPE: self.task_type,
            "expected": _amount(self.expected), "bound": _amount(self.bound),
            "basis": {kind: {"expected": each.expected, "bound": each.bound, "calls": each.calls, "of": each.of or None}
                      for kind, each in self.basis.items()},
            "quality": self.quality, "left_out": list(self.left_out),
            "price_quality": self.price_quality, "price_version": self.price_version, "unpriced": self.unpriced or None,
        }  # fmt: skip


def _amount(amount: Amount) -> dict[str, Any]:
    cost = amount.cost_usd
    return {"tokens": dict(amount.tokens), "cost_usd": None if cost is None else f"{cost:f}"}


def made(
    asked: Asked, provider: str | None, task_type: str | None, known: Known, prices: Prices, at_s: float
) -> Estimate:
    """The estimate of a request by what the ledger knows of calls before, at the prices of a moment (seconds since the epoch)."""
    seller = provider or known.provider or prices.vendor(asked.model) or UNKNOWN
    expected: dict[str, int] = {}
    bound: dict[str, int] = {}
    words = max(1, input_tokens(asked.body, asked.prompt, tokens_by_words))
    basis = {
        units.INPUT: _input(asked, words, known, expected, bound),
        units.OUTPUT: _output(asked, known, expected, bound),
    }

    def price(counts: Mapping[str, int]) -> Price:
        return prices.price(seller, None, asked.model, Answer(usage=Usage(counts)), at_s)

    likely, most = price(expected), price(bound)
    whole = price({units.INPUT: 1} if asked.is_silent else {units.INPUT: 1, units.OUTPUT: 1})
    is_whole = not asked.left_out and not (isinstance(whole, Cost) and whole.quality == INCOMPLETE)
    is_learned = all(each.expected == LEARNED for each in basis.values())
    return Estimate(
        asked.model, seller, task_type,
        Amount(MappingProxyType(expected), _usd(likely, expected)),
        Amount(MappingProxyType(bound), _usd(most, bound) if is_whole else None),
        MappingProxyType(basis),
        INCOMPLETE if not is_whole else LEARNED if is_learned else "default",
        asked.left_out,
        whole.quality if isinstance(whole, Cost) else None,
        whole.version if isinstance(whole, Cost) else prices.version,
        _sentence(whole, asked.model) if isinstance(whole, Unpriced) else "",
        words,
        asked.has_tools,
    )  # fmt: skip


def _usd(price: Price, counts: Mapping[str, int]) -> Decimal | None:
    is_known = units.INPUT in counts and units.OUTPUT in counts
    return usd(price.nano_usd) if is_known and isinstance(price, Cost) else None


def _sentence(why: Unpriced, model: str) -> str:
    if why.reason == UNKNOWN_SELLER:
        return f"no price: it is not known who serves {model!r}; name the provider"
    return f"no price: {why.detail or why.reason}"


def _input(asked: Asked, words: int, known: Known, expected: dict[str, int], bound: dict[str, int]) -> Basis:
    """By its words, set right by how far off they were in calls before; a part of a request is like no whole one."""
    nothing = Spread(None, None)
    found = nothing if asked.left_out else learned_input(known.inputs, words, has_tools=asked.has_tools)
    expected[units.INPUT] = words if found.median is None else max(1, round(found.median))
    told_from = WORDS if found.median is None else LEARNED
    calls = 0 if found == nothing else len(known.inputs)
    if asked.left_out:
        return Basis(told_from, NOTHING)
    most = bounds.most_input(asked.body) if found.bound is None else round(found.bound)
    bound[units.INPUT] = max(most, expected[units.INPUT])
    return Basis(told_from, BYTES if found.bound is None else LEARNED, calls, known.of_inputs if calls else "")


def _output(asked: Asked, known: Known, expected: dict[str, int], bound: dict[str, int]) -> Basis:
    """Of one answer by calls before, of a request for several so many times more; never above the limit that it states."""
    if asked.is_silent:
        expected[units.OUTPUT] = bound[units.OUTPUT] = 0
        return Basis(MODEL, MODEL)
    limit, found = asked.most_output, spread(known.outputs)
    if found.median is not None:
        expected[units.OUTPUT] = _capped(found.median * asked.answers, limit)
    most, told_from = _most(asked, found.bound)
    if most is not None:
        bound[units.OUTPUT] = max(most, expected.get(units.OUTPUT, 0))
    likely_from = LEARNED if found.median is not None else NOTHING
    calls = len(known.outputs) if LEARNED in {likely_from, told_from} else 0
    return Basis(likely_from, told_from, calls, known.of_outputs if calls else "")


def _most(asked: Asked, learned: float | None) -> tuple[int | None, str]:
    limit = asked.most_output
    if learned is not None and (limit is None or learned * asked.answers < limit):
        return round(learned * asked.answers), LEARNED
    if limit is not None:
        return limit, REQUEST
    longest = bounds.longest_output(asked.model)
    return (None, NOTHING) if longest is None else (longest * asked.answers, MODEL)


def _capped(number: float, limit: int | None) -> int:
    return round(number) if limit is None else min(round(number), limit)
