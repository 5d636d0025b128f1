"""From the words of a call to its rate plan: model, context, multipliers, validity."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, TypeAlias

from costspan.facts.money import INCOMPLETE, NO_PRICE, Unpriced
from costspan.pricing.catalog import Catalog, Dated, Model
from costspan.pricing.lookup import find
from costspan.pricing.plan import Plan, multiplied, no_plan, plan_of

#: Provider, host, model asked for, model of the answer, tier, geo, speed, processing.
Asked: TypeAlias = "tuple[str, str | None, str | None, str | None, str | None, str | None, str | None, str | None]"

#: Words by which providers say that an answer is charged at the standard rates.
STANDARD: Final = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "interactive", ""})
EVERYWHERE: Final = frozenset({"global", "not_available", ""})


def resolve(catalog: Catalog, asked: Asked, at_s: float) -> Plan:
    """The rate plan for a call at a moment."""
    provider, host, request_model, model, tier, geo, speed, processing = asked
    found = find(catalog, provider, host, model, request_model)
    if isinstance(found, Unpriced):
        return no_plan(found)
    context = context_of(tier, speed, processing)
    dated = found.model.at(at_s, context)
    span_s = (dated.since_s, dated.until_s)
    if not dated.rates and not found.model.is_free:
        detail = f"the price table knows {found.model.provider}/{found.model.id}, but no price of it"
        return no_plan(Unpriced(NO_PRICE, detail), span_s)
    missing = sorted(f"{key} {value!r}" for key, value in context.items() if key not in dated.context)
    times, why = multiplier(catalog, found.model, host, geo)
    if geo is not None and geo.lower() not in EVERYWHERE and times == 1:
        missing.append(f"geo {geo!r}")
    return plan_of(
        multiplied(dated.rates, times),
        quality=INCOMPLETE if missing else found.quality,
        version=catalog.version,
        covers=found.model.covers,
        lacks=found.model.lacks,
        least=found.model.least,
        is_free=found.model.is_free,
        span_s=span_s,
        notes=tuple(_notes(catalog, found.how, found.quality, dated, missing, why)),
    )


def context_of(tier: str | None, speed: str | None, processing: str | None) -> dict[str, str]:
    """What an answer says that may change its rates, in the table's words; nothing where it says "standard"."""
    said = {
        "service_tier": (tier or "").lower(),
        "speed": (speed or "").lower(),
        "processing": (processing or "").lower(),
    }
    said["service_tier"] = said["service_tier"].removeprefix("on_demand_")
    if said["service_tier"] == "batch":  # Anthropic says it of answers of a batch job
        said["service_tier"], said["processing"] = "", "batch"
    return {key: value for key, value in said.items() if value not in STANDARD}


def multiplier(catalog: Catalog, model: Model, host: str | None, geo: str | None) -> tuple[Fraction, str]:
    """The factor on the token rates for the place of inference, and its reason."""
    for each in catalog.multipliers:
        if each["provider"] != model.provider or not re.search(each["model"], model.id):
            continue
        if geo is not None and "geo" in each and re.fullmatch(each["geo"], geo.lower()):
            return Fraction(each["times"]), f"x {each['times']} for inference in {geo!r} ({each['source']})"
        if host is not None and "host" in each and re.fullmatch(each["host"], host):
            return Fraction(each["times"]), f"x {each['times']} for {host} ({each['source']})"
    return Fraction(1), ""


def _notes(catalog: Catalog, how: str, quality: str, dated: Dated, missing: list[str], why: str) -> list[str]:
    notes = [f"table: {catalog.version}", f"model: {how} ({quality})"]
    notes += [f"rates for {key}" for key in sorted(dated.context)]
    notes += [f"no rates for {each}: the standard ones are used, quality incomplete" for each in missing]
    return [*notes, why] if why else notes
