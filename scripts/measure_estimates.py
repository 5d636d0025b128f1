"""Measure how far the estimates of streams that were cut short are from what providers count, over recorded traffic.

    COSTSPAN_CORPUS=../shared/corpus python scripts/measure_estimates.py

Prints the tables of docs/estimates.md: the estimate of every recorded prompt and of every whole recorded stream, divided by
what the provider counted; and how far off the estimates are of all streams of all providers, cut at half and at the last event.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any, cast

from costspan.calls.estimating import input_tokens, measure, output_tokens
from costspan.clients.estimates import prompt, shown
from pages import table
from recordings import apis, with_usage

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
    """The recorded exchanges of an API that report usage, and whose request is JSON."""
    return (each for each in with_usage(api) if isinstance(each["request"].get("json"), dict))


def events(body: str) -> list[Any]:
    """The events of a stream."""
    texts = [line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(text) for text in texts if text.startswith("{")]


def factors(pairs: list[tuple[float, float]]) -> tuple[str, str, str]:
    """How many, and the factor that estimates are off by, up or down: the median and the 90th percentile."""
    found = sorted(max(estimated, counted) / max(1e-3, min(estimated, counted)) for estimated, counted in pairs)
    if len(found) < FEWEST:
        return str(len(found)), "", ""
    return str(len(found)), f"{found[len(found) // 2]:.2f}", f"{found[len(found) * 9 // 10]:.2f}"


def is_shown(body: dict[str, Any], api: str) -> bool:
    """Whether the request shows what the model is given: no server's tools, no conversation stored elsewhere."""
    given: list[Any] = body.get("tools") or []
    tools = [cast("dict[str, Any]", tool) for tool in given if isinstance(tool, dict)]
    own = all(tool.get("type", "function") in {"function", "custom"} or "input_schema" in tool for tool in tools)
    return own and not body.get("previous_response_id") and not api.startswith("cohere")


def text_bytes(seen: list[Any]) -> float:
    """The bytes of text in stream events."""
    return sum(measure(shown(event).texts)[0] for event in seen)


def cut_streams() -> Iterator[tuple[str, float, float]]:
    """What is estimated at a cut, what it is, and what was counted of it: by the share of text that had come."""
    for api in apis():
        if not api.endswith(("chat", "responses", "messages", "completions")):
            continue
        for exchange in exchanges(api):
            if exchange["response"]["stream"] != "sse":
                continue
            counted, body = exchange["expected"]["usage"], exchange["request"]["json"]
            seen = events(exchange["response"]["body"])
            if counted["input_total"]:
                yield "input", input_tokens(body, prompt), counted["input_total"]
                if is_shown(body, api):
                    yield "input, all of it in the request", input_tokens(body, prompt), counted["input_total"]
            whole = output_tokens(seen, len(seen), shown)
            for name, cut in (("half", seen[: len(seen) // 2]), ("the last event", seen[:-1])):
                if not (cut and whole and counted["output_total"]):
                    continue
                due = counted["output_total"] * text_bytes(cut) / max(1, text_bytes(seen))
                if due >= 1:
                    hidden = ", with hidden or shown reasoning" if counted["reasoning"] else ""
                    yield f"output at {name}{hidden}", output_tokens(cut, len(cut), shown), due


FEWEST = 4  # for quartiles
Pair = tuple[int, int]  # estimated, counted


def pairs(api: str) -> tuple[list[Pair], list[Pair]]:
    """Estimated and counted: of prompts, and of streams."""
    prompts: list[Pair] = []
    streams: list[Pair] = []
    for exchange in exchanges(api):
        counted = exchange["expected"]["usage"]
        if counted["input_total"]:
            prompts.append((input_tokens(exchange["request"]["json"], prompt), counted["input_total"]))
        if exchange["response"]["stream"] == "sse" and counted["output_total"]:
            seen = events(exchange["response"]["body"])
            streams.append((output_tokens(seen, len(seen), shown), counted["output_total"]))
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
    rows = [(f"`{api}`", *spread(prompts), *spread(streams)) for api in APIS for prompts, streams in [pairs(api)]]
    kinds: dict[str, list[tuple[float, float]]] = {}
    for kind, estimated, counted in cut_streams():
        kinds.setdefault(kind, []).append((estimated, counted))
    print(
        table(
            ("estimate", "streams", "median factor", "90th percentile"),
            [(k, *factors(kinds[k])) for k in sorted(kinds)],
        )
    )
    print()
    print(table(("API", "prompts", "quartiles", "sum", "streams", "quartiles", "sum"), rows))


if __name__ == "__main__":
    main()
