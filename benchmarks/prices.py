"""How long the price table takes to load, and one price to compute: `python benchmarks/prices.py`.

Each figure is the best of several rounds: the machine's own disturbance only ever adds.
"""

from __future__ import annotations

import subprocess
import sys
import timeit

from costspan.facts.call import Answer
from costspan.facts.usage import Usage
from costspan.pricing import Prices

NOW_S = 1_795_348_800.0
LOAD = """
import time
from costspan.facts.call import Answer
from costspan.facts.usage import Usage
from costspan.pricing import Prices
begun = time.perf_counter()
Prices.load().price("openai", None, "gpt-4o", Answer(Usage(input=1, output=1)), 1795348800.0)
print(time.perf_counter() - begun)
"""
CALLS = {
    "gpt-4o, chat": ("openai", Answer(Usage(input=1_000, output=200, cache_read=512, reasoning=0, input_audio=0, output_audio=0), "gpt-4o-2024-08-06", tier="default")),
    "gpt-5.6-sol, long prompt": ("openai", Answer(Usage(input=300_000, output=900, cache_read=512, cache_write=1_000, reasoning=700), "gpt-5.6-sol", tier="flex")),
    "claude-sonnet-4-5, cache and search": ("anthropic", Answer(Usage(input=9_000, output=200, cache_read=512, cache_write=700, cache_write_5m=500, cache_write_1h=200, web_searches=1), "claude-sonnet-4-5-20250929", tier="standard", geo="not_available")),
}  # fmt: skip


def main() -> None:
    loads = [float(subprocess.check_output([sys.executable, "-c", LOAD])) for _ in range(7)]
    print(f"{'load the table and price a first call':<44}{min(loads) * 1e3:8.1f} ms")
    prices = Prices.load()
    for name, (provider, answer) in CALLS.items():
        timer = timeit.Timer(lambda: prices.price(provider, "api.example", None, answer, NOW_S))  # noqa: B023
        print(f"{name:<44}{min(timer.repeat(7, 20_000)) / 20_000 * 1e6:8.2f} us")


if __name__ == "__main__":
    main()
