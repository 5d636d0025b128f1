"""Who answers at an address: the table of sellers, what the user says, and the calls of real clients through both."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

import replaying
from caller import flavour
from costspan.facts.money import Cost, Unpriced
from costspan.facts.sellers import UNKNOWN, is_at, is_own, seller_at
from costspan.pricing.catalog import Catalog
from costspan.pricing.lookup import table_name
from watching import Watched

ADDRESSES = [
    # host                                            path                               provider
    ("api.openai.com",                                "/v1/",                            "openai"),
    ("eu.api.openai.com",                             "/v1/",                            "openai"),
    ("evil-api.openai.com.example.org",               "/v1/",                            "unknown"),
    ("notapi.openai.com",                             "/v1/",                            "unknown"),
    ("notopenrouter.ai",                              "/api/v1/",                        "unknown"),
    ("openrouter.ai",                                 "/api/v1/",                        "openrouter"),
    ("API.DEEPSEEK.COM.",                             "/anthropic",                      "deepseek"),
    ("res.openai.azure.com",                          "/openai/v1/",                     "azure.ai.openai"),
    ("res.services.ai.azure.com",                     "/openai/v1/",                     "azure.ai.openai"),
    ("res.services.ai.azure.com",                     "/anthropic/",                     "azure.ai.inference"),
    ("us-east5-aiplatform.googleapis.com",            "/v1/projects/p",                  "gcp.vertex_ai"),
    ("aiplatform.us.rep.googleapis.com",              "/v1/projects/p",                  "gcp.vertex_ai"),
    ("bedrock-runtime.eu-west-1.amazonaws.com",       "/",                               "aws.bedrock"),
    ("vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "/",                         "aws.bedrock"),
    ("bedrock-mantle.us-east-1.api.aws",              "/openai/v1/",                     "aws.bedrock"),
    ("ec2-3-80-1-2.compute-1.amazonaws.com",          "/v1/",                            "unknown"),
    ("abc.execute-api.us-east-1.amazonaws.com",       "/v1/",                            "unknown"),
    ("us-api.together.ai",                            "/v1/",                            "together"),
    ("dashscope-intl.aliyuncs.com",                   "/compatible-mode/v1/",            "dashscope"),
    ("coding-intl.dashscope.aliyuncs.com",            "/v1/",                            "dashscope_coding_plan"),
    ("api.venice.ai",                                 "/api/v1/",                        "venice"),
    ("api.z.ai",                                      "/api/anthropic",                  "zai"),
    ("api.z.ai",                                      "/api/coding/paas/v4/",            "zai_coding_plan"),
    ("api.moonshot.cn",                               "/anthropic",                      "moonshot_ai"),
    ("chatgpt.com",                                   "/backend-api/codex/",             "chatgpt"),
    ("router.huggingface.co",                         "/v1/",                            "huggingface"),
    ("router.huggingface.co",                         "/together/v1/",                   "huggingface_together"),
    ("router.huggingface.co",                         "/togetherness/v1/",               "huggingface"),
    ("api.cloudflare.com",                            "/client/v4/accounts/a1/ai/v1/",   "cloudflare"),
    ("api.cloudflare.com",                            "/client/v4/zones/",               "unknown"),
    ("gateway.ai.cloudflare.com",                     "/v1/a1/g/anthropic",              "anthropic"),
    ("gateway.ai.cloudflare.com",                     "/v1/a1/g/compat/",                "cloudflare_ai_gateway"),
    ("adb-1.2.azuredatabricks.net",                   "/serving-endpoints/",             "databricks"),
    ("llm.corp.example",                              "/v1/",                            "unknown"),
    ("",                                              "",                                "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "path", "provider"), ADDRESSES)
def test_the_seller_is_told_by_host_and_path(host: str, path: str, provider: str) -> None:
    """Whole labels and whole segments count, and the longest row of the table that fits."""
    assert seller_at(host, None, path).provider == provider


# One address for each provider of the price table that has an API of its own.
PRICED = {
    "anthropic": "api.anthropic.com", "arcee": "api.arcee.ai/", "avian": "api.avian.io",
    "aws": "bedrock-runtime.us-east-1.amazonaws.com/", "azure": "res.openai.azure.com",
    "baseten": "inference.baseten.co/v1", "cerebras": "api.cerebras.ai",
    "cloudflare": "api.cloudflare.com/client/v4/accounts/a1/ai/v1", "cohere": "api.cohere.com",
    "cursor": "api.cursor.com", "databricks": "dbc-1.cloud.databricks.com/serving-endpoints",
    "deepseek": "api.deepseek.com", "doubleword": "api.doubleword.ai",
    "elevenlabs": "api.eu.residency.elevenlabs.io/v1", "fireworks": "api.fireworks.ai",
    "github-copilot": "api.githubcopilot.com", "google": "generativelanguage.googleapis.com", "groq": "api.groq.com",
    "meta": "api.meta.ai/v1", "minimax": "api.minimaxi.com", "mistral": "api.mistral.ai",
    "modal": "acme--llm.modal.run/v1", "moonshotai": "api.moonshot.ai", "novita": "api.novita.ai",
    "openai": "api.openai.com", "openrouter": "openrouter.ai",
    "ovhcloud": "oai.endpoints.kepler.ai.cloud.ovh.net", "perplexity": "api.perplexity.ai",
    "quicksilverpro": "api.quicksilverpro.io", "together": "api.together.xyz", "typesafe": "api.typesafe.ai",
    "voyageai": "api.voyageai.com", "x-ai": "api.x.ai", "zai": "api.z.ai", "zhipuai": "open.bigmodel.cn",
}  # fmt: skip
SAME_API = {"openai-decisions"}  # another list of prices of OpenAI's own API
#: Whose prices the second source alone has: the table has no pattern of their addresses.
BY_ADDRESS_ALONE = {
    "ai21": "api.ai21.com", "crusoe": "api.inference.crusoecloud.com", "deepinfra": "api.deepinfra.com",
    "friendli": "api.friendli.ai", "hyperbolic": "api.hyperbolic.xyz", "ibm.watsonx.ai": "us-south.ml.cloud.ibm.com",
    "nebius": "api.studio.nebius.ai", "sambanova": "api.sambanova.ai", "scaleway": "api.scaleway.ai",
}  # fmt: skip


def test_every_seller_that_the_price_table_tells_by_its_address_is_found() -> None:
    """Each provider of the table is reached at an address that the table's own pattern accepts."""
    catalog = Catalog.bundled()
    places = PRICED | BY_ADDRESS_ALONE
    for name in catalog.providers:
        if name.startswith("huggingface_"):
            places[name] = f"router.huggingface.co/{name.removeprefix('huggingface_')}/v1"
    assert places.keys() | SAME_API == catalog.providers.keys()
    for name, place in places.items():
        host, _, path = place.partition("/")
        assert bool(catalog.providers[name].api) == (name not in BY_ADDRESS_ALONE)
        assert re.match(catalog.providers[name].api, f"https://{place}"), name
        assert table_name(catalog, seller_at(host, None, f"/{path}").provider) == name


