"""The second source of prices: LiteLLM's map of models, for what genai-prices does not have.

    python scripts/second_prices.py MAP VERSION    write scripts/second_prices.jsonl from `litellm/model_prices_and_context_window_backup.json`
                                                   of the wheel of litellm VERSION

Each line of the file is one model at one seller: the seller in the table's words, the model's id as it is sent, the
place (a region of AWS, or null), where the rates were read by those who compiled the map, the rates in USD by unit
(with long prompts `[base, [tokens, rate]]`), and rates of their own for batches and service tiers. A model is left
out where one of its prices is of a kind that is not understood here: half a price is worse than none.
"""

from __future__ import annotations

import argparse
import json
import re
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, Final, cast

FILE: Final = Path(__file__).with_name("second_prices.jsonl")

#: The seller in LiteLLM's words -> in the table's, and in those of `facts/sellers.py` where the table has him not.
#: Sellers that charge in another currency at some of their hosts are left out (dashscope, volcengine).
SELLERS: Final = {
    "ai21": "ai21", "anthropic": "anthropic", "azure": "azure", "azure_ai": "azure", "baseten": "baseten", "bedrock": "aws",
    "bedrock_converse": "aws", "bedrock_mantle": "aws", "cerebras": "cerebras", "cohere": "cohere", "cohere_chat": "cohere", "crusoe": "crusoe",
    "deepinfra": "deepinfra", "deepseek": "deepseek", "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks", "friendliai": "friendli", "gemini": "google", "groq": "groq",
    "heroku": "heroku", "hyperbolic": "hyperbolic", "meta_llama": "meta_llama", "minimax": "minimax",
    "mistral": "mistral", "moonshot": "moonshotai", "nebius": "nebius", "novita": "novita", "nvidia_nim": "nvidia",
    "openai": "openai", "ovhcloud": "ovhcloud", "perplexity": "perplexity", "sambanova": "sambanova",
    "scaleway": "scaleway", "together_ai": "together", "vertex_ai": "google", "voyage": "voyageai",
    "watsonx": "ibm.watsonx.ai", "xai": "x-ai", "zai": "zai",
}  # fmt: skip
_VERTEX: Final = "vertex_ai-"
_MODES: Final = frozenset({
    "chat", "completion", "responses", "embedding", "rerank", "ocr", "audio_transcription", "audio_speech", "image_generation",
})  # fmt: skip

#: A price of the map -> the unit that it is a price of, and how many of them it is the price of.
UNITS: Final = {
    "input_cost_per_token": ("input", 1),
    "output_cost_per_token": ("output", 1),
    "cache_read_input_token_cost": ("cache_read", 1),
    "cache_creation_input_token_cost": ("cache_write", 1),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h", 1),
    "cache_creation_input_token_cost_above_12hr": ("cache_write_12h", 1),
    "input_cost_per_audio_token": ("input_audio", 1),
    "output_cost_per_audio_token": ("output_audio", 1),
    "cache_read_input_audio_token_cost": ("cache_read_audio", 1),
    "input_cost_per_image_token": ("input_image", 1),
    "output_cost_per_image_token": ("output_image", 1),
    "cache_read_input_image_token_cost": ("cache_read_image", 1),
    "input_cost_per_video_token": ("input_video", 1),
    "output_cost_per_reasoning_token": ("reasoning", 1),
    "citation_cost_per_token": ("output_citation", 1),
    "input_cost_per_query": ("search_units", 1),
    "input_cost_per_request": ("requests", 1),
    "ocr_cost_per_page": ("pages", 1),
    "annotation_cost_per_page": ("annotated_pages", 1),
    "input_cost_per_character": ("characters", 1),
}
#: What is a price of something else in another mode. Sound is measured by the second here, by the thousandth in the table.
_OF_MODE: Final = {
    ("audio_transcription", "input_cost_per_second"): ("input_audio_ms", 1_000),
    ("audio_speech", "output_cost_per_second"): ("output_audio_ms", 1_000),
    ("image_generation", "output_cost_per_image"): ("images", 1),
    ("embedding", "input_cost_per_image"): ("images", 1),
}
#: Another measure of what tokens measure too: where a model has a price of both, that of the tokens is the bill. What
#: is embedded is text or a picture, each in a measure of its own.
_MEASURES: Final = frozenset({"characters", "input_audio_ms", "output_audio_ms", "images", "pages"})
#: More than any model costs, in USD per million tokens: such a price is a slip of the map's.
_MOST_USD: Final = {"embedding": 10, "rerank": 10}
_MOST_USD_OTHERWISE: Final = 1_000
#: Prices that add nothing to the others, or of what no usage counts: the tools' own fees, and factors for places that
#: the table has by rules of its own (`price_facts.MULTIPLIERS`).
_LEFT_OUT: Final = re.compile(
    r"search_context_cost_per_query|google_maps_grounding_cost_per_query|input_cost_per_token_cache_hit|.*_uplift_multiplier.*"
    r"|cache_creation_input_audio_token_cost|code_interpreter_cost_per_session|.*_decisions|.*_ultrafast|.*_balanced"
)
_VARIANTS: Final = {
    "_batches": ("processing", "batch"),
    "_flex": ("service_tier", "flex"),
    "_priority": ("service_tier", "priority"),
}
_ABOVE: Final = re.compile(r"_above_(\d+)k_tokens")
_REGION: Final = re.compile(r"bedrock(?:_mantle)?/([a-z]{2}(?:-[a-z]+)+-\d)/(.+)")
#: Ids that LiteLLM made up: classes of sizes, sizes of pictures, places of Azure, commitments, routes of its own.
_MADE_UP: Final = re.compile(
    r"together-ai-.*|fireworks-ai-.*|.*commitment/.*|(us|eu|apac|global|us-gov|global-standard|hd|standard|high|medium|low|speech)/.*"
    r"|(.*/)?[^/]+-x-[^/]+/.*|doc-intelligence/.*|.*\*.*|claude_platform/.*|invoke/.*|model[-_]router"
)

