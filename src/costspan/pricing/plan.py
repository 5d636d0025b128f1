"""A rate plan: the rates of one model at one moment, arranged so that every unit is charged in one bucket only."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Final, NamedTuple, TypeAlias

from costspan.facts import usage as u
from costspan.facts.money import PICO_PER_NANO, Unpriced
from costspan.pricing.catalog import EVER, Rate, Rates, Steps

REQUESTS: Final = "requests"

#: The totals and wider parts that each part is inside of.
INSIDE: Final[dict[str, frozenset[str]]] = {
    u.CACHE_READ: frozenset({u.INPUT}),
    u.CACHE_WRITE: frozenset({u.INPUT}),
    u.CACHE_WRITE_5M: frozenset({u.INPUT, u.CACHE_WRITE}),
    u.CACHE_WRITE_30M: frozenset({u.INPUT, u.CACHE_WRITE}),
    u.CACHE_WRITE_1H: frozenset({u.INPUT, u.CACHE_WRITE}),
    u.CACHE_WRITE_12H: frozenset({u.INPUT, u.CACHE_WRITE}),
    u.INPUT_AUDIO: frozenset({u.INPUT}),
    u.INPUT_IMAGE: frozenset({u.INPUT}),
    u.INPUT_VIDEO: frozenset({u.INPUT}),
    u.INPUT_TOOL: frozenset({u.INPUT}),
    u.CACHE_READ_AUDIO: frozenset({u.INPUT, u.CACHE_READ, u.INPUT_AUDIO}),
    u.CACHE_READ_IMAGE: frozenset({u.INPUT, u.CACHE_READ, u.INPUT_IMAGE}),
    u.CACHE_READ_VIDEO: frozenset({u.INPUT, u.CACHE_READ, u.INPUT_VIDEO}),
    u.REASONING: frozenset({u.OUTPUT}),
    u.OUTPUT_AUDIO: frozenset({u.OUTPUT}),
    u.OUTPUT_IMAGE: frozenset({u.OUTPUT}),
    u.OUTPUT_CITATION: frozenset({u.OUTPUT}),
    u.OUTPUT_REJECTED: frozenset({u.OUTPUT}),
}
TOTAL_OF: Final = {part: u.INPUT if u.INPUT in wider else u.OUTPUT for part, wider in INSIDE.items()}
TOKENS: Final = frozenset({u.INPUT, u.OUTPUT}) | INSIDE.keys()

#: Parts that providers charge at the rate of the total when they quote no other: a prompt from the cache or written
#: to it without a rate of its own, pictures that are counted in text tokens (gpt-4o, Claude, Gemini), reasoning.
#: Sound and drawn pictures are never of this kind, nor cache writes that are kept for longer.
ORDINARY: Final = frozenset({
    u.CACHE_READ, u.CACHE_WRITE, u.CACHE_WRITE_5M, u.CACHE_WRITE_30M, u.INPUT_IMAGE, u.INPUT_VIDEO, u.INPUT_TOOL,
    u.REASONING, u.OUTPUT_CITATION, u.OUTPUT_REJECTED,
})  # fmt: skip
#: Parts of the output that models which draw or speak charge at several times the rate of text.
DEARER: Final = (u.OUTPUT_IMAGE, u.OUTPUT_AUDIO)
CACHED_OF: Final = {
    u.CACHE_READ_AUDIO: u.INPUT_AUDIO,
    u.CACHE_READ_IMAGE: u.INPUT_IMAGE,
    u.CACHE_READ_VIDEO: u.INPUT_VIDEO,
}
#: Another measure of what the tokens measure already, unless the model is priced by it.
MEASURES: Final = frozenset({
    u.IMAGES, u.PAGES, u.ANNOTATED_PAGES, u.CHARACTERS, u.INPUT_AUDIO_MS, u.OUTPUT_AUDIO_MS, u.OUTPUT_VIDEO_MS,
})  # fmt: skip


class Bucket(NamedTuple):
    """A unit with a rate, and the buckets before it (by number) whose units are parts of this one."""

    unit: str
    below: tuple[int, ...]


#: Kinds: a total or a piece; a part of the input, of the output, of the cache writes with a bucket of its own; and a
#: part of the input that has a bucket and may overlap with the cache reads, which have one too.
FREE, INPUT_PART, OUTPUT_PART, WRITE, MODAL = range(5)

#: For each unit a factor: what one more of it adds to the sum; the kind of parts it is summed with, to see whether
#: they fit; and, for a part without a bucket of its own, its total: such parts may overlap, not exceed it. (A plain
#: tuple: a named one is unpacked at three times the price.)
Terms: TypeAlias = "dict[str, tuple[int, int, str | None]]"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the calculation needs.

    `rates` are those of the buckets, and `terms` the same as factors of counts; `long_prompts` holds, largest first,
    (tokens, rates, terms) for prompts of more than so many tokens. Rates are pico-USD times a common denominator; `divisor` brings a sum of them to nano-USD. `known` are the units
    that need no second look, each with the total that it must not exceed. `told` are the parts of the output that cost
    more than the rest of it, so that an answer must say how many there are.
    """

    buckets: tuple[Bucket, ...]
    rates: tuple[int, ...]
    terms: Terms
    long_prompts: tuple[tuple[int, tuple[int, ...], Terms], ...]
    divisor: int
    known: dict[str, str | None]
    told: frozenset[str]
    per_request: int
    least: dict[str, int]
    quality: str
    version: str
    since_s: float = -EVER
    until_s: float = EVER
    notes: tuple[str, ...] = ()
    is_free: bool = False
    unpriced: Unpriced | None = None


