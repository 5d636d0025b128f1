"""Usage times price: every unit is charged in exactly one bucket, in whole numbers.

The rule is genai-prices' decomposition: a bucket is charged for its unit less what its parts were charged for.
`quick` does that for usage that fits together, which nearly all does. `careful` takes the rest: counts that
contradict each other and units without a rate. It never raises, and what it finds is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from costspan.facts import usage as u
from costspan.facts.money import PICO_PER_NANO
from costspan.pricing.plan import CACHED_OF, INSIDE, MEASURES, REQUESTS, TOKENS, Bucket, Plan, Terms

Counts = dict[str, int]


@dataclass(frozen=True)
class Step:
    """One line of a bill: so many units at so many pico-USD each."""

    unit: str
    count: int
    pico_usd: int | Fraction

    @property
    def amount_pico_usd(self) -> int | Fraction:
        """What this line of the bill comes to, exactly."""
        return self.count * self.pico_usd


class Reckoning(NamedTuple):
    """A bill: the sum (to be divided by the plan's divisor), its lines, and what was wrong with the usage."""

    sum: int
    steps: tuple[Step, ...]
    faults: tuple[str, ...]
    has_rate: bool


def quick(plan: Plan, counts: Counts) -> int | None:
    """The sum for usage that fits together, or None if it needs a careful look.

    Charging every bucket for its unit less its parts is linear: each unit adds its count times a factor
    (`plan.terms`), as long as no bucket goes below nothing. That is what the sums of parts are checked for.
    """
    get = counts.get
    terms = plan.terms if not plan.long_prompts else _terms_for(plan, get("input", 0))
    if plan.told and not plan.told <= counts.keys() and get("output"):
        return None
    sum_ = plan.per_request
    sums = [0, 0, 0, 0, 0]
    for unit, count in counts.items():
        if count:
            term = terms.get(unit)
            if term is None or count < 0:
                return None
            factor, kind, total = term
            sum_ += count * factor
            if kind:
                sums[kind] += count
            if total is not None and count > get(total, 0):
                return None
    _, inputs, outputs, writes, modal = sums
    if inputs + modal > get("input", 0) or outputs > get("output", 0) or writes > get("cache_write", 0):
        return None
    return None if (modal and get("cache_read")) or type(sum_) is not int else sum_


def _terms_for(plan: Plan, prompt: int) -> Terms:
    for start, _, terms in plan.long_prompts:
        if prompt > start:
            return terms
    return plan.terms


def half_even(dividend: int, divisor: int) -> int:
    """A quotient rounded to the nearest whole number, a tie to the even one."""
    whole, rest = divmod(dividend, divisor)
    twice = rest * 2
    return whole + 1 if twice > divisor or (twice == divisor and whole & 1) else whole


def careful(plan: Plan, reported: Counts) -> Reckoning:
    """The bill for any usage at all."""
    faults: list[str] = []
    counts = _sane(reported, faults)
    _fill_totals(counts, faults)
    _raise_to_least(plan, counts)
    rates = _rates_for(plan, counts.get(u.INPUT, 0))
    _place_cached_modalities(plan, rates, counts, faults)
    leaves = _leaves(plan, rates, counts, faults)
    faults += _without_rate(plan, counts)
    faults += [
        f"{part} was not reported: output = {counts[u.OUTPUT]} is charged as text"
        for part in sorted(plan.told - reported.keys())
        if counts.get(u.OUTPUT)
    ]
    denominator = plan.divisor // PICO_PER_NANO
    steps = [
        Step(bucket.unit, leaf, _per_unit(rate, denominator))
        for bucket, leaf, rate in zip(plan.buckets, leaves, rates, strict=True)
        if leaf
    ]
    if plan.per_request:
        steps.append(Step(REQUESTS, 1, _per_unit(plan.per_request, denominator)))
    sum_ = plan.per_request + sum(leaf * rate for leaf, rate in zip(leaves, rates, strict=True))
    return Reckoning(sum_, tuple(steps), tuple(faults), _has_rate(plan, counts))


def _per_unit(rate: int, denominator: int) -> int | Fraction:
    return rate // denominator if rate % denominator == 0 else Fraction(rate, denominator)


def _has_rate(plan: Plan, counts: Counts) -> bool:
    """Whether the plan can say anything about this usage: a unit with a rate was reported, or nothing was used."""
    if plan.is_free or plan.per_request:
        return True
    rated = {bucket.unit for bucket in plan.buckets}
    used = {unit for unit, count in counts.items() if count}
    return bool(rated & used) or (bool(rated & counts.keys()) and not used)


def _rates_for(plan: Plan, prompt: int) -> tuple[int, ...]:
    return next((rates for start, rates, _ in plan.long_prompts if prompt > start), plan.rates)


def _sane(reported: Counts, faults: list[str]) -> Counts:
    """The counts that are counts."""
    counts: Counts = {}
    for unit, value in reported.items():
        count = u.count(value)
        if unit not in u.UNITS or count is None:
            faults.append(f"{unit} = {value!r} is no count of a known unit: left out"[:120])
        else:
            counts[unit] = count
    return counts


def _fill_totals(counts: Counts, faults: list[str]) -> None:
    """A total that was not reported is at least its parts; where it was, `_leaves` sees to it that parts fit."""
    writes = [counts[ttl] for ttl in _TTLS if ttl in counts]
    if u.CACHE_WRITE not in counts and writes:
        counts[u.CACHE_WRITE] = sum(writes)
    for total, disjoint in ((u.INPUT, _INPUT_KINDS), (u.OUTPUT, _OUTPUT_KINDS)):
        parts = sum(counts.get(part, 0) for part in disjoint)
        if total not in counts and parts:
            counts[total] = parts
            faults.append(f"{total} was not reported: taken as the sum of its parts, {parts}")


_TTLS: Final = (u.CACHE_WRITE_5M, u.CACHE_WRITE_30M, u.CACHE_WRITE_1H, u.CACHE_WRITE_12H)
_INPUT_KINDS: Final = (u.CACHE_READ, u.CACHE_WRITE, u.INPUT_TOOL)
_OUTPUT_KINDS: Final = (u.REASONING, u.OUTPUT_AUDIO, u.OUTPUT_IMAGE, u.OUTPUT_CITATION, u.OUTPUT_REJECTED)


def _raise_to_least(plan: Plan, counts: Counts) -> None:
    for unit, least in plan.least.items():
        if 0 < counts.get(unit, 0) < least:
            counts[unit] = least


def _place_cached_modalities(plan: Plan, rates: tuple[int, ...], counts: Counts, faults: list[str]) -> None:
    """Say how much of the sound or pictures was cached where the provider did not, to the least sum.

    Cached tokens and tokens of sound may overlap. If the plan charges both apart and the overlap was not reported,
    the sum depends on it linearly: the cheapest overlap that the totals allow is the lower bound.
    """
    rate = {bucket.unit: rates[index] for index, bucket in enumerate(plan.buckets)}
    charged = {cached: whole for cached, whole in CACHED_OF.items() if cached in rate and whole in rate}
    reads = counts.get(u.CACHE_READ, 0)
    open_ = [
        (rate[cached] - rate[whole] - rate[u.CACHE_READ] + rate[u.INPUT], cached, whole)
        for cached, whole in charged.items()
        if cached not in counts and counts.get(whole) and reads
    ]
    said = sum(counts.get(cached, 0) for cached in charged)
    room = max(0, reads - said)
    needed = reads + sum(counts.get(whole, 0) for whole in charged.values()) - said - counts.get(u.INPUT, 0)
    for difference, cached, whole in sorted(open_):
        most = min(room, counts[whole])
        counts[cached] = most if difference <= 0 else max(0, min(most, needed))
        room -= counts[cached]
        needed -= counts[cached]
        if most and difference and reads != counts.get(u.INPUT):
            faults.append(f"{cached} was not reported: taken as {counts[cached]}, for the least sum")


def _leaves(plan: Plan, rates: tuple[int, ...], counts: Counts, faults: list[str]) -> list[int]:
    """What each bucket is charged for. Parts that exceed their total are cut down, the most expensive first."""
    leaves: list[int] = []
    for bucket in plan.buckets:
        count = counts.get(bucket.unit, 0)
        excess = sum(leaves[part] for part in bucket.below) - count
        if excess > 0:
            faults.append(f"{_parts(plan.buckets, leaves, bucket)} exceed {bucket.unit} = {count}: cut down to it")
            _cut(leaves, sorted(bucket.below, key=lambda part: -rates[part]), excess)
        leaves.append(max(0, -excess))
    return leaves


def _parts(buckets: tuple[Bucket, ...], leaves: list[int], bucket: Bucket) -> str:
    return " + ".join(f"{buckets[part].unit} = {leaves[part]}" for part in bucket.below if leaves[part])


def _cut(leaves: list[int], parts: list[int], excess: int) -> None:
    for part in parts:
        cut = min(leaves[part], excess)
        leaves[part] -= cut
        excess -= cut


def _without_rate(plan: Plan, counts: Counts) -> list[str]:
    """What was used and has no rate of its own, and what cannot be part of its total."""
    measured_in_tokens = any(counts.get(bucket.unit) for bucket in plan.buckets if bucket.unit in TOKENS)
    return [
        fault
        for unit, count in counts.items()
        if count and (fault := _fault_of(plan, counts, unit, measured_in_tokens=measured_in_tokens))
    ]


def _fault_of(plan: Plan, counts: Counts, unit: str, *, measured_in_tokens: bool) -> str | None:
    if unit in plan.known:
        total = plan.known[unit]
        fits = total is None or counts[unit] <= counts.get(total, 0)
        if fits or any(unit == bucket.unit for bucket in plan.buckets):  # `_leaves` told of buckets that do not fit
            return None
        return f"{unit} = {counts[unit]} exceeds {total} = {counts.get(total or '', 0)}"
    if unit in MEASURES and measured_in_tokens:
        return None
    if any(unit == bucket.unit for bucket in plan.buckets):
        return f"{unit} = {counts[unit]} costs more than its own price, by tokens that may not be in the usage"
    where = " beyond that of its total" if INSIDE.get(unit) else ""
    return f"{unit} = {counts[unit]} has no price of its own{where}"
