"""Facts about prices that genai-prices does not hold: each with its source, written into the table beside its data."""

from __future__ import annotations

from typing import Any, Final

#: Models without any price in the data that are free of charge. The others without a price stay unpriced.
FREE: Final = {
    # An id that ends in ":free" is free by its own words (openrouter, azure, mistral); the script adds those.
    # https://developers.openai.com/api/docs/guides/moderation: the endpoint is free of charge.
    ("openai", "moderation"),
    # https://ai.google.dev/gemini-api/docs/pricing: Gemma has a free tier and no paid one.
    ("google", "gemma-3"),
    ("google", "gemma-3n"),
    ("google", "gemma-4-26b-a4b-it"),
    ("google", "gemma-4-31b-it"),
    # https://docs.github.com/en/copilot/reference/copilot-billing/models-and-pricing: included models.
    ("github-copilot", "gpt-3.5-turbo"),
    ("github-copilot", "gpt-4.1"),
    ("github-copilot", "gpt-4o"),
    ("github-copilot", "gpt-4o-mini"),
}

#: The least that is billed where a unit is reported at all.
#: https://console.groq.com/docs/speech-to-text: a request is billed for at least 10 seconds.
LEAST: Final = {
    ("groq", "whisper-large-v3"): {"input_audio_ms": 10_000},
    ("groq", "whisper-large-v3-turbo"): {"input_audio_ms": 10_000},
}

#: Rates beside those of the data, by provider and a pattern of model ids, in USD per 1,000.
MORE_RATES: Final[list[tuple[str, str, dict[str, int | str]]]] = [
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-fetch-tool: no charge beyond the tokens.
    ("anthropic", r"^claude-", {"web_fetches": 0}),
    # https://developers.openai.com/api/docs/pricing (built-in tools): web search preview is 25 USD on models that do
    # not reason and 10 USD on those that do; web search itself is 10 USD. Each call of a search model is one search.
    ("openai", r"^(ft:|chatgpt-)?gpt-(3\.5|4)", {"web_searches_preview": 25}),
    ("openai", r"^(o\d|gpt-[5-9]|codex-)", {"web_searches_preview": 10}),
    ("openai", r"^gpt-4o(-mini)?-search-preview", {"requests": 25}),
    ("openai", r"^gpt-5-search-api", {"requests": 10}),
    # https://developers.openai.com/api/docs/models/gpt-live-1.1: 0.05 USD per minute of a session, billed by the second.
    ("openai", r"^gpt-live-\d", {"session_ms": "1/1200"}),
    # https://platform.moonshot.ai/docs/pricing/tools: 0.005 USD by the call of `$web_search`.
    ("moonshotai", r"", {"web_searches": 5}),
]

#: What a batch costs, as a factor on the standard rates, where the data does not say, by provider and a pattern of model
#: ids that is full-matched: the first that fits.
BATCHES: Final[list[tuple[str, str, str]]] = [
    # https://docs.together.ai/docs/inference/batch/overview, and in words of the vendor's own
    # https://github.com/togethercomputer/skills (references/batch-inference/api-reference.md, 2026): half the price for
    # this model and for Whisper, which the data does not price; "models not listed above run at standard rates".
    ("together", r"meta-llama/Llama-3\.3-70B-Instruct-Turbo", "1/2"),
    ("together", r".*", "1"),
]

#: What a router adds to every token of input, by the name that was asked for (searched in lower case), in USD per
#: million: https://azure.microsoft.com/en-us/pricing/details/azure-openai/ (model router).
ROUTERS: Final[list[dict[str, str]]] = [
    {
        "source": "https://azure.microsoft.com/en-us/pricing/details/azure-openai/",
        "provider": "azure",
        "asked": r"(^|/)model[-_]router",
        "usd_per_million": "0.14",
    }
]

#: Models with a charge by the call that the data does not hold: read their price as a lower bound.
CHARGES_MORE: Final[list[tuple[str, str]]] = [
    ("openrouter", r"openai/gpt-4o(-mini)?-search-preview"),
]

#: Parts whose tokens are the whole input or output of such a model, so that the one rate of the data is theirs.
#: The patterns are full-matched, in this order of provider, model id, parts.
COVERS: Final[list[tuple[str, str, list[str]]]] = [
    # The output of these is images (audio for tts) and nothing else; the data's output rate is the page's image
    # (audio) rate: https://developers.openai.com/api/docs/pricing.
    ("openai", r"gpt-image-(1|1-mini|2|2\.5-flare|2\.5-sunburst)", ["output_image"]),
    ("openai", r"gpt-4o-mini-tts", ["output_audio"]),
    ("google", r"gemini-.*-tts(-preview)?", ["output_audio"]),
    # One input rate for text, image, video and audio: https://ai.google.dev/gemini-api/docs/pricing (2.5 Pro,
    # 3 Pro and 3.1 Pro; the flash models list audio apart).
    ("google", r"gemini-(2\.5|3|3\.1)-pro(-preview)?", ["input_audio", "cache_read_audio"]),
]