RECORDED_ANYWHERE = {"gpustack.invalid", "ollama.invalid", "localhost", "127.0.0.1", "0.0.0.0"}  # noqa: S104  # as recorded


@replaying.needs_recordings
def test_every_recorded_host_has_a_seller() -> None:
    """What the recordings were made with is in the table, but for servers on the recorder's own machines."""
    exchanges = replaying.all_recordings()
    nobody = {
        host
        for host, path in {(x["host"].partition(":")[0], x["path"]) for x in exchanges}
        if seller_at(host, None, path).provider == UNKNOWN
    }
    assert nobody <= RECORDED_ANYWHERE
    assert all(map(is_own, nobody))


PLACES = [
    ("my.host", "my.host", None, "/v1/", True),
    ("my.host", "my.host", 8000, "/v1/", True),
    ("my.host:8000", "my.host", 8000, "/v1/", True),
    ("my.host:8000", "my.host", 8001, "/v1/", False),
    ("my.host", "other.my.host", None, "/", False),
    ("my.host/claude", "my.host", None, "/claude/v1/", True),
    ("my.host/claude", "my.host", None, "/claudette/v1/", False),
    ("my.host:1/claude", "my.host", 1, "/claude", True),
    ("[::1]:8000", "::1", 8000, "/v1/", True),
    ("::1", "::1", 8000, "/v1/", True),
]


@pytest.mark.parametrize(("place", "host", "port", "path", "expected"), PLACES)
def test_a_place_of_the_users_is_a_host_with_or_without_port_and_path(
    place: str, host: str, port: int | None, path: str, *, expected: bool
) -> None:
    assert is_at(place, host, port, path) == expected


# --- through the clients -------------------------------------------------------------------------------------------

