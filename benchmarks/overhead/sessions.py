"""A million different sessions through one process: does memory stay flat, and are the totals unharmed?

    python -m benchmarks.overhead.sessions [--only costspan] [--sessions 1000000]

Each session makes one call. The client's `create` is replaced by one that goes straight to the request method, so
that what runs is the watching. Metrics are collected every ten thousand sessions, as a reader would.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import taking_part_in
from benchmarks.overhead.scenarios import Clients, stub
from benchmarks.processes import ask
from benchmarks.rows import Rows
from benchmarks.switches import switch_on
from benchmarks.telemetry import Telemetry

ROWS: Final = Rows("sessions")
COLLECT_EVERY: Final = 10_000
FIRST: Final = 1_000
KINDS: Final = tuple(
    itertools.product(("gpt-4o-mini", "gpt-4o"), ("summarise", "search", "write"), ("main_agent", "heartbeat"))
)
INPUT: Final = 812
_LABELS: Final = ("gen_ai.request.model", "llm.task_type", "llm.source")
_LABELS_OF_MINIMUM: Final = ("gen_ai.request.model", "llm.task.type", "llm.source")

Call = Callable[[str, tuple[str, str, str]], None]


# --- in the contender's environment ------------------------------------------------------------------------------


def main_in_worker(switch: str | None, sessions: int) -> None:
    """Make the calls, and say what memory and totals became."""
    logging.disable(logging.WARNING)
    telemetry, drain, call = _ready(switch)
    marks, expected = dict[int, float](), Counter[tuple[str, ...]]()
    began = time.process_time()
    for number, kind in zip(range(1, sessions + 1), itertools.cycle(KINDS), strict=False):
        call(f"session-{number:08d}-4f1c-9d2e", kind)
        expected[kind] += INPUT
        if number % COLLECT_EVERY == 0 or number in (FIRST, sessions):
            _collect(telemetry, drain)
        if number in (FIRST, 100_000, sessions):
            gc.collect()
            marks[number] = _rss_mb()
    spent = time.process_time() - began
    found = _input_tokens(telemetry)
    answer = {
        "rss_mb": marks,
        "us_per_session": spent / sessions * 1e6,
        "totals_right": found == expected,
        "input_tokens_found": sum(found.values()) / expected.total(),
    }
    print("RESULT " + json.dumps(answer), flush=True)
    os._exit(0)


def _ready(switch: str | None) -> tuple[Telemetry, Callable[[], object], Call]:
    clients = Clients("openai")
    stub(clients)
    _shorten()
    telemetry = Telemetry()
    drain = switch_on(switch, telemetry, ["openai"])
    completions = clients.sync.chat.completions
    return telemetry, drain, _tagged_call(switch, completions)


def _shorten() -> None:
    """Let `create` go straight to the client's request method."""
    from openai._models import FinalRequestOptions
    from openai.resources.chat.completions import Completions
    from openai.types.chat import ChatCompletion

    options = {
        model: FinalRequestOptions.construct(
            method="post", url="/chat/completions", json_data={"model": model, "messages": []}
        )
        for model, _, _ in KINDS
    }
    Completions.create = lambda self, model: self._client.request(ChatCompletion, options[model])


def _tagged_call(switch: str | None, completions: Any) -> Call:
    if switch == "costspan":
        import costspan

        def call(session: str, kind: tuple[str, str, str]) -> None:
            with costspan.attribution(session=session, task_type=kind[1], source=kind[2]):
                completions.create(model=kind[0])

        return call

    from benchmarks.overhead.minimum import TAGS

    def call_of_minimum(session: str, kind: tuple[str, str, str]) -> None:
        TAGS.set((session, kind[1], kind[2]))
        completions.create(model=kind[0])

    return call_of_minimum


def _collect(telemetry: Telemetry, drain: Callable[[], object]) -> None:
    drain()
    telemetry.flush()
    telemetry.collect()


def _input_tokens(telemetry: Telemetry) -> Counter[tuple[str, ...]]:
    """Input tokens by model, task type and source, as the last collection shows them."""
    found: Counter[tuple[str, ...]] = Counter()
    for name, point in telemetry.data_points():
        labels = point.attributes or {}
        if name == "gen_ai.client.inference.usage.input_tokens":
            found[tuple(labels.get(label, "?") for label in _LABELS)] += point.value
        elif name == "llm.tokens" and labels.get("gen_ai.token.type") == "input":
            found[tuple(labels.get(label, "?") for label in _LABELS_OF_MINIMUM)] += point.value
    return found


def _rss_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


# --- the command --------------------------------------------------------------------------------------------------


def measure(contender: str, sessions: int, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a contender's worker."""
    [one] = taking_part_in("overhead", (contender,))
    return ask(
        one,
        "benchmarks.overhead.sessions",
        "--worker",
        contender,
        "--sessions",
        str(sessions),
        variables=variables,
        timeout_s=3_600,
    )


def main() -> None:
    """The command; with --worker, what it starts."""
    parser = argparse.ArgumentParser(description="memory and totals with many sessions")
    parser.add_argument("--only", default="minimum,costspan")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--worker", default="")
    arguments = parser.parse_args()
    if arguments.worker:
        [contender] = taking_part_in("overhead", (arguments.worker,))
        main_in_worker(contender.switch, arguments.sessions)
    for name in arguments.only.split(","):
        answer = measure(name, arguments.sessions)
        ROWS.forget(contender=name, sessions=arguments.sessions)
        ROWS.add(contender=name, sessions=arguments.sessions, **answer)
        print(f"{name:16}{arguments.sessions:10,} sessions  {answer}", flush=True)


if __name__ == "__main__":
    main()
