"""Every figure that Costspan promises, measured and compared: fails when one is missed.

    python -m benchmarks.gate [--only start-up,price]

Only the yardstick and Costspan run, in two processes at a time; instructions are counted, so that a busy machine
changes nothing but the time it takes. A figure's limit stands in FIGURES and nowhere else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final, NamedTuple

from benchmarks.contenders import CONTENDERS
from benchmarks.overhead import instructions, price, sessions, startup
from benchmarks.overhead.replies import EVENTS
from benchmarks.rows import Rows

ROWS: Final = Rows("gate")
#: Instructions of a call differ by so many thousand from run to run.
NOISE_KIR: Final = 15.0
SESSIONS: Final = 1_000_000
# Spans and events wait in the SDK's own bounded queues: without them a million calls take half the time.
_SESSIONS_ONLY: Final = {"OTEL_COSTSPAN_SPANS": "false", "OTEL_COSTSPAN_EVENTS": "false"}


class Figure(NamedTuple):
    """One promise: `measure` gives what is found, which may be at most `limit`. `stretch` is what is hoped for."""

    name: str
    measure: Callable[[], float]
    limit: float
    unit: str
    stretch: float | None = None


# --- what is measured, each thing once ---------------------------------------------------------------------------


@cache
def _minimum() -> dict[str, instructions.Counts]:
    return instructions.measure(CONTENDERS["minimum"], ("sync", "async"))


@cache
def _costspan() -> dict[str, instructions.Counts]:
    scenarios = ("sync", "async", "stream", "async stream", "request", "200 kB request")
    return instructions.measure(CONTENDERS["costspan"], scenarios)


@cache
def _ordinary() -> dict[str, instructions.Counts]:
    """Ordinary conditions: what programs meet every day, and a benchmark leaves out."""
    scenarios = (
        "sync",
        "async",
        "default stream",
        "async default stream",
        "seconds apart",
        "new session",
        "unknown model",
    )
    return instructions.measure(CONTENDERS["costspan"], scenarios)


@cache
def _with_ledger() -> dict[str, instructions.Counts]:
    return instructions.measure(CONTENDERS["costspan+ledger"], ("sync", "async"), times=4)


@cache
def _with_outbox() -> dict[str, instructions.Counts]:
    return instructions.measure(CONTENDERS["costspan+outbox"], ("sync", "async"), times=4)


@cache
def _startup() -> dict[str, dict[str, float]]:
    return startup.measure(startup.LAUNCHERS, "nothing", rounds=50)


@cache
def _sessions() -> dict[str, float]:
    answer = sessions.measure("costspan", SESSIONS, _SESSIONS_ONLY)
    if "fault" in answer:
        raise RuntimeError(answer["fault"])
    return {
        "growth_mb": answer["rss_mb"][str(SESSIONS)] - answer["rss_mb"][str(sessions.FIRST)],
        "totals_wrong": float(not answer["totals_right"]),
    }


@cache
def _price() -> dict[str, Any]:
    return price.measure()


# --- the figures ---------------------------------------------------------------------------------------------------


def _ratio(counts: Callable[[], dict[str, instructions.Counts]], scenario: str, what: str) -> Callable[[], float]:
    return lambda: counts()[scenario][what] / _minimum()[scenario][what]


def _ordinary_ratio(scenario: str) -> Callable[[], float]:
    return lambda: _ordinary()[scenario]["process"] / _minimum()["sync"]["process"]


def _an_event(counts: Callable[[], dict[str, instructions.Counts]], stream: str, call: str) -> Callable[[], float]:
    return lambda: (counts()[stream]["caller"] - counts()[call]["caller"]) / (EVENTS + 1)


def _more_for_a_big_prompt() -> float:
    return _costspan()["200 kB request"]["caller"] - _costspan()["request"]["caller"]


FIGURES: Final = (
    Figure("sync call, caller", _ratio(_costspan, "sync", "caller"), 0.5, "x minimum", 0.25),
    Figure("sync call, process", _ratio(_costspan, "sync", "process"), 0.6, "x minimum", 0.35),
    Figure("async call, caller", _ratio(_costspan, "async", "caller"), 0.5, "x minimum", 0.25),
    Figure("async call, process", _ratio(_costspan, "async", "process"), 0.6, "x minimum", 0.35),
    Figure("sync call with ledger, process", _ratio(_with_ledger, "sync", "process"), 0.9, "x minimum"),
    Figure("async call with ledger, process", _ratio(_with_ledger, "async", "process"), 0.9, "x minimum"),
    # More than without: what a kill would take is written before the caller goes on (docs/decisions/0130-the-journal.md).
    Figure("sync call with outbox, caller", _ratio(_with_outbox, "sync", "caller"), 0.55, "x minimum"),
    Figure("sync call with outbox, process", _ratio(_with_outbox, "sync", "process"), 0.75, "x minimum"),
    Figure("async call with outbox, process", _ratio(_with_outbox, "async", "process"), 0.75, "x minimum"),
    Figure("stream, an event", _an_event(_costspan, "stream", "sync"), 1.0, "kIr"),
    Figure("async stream, an event", _an_event(_costspan, "async stream", "async"), 3.0, "kIr"),
    Figure("default stream, an event", _an_event(_ordinary, "default stream", "sync"), 1.5, "kIr"),
    Figure("async default stream, an event", _an_event(_ordinary, "async default stream", "async"), 3.0, "kIr"),
    Figure("call with quota headers, seconds apart, process", _ordinary_ratio("seconds apart"), 0.7, "x minimum"),
    Figure("call of a new session, process", _ordinary_ratio("new session"), 0.8, "x minimum"),
    Figure("call of an unknown model, process", _ordinary_ratio("unknown model"), 0.7, "x minimum"),
    Figure("200 kB prompt, more than a small one", _more_for_a_big_prompt, NOISE_KIR, "kIr"),
    Figure("start-up, more than the launcher", lambda: _startup()["costspan"]["added_ms"], 5.0, "ms"),
    Figure("start-up, openai is imported", lambda: _startup()["costspan"]["openai_loaded"], 0.0, ""),
    Figure("sessions, growth from 1,000 to 1,000,000", lambda: _sessions()["growth_mb"], 40.0, "MB"),
    Figure("sessions, totals are wrong", lambda: _sessions()["totals_wrong"], 0.0, ""),
    Figure("price, warm, the dearest kind", lambda: max(_price()["price_us"].values()), 5.0, "us"),
    Figure("price, warm, an unknown model", lambda: _price()["price_us"]["an unknown model"], 6.0, "us"),
    Figure("price, 10,000 models in turn", lambda: _price()["names_us"], 15.0, "us"),
    Figure("price, first with the table", lambda: _price()["load_ms"], 20.0, "ms"),
)


def main() -> int:
    """The command: 0 where every figure is reached, 1 where one is missed."""
    parser = argparse.ArgumentParser(description="compare every promised figure with what is measured")
    parser.add_argument("--only", default="", help="beginnings of figures' names, separated by commas")
    beginnings = tuple(parser.parse_args().only.split(","))
    wanted = [figure for figure in FIGURES if figure.name.startswith(beginnings)]
    _measure_at_once(wanted)
    missed = [figure for figure in wanted if not _tell(figure)]
    print(f"{len(wanted) - len(missed)} of {len(wanted)} figures reached")
    return 1 if missed else 0


def _measure_at_once(figures: list[Figure]) -> None:
    """Two processes at a time; times are taken afterwards, when nothing else of ours runs."""
    words = " ".join(figure.name for figure in figures)
    counted = {
        "sync call": (_minimum, _costspan, _with_ledger, _with_outbox), "stream": (_costspan,), "prompt": (_costspan,),
        "default": (_ordinary,), "call ": (_minimum, _ordinary),
    }  # fmt: skip
    tasks = dict.fromkeys(task for word, of_word in counted.items() if word in words for task in of_word)
    if "sessions" in words:
        tasks = {_sessions: None, **tasks}
    with ThreadPoolExecutor(2) as two:
        for done in [two.submit(task) for task in tasks]:
            done.result()


def _tell(figure: Figure) -> bool:
    found = figure.measure()
    is_reached = found <= figure.limit
    ROWS.forget(name=figure.name)
    ROWS.add(name=figure.name, found=found, limit=figure.limit, stretch=figure.stretch, unit=figure.unit)
    hoped = f", hoped for {figure.stretch:g}" if figure.stretch is not None else ""
    verdict = "reached" if is_reached else "MISSED "
    print(f"{verdict}  {figure.name:42}{found:10.2f}  at most {figure.limit:g}{hoped} {figure.unit}", flush=True)
    return is_reached


if __name__ == "__main__":
    sys.exit(main())
