"""From the words of a call (provider, host, model ids) to a model of the price table, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from costspan.facts.money import (
    ALIAS,
    EXACT,
    INCOMPLETE,
    NO_MODEL,
    NO_PRICE,
    UNKNOWN_MODEL,
    UNKNOWN_SELLER,
    Unpriced,
)
from costspan.facts.sellers import UNKNOWN, is_own, seller_at
from costspan.pricing.catalog import Catalog, Found

#: The conventions' and our provider names, where the table has another word. "" is a provider of which the table
#: knows nothing on purpose: models on the user's own machines.
TABLE_NAMES: Final = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "gcp.vertex_ai": "google",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "voyage_ai": "voyageai",
    "github_copilot": "github-copilot",
    "ollama": "",
    "vllm": "",
    "local": "",
}
#: Providers that say only how the server speaks: what is behind may be anybody's model.
GATEWAYS: Final = frozenset({
    UNKNOWN, "litellm", "gateway", "portkey", "vercel", "helicone", "cloudflare_ai_gateway", "braintrust", "llmgateway",
})  # fmt: skip
#: Plans, paid by the month: no list says what one call of them costs.
PLANS: Final = frozenset({"chatgpt", "zai_coding_plan", "kimi_coding_plan", "dashscope_coding_plan"})
#: Whose models anybody may serve, because their weights are published: such an id does not tell the seller.
OPEN_WEIGHTS: Final = frozenset({
    "ai21", "arcee", "cohere", "databricks", "deepseek", "meta", "minimax", "mistral", "moonshotai", "zai", "zhipuai",
})  # fmt: skip
#: Who sells no models but his own: an id with another vendor before the slash (`openai` and `gemini/gemini-2.5-flash`)
#: was passed on by a proxy of the user's, which he said to be the vendor's own.
SELLING_OWN: Final = frozenset({"openai", "anthropic"})
#: Where the price table has a provider of its own for each seller behind a router (`model:groq`).
_ROUTER: Final = "huggingface"
#: The vendor before the slash in ids of gateways, where the table has another word.
VENDORS: Final = {
    "mistralai": "mistral",
    "xai": "x-ai",
    "gemini": "google",
    "vertex_ai": "google",
    "bedrock": "aws",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "moonshot": "moonshotai",
    "z-ai": "zai",
}
#: Models of the user's own and capacity that he rents: whatever they were made from, no list says what one call costs.
_OF_USERS: Final = re.compile(
    r"arn:[^:]*:bedrock:[^:]*:[^:]*:(?:provisioned|imported|custom)-model[a-z-]*/", re.IGNORECASE
)
_PATH: Final = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/")
#: What may stand around a model's name, and what it means.
_AROUND: Final = (
    (re.compile(r"^arn:[^:]*:bedrock:[^:]*:[^:]*:[a-z-]+/(.*)$"), "the ARN names the model"),
    (re.compile(r"^(.*):(?:nitro|floor|exacto|online)$"), "a route of the model at OpenRouter"),
    (re.compile(r"^ft:([^:]+):.*$"), "fine-tuned, priced as its base"),
)


def table_name(catalog: Catalog, provider: str) -> str | None:
    """The table's word for a provider, or None if the table knows nothing of it."""
    name = TABLE_NAMES.get(provider, provider.lower())
    if name in catalog.providers:
        return name
    if name == "" or name in GATEWAYS or name in PLANS:
        return None
    return next((each.id for each in catalog.providers.values() if each.is_called(name)), None)


def find(
    catalog: Catalog, provider: str, address: str | None, answered: str | None, asked: str | None
) -> Found | Unpriced:
    """The table's model for a call: that of the answer, else the one that was asked for."""
    models = [model for model in (answered, asked) if model]
    if not models:
        return Unpriced(NO_MODEL, "neither the answer nor the request names a model")
    unlisted = _unlisted(provider, models)
    if unlisted is not None:
        return unlisted
    host = host_of(address)
    if provider == UNKNOWN and host is not None and is_own(host):
        return Unpriced(UNKNOWN_SELLER, _whose(address))
    name = table_name(catalog, provider)
    if provider == _ROUTER and asked:
        plain, _, seller = asked.rpartition(":")
        name, models = table_name(catalog, f"{_ROUTER}_{seller}"), [*models[:-1], plain]
    if name == "aws":
        # The id asked for says the region, and so the price; Claude's body on Bedrock names only the model.
        models.reverse()
    for model in models:
        found = _sold_by(catalog, name, model.lower()) if name else None
        if found is None and (provider in GATEWAYS or (provider in SELLING_OWN and "/" in model)):
            found = _anywhere(catalog, model.lower(), is_known=provider in GATEWAYS - {UNKNOWN})
        if found is not None:
            return _through_gateway(found if model is models[0] else _by_the_other(found, name, models[0]), host)
    if provider == UNKNOWN:
        return Unpriced(UNKNOWN_SELLER, f"{models[0]!r} could be anybody's; {_whose(address)}")
    return Unpriced(UNKNOWN_MODEL, f"the price table has no model {models[0]!r} of {provider}")


