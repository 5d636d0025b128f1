"""From the words of a call to its rate plan: model, context, multipliers, validity."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, TypeAlias

from costspan.facts.money import INCOMPLETE, NO_PRICE, OVERRIDE, Unpriced
from costspan.facts.recent import Recent
from costspan.facts.usage import PIECES
from costspan.pricing.catalog import Catalog, Dated, Found, Model, Rate, Rates, fraction
from costspan.pricing.lookup import find, host_of, table_name
from costspan.pricing.plan import REQUESTS, TOKENS, Plan, multiplied, no_plan, plan_of, raised
from costspan.pricing.rule import Asked, Rule, first

#: Plans by what they are made of.
Shared: TypeAlias = "Recent[tuple[Any, ...], Plan]"
#: Words by which providers say that an answer is charged at the standard rates.
STANDARD: Final = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "interactive", ""})
_AWS: Final = "aws"
_REGION: Final = re.compile(r"bedrock[a-z-]*\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
EVERYWHERE: Final = frozenset({"global", "not_available", ""})


def resolve(
    catalog: Catalog, rules: tuple[Rule, ...], asked: Asked, at_s: float, version: str, shared: Shared | None = None
) -> Plan:
    """The rate plan for a call at a moment: the user's own price, else the table's.

    With a table of `shared` plans, names with the same rates get the same plan, without the notes that tell them apart:
    ten thousand fine-tuned models need one.
    """
    rule, since_s, until_s = first(rules, asked, at_s)
    if rule is not None and rule.rates is not None:
        return _once(shared, (rule.line, since_s, until_s), lambda: _of_rule(rule, version, (since_s, until_s)))
    plan = _from_table(catalog, rule, asked, at_s, version, shared)
    if since_s <= plan.since_s and plan.until_s <= until_s:
        return plan
    return replace(plan, since_s=max(since_s, plan.since_s), until_s=min(until_s, plan.until_s))


def _once(shared: Shared | None, key: tuple[Any, ...], make: Callable[[], Plan]) -> Plan:
    if shared is None:
        return make()
    return shared.get(key) or shared.keep(key, replace(make(), notes=()))


def _of_rule(rule: Rule, version: str, span_s: tuple[float, float]) -> Plan:
    notes = (f"prices: {version}", f"the user's rates, line {rule.line}", *_times_note(rule))
    rates = multiplied(rule.rates or {}, rule.times, TOKENS | PIECES | {REQUESTS})
    return plan_of(rates, quality=OVERRIDE, version=version, span_s=span_s, notes=notes)


def _from_table(
    catalog: Catalog, rule: Rule | None, asked: Asked, at_s: float, version: str, shared: Shared | None
) -> Plan:
    found = _found(catalog, rule, asked)
    if isinstance(found, Unpriced):
        return no_plan(found)
    provider, address, request_model, _, tier, geo, speed, processing = asked
    model = found.model
    context = {**context_of(tier, speed, processing), **region_of(model, host_of(address))}
    dated = model.at(at_s, context)
    span_s = (dated.since_s, dated.until_s)
    if not dated.rates and not model.is_free:
        detail = f"the price table knows {model.provider}/{model.id}, but no price of it"
        return no_plan(Unpriced(NO_PRICE, detail), span_s)
    times, why = multiplier(catalog, model, host_of(address), geo)
    missing = _missing(model, dated, context, geo if times == 1 else None)
    added, by_router = routed(catalog, provider, request_model)
    quality = INCOMPLETE if missing else found.quality

    def make() -> Plan:
        rates = raised(multiplied(dated.rates, times, TOKENS), added)
        notes = [*_notes(version, found, dated, context, (missing, why)), *by_router]
        if rule is not None:
            rates = multiplied(rates, rule.times, TOKENS | PIECES | {REQUESTS})
            notes += [f"the user's rule, line {rule.line}", *_times_note(rule)]
        return _of_model(model, rates, quality, version, span_s, notes)

    line = rule.line if rule is not None else None
    return _once(shared, (id(model), quality, tuple(sorted(context.items())), times, added, line, span_s), make)


def _missing(model: Model, dated: Dated, context: dict[str, str], geo: str | None) -> list[str]:
    """What the answer says, or the model charges, that the table has no rates for."""
    missing = sorted(f"{key} {value!r}" for key, value in context.items() if key not in dated.context)
    if "region" in dated.context and len(dated.context) > 1:  # each of them has rates, and nobody states those of both
        missing.append(f"all of {sorted(dated.context)} together")
    if geo is not None and geo.lower() not in EVERYWHERE:
        missing.append(f"geo {geo!r}")
    if model.charges_more:
        missing.append("a charge by the call")
    return missing


def _of_model(
    model: Model, rates: Rates, quality: str, version: str, span_s: tuple[float, float], notes: list[str]
) -> Plan:
    return plan_of(
        rates,
        quality=quality,
        version=version,
        covers=model.covers,
        lacks=model.lacks,
        least=model.least,
        is_free=model.is_free,
        span_s=span_s,
        notes=tuple(notes),
    )


def _found(catalog: Catalog, rule: Rule | None, asked: Asked) -> Found | Unpriced:
    """The table's model for a call, by the user's alias or by itself."""
    provider, address, request_model, model, *_ = asked
    if rule is not None and rule.alias_of is not None:
        seller, alias = rule.alias_of
        aliased = catalog.find(seller, alias) if alias else None
        if aliased is not None:  # it was there when the file was read
            return aliased._replace(quality=OVERRIDE)
        provider, address = seller, None
    found = find(catalog, provider, address, model, request_model)
    if rule is None or isinstance(found, Unpriced):
        return found
    return found._replace(quality=OVERRIDE) if found.quality != INCOMPLETE else found


def _times_note(rule: Rule) -> list[str]:
    return [f"x {rule.times} by the user's rule"] if rule.times != 1 else []


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


def region_of(model: Model, host: str | None) -> dict[str, str]:
    """The region of AWS that was called, in the table's words, where it changes the rates or might.

    Most regions have the prices of the table. Those of governments have others, and those of China another currency.
    """
    called = _REGION.search(host) if host is not None and model.provider == _AWS else None
    if called is None:
        return {}
    region = called[1]
    is_apart = region.startswith(("us-gov-", "cn-")) and not model.id.startswith("us-gov.")
    return {"region": region} if is_apart or model.has_rates_for("region", region) else {}


def routed(catalog: Catalog, provider: str, request_model: str | None) -> tuple[Rate, list[str]]:
    """What a router adds to a token of input, where one was asked for, and its reason."""
    name = table_name(catalog, provider) if request_model else None
    for each in catalog.routers:
        if each["provider"] == name and re.search(each["asked"], (request_model or "").lower()):
            return fraction(each["pico_usd"]), [f"the router's own charge on all input ({each['source']})"]
    return 0, []


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


def _added_by(model: Model, key: str, context: dict[str, str]) -> str:
    return f" by {model.added_by}" if (key, context[key]) in model.added else ""


def _notes(
    version: str, found: Found, dated: Dated, context: dict[str, str], place: tuple[list[str], str]
) -> list[str]:
    missing, why = place
    notes = [f"prices: {version}", f"model: {found.how} ({found.quality})"]
    notes += [f"rates by {found.model.origin}"] if found.model.origin else []
    notes += [f"rates for {key}{_added_by(found.model, key, context)}" for key in sorted(dated.context)]
    notes += [f"no rates for {each}: the standard ones are used, quality incomplete" for each in missing]
    return [*notes, why] if why else notes
