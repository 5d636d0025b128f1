"""Which of the user's own prices can take no effect, and why: what `costspan prices check` tells of a sound file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from costspan.facts.sellers import GATEWAYS, SELLERS, UNKNOWN, VENDOR, is_own
from costspan.pricing.catalog import Catalog
from costspan.pricing.lookup import GATEWAYS as GATEWAY_NAMES
from costspan.pricing.lookup import PLANS, TABLE_NAMES, host_of, table_name
from costspan.pricing.rule import Pattern, Rule

#: Sellers that report the amount in their answers. It goes before any rule, and no rule multiplies it.
REPORTING: Final = frozenset({"openrouter", "perplexity", "x_ai", "x-ai", "vercel", "deepinfra", "venice"})
#: Sellers whose users name models themselves (deployments, endpoints, routes): any name may stand for a priced one.
NAMED_BY_USERS: Final = GATEWAY_NAMES | {
    "azure", "azure.ai.openai", "azure.ai.inference", "aws", "aws.bedrock", "baseten", "databricks", "modal",
}  # fmt: skip

#: So alike (of 1) are two names of which one is taken for the other misspelt. Less alike are names of the user's own.
_SURELY_MEANT: Final = 0.8


class Idle(NamedTuple):
    """A rule that takes no effect: its line and a sentence."""

    line: int
    why: str


def idle_rules(rules: Sequence[Rule], catalog: Catalog, now_s: float, named: Collection[str] = ()) -> list[Idle]:
    """The rules that take no effect from now on; `named` are providers that the user's settings name."""
    known = _known(catalog) | set(named)
    return [Idle(rule.line, why) for rule in rules if (why := _why(rule, catalog, known, now_s))]


def questionable(named: Collection[str], rules: Sequence[Rule], catalog: Catalog) -> Iterator[str]:
    """What is to be asked about providers that OTEL_COSTSPAN_HOSTS names: a name of the user's own, or a misspelt one?"""
    known = {*_known(catalog), VENDOR}
    for name in dict.fromkeys(named):
        if name in known or any("provider" in rule.match and rule.match["provider"].matches(name) for rule in rules):
            continue
        close = difflib.get_close_matches(name.lower(), sorted(known), 1, _SURELY_MEANT)
        if close:
            yield (
                f"OTEL_COSTSPAN_HOSTS names a provider {name!r}, which has no prices: did you mean {close[0]}? "
                "Its calls are unpriced"
            )


def _why(rule: Rule, catalog: Catalog, known: set[str], now_s: float) -> str | None:
    return next(iter(_reasons(rule, catalog, known, now_s)), None)


def _reasons(rule: Rule, catalog: Catalog, known: set[str], now_s: float) -> Iterator[str]:
    if rule.until_s <= now_s:
        yield '"valid_to" is over: it prices no call any more'
    yield from _of_match(rule.match)
    provider = rule.match.get("provider")
    sellers = {name for name in known if provider.matches(name)} if provider is not None else known
    if provider is not None and not sellers:
        yield _nobody(provider, known)
    elif sellers <= REPORTING:
        yield (
            f"answers of {', '.join(sorted(sellers))} carry the amount that is charged, and a reported amount is taken as "
            "it is: the rule prices only answers without one"
        )
    if rule.rates is None and rule.alias_of is None:
        yield from _of_multiplier(rule, catalog, sellers)


def _of_match(match: dict[str, Pattern]) -> Iterator[str]:
    """Words that no call can have."""
    arn, host = match.get("arn"), match.get("host")
    if arn is not None and arn.is_literal and not arn.text.lower().startswith("arn:"):
        yield f'"arn" is {arn.text!r}, and every ARN begins with "arn:": use "model" for other ids'
    if host is not None and not host.is_regex and "/" in host.text:
        yield f'"host" is {host.text!r}: a host has neither a scheme nor a path, such as llm.example.com:8000'


def _of_multiplier(rule: Rule, catalog: Catalog, sellers: set[str]) -> Iterator[str]:
    """A rule that only multiplies, where nothing is to be multiplied."""
    if rule.times == 1:
        yield "a multiplier of 1 changes nothing"
    host = rule.match.get("host")
    if host is not None and host.is_literal and is_own(host_of(host.text) or "") and "provider" not in rule.match:
        yield f"nothing at {host.text} has a price to multiply: say alias_of, or the rates"
    if "provider" in rule.match and sellers and not any(_has_prices(catalog, name) for name in sellers):
        yield f"the price table has no prices of {', '.join(sorted(sellers))} to multiply: say alias_of, or the rates"
    elif not _has_model(catalog, rule, sellers):
        yield f"the price table has no model {rule.match['model'].text!r} to multiply: say alias_of, or the rates"


def _has_prices(catalog: Catalog, provider: str) -> bool:
    return provider in GATEWAY_NAMES or (provider not in PLANS and table_name(catalog, provider) is not None)


def _has_model(catalog: Catalog, rule: Rule, sellers: set[str]) -> bool:
    model = rule.match.get("model")
    if model is None or not sellers.isdisjoint(NAMED_BY_USERS):
        return True
    tables = {name for seller in sellers if (name := table_name(catalog, seller))}
    if model.is_literal:
        return any(catalog.find(name, model.text.lower()) for name in tables)
    sold = tables | {name for table in tables for name in catalog.providers[table].fallback}
    return any(_is_meant(model, each.id, each.words) for name in sold for each in catalog.providers[name].models)


def _is_meant(model: Pattern, name: str, words: list[object]) -> bool:
    names = [name, *(word[1:] for word in words if isinstance(word, str) and word[0] in "=^")]
    return any(model.matches(each) for each in names)


def _known(catalog: Catalog) -> set[str]:
    """Every name by which a call may be somebody's."""
    sellers = {provider for _, provider in (*SELLERS, *GATEWAYS)}
    return {*catalog.providers, *TABLE_NAMES, *GATEWAY_NAMES, *sellers, UNKNOWN}


def _nobody(provider: Pattern, known: set[str]) -> str:
    close = difflib.get_close_matches(provider.text.lower(), sorted(known), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`costspan docs clients` lists them"
    return f"no provider is called {provider.text!r}, unless OTEL_COSTSPAN_HOSTS names one so: {hint}"