def buckets_of(rates: Rates) -> tuple[Bucket, ...]:
    """The units with rates, the most special first, each knowing its parts."""
    units = sorted((unit for unit in rates if unit in u.UNITS), key=lambda unit: (-len(INSIDE.get(unit, ())), unit))
    return tuple(
        Bucket(unit, tuple(i for i, part in enumerate(units) if unit in INSIDE.get(part, ()))) for unit in units
    )


def multiplied(rates: Rates, times: Fraction, units: frozenset[str]) -> Rates:
    """Rates with those of some units multiplied."""
    if times == 1:
        return rates
    return {
        unit: tuple((start, rate * times) for start, rate in steps) if unit in units else steps
        for unit, steps in rates.items()
    }


def raised(rates: Rates, added: Rate) -> Rates:
    """Rates with something added for every token of input, however it is charged."""
    if not added:
        return rates
    inputs = {u.INPUT, *(part for part, total in TOTAL_OF.items() if total == u.INPUT)}
    return {
        unit: tuple((start, rate + added) for start, rate in steps) if unit in inputs else steps
        for unit, steps in rates.items()
    }


def denominator_of(rates: Rates) -> int:
    """The least number by which every rate becomes whole."""
    return lcm(*(Fraction(rate).denominator for steps in rates.values() for _, rate in steps))


def terms_of(buckets: tuple[Bucket, ...], rates: tuple[int, ...], known: dict[str, str | None]) -> Terms:
    """The factor of each unit that needs no careful look: what the bill grows by with one more of it alone."""
    index = {bucket.unit: i for i, bucket in enumerate(buckets)}
    factors = {unit: _factor(buckets, rates, index.get(unit)) for unit in known if unit not in index.keys() & CACHED_OF}
    return {unit: (factor, *_kind(unit, index.keys())) for unit, factor in factors.items()}


def _factor(buckets: tuple[Bucket, ...], rates: tuple[int, ...], one: int | None) -> int:
    leaves: list[int] = []
    for i, bucket in enumerate(buckets):
        leaves.append((i == one) - sum(leaves[part] for part in bucket.below))
    return sum(leaf * rate for leaf, rate in zip(leaves, rates, strict=True))


