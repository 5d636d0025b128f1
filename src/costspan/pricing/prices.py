"""The price of a call: which rates apply, what they come to, how sure that is, and every step of it in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.facts import money
from costspan.facts.call import Answer
from costspan.facts.money import Cost, Price, Unpriced
from costspan.facts.recent import Recent
from costspan.facts.usage import PIECES, Usage
from costspan.pricing.calculate import Reckoning, Step, careful, half_even, quick
from costspan.pricing.catalog import Catalog, Rates, day_start_s
from costspan.pricing.item_rates import ItemRate, price_of
from costspan.pricing.lookup import vendor
from costspan.pricing.plan import TOKENS, Plan
from costspan.pricing.resolve import Shared, resolve
from costspan.pricing.rule import Asked, Overrides

if TYPE_CHECKING:
    from costspan.pricing.effects import Idle

#: How many calls, told apart by seller, models and tier, are priced without looking into the table again.
PLANS_KEPT: Final = 16_384
_RANK: Final = {quality: rank for rank, quality in enumerate(money.QUALITIES)}


class Listed(NamedTuple):
    """A model of the table as a list shows it. Rates in USD, per the quantity that `quantity_of` names.

    `origin`: who compiled them and, where it is known, the page where they were read.
    """

    provider: str
    model: str
    usd: dict[str, Decimal]
    long_prompts: tuple[tuple[int, dict[str, Decimal]], ...]
    is_free: bool
    origin: str


class Explanation(NamedTuple):
    """How a price came about: the price, each decision as a sentence, each line of the bill."""

    price: Price
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    faults: tuple[str, ...]


class Prices:
    """The prices in force: the bundled table and the user's own. Reading them is safe from any thread."""

    def __init__(self, catalog: Catalog, overrides: Overrides | None = None) -> None:
        self._catalog = catalog
        self._rules = overrides.rules if overrides is not None else ()
        self._item_rates: Mapping[str, ItemRate] = overrides.rates if overrides is not None else {}
        self._plans: Recent[Asked, Plan] = Recent(PLANS_KEPT)
        self._shared: Shared = Recent(PLANS_KEPT)
        self.version = catalog.version + (f" overrides:{overrides.digest}" if overrides is not None else "")

    @classmethod
    def load(cls, overrides: Path | None = None) -> Prices:
        """The bundled table, or the one that the user's own prices choose, under those prices if a file of them is given.

        Raises OverrideError, with every mistake, where that file cannot be used.
        """
        catalog = Catalog.bundled()
        if overrides is None:
            return cls(catalog)
        from costspan.pricing.overrides import read_overrides  # most programs have no prices of their own

        read = read_overrides(overrides, catalog)
        return cls(read.table or catalog, read)

    def price(self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float) -> Price:
        """What an answer cost that was asked for at `at_s` (seconds since the epoch)."""
        usage = answer.usage
        if (
            answer.pending or answer.parts or answer.unread or answer.reported_nano_usd is not None
            or usage is None or not usage.counts
        ):  # fmt: skip
            return self._price_rare(provider, host, request_model, answer, at_s)
        asked = (provider, host, request_model, answer.model, answer.tier, answer.geo, answer.speed, answer.processing)
        plan = self._plans.young.get(asked)  # as `_plan` does, which is called where the plan is not at hand
        if plan is None or not plan.since_s <= at_s < plan.until_s:
            plan = self._plan(asked, at_s)
        if plan.unpriced is not None:
            return plan.unpriced
        try:
            sum_ = quick(plan, usage.counts)
        except TypeError:  # a count that is no number
            sum_ = None
        if sum_ is None:
            return _priced(plan, usage)[0]
        quality = plan.quality if usage.complete else _worst(plan.quality, money.ESTIMATED)
        return Cost(half_even(sum_, plan.divisor), quality, money.LOCAL, plan.version)

    def vendor(self, model: str) -> str | None:
        """Who sells a model of this name, where its name tells."""
        return vendor(self._catalog, model)

    def item(self, kind: str, rate: str, count: int) -> Price:
        """What an item that is no call costs: so many of its kind's unit, at a rate of the user's own."""
        return price_of(self._item_rates, kind, rate, count, self.version)

    def explain(
        self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float
    ) -> Explanation:
        """The same price as `price` gives, with all steps that lead to it."""
        price = self.price(provider, host, request_model, answer, at_s)
        portions = _portions(answer) or [(answer.model, Usage())]
        notes: list[str] = []
        steps: list[Step] = []
        faults: list[str] = []
        for model, usage in portions:
            asked = _asked(provider, host, request_model, answer, model)
            plan = resolve(self._catalog, self._rules, asked, at_s, self.version)  # for its notes, which are not kept
            reckoning = careful(plan, usage.counts)
            notes += plan.notes
            steps += reckoning.steps
            faults += reckoning.faults
        faults += [f"{name} of the usage was not understood: it is not in this amount" for name in answer.unread]
        return Explanation(price, tuple(dict.fromkeys(notes)), tuple(steps), tuple(faults))

    def models(self, at_s: float | None = None) -> Iterator[Listed]:
        """All models of the bundled table, at the rates of a moment (of the table's own day if none is given)."""
        moment_s = day_start_s(self._catalog.date) if at_s is None else at_s
        for provider in self._catalog.providers.values():
            for model in provider.models:
                rates = model.at(moment_s, {}).rates
                origin = model.origin or self._catalog.source
                yield Listed(provider.id, model.id, _usd(rates, 0), _long_prompts(rates), model.is_free, origin)

    def idle(self, now_s: float, named: Collection[str] = ()) -> list[Idle]:
        """The user's rules that take no effect from now on; `named` are providers that the user's settings name."""
        from costspan.pricing.effects import idle_rules  # for people who ask, not for calls

        return idle_rules(self._rules, self._catalog, now_s, named)

    def questions(self, named: Collection[str]) -> list[str]:
        """What is to be asked about the providers that the user's settings name: one may be misspelt."""
        from costspan.pricing.effects import questionable

        return list(questionable(named, self._rules, self._catalog))

    def _plan(self, asked: Asked, at_s: float) -> Plan:
        plan = self._plans.get(asked)
        if plan is None or not plan.since_s <= at_s < plan.until_s:
            found = resolve(self._catalog, self._rules, asked, at_s, self.version, self._shared)
            plan = self._plans.keep(asked, found)
        return plan

    def _price_rare(
        self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float
    ) -> Price:
        if answer.pending:
            return Unpriced(money.NO_USAGE, "the answer is still being worked on")
        computed = self._computed(provider, host, request_model, answer, at_s)
        reported = answer.reported_nano_usd
        if reported is None or reported < 0:
            return _lowered(computed, answer)
        is_part = answer.reported_in_part or (answer.usage is not None and not answer.usage.complete)
        if is_part and not answer.from_cache:
            return _at_least(reported, computed, self.version)
        nano_usd = computed.nano_usd if isinstance(computed, Cost) else None
        return Cost(reported, money.REPORTED, money.PROVIDER, self.version, nano_usd)

    def _computed(
        self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float
    ) -> Price:
        portions = _portions(answer)
        if not portions:
            return Unpriced(money.NO_USAGE, "the answer reports no usage")
        plans = [self._plan(_asked(provider, host, request_model, answer, model), at_s) for model, _ in portions]
        bills = [(plan, *_priced(plan, usage)) for plan, (_, usage) in zip(plans, portions, strict=True)]
        if len(bills) == 1:
            return bills[0][1]
        return _total(bills)