#: Parts that such a model prices apart, at a rate the data does not hold: images in and out of models that draw.
LACKS: Final[list[tuple[str, str, list[str]]]] = [
    # Each search is charged a block of 8,000 tokens of input besides, and the page does not say whether the usage has
    # them: https://developers.openai.com/api/docs/pricing (built-in tools).
    (r"openai", r"gpt-(4o|4\.1)-mini", ["web_searches"]),
    (r"openai|openrouter", r"(openai/)?gpt-5(\.\d)?-image.*", ["input_image", "cache_read_image"]),
    (
        r"openai|openrouter",
        r"(openai/)?gpt-audio.*|(openai/)?gpt-4o(-mini)?-(audio|realtime).*",
        ["input_image", "input_video"],
    ),
]

#: Fine-tuned models that the data lacks, in USD per million tokens: https://developers.openai.com/api/docs/pricing
#: (fine-tuning table, inference columns).
MORE_MODELS: Final[list[tuple[str, str, list[str], dict[str, Any]]]] = [
    # https://developers.openai.com/api/docs/models/gpt-4o-mini-search-preview
    ("openai", "gpt-4o-mini-search-preview", ["^gpt-4o-mini-search-preview"], {"input": "0.15", "output": "0.6"}),
    # https://developers.openai.com/api/docs/models/gpt-live-1.1: by the second (MORE_RATES).
    ("openai", "gpt-live-1.1", ["=gpt-live-1.1"], {}),
    ("openai", "ft:gpt-4.1", ["^ft:gpt-4.1-2025-"], {"input": "3", "cache_read": "0.75", "output": "12"}),
    ("openai", "ft:gpt-4.1-mini", ["^ft:gpt-4.1-mini-2025-"], {"input": "0.8", "cache_read": "0.2", "output": "3.2"}),
    ("openai", "ft:gpt-4.1-nano", ["^ft:gpt-4.1-nano-2025-"], {"input": "0.2", "cache_read": "0.05", "output": "0.8"}),
    ("openai", "ft:o4-mini", ["^ft:o4-mini-2025-"], {"input": "4", "cache_read": "1", "output": "16"}),
]

#: What a second of video costs by its size, in USD, of models that the data lacks. A model with one price for all sizes has it
#: for a size that is not known, too.
VIDEOS: Final[list[tuple[str, str, list[str], dict[str, str]]]] = [
    # https://developers.openai.com/api/docs/pricing (video); LiteLLM's map has the same.
    ("openai", "sora-2", ["=sora-2", "^sora-2-2025-"], {"720x1280": "0.10", "1280x720": "0.10"}),
    (
        "openai",
        "sora-2-pro",
        ["=sora-2-pro", "^sora-2-pro-2025-"],
        {"720x1280": "0.30", "1280x720": "0.30", "1024x1792": "0.50", "1792x1024": "0.50"},
    ),
]

#: Factors on every token rate, by the place of inference (what the answer says, or the host that was called).
#: The model pattern is searched in the id of the table's model; the patterns of geo and host are full-matched, and
#: one of them is enough.
MULTIPLIERS: Final[list[dict[str, Any]]] = [
    {
        # "1.1x on all token pricing categories" from Claude Opus 4.6 on, first-party API only.
        "source": "https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing",
        "provider": "anthropic",
        "model": r"^claude-(opus-4-[6-9]|sonnet-4-[6-9]|(opus|sonnet|haiku|fable|mythos)-[5-9])",
        "geo": "us",
        "times": "11/10",
    },
    {
        # 10 % on models released on or after 2026-03-05, on the hosts of regions that process requests themselves.
        "source": "https://developers.openai.com/api/docs/guides/data-residency",
        "provider": "openai",
        "model": r"^gpt-(5\.[4-9]|[6-9]|image-2|realtime-2)",
        "host": r"(us|eu|au|in|jp)\.api\.openai\.com",
        "times": "11/10",
    },
    {
        # Regional and multi-region endpoints cost 10 % more than the global one, from Claude Sonnet 4.5 on.
        "source": "https://platform.claude.com/docs/en/about-claude/pricing#third-party-platform-pricing",
        "provider": "google",
        "model": r"^claude-(opus-4-[5-9]|sonnet-4-[5-9]|haiku-4-[5-9]|(opus|sonnet|haiku|fable|mythos)-[5-9])",
        "geo": r"(?!global$|not_available$)[a-z0-9-]+",
        "host": r"[a-z0-9-]+-aiplatform\.googleapis\.com|aiplatform\.[a-z0-9-]+\.rep\.googleapis\.com",
        "times": "11/10",
    },
    {
        # 25 % on input, cached input and output tokens of a region's own endpoint.
        "source": "https://docs.together.ai/docs/serverless/geo-specific-inference",
        "provider": "together",
        "model": "",
        "host": r"(us|ca)-api\.together\.(ai|xyz)",
        "times": "5/4",
    },
]