def _kind(unit: str, priced: AbstractSet[str]) -> tuple[int, str | None]:
    total = TOTAL_OF.get(unit)
    if total is None or unit not in priced:
        # A write of a lifetime without a rate is part of the writes, and they must be there to be charged.
        return FREE, u.CACHE_WRITE if u.CACHE_WRITE in INSIDE.get(unit, ()) else total
    if u.CACHE_WRITE in INSIDE[unit]:
        return WRITE, None
    if any(whole == unit and cached in priced for cached, whole in CACHED_OF.items()):
        return MODAL, None
    return (INPUT_PART if total == u.INPUT else OUTPUT_PART), None


def starts_of(rates: Rates, buckets: tuple[Bucket, ...]) -> list[int]:
    """The input tokens above which other rates hold, the highest first."""
    return sorted({start for bucket in buckets for start, _ in rates[bucket.unit]} - {0}, reverse=True)


def rates_above(start: int, rates: Rates, buckets: tuple[Bucket, ...], denominator: int) -> tuple[int, ...]:
    """The whole rates that hold above so many input tokens, in the order of the buckets."""
    return tuple(int(step_at(rates[bucket.unit], start) * denominator) for bucket in buckets)


def step_at(steps: Steps, start: int) -> int | Fraction:
    """The rate that holds above so many input tokens."""
    return [rate for tokens, rate in steps if tokens <= start][-1]


def known_units(rates: Rates, covers: frozenset[str], lacks: frozenset[str]) -> dict[str, str | None]:
    """The units that a plan accounts for: those with a rate, and those that share the rate of their total."""
    ordinary = (ORDINARY | covers) - lacks
    shared = {part for part in INSIDE if part in ordinary and TOTAL_OF[part] in rates}
    known = {unit for unit in rates if unit in u.UNITS and unit not in u.PIECES & lacks} | shared
    known |= {part for part, whole in CACHED_OF.items() if whole in known and part not in lacks}
    return {unit: TOTAL_OF.get(unit) for unit in known}


def plan_of(
    rates: Rates,
    *,
    quality: str,
    version: str,
    covers: frozenset[str] = frozenset(),
    lacks: frozenset[str] = frozenset(),
    least: dict[str, int] | None = None,
    is_free: bool = False,
    span_s: tuple[float, float] = (-EVER, EVER),
    notes: tuple[str, ...] = (),
) -> Plan:
    """Arrange rates into a plan."""
    buckets = buckets_of(rates)
    denominator = denominator_of(rates)
    base = rates_above(0, rates, buckets, denominator)
    longer = [(start, rates_above(start, rates, buckets, denominator)) for start in starts_of(rates, buckets)]
    known = dict.fromkeys(u.UNITS) if is_free else known_units(rates, covers, lacks)
    request = rates.get(REQUESTS, ((0, 0),))[0][1]
    return Plan(
        buckets=buckets,
        rates=base,
        terms=terms_of(buckets, base, known) if not least else {},
        long_prompts=tuple((start, long, terms_of(buckets, long, known)) for start, long in longer),
        divisor=denominator * PICO_PER_NANO,
        known=known,
        told=frozenset(part for part in DEARER if part in rates and step_at(rates[part], 0) > _text_rate(rates)),
        per_request=int(request * denominator),
        least=least or {},
        quality=quality,
        version=version,
        since_s=span_s[0],
        until_s=span_s[1],
        notes=notes,
        is_free=is_free,
    )


def _text_rate(rates: Rates) -> Rate:
    return step_at(rates[u.OUTPUT], 0) if u.OUTPUT in rates else 0


def no_plan(unpriced: Unpriced, span_s: tuple[float, float] = (-EVER, EVER)) -> Plan:
    """The plan of a model without a price."""
    return Plan(
        (), (), {}, (), PICO_PER_NANO, {}, frozenset(), 0, {}, "", "", *span_s, (), is_free=False, unpriced=unpriced
    )
