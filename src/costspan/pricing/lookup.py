"""From the words of a call (provider, host, model ids) to a model of the price table, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from costspan.facts.money import ALIAS, INCOMPLETE, NO_MODEL, UNKNOWN_MODEL, Unpriced
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
GATEWAYS: Final = frozenset({"openai", "litellm", "gateway", "portkey", "vercel"})
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
_PATH: Final = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/")
#: What may stand around a model's name, and what it means.
_AROUND: Final = (
    (re.compile(r"^arn:[^:]*:bedrock:[^:]*:[^:]*:[a-z-]+/(.*)$"), "the ARN names the model"),
    (re.compile(r"^(.*):(?:nitro|floor|exacto|online)$"), "a route of the model at OpenRouter"),
    (re.compile(r"^ft:([^:]+):.*$"), "fine-tuned, priced as its base"),
)


def table_name(catalog: Catalog, provider: str, host: str | None) -> str | None:
    """The table's word for a provider, or None if the table knows nothing of it."""
    if provider in GATEWAYS and host and (known := _by_host(catalog, host)):
        return known
    name = TABLE_NAMES.get(provider, provider.lower())
    if name in catalog.providers:
        return name
    if name == "" or name in GATEWAYS:
        return None
    return next((each.id for each in catalog.providers.values() if each.is_called(name)), None)


def find(
    catalog: Catalog, provider: str, host: str | None, answered: str | None, asked: str | None
) -> Found | Unpriced:
    """The table's model for a call: that of the answer, else the one that was asked for."""
    models = [model for model in (answered, asked) if model]
    if not models:
        return Unpriced(NO_MODEL, "neither the answer nor the request names a model")
    name = table_name(catalog, provider, host)
    if name == "aws":
        # The id asked for says the region, and so the price; Claude's body on Bedrock names only the model.
        models.reverse()
    for model in models:
        found = _at(catalog, name, model.lower()) if name else None
        if found is None and provider in GATEWAYS and not _is_openai(host):
            found = _anywhere(catalog, model.lower())
        if found is not None:
            return found
    return Unpriced(UNKNOWN_MODEL, f"the price table has no model {models[0]!r} of {provider}")


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


def _anywhere(catalog: Catalog, ref: str) -> Found | None:
    """A model behind a gateway, if its id can mean one provider's only."""
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


def _by_host(catalog: Catalog, host: str) -> str | None:
    return next((each.id for each in catalog.providers.values() if each.is_at(host)), None)


def _is_openai(host: str | None) -> bool:
    return host is not None and (host == "api.openai.com" or host.endswith(".api.openai.com"))