def _unlisted(provider: str, models: list[str]) -> Unpriced | None:
    """What is not paid for by the call."""
    if provider in PLANS:
        return Unpriced(NO_PRICE, f"calls of {provider} are paid for by the month: no list says what one costs")
    for model in models:
        if _OF_USERS.match(model):
            return Unpriced(NO_PRICE, f"{model!r} is rented, or a model of your own: no list says what one call costs")
    return None


def _by_the_other(found: Found, name: str | None, first: str) -> Found:
    """A model that only the second of the two ids names: of AWS that of the answer, else the one asked for."""
    other, model = first.lower(), found.model
    if found.quality != EXACT or (name != "aws" and (model.names(other) or model.id.lower().endswith(f"/{other}"))):
        return found
    why = (
        "the answer names the model, but not the region"
        if name == "aws"
        else f"the answer names {first}, which is unknown"
    )
    return found._replace(quality=ALIAS, how=f"{why}; {found.how}")


def host_of(address: str | None) -> str | None:
    """The host of `host`, `host:port` or `[host]:port`."""
    if address is None or (address.count(":") > 1 and not address.startswith("[")):
        return address
    return address.rpartition("]")[0].lstrip("[") or address.partition(":")[0]


def _whose(address: str | None) -> str:
    place = address or "host"
    return (
        f"nobody said whose prices count at {place}. If it passes calls on to the vendor of the client library: "
        f"OTEL_COSTSPAN_HOSTS={place}=vendor; else name the provider there, such as openai, instead of vendor. "
        f'Rates of your own: a rule with match: {{host: "{place}"}} in OTEL_COSTSPAN_PRICES'
    )


def _through_gateway(found: Found, host: str | None) -> Found:
    """A model at a gateway is never `exact`: who bills for it, and with what discount or fee, is not seen here."""
    if found.quality != EXACT or host is None or not seller_at(host).is_gateway:
        return found
    return found._replace(quality=ALIAS, how=f"through the gateway {host}; {found.how}")


def _sold_by(catalog: Catalog, provider: str, ref: str) -> Found | None:
    """A seller's model, whose id may have the seller's own name before a slash (Vertex: `google/gemini-2.5-flash`)."""
    found = _at(catalog, provider, ref)
    vendor, slash, rest = ref.partition("/")
    return (
        _at(catalog, provider, rest) if found is None and slash and VENDORS.get(vendor, vendor) == provider else found
    )


def _at(catalog: Catalog, provider: str, ref: str) -> Found | None:
    for each, note in _spellings(_PATH.sub("", ref)):
        if found := catalog.find(provider, each):
            found = found._replace(quality=ALIAS, how=f"{note}; {found.how}") if note else found
            is_base = ref.startswith("ft:") and not found.model.id.startswith("ft:")
            # Every fine-tuned model that OpenAI prices is dearer than its base: a lower bound, not an alias.
            return found._replace(quality=INCOMPLETE) if is_base else found
    return None


def _spellings(ref: str) -> Iterator[tuple[str, str]]:
    """An id as it is, then without what stands around the model's name; with a note where that is a guess."""
    yield ref, ""
    for pattern, note in _AROUND:
        if (plain := pattern.sub(r"\1", ref)) != ref:
            yield plain, note


def _anywhere(catalog: Catalog, ref: str, *, is_known: bool) -> Found | None:
    """A model behind a gateway, if its id can mean one provider's only; of an unknown server, if nobody else has it."""
    found = _by_vendor(catalog, ref)
    return found if found is None or is_known or not _is_open(found) else None


def vendor(catalog: Catalog, ref: str) -> str | None:
    """The table's word for the provider whose models are called so, where that is one and nobody else serves them."""
    found = _anywhere(catalog, ref.lower(), is_known=False)
    return found and found.model.provider


def _is_open(found: Found) -> bool:
    return found.model.provider in OPEN_WEIGHTS or found.model.id.startswith("gpt-oss")


def _by_vendor(catalog: Catalog, ref: str) -> Found | None:
    vendor, slash, rest = ref.partition("/")
    if slash:
        name = VENDORS.get(vendor, vendor)
        found = _at(catalog, name, rest) if name in catalog.providers else None
        return found and found._replace(quality=ALIAS, how=f"{vendor}/ names the provider; {found.how}")
    claiming = [each.id for each in catalog.providers.values() if each.claims(ref)]
    if len(claiming) != 1:
        return None
    found = _at(catalog, claiming[0], ref)
    return found and found._replace(quality=ALIAS, how=f"such ids are {claiming[0]}'s; {found.how}")
