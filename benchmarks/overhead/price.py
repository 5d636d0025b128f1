"""What it costs to price a call: the first time, with the table to load, and from then on.

python -m benchmarks.overhead.price
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.processes import ask
from benchmarks.rows import Rows

ROWS: Final = Rows("price")
_PRICES: Final = 5_000
_REPEATS: Final = 15
_AT_S: Final = 1_795_310_400.0
#: provider, counts, model and what else the answer says, by kind of call
CALLS: Final[dict[str, tuple[str, dict[str, int], dict[str, Any]]]] = {
    "a chat call": (
        "openai", {"input": 812, "cache_read": 512, "output": 96, "reasoning": 32},
        {"model": "gpt-4o-mini-2024-07-18", "tier": "default"}),
    "a long prompt, flex tier": (
        "openai", {"input": 300_000, "cache_read": 512, "output": 900, "reasoning": 700},
        {"model": "gpt-5.6-sol", "tier": "flex"}),
    "two kinds of cache and a web search": (
        "anthropic",
        {"input": 9_000, "cache_read": 512, "cache_write": 700, "cache_write_5m": 500, "cache_write_1h": 200,
         "output": 200, "web_searches": 1},
        {"model": "claude-sonnet-4-5-20250929", "tier": "standard"}),
    "an unknown model": ("openai", {"input": 812, "cache_read": 512, "output": 96}, {"model": "acme-large-9"}),
}  # fmt: skip
#: Fine-tuned models of one company, called in turn: more names than most programs ever use.
NAMES: Final = 10_000


def main_in_worker() -> None:
    """Load the table with the first price, then price each kind of call again and again.

    The first price comes where a client library and costspan's other parts are in memory already.
    """
    import openai  # noqa: F401

    from costspan import assembly  # noqa: F401
    from costspan.pricing.opener import LazyPrices

    pricer = LazyPrices()
    began = time.process_time()
    _pricing(pricer, *CALLS["a chat call"])()
    loaded_s = time.process_time() - began
    warm = {kind: _fastest_us(_pricing(pricer, *call)) for kind, call in CALLS.items()}
    names_us = _names_us(pricer)
    print("RESULT " + json.dumps({"load_ms": loaded_s * 1e3, "price_us": warm, "names_us": names_us}), flush=True)


def _pricing(pricer: Any, provider: str, counts: dict[str, int], said: dict[str, Any]) -> Callable[[], Any]:
    from costspan.facts.call import Answer
    from costspan.facts.usage import Usage

    answer = Answer(Usage(counts), **said)
    return lambda: pricer.price(provider, f"api.{provider}.com", answer.model, answer, _AT_S)


def _names_us(pricer: Any) -> float:
    """A call of each of many models in turn, the fastest of several rounds after the first."""
    calls = [
        _pricing(pricer, "openai", {"input": 812, "output": 96}, {"model": f"ft:gpt-4o-2024-08-06:acme::{number:06}"})
        for number in range(NAMES)
    ]

    def once() -> float:
        began = time.process_time()
        for price in calls:
            price()
        return (time.process_time() - began) / NAMES * 1e6

    once()
    return min(once() for _ in range(5))


def _fastest_us(price: Callable[[], Any]) -> float:
    """The fastest of several rounds: the machine's own disturbance only ever adds."""

    def once() -> float:
        began = time.process_time()
        for _ in range(_PRICES):
            price()
        return (time.process_time() - began) / _PRICES * 1e6

    return min(once() for _ in range(_REPEATS))


def measure(rounds: int = 7) -> dict[str, Any]:
    """The best of several fresh processes: `load_ms` of the first price, `price_us` by kind of call, `names_us`."""
    answers = [ask(CONTENDERS["costspan"], "benchmarks.overhead.price", "--worker") for _ in range(rounds)]
    for answer in answers:
        if "fault" in answer:
            raise RuntimeError(answer["fault"])
    return {
        "load_ms": min(answer["load_ms"] for answer in answers),
        "price_us": {kind: min(answer["price_us"][kind] for answer in answers) for kind in CALLS},
        "names_us": min(answer["names_us"] for answer in answers),
    }


def main() -> None:
    """The command; with --worker, what it starts."""
    parser = argparse.ArgumentParser(description="the price of pricing")
    parser.add_argument("--worker", action="store_true")
    if parser.parse_args().worker:
        main_in_worker()
        return
    answer = measure()
    ROWS.forget()
    ROWS.add(**answer)
    print(answer)


if __name__ == "__main__":
    main()