_CLEAN: Final = Context(prec=12)


def rows(models: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """The lines of the file."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for name, entry in models.items():
        if (row := _row(name, entry)) is not None:
            found.setdefault((row[0], row[1], row[2] or ""), row)
    return [found[key] for key in sorted(found)]


def _row(name: str, entry: dict[str, Any]) -> list[Any] | None:
    seller = _seller(entry.get("litellm_provider"))
    if seller is None or entry.get("mode") not in _MODES:
        return None
    regional = _REGION.fullmatch(name)
    place, model = regional.groups() if regional else (None, _as_sent(name, entry["litellm_provider"]))
    priced = _prices(entry)
    if _MADE_UP.fullmatch(model.lower()) or not priced:
        return None
    standard, variants = priced
    return [seller, model.lower(), place, _origin(entry), standard, variants]


def _seller(name: Any) -> str | None:
    """The seller in the table's words. Models on Vertex are told apart by their vendor in LiteLLM's."""
    if isinstance(name, str) and name.startswith(_VERTEX) and name.endswith("models"):
        return "google"
    return SELLERS.get(name)


def _as_sent(name: str, provider: str) -> str:
    """The id without the word for the provider that LiteLLM puts before it."""
    own = provider.partition("-")[0]
    first, slash, rest = name.partition("/")
    words = {own, own.removesuffix("_chat"), own.removesuffix("_converse"), "vertex_ai" if own == "vertex_ai" else own}
    return rest if slash and first in words else name


def _prices(entry: dict[str, Any]) -> tuple[dict[str, Any], list[list[Any]]] | None:
    """Standard rates by unit, and the variants; None where there are none, or one is not understood."""
    found: dict[tuple[str, str] | None, dict[str, dict[int, Decimal]]] = {}
    for key, value in entry.items():
        if not _is_price(key) or _LEFT_OUT.fullmatch(key):
            continue
        suffix = next((each for each in _VARIANTS if key.endswith(each)), "")
        plain = key.removesuffix(suffix)
        longer = _ABOVE.search(plain)
        plain = _ABOVE.sub("", plain)
        unit, per = _OF_MODE.get((entry["mode"], plain)) or UNITS.get(plain, ("", 0))
        if not unit or not isinstance(value, int | Decimal):
            if value in (0, None):
                continue
            return None
        steps = found.setdefault(_VARIANTS.get(suffix), {}).setdefault(unit, {})
        steps[int(longer[1]) * 1_000 if longer else 0] = Decimal(cast("Decimal", value)) / per
    standard = _written(found.pop(None, {}))
    if standard.keys() & {"input", "output"}:
        twice = _MEASURES - {"images"} if entry["mode"] == "embedding" else _MEASURES
        standard = {unit: price for unit, price in standard.items() if unit not in twice}
    if any(base(price) * 1_000_000 > _most(entry) for unit, price in standard.items() if unit in {"input", "output"}):
        return None
    variants: list[list[Any]] = [[*key, each] for key, given in found.items() if key and (each := _written(given))]
    return (standard, variants) if standard else None


def _most(entry: dict[str, Any]) -> int:
    return _MOST_USD.get(entry["mode"], _MOST_USD_OTHERWISE)


def base(price: Any) -> Decimal:
    """The rate of a short prompt, of a price as a line has it."""
    return Decimal(cast("list[Any]", price)[0] if isinstance(price, list) else price)


def above(price: Any) -> list[list[Any]]:
    """Tokens and rate of each kind of longer prompt."""
    return cast("list[Any]", price)[1:] if isinstance(price, list) else []


def _is_price(key: str) -> bool:
    return "cost" in key or "pricing" in key


def _written(given: dict[str, dict[int, Decimal]]) -> dict[str, Any]:
    """Rates as the file has them. One of nothing is no price: the map writes 0 for what it does not know."""
    found: dict[str, Any] = {}
    for unit, steps in given.items():
        if 0 in steps and any(steps.values()):
            base, *longer = [(start, _plain(rate)) for start, rate in sorted(steps.items())]
            found[unit] = [base[1], *map(list, longer)] if longer else base[1]
    return found


def _plain(rate: Decimal) -> str:
    """Without the noise of floating point that some prices of the map have in their last digits."""
    text = f"{_CLEAN.plus(rate):f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _origin(entry: dict[str, Any]) -> str | None:
    """Where the rates were read, as the map says it."""
    said = entry.get("source")
    return said if isinstance(said, str) and said.startswith("https://") else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path)
    parser.add_argument("version")
    asked = parser.parse_args()
    models = json.loads(asked.map.read_text(), parse_float=Decimal)
    found = rows({name: entry for name, entry in models.items() if name != "sample_spec"})
    lines = [
        json.dumps({"source": f"LiteLLM {asked.version}"}),
        *(json.dumps(row, separators=(",", ":")) for row in found),
    ]
    FILE.write_text("\n".join(lines) + "\n")
    print(f"second_prices: wrote {FILE.name}: {len(found)} models")


if __name__ == "__main__":
    main()
