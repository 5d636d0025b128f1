"""Measure how far the estimates of streams that were cut short are from what providers count, over recorded traffic.

    COSTSPAN_CORPUS=../shared/corpus python scripts/measure_estimates.py

Prints the table of docs/estimates.md: the estimate of every recorded prompt and of every whole recorded stream, divided by
what the provider counted.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from costspan.calls.estimating import input_tokens, output_tokens
from pages import ROOT, table

CORPUS = Path(os.environ.get("COSTSPAN_CORPUS", ROOT / "../shared/corpus"))
APIS = (
    "openai.chat",
    "openai.responses",
    "openai.completions",
    "azure.chat",
    "anthropic.messages",
    "groq.chat",
    "together.chat",
)


def exchanges(api: str) -> Iterator[dict[str, Any]]:
    """The recorded exchanges of an API that report usage."""
    with (CORPUS / f"{api}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            if exchange["expected"]["usage_present"] and isinstance(exchange["request"].get("json"), dict):
                yield exchange


def events(body: str) -> list[Any]:
    """The events of a stream."""
    texts = [line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(text) for text in texts if text.startswith("{")]


FEWEST = 4  # for quartiles
Pair = tuple[int, int]  # estimated, counted


def pairs(api: str) -> tuple[list[Pair], list[Pair]]:
    """Estimated and counted: of prompts, and of streams."""
    prompts: list[Pair] = []
    streams: list[Pair] = []
    for exchange in exchanges(api):
        counted = exchange["expected"]["usage"]
        if counted["input_total"]:
            prompts.append((input_tokens(exchange["request"]["json"]), counted["input_total"]))
        if exchange["response"]["stream"] == "sse" and counted["output_total"]:
            seen = events(exchange["response"]["body"])
            streams.append((output_tokens(seen, len(seen)), counted["output_total"]))
    return prompts, streams


def spread(found: list[Pair]) -> tuple[str, str, str]:
    """How many, the quartiles of estimated by counted, and the same of the sums."""
    if len(found) < FEWEST:
        return str(len(found)), "", ""
    cuts = statistics.quantiles([estimated / counted for estimated, counted in found], n=4)
    whole = sum(estimated for estimated, _ in found) / sum(counted for _, counted in found)
    return str(len(found)), " / ".join(f"{cut:.2f}" for cut in cuts), f"{whole:.2f}"


def main() -> None:
    """Print the table."""
    if not CORPUS.is_dir():
        sys.exit(f"measure_estimates: no recorded traffic at {CORPUS}: say where it lies by COSTSPAN_CORPUS")
    rows = [(f"`{api}`", *spread(prompts), *spread(streams)) for api in APIS for prompts, streams in [pairs(api)]]
    print(table(("API", "prompts", "quartiles", "sum", "streams", "quartiles", "sum"), rows))


if __name__ == "__main__":
    main()