def _asked(provider: str, host: str | None, request_model: str | None, answer: Answer, model: str | None) -> Asked:
    return (provider, host, request_model, model, answer.tier, answer.geo, answer.speed, answer.processing)


def _portions(answer: Answer) -> list[tuple[str | None, Usage]]:
    """The parts of an answer, or its one usage. Searches and other pieces that no part has are the answer's own."""
    whole = answer.usage
    if not answer.parts:
        return [(answer.model, whole)] if whole is not None and whole.counts else []
    portions = [(model or answer.model, usage) for model, usage in answer.parts]
    in_parts = {unit for _, usage in portions for unit in usage.counts}
    rest = {unit: n for unit, n in whole.counts.items() if n and unit in PIECES - in_parts} if whole is not None else {}
    return [*portions, (answer.model, Usage(rest))] if rest else portions


def _worst(*qualities: str) -> str:
    return max(qualities, key=_RANK.__getitem__)


def _priced(plan: Plan, usage: Usage) -> tuple[Price, Reckoning]:
    reckoning = careful(plan, usage.counts)
    if plan.unpriced is not None:
        return plan.unpriced, reckoning
    if not reckoning.has_rate:
        return Unpriced(money.NO_PRICE, "; ".join(reckoning.faults) or "no unit of the usage has a price"), reckoning
    complete = money.EXACT if usage.complete else money.ESTIMATED
    quality = _worst(plan.quality, complete, money.INCOMPLETE if reckoning.faults else money.EXACT)
    return Cost(half_even(reckoning.sum, plan.divisor), quality, money.LOCAL, plan.version), reckoning


