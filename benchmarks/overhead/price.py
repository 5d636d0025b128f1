"""What it costs to price a call: the first time, with the table to load, and from then on.

python -m benchmarks.overhead.price
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.processes import ask
from benchmarks.rows import Rows

ROWS: Final = Rows("price")
_PRICES: Final = 5_000
_REPEATS: Final = 15
_AT_S: Final = 1_795_310_400.0


def main_in_worker() -> None:
    """Load the table, price a call again and again."""
    from costspan.emit.pricer import Pricer
    from costspan.facts.call import Answer
    from costspan.facts.usage import CACHE_READ, INPUT, OUTPUT, REASONING, Usage

    usage = Usage({INPUT: 812, CACHE_READ: 512, OUTPUT: 96, REASONING: 32})
    answer = Answer(usage, "gpt-4o-mini-2024-07-18", "chatcmpl-1", "default", finish_reasons=("stop",))
    pricer = Pricer()

    def price() -> Any:
        return pricer.price("openai", "api.openai.com", "gpt-4o-mini", answer, _AT_S)

    began = time.process_time()
    first = price()
    loaded = time.process_time() - began
    warm = min(_timed(price) for _ in range(_REPEATS))
    print("RESULT " + json.dumps({"load_ms": loaded * 1e3, "price_us": warm, "nano_usd": first.nano_usd}), flush=True)


def _timed(price: Any) -> float:
    began = time.process_time()
    for _ in range(_PRICES):
        price()
    return (time.process_time() - began) / _PRICES * 1e6


def measure(rounds: int = 7) -> dict[str, float]:
    """Medians over fresh processes: `load_ms` is the first price with the table's loading, `price_us` a warm one."""
    answers = [ask(CONTENDERS["costspan"], "benchmarks.overhead.price", "--worker") for _ in range(rounds)]
    for answer in answers:
        if "fault" in answer:
            raise RuntimeError(answer["fault"])
    return {key: statistics.median(answer[key] for answer in answers) for key in ("load_ms", "price_us", "nano_usd")}


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
