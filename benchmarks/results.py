"""RESULTS.md, written from the rows that the measurements keep."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import CONTENDERS, ROOT, taking_part_in
from benchmarks.correctness.ways import WAYS
from benchmarks.environments import python_of, versions_in
from benchmarks.markdown import section, table
from benchmarks.overhead.replies import EVENTS
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.rows import Rows

RESULTS: Final = ROOT / "benchmarks" / "RESULTS.md"
_YARDSTICK: Final = "minimum"
_CLIENTS: Final = ("openai", "anthropic", "opentelemetry-sdk")
_CALLS: Final = tuple(name for name in SCENARIOS if not name.endswith("request"))


def write() -> None:
    """Write RESULTS.md. A table whose measurement has not been run says so."""
    parts = [_head(), _figures(), *_instructions(), _times(), _throughput(), _startup(), _sessions(), _price()]
    RESULTS.write_text("\n\n".join([*parts, _correctness()]) + "\n")
    print(f"wrote {RESULTS.relative_to(ROOT)}")


def _head() -> str:
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {_python()}"
    return f"""# Results

Written by `python -m benchmarks` on {today}: {machine}. What is measured, and how, stands in [README.md](README.md).

{table(["contender", "what it is", "version", "with"], _versions())}"""


def _versions() -> Iterator[list[str]]:
    for contender in CONTENDERS.values():
        found = versions_in(contender.environment)
        own = ", ".join(f"{name} {found[name]}" for name in contender.packages)
        yield [contender.name, contender.note, own or "-", ", ".join(f"{n} {found[n]}" for n in _CLIENTS if n in found)]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def _python() -> str:
    configuration = (python_of("none").parent.parent / "pyvenv.cfg").read_text()
    return configuration.partition("version_info = ")[2].splitlines()[0]


# --- overhead ------------------------------------------------------------------------------------------------------


def _figures() -> str:
    rows = [
        [row["name"], f"{row['found']:.2f}", f"{row['limit']:g}", row["unit"], _reached(row)] for row in Rows("gate")
    ]
    return section(
        "Figures promised",
        "`python -m benchmarks.gate` fails when one is missed. kIr: thousands of instructions.",
        ["figure", "found", "at most", "unit", ""],
        rows,
    )


def _reached(row: dict[str, Any]) -> str:
    if row["found"] > row["limit"]:
        return "**missed**"
    return "reached, and more" if row["stretch"] is not None and row["found"] <= row["stretch"] else "reached"


def _instructions() -> Iterator[str]:
    counts = {(row["contender"], row["scenario"], row["sampled"]): row for row in Rows("instructions")}
    yield _counts_table("caller", "Instructions per call, in the caller's thread", counts)
    yield _counts_table("process", "Instructions per call, whole process with queues drained", counts)
    yield _events_table(counts)


def _counts_table(what: str, title: str, counts: dict[Any, dict[str, float]]) -> str:
    names = _present(row["contender"] for row in Rows("instructions"))
    columns: list[tuple[str, str, bool]] = [(name, name, True) for name in _CALLS]
    columns.append(("sync", "sync, unsampled", False))
    lines = [
        [
            name,
            *[
                _count(counts.get((name, scenario, s)), counts.get((_YARDSTICK, scenario, s)), what)
                for scenario, _, s in columns
            ],
        ]
        for name in names
        if name != "none"
    ]
    client = [
        "*the client itself*",
        *[_thousands(counts.get(("none", scenario, s)), "client") for scenario, _, s in columns],
    ]
    return section(
        title,
        f"Added to the call, in thousands; in brackets as a multiple of `{_YARDSTICK}`. A stream has {EVENTS} events.",
        ["contender", *[title for _, title, _ in columns]],
        [*lines, client],
    )


def _count(row: dict[str, float] | None, yardstick: dict[str, float] | None, what: str) -> str:
    if row is None:
        return ""
    ratio = f" ({row[what] / yardstick[what]:.2f}x)" if yardstick and row["scenario"] != "200 kB prompt" else ""
    return f"{row[what]:,.0f}{ratio}"


def _thousands(row: dict[str, float] | None, what: str) -> str:
    return "" if row is None else f"{row[what]:,.0f}"


def _events_table(counts: dict[Any, dict[str, float]]) -> str:
    pairs = (("stream", "sync"), ("async stream", "async"), ("anthropic stream", "anthropic"))
    lines: list[list[str]] = []
    for name in _present(row["contender"] for row in Rows("instructions")):
        found = [(counts.get((name, stream, True)), counts.get((name, call, True))) for stream, call in pairs]
        if name != "none" and all(stream and call for stream, call in found):
            lines.append([name, *[f"{(s['caller'] - c['caller']) / EVENTS:.2f}" for s, c in found if s and c]])
    return section(
        "Instructions per event of a stream",
        "In thousands, in the caller's thread: the stream less a call, by its events.",
        ["contender", *[stream for stream, _ in pairs]],
        lines,
    )


def _times() -> str:
    rows = [row for row in Rows("times") if row["what"] == "time"]
    scenarios = [name for name in _CALLS if any(name in row for row in rows)]
    lines = [
        [name, *[_time([row[s] for row in rows if row["contender"] == name and s in row]) for s in scenarios]]
        for name in _present(row["contender"] for row in rows)
    ]
    client = [_median_of((row[s]["client"]["caller"] for row in rows if s in row), "{:,.0f}") for s in scenarios]
    return section(
        "Time per call",
        "Microseconds of the caller's CPU added to a call of the whole client on a fake network: the median of all pairs "
        "of watched and unwatched blocks, and the middle half of them. `none` shows the noise.",
        ["contender", *scenarios],
        [*lines, ["*the client itself*", *client]] if lines else [],
    )


def _time(summaries: Sequence[dict[str, Any]]) -> str:
    differences = [difference for summary in summaries for difference in summary["caller_differences"]]
    if len(differences) < 2:
        return ""
    low, middle, high = statistics.quantiles(differences, n=4)
    return f"{middle:,.0f} [{low:,.0f}..{high:,.0f}]"


def _throughput() -> str:
    rows = [row for row in Rows("times") if row["what"] == "throughput" and "threads" in row]
    lines: list[list[str]] = []
    for name in _present(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        line = [name]
        for kind in ("threads", "tasks"):
            line.append(_median_of((row[kind]["on"] for row in own), "{:,.0f}"))
            line.append(_median_of((row[kind]["on"] / row[kind]["off"] - 1 for row in own), "{:+.0%}"))
        lines.append(line)
    return section(
        "Calls per second in one process",
        "Eight threads, and two hundred asyncio tasks, by seconds of CPU; the change is against the same process unwatched.",
        ["contender", "threads", "change", "tasks", "change"],
        lines,
    )


def _median_of(values: Iterable[float], form: str) -> str:
    found = list(values)
    return form.format(statistics.median(found)) if found else ""


def _startup() -> str:
    lines = [
        [
            row["label"], row["program"], f"{row['cpu_ms']:,.0f}", f"{row['added_ms']:+,.1f}",
            f"{row['rss_mb']:.1f}", f"{row['modules']:,.0f}", "yes" if row["openai_loaded"] else "no",
        ]
        for row in Rows("startup")
    ]  # fmt: skip
    return section(
        "Starting up under `opentelemetry-instrument`",
        "CPU milliseconds until the program's first line (the median; what is added, of the fastest starts), and what "
        "the process holds then. `costspan` with its ledger on, as it is by default.",
        ["launcher with", "program", "CPU ms", "added", "RSS MB", "modules", "openai imported"],
        lines,
    )


def _sessions() -> str:
    lines = [
        [
            row["contender"], f"{row['sessions']:,}", *[f"{mb:.1f}" for mb in _marks(row)],
            f"{row['us_per_session']:.0f}", f"{row['input_tokens_found']:.1%}", "yes" if row["totals_right"] else "no",
        ]
        for row in Rows("sessions")
        if "fault" not in row
    ]  # fmt: skip
    return section(
        "Many sessions through one process",
        "One call each. Resident memory; CPU per call; how many of the input tokens the last collection still shows "
        "by model, task type and source.",
        ["contender", "sessions", "MB at 1,000", "MB at the end", "us a session", "tokens shown", "totals right"],
        lines,
    )


def _marks(row: dict[str, Any]) -> tuple[float, float]:
    return row["rss_mb"]["1000"], row["rss_mb"][str(row["sessions"])]


def _price() -> str:
    lines = [
        line
        for row in Rows("price")
        for line in (
            ["the first, for which the table is loaded", f"{row['load_ms'] * 1e3:,.0f}"],
            *[[kind, f"{us:.2f}"] for kind, us in row["price_us"].items()],
            *([["one of 10,000 models in turn", f"{row['names_us']:.2f}"]] if "names_us" in row else []),
        )
    ]
    return section("The price of a price", "CPU time to price a call.", ["call", "microseconds"], lines)


# --- correctness -----------------------------------------------------------------------------------------------------


def _correctness() -> str:
    cells = {(row["contender"], row["way"]): row for row in Rows("correctness")}
    names = _present(contender for contender, _ in cells)
    lines = [[way, *[_cell(cells.get((name, way))) for name in names]] for way in WAYS]
    right = [f"**{sum(bool(cells.get((n, w), {}).get('right')) for w in WAYS)} of {len(WAYS)}**" for n in names]
    return section(
        "Are the figures right?",
        "What each contender records of one call whose bill the provider knows: 1,000 input tokens (600 cached), 200 "
        "output, $0.00375. ✓: tokens and cost are right; ✓ tokens: it records no cost by design; ≈: an estimate that "
        "says so and is within a factor of 1.5. Anything else is the figure found.",
        ["way of calling", *names],
        [*lines, ["**right**", *right]] if names else [],
    )


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"✓ {row['text']}".strip() if row["right"] else row["text"]


def _present(names: Iterable[str]) -> list[str]:
    found = set(names)
    return [contender.name for contender in (*taking_part_in("overhead"), *_rest()) if contender.name in found]


def _rest() -> list[Any]:
    overhead = {contender.name for contender in taking_part_in("overhead")}
    return [contender for contender in taking_part_in("correctness") if contender.name not in overhead]


if __name__ == "__main__":
    write()
