"""Who answers, and so whose prices count, at an address: one table of hosts and path prefixes for every client."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Final, NamedTuple

#: The provider of a call whose seller is not known. Never a vendor: many servers speak a vendor's protocol.
UNKNOWN: Final = "unknown"
#: In OTEL_COSTSPAN_HOSTS: whoever's client library calls there (a proxy or a stand-in that passes everything on).
VENDOR: Final = "vendor"


class Seller(NamedTuple):
    """Who answers. At a gateway the answer is somebody else's: `provider` where the path names him, or the gateway."""

    provider: str
    is_gateway: bool = False


#: Host, then the beginning of the path: `*` stands for anything within one label or one segment, and more labels may
#: stand before. Of the rows that fit, the longest is taken. Provider names are those of the GenAI conventions where
#: they have one, else those of the price table, else the vendor's own.
SELLERS: Final = (
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com/models", "azure.ai.inference"),
    ("services.ai.azure.com/anthropic", "azure.ai.inference"),
    ("models.ai.azure.com", "azure.ai.inference"),
    ("inference.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "github_models"),
    ("models.github.ai", "github_models"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("*aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("aiplatform.*.rep.googleapis.com", "gcp.vertex_ai"),
    ("bedrock*.*.amazonaws.com", "aws.bedrock"),
    ("bedrock*.*.amazonaws.com.cn", "aws.bedrock"),
    ("bedrock*.*.vpce.amazonaws.com", "aws.bedrock"),
    ("bedrock*.*.api.aws", "aws.bedrock"),
    ("api.x.ai", "x_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral_ai"),
    ("codestral.mistral.ai", "mistral_ai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.cerebras.ai", "cerebras"),
    ("api.fireworks.ai", "fireworks"),
    ("api.together.ai", "together"),
    ("api.together.xyz", "together"),
    ("*-api.together.ai", "together"),
    ("*-api.together.xyz", "together"),
    ("api.perplexity.ai", "perplexity"),
    ("openrouter.ai", "openrouter"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zhipuai"),
    ("api.minimax.io", "minimax"),
    ("api.minimax.chat", "minimax"),
    ("api.minimaxi.com", "minimax"),
    ("dashscope.aliyuncs.com", "dashscope"),
    ("dashscope-*.aliyuncs.com", "dashscope"),
    ("api.voyageai.com", "voyage_ai"),
    ("api.elevenlabs.io", "elevenlabs"),
    ("api.*.elevenlabs.io", "elevenlabs"),
    ("api.*.residency.elevenlabs.io", "elevenlabs"),
    ("api.cloudflare.com/client/*/accounts/*/ai", "cloudflare"),
    ("*.databricks.com", "databricks"),
    ("azuredatabricks.net", "databricks"),
    ("githubcopilot.com", "github_copilot"),
    ("router.huggingface.co", "huggingface"),
    ("router.huggingface.co/cerebras", "huggingface_cerebras"),
    ("router.huggingface.co/fireworks-ai", "huggingface_fireworks-ai"),
    ("router.huggingface.co/groq", "huggingface_groq"),
    ("router.huggingface.co/hyperbolic", "huggingface_hyperbolic"),
    ("router.huggingface.co/nebius", "huggingface_nebius"),
    ("router.huggingface.co/novita", "huggingface_novita"),
    ("router.huggingface.co/nscale", "huggingface_nscale"),
    ("router.huggingface.co/ovhcloud", "huggingface_ovhcloud"),
    ("router.huggingface.co/publicai", "huggingface_publicai"),
    ("router.huggingface.co/sambanova", "huggingface_sambanova"),
    ("router.huggingface.co/together", "huggingface_together"),
    ("api-inference.huggingface.co", "huggingface"),
    ("endpoints.huggingface.cloud", "huggingface_endpoints"),
    ("inference.baseten.co", "baseten"),
    ("modal.run", "modal"),
    ("modal.direct", "modal"),
    ("oai.endpoints.kepler.ai.cloud.ovh.net", "ovhcloud"),
    ("api.novita.ai", "novita"),
    ("api.doubleword.ai", "doubleword"),
    ("api.quicksilverpro.io", "quicksilverpro"),
    ("api.typesafe.ai", "typesafe"),
    ("api.arcee.ai", "arcee"),
    ("api.avian.io", "avian"),
    ("api.meta.ai", "meta"),
    ("api.cursor.com", "cursor"),
    ("api.ai21.com", "ai21"),
    ("inference.crusoecloud.com", "crusoe"),
    ("ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("api.sambanova.ai", "sambanova"),
    ("api.hyperbolic.xyz", "hyperbolic"),
    ("api.studio.nebius.ai", "nebius"),
    ("api.studio.nebius.com", "nebius"),
    ("api.*.nebius.com", "nebius"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.scaleway.ai", "scaleway"),
    ("api.friendli.ai", "friendli"),
    # Sellers whose prices nobody has compiled: unpriced, and never another's.
    ("api.venice.ai", "venice"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.writer.com", "writer"),
    ("api.replicate.com", "replicate"),
    ("inference.heroku.com", "heroku"),
    ("snowflakecomputing.com", "snowflake"),
    ("ollama.com", "ollama"),
    ("api.siliconflow.cn", "siliconflow"),
    ("api.siliconflow.com", "siliconflow"),
    ("api.llama.com", "meta_llama"),
    ("api.upstage.ai", "upstage"),
    ("api.reka.ai", "reka"),
    ("api.stepfun.ai", "stepfun"),
    ("api.stepfun.com", "stepfun"),
    ("ark.*.volces.com", "volcengine"),
    ("qianfan.baidubce.com", "qianfan"),
    ("api.inference.net", "inference_net"),
    ("router.requesty.ai", "requesty"),
    ("api.poe.com", "poe"),
    # Plans, paid by the month: the list prices are not what such a call costs.
    ("chatgpt.com", "chatgpt"),
    ("api.z.ai/api/coding", "zai_coding_plan"),
    ("open.bigmodel.cn/api/coding", "zai_coding_plan"),
    ("api.kimi.com/coding", "kimi_coding_plan"),
    ("coding*.dashscope.aliyuncs.com", "dashscope_coding_plan"),
)

#: Gateways, in the same form.
#: https://developers.cloudflare.com/ai-gateway/usage/providers/, https://docs.helicone.ai (2026-11)
_CLOUDFLARE: Final = "gateway.ai.cloudflare.com"
GATEWAYS: Final = (
    (_CLOUDFLARE, "cloudflare_ai_gateway"),
    (f"{_CLOUDFLARE}/v1/*/*/openai", "openai"),
    (f"{_CLOUDFLARE}/v1/*/*/anthropic", "anthropic"),
    (f"{_CLOUDFLARE}/v1/*/*/aws-bedrock", "aws.bedrock"),
    (f"{_CLOUDFLARE}/v1/*/*/azure-openai", "azure.ai.openai"),
    (f"{_CLOUDFLARE}/v1/*/*/google-ai-studio", "gcp.gemini"),
    (f"{_CLOUDFLARE}/v1/*/*/google-vertex-ai", "gcp.vertex_ai"),
    (f"{_CLOUDFLARE}/v1/*/*/cerebras", "cerebras"),
    (f"{_CLOUDFLARE}/v1/*/*/cohere", "cohere"),
    (f"{_CLOUDFLARE}/v1/*/*/deepseek", "deepseek"),
    (f"{_CLOUDFLARE}/v1/*/*/grok", "x_ai"),
    (f"{_CLOUDFLARE}/v1/*/*/groq", "groq"),
    (f"{_CLOUDFLARE}/v1/*/*/huggingface", "huggingface"),
    (f"{_CLOUDFLARE}/v1/*/*/mistral", "mistral_ai"),
    (f"{_CLOUDFLARE}/v1/*/*/openrouter", "openrouter"),
    (f"{_CLOUDFLARE}/v1/*/*/perplexity-ai", "perplexity"),
    (f"{_CLOUDFLARE}/v1/*/*/replicate", "replicate"),
    (f"{_CLOUDFLARE}/v1/*/*/workers-ai", "cloudflare"),
    ("helicone.ai", "helicone"),
    ("oai.helicone.ai", "openai"),
    ("anthropic.helicone.ai", "anthropic"),
    ("deepseek.helicone.ai", "deepseek"),
    ("groq.helicone.ai", "groq"),
    ("openrouter.helicone.ai", "openrouter"),
    ("together.helicone.ai", "together"),
    ("x.helicone.ai", "x_ai"),
    ("api.portkey.ai", "portkey"),
    ("ai-gateway.vercel.sh", "vercel"),
    ("azure-api.net", "azure.ai.openai"),
    ("api.braintrust.dev", "braintrust"),
    ("api.llmgateway.io", "llmgateway"),
)

_OLLAMA_PORT: Final = 11434
_OLLAMA: Final = Seller("ollama")
_NOBODY: Final = Seller(UNKNOWN)
#: Names that no public resolver knows, so that only machines of one's own answer to them (RFC 2606, 6761, 6762, 8375).
_OWN_ENDINGS: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "svc", "test", "invalid", "arpa"}
)


class _Row(NamedTuple):
    labels: tuple[str, ...]
    segments: tuple[str, ...]
    seller: Seller


@lru_cache(maxsize=512)
def seller_at(host: str, port: int | None = None, path: str = "") -> Seller:
    """Who answers at an address, by the longest row of the tables that fits it."""
    labels = tuple(host.lower().rstrip(".").split("."))
    segments = tuple(segment for segment in path.split("/") if segment)
    for row in _rows().get(_key(labels), ()):
        if _fits(row, labels, segments):
            return row.seller
    return _OLLAMA if port == _OLLAMA_PORT else _NOBODY


@cache
def _rows() -> dict[str, list[_Row]]:
    """The rows by the end of the host, the longest first."""
    rows: dict[str, list[_Row]] = {}
    for row in _read():
        rows.setdefault(_key(row.labels), []).append(row)
    for each in rows.values():
        each.sort(key=lambda row: (-len(row.labels), -len(row.segments)))
    return rows


def _read() -> Iterator[_Row]:
    for is_gateway, table in ((False, SELLERS), (True, GATEWAYS)):
        for place, provider in table:
            host, *segments = place.split("/")
            yield _Row(tuple(host.split(".")), tuple(segments), Seller(provider, is_gateway))


def _key(labels: tuple[str, ...]) -> str:
    """The last two labels: what all rows that may fit a host have in common with it."""
    return ".".join(labels[-2:])


def _fits(row: _Row, labels: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return (
        len(labels) >= len(row.labels)
        and len(segments) >= len(row.segments)
        and all(map(_is_like, labels[-len(row.labels) :], row.labels))
        and all(map(_is_like, segments, row.segments))
    )


def is_at(place: str, host: str, port: int | None, path: str) -> bool:
    """Whether an address is at a place as the user writes it: `host`, `host:port`, either with a path behind it."""
    server, _, prefix = place.partition("/")
    name = f"[{host}]" if ":" in host else host
    asked, wanted = (tuple(part for part in each.split("/") if part) for each in (path, prefix))
    return server in {host, name, f"{host}:{port}", f"{name}:{port}"} and asked[: len(wanted)] == wanted


def _is_like(word: str, pattern: str) -> bool:
    return word == pattern or ("*" in pattern and fnmatchcase(word, pattern))


def is_own(host: str) -> bool:
    """Whether only machines of one's own can be at a host: a private or loopback address, or no public name."""
    import ipaddress  # takes milliseconds, and most programs ask vendors only

    name = host.lower().strip("[]").rstrip(".")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return "." not in name or name.rpartition(".")[2] in _OWN_ENDINGS
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global