CHAT = {
    "id": "c", "object": "chat.completion", "created": 1,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100},
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "ok"}],
    "stop_reason": "end_turn", "usage": {"input_tokens": 1_000, "output_tokens": 100},
}  # fmt: skip
CALLS = [
    # library      base URL                                     model               provider        price
    ("openai",    "https://api.openai.com/v1",                  "gpt-4o",           "openai",       "exact"),
    ("openai",    "https://api.venice.ai/api/v1",               "gpt-4o",           "venice",       "unknown_model"),
    ("openai",    "https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen-max",  "dashscope",    "unknown_model"),
    ("openai",    "https://chatgpt.com/backend-api/codex",      "gpt-5",            "chatgpt",      "no_price"),
    ("openai",    "https://llm.corp.example.com/v1",            "gpt-4o",           "unknown",      "alias"),
    ("openai",    "http://10.1.2.3:8000/v1",                    "gpt-4o",           "unknown",      "unknown_seller"),
    ("openai",    "http://localhost:8000/v1",                   "command-r",        "unknown",      "unknown_seller"),
    ("openai",    "http://localhost:11434/v1",                  "llama3.2",         "ollama",       "unknown_model"),
    ("openai",    "https://gateway.ai.cloudflare.com/v1/a/g/groq", "llama-3.3-70b-versatile", "groq", "alias"),
    ("openai",    "http://passed.on:1/v1",                      "gpt-4o",           "openai",       "exact"),
    ("anthropic", "http://passed.on:1",                         "claude-haiku-4-5", "anthropic",    "exact"),
    ("anthropic", "http://mine.local/claude",                   "claude-haiku-4-5", "anthropic",    "exact"),
    ("anthropic", "http://mine.local/other",                    "claude-haiku-4-5", "unknown",      "unknown_seller"),
    ("anthropic", "https://api.anthropic.com",                  "claude-haiku-4-5", "anthropic",    "exact"),
    ("anthropic", "https://api.deepseek.com/anthropic",         "deepseek-chat",    "deepseek",     "exact"),
    ("anthropic", "https://api.moonshot.ai/anthropic",          "kimi-k3",          "moonshot_ai",  "exact"),
    ("anthropic", "https://api.z.ai/api/anthropic",             "glm-4.6",          "zai",          "exact"),
    ("anthropic", "http://vllm:8000",                           "claude-haiku-4-5", "unknown",      "unknown_seller"),
    ("groq",      "http://127.0.0.1:8000",                      "gpt-4o",           "unknown",      "unknown_seller"),
    ("groq",      "https://api.groq.com",                       "llama-3.3-70b-versatile", "groq",  "exact"),
]  # fmt: skip
SAID = {"OTEL_COSTSPAN_HOSTS": "passed.on=vendor,mine.local/claude=anthropic"}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("library", "url", "model", "provider", "expected"), CALLS)
def test_every_client_tells_the_seller_by_its_address(
    library: str, url: str, model: str, provider: str, expected: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the library, the provider is who answers at the address, and prices count as far as that is known."""
    monkeypatch.setenv(*next(iter(SAID.items())))
    with Watched() as watched:
        asyncio.run(ask(library, url, model, mode))
        call = watched.call()
    assert call.provider == provider
    price: Any = call.price
    assert (price.reason if isinstance(price, Unpriced) else price.quality) == expected


def test_an_address_that_is_asked_for_in_full_tells_the_seller() -> None:
    """A client may be asked for another address than its own."""
    with Watched() as watched:
        client = client_of("openai", "https://api.openai.com/v1", "sync", "gpt-4o")
        client.post("https://llm.corp.example.com/v1/chat/completions", body={"model": "gpt-4o"}, cast_to=object)
        call = watched.call()
    assert (call.provider, call.host) == (UNKNOWN, "llm.corp.example.com")
    assert isinstance(call.price, Cost)
    assert call.price.quality == "alias"


def test_the_cost_that_a_seller_reports_in_anthropics_words_is_reported() -> None:
    """OpenRouter reports what it charges in the usage, whichever protocol it is asked by."""
    usage = {**MESSAGE["usage"], "cost": 0.00123, "is_byok": False}
    with Watched() as watched:
        client = client_of("anthropic", "https://openrouter.ai/api", "sync", "claude-haiku-4-5", usage=usage)
        client.messages.create(
            model="anthropic/claude-haiku-4.5", max_tokens=9, messages=[{"role": "user", "content": "a"}]
        )
        call = watched.call()
    assert call.provider == "openrouter"
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (1_230_000, "reported")


def client_of(library: str, url: str, mode: str, model: str, **more: Any) -> Any:
    """A client of the library at the address, answered by itself."""
    module = __import__(library)
    http = flavour(library)
    body = {**(MESSAGE if library == "anthropic" else CHAT), "model": model, **more}

    def answer(_: Any) -> Any:
        return http.Response(200, content=json.dumps(body), headers={"content-type": "application/json"})

    name = {"openai": "OpenAI", "anthropic": "Anthropic", "groq": "Groq"}[library]
    kind = getattr(module, f"Async{name}" if mode == "async" else name)
    transport = http.MockTransport(answer)
    client = http.AsyncClient(transport=transport) if mode == "async" else http.Client(transport=transport)
    return kind(api_key="k", base_url=url, http_client=client, max_retries=0)


async def ask(library: str, url: str, model: str, mode: str) -> None:
    """One call."""
    client = client_of(library, url, mode, model)
    messages: Any = [{"role": "user", "content": "hi"}]
    if library == "anthropic":
        made = client.messages.create(model=model, messages=messages, max_tokens=9)
    else:
        made = client.chat.completions.create(model=model, messages=messages)
    if mode == "async":
        await made
