"""What models cost, and what a call would: the price table and the calculation, before anything is booked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from costspan.facts.call import Answer
from costspan.facts.usage import MOST_COUNT, UNITS, Usage
from costspan.pricing import Listed, quantity_of
from costspan.report import bill
from costspan.report.period import moment_s
from costspan.report.words import nearest
from costspan.serve.asked import Asked
from costspan.serve.parameters import Parameter
from costspan.serve.problems import RequestError, mistaken

#: The word of facts/call.py for answers of a batch job.
_BATCH = "batch"
#: The parameters of the list.
CHOICE = (
    Parameter("provider", "Only models of this provider."),
    Parameter("model", "Only models of this name, which may have stars: `gpt-5*`. Several are alternatives.", is_many=True),
    Parameter("at", "The rates of this moment, UTC unless it names an offset; else of now.", moment_s),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit costs: so many USD per `per` of it."""

    usd: Decimal
    per: str


@dataclass(frozen=True, slots=True)
class LongPromptRates:
    """The rates of calls whose input is longer than so many tokens."""

    above_input_tokens: int
    usd: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """One model of the bundled price table, and its rates by unit."""

    provider: str
    model: str
    usd: Mapping[str, Rate]
    long_prompts: tuple[LongPromptRates, ...]
    is_free: bool
    origin: str


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """Models of the bundled price table."""

    price_version: str
    models: tuple[ModelPrice, ...]


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """A call that is to be priced. `units` are counts by unit: `input`, `output` (each with all of its parts), `cache_read`,
    `web_searches` and so on. `at` is a moment in ISO 8601; without one it is now.
    """

    provider: str
    model: str
    units: Mapping[str, int]
    host: str | None = None
    tier: str | None = None
    geo: str | None = None
    speed: str | None = None
    batch: bool = False
    at: str | None = None


@dataclass(frozen=True, slots=True)
class CostStep:
    """One line of the bill."""

    unit: str
    count: int
    usd_each: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True)
class CostAnswer:
    """What the call costs, how sure that is, and every step; `cost_usd` is null where no price is known, and
    `unpriced_reason` says why. `faults` are units that are not in the amount.
    """

    cost_usd: Decimal | None
    quality: str | None
    cost_source: str | None
    price_version: str | None
    unpriced_reason: str | None
    unpriced_detail: str | None
    steps: tuple[CostStep, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def models(asked: Asked) -> ModelPrices:
    """`GET /v1/models`."""
    table, values = asked.served.prices, asked.values
    listed = table.models(values.get("at", time.time()))
    chosen = (one for one in listed if bill.is_meant(one, values.get("model", ()), values.get("provider")))
    return ModelPrices(table.version, tuple(map(_price, chosen)))


def _price(one: Listed) -> ModelPrice:
    long_prompts = tuple(LongPromptRates(start, _rates(usd)) for start, usd in one.long_prompts)
    return ModelPrice(one.provider, one.model, _rates(one.usd), long_prompts, one.is_free, one.origin)


def _rates(usd: Mapping[str, Decimal]) -> dict[str, Rate]:
    return {unit: Rate(amount, quantity_of(unit)) for unit, amount in usd.items()}


def cost(asked: Asked) -> CostAnswer:
    """`POST /v1/cost`."""
    said: CostQuestion = asked.body
    answer = Answer(
        Usage(counts(said.units)), said.model, None, said.tier, said.geo, said.speed, _BATCH if said.batch else None
    )
    found = bill.as_object(asked.served.prices.explain(said.provider, said.host, said.model, answer, _at(said.at)))
    steps = tuple(
        CostStep(step["unit"], step["count"], Decimal(step["usd_each"]), Decimal(step["usd"]))
        for step in found["steps"]
    )
    return CostAnswer(
        None if found["cost_usd"] is None else Decimal(found["cost_usd"]), found["quality"], found["cost_source"],
        found["price_version"], found["unpriced_reason"], found["unpriced_detail"], steps, tuple(found["notes"]),
        tuple(found["faults"]),
    )  # fmt: skip


def counts(units: Mapping[str, int]) -> dict[str, int]:
    """The counts of a body. Raises RequestError for a unit that nobody knows and a count that is none."""
    for unit, count in units.items():
        if unit not in UNITS:
            expected = f"some of {', '.join(sorted(UNITS))}{nearest(unit, UNITS)}"
            raise RequestError(
                400, f"units: {unit!r} is no unit: expected {expected}", field="units", expected=expected
            )
        if not 0 <= count <= MOST_COUNT:
            raise mistaken(f"units.{unit}", str(count), f"a whole number from 0 to {MOST_COUNT}")
    return dict(units)


def _at(said: str | None) -> float:
    if said is None:
        return time.time()
    try:
        return moment_s(said)
    except (ValueError, OverflowError):
        raise mistaken("at", said, "a date or time such as 2026-11-03 or 2026-11-03T14:30") from None