def _lowered(price: Price, answer: Answer) -> Price:
    """The amount is kept; what was not understood of the usage makes it a lower bound."""
    return replace(price, quality=money.INCOMPLETE) if answer.unread and isinstance(price, Cost) else price


def _total(bills: list[tuple[Plan, Price, Reckoning]]) -> Price:
    """The sum of several portions, rounded once. A portion without a price makes the sum a lower bound."""
    costs = [(plan, price, reckoning) for plan, price, reckoning in bills if isinstance(price, Cost)]
    if not costs:
        return bills[0][1]
    amount = sum((Fraction(reckoning.sum, plan.divisor) for plan, _, reckoning in costs), start=Fraction(0))
    quality = _worst(*(price.quality for _, price, _ in costs))
    if len(costs) < len(bills):
        quality = money.INCOMPLETE
    return Cost(half_even(amount.numerator, amount.denominator), quality, money.LOCAL, costs[0][0].version)


def _at_least(reported: int, computed: Price, version: str) -> Cost:
    """The cost of a stream cut short whose provider told the cost up to some point."""
    if isinstance(computed, Cost) and computed.nano_usd >= reported:
        return computed
    nano_usd = computed.nano_usd if isinstance(computed, Cost) else None
    return Cost(reported, money.ESTIMATED, money.PROVIDER, version, nano_usd)


def quantity_of(unit: str) -> str:
    """The quantity that a listed rate is for."""
    if unit in TOKENS or unit == "output_video":
        return "million tokens"
    if unit == "characters":
        return "million characters"
    if unit == "output_video_ms":
        return "second"
    return "hour" if unit.endswith("_ms") else "1"


#: How many units the quantities have.
UNITS_PER: Final = {"million tokens": 10**6, "million characters": 10**6, "hour": 3_600_000, "second": 1_000, "1": 1}


def _usd(rates: Rates, start: int) -> dict[str, Decimal]:
    return {
        unit: _decimal(Fraction([rate for tokens, rate in steps if tokens <= start][-1]) * UNITS_PER[quantity_of(unit)])
        for unit, steps in rates.items()
    }


def _decimal(pico_usd: Fraction) -> Decimal:
    return (Decimal(pico_usd.numerator) / Decimal(pico_usd.denominator) / money.PICO_PER_USD).normalize()


def _long_prompts(rates: Rates) -> tuple[tuple[int, dict[str, Decimal]], ...]:
    starts = sorted({start for steps in rates.values() for start, _ in steps} - {0})
    return tuple((start, _usd(rates, start)) for start in starts)


@lru_cache(maxsize=2)
def loaded(own: str) -> Prices:
    """The prices in force where the setting names the user's own file, or none: read once. Raises OverrideError."""
    return Prices.load(Path(own).expanduser() if own else None)
