"""How long every panel of every dashboard, and every rule, takes to be answered: `python -m benchmarks.queries`.

A Prometheus holds a month of telemetry, sent every minute, of some processes that each work for two models and two
sources, and what the shipped rules record of it every 30 seconds. Every query is asked as Grafana asks it, over the
whole month, three times; the quickest counts. A panel takes the sum of its queries, a file of rules that of its rules.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from tests.support.panel_queries import Query, ask, filled, queries
from tests.support.promtools import ROOT, program, prometheus

from costspan import names
from costspan.alerting.series import BUDGET_LABEL, EVERY_LABEL, PERIOD_LABEL, RECORDED, WEEKDAY_LABEL, WINDOW_LABEL
from costspan.budgets.reading import load
from costspan.names import DURATION_BUCKETS_S, METRICS, Metric, prometheus_label

_DAYS: Final = 30
_DAY_S: Final = 86_400
_EVERY_S: Final = 60
_PIXELS: Final = 960
_END_S: Final = 1_795_305_600  # 2026-11-22 00:00 UTC
_BOARDS: Final = ("usage", "budgets", "sessions", "health")
_RULES: Final = ("budgets", "meter")
_RECORDED_EVERY_S: Final = 30
_VALUES: Final[dict[str, tuple[str, ...]]] = {
    names.REQUEST_MODEL: ("gpt-5", "claude-opus-5"), names.SOURCE: ("main_agent", "heartbeat"),
    names.WEEKDAY: tuple("1234567"), names.PERIOD: ("202610", "202611"), names.DIRECTION: ("input", "output"),
}  # fmt: skip
_RECORDED_VALUES: Final[dict[str, tuple[str, ...]]] = {
    **{prometheus_label(name): _VALUES[name] for name in (names.REQUEST_MODEL, names.SOURCE)},
    PERIOD_LABEL: ("202611",), EVERY_LABEL: ("month",), WEEKDAY_LABEL: ("7",),
    WINDOW_LABEL: ("5m", "30m", "1h", "2h", "6h", "1d"),
    BUDGET_LABEL: tuple(budget.name for budget in load(ROOT / "examples" / "budgets" / "budgets.yaml").budgets),
}  # fmt: skip
_SPARSE: Final = (names.SESSION_COST_USD, names.SESSION_TOKENS)


def _sets(metric: Metric) -> Iterator[str]:
    """The label sets of a metric in one process."""
    return _product((prometheus_label(name), _VALUES.get(name, ("one",))) for name in metric.labels)


def _product(labels: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    found = [""]
    for label, values in labels:
        found = [f'{each}{label}="{value}",' for each in found for value in values]
    yield from found


def _recorded() -> Iterator[str]:
    """The series that the rules record: at least as many as from this telemetry and the example budgets."""
    for series in RECORDED:
        for labels in _product((label, _RECORDED_VALUES.get(label, ("one",))) for label in series.labels):
            yield f"{series.name}{{{labels}}}"


def _series(process: int) -> Iterator[str]:
    """The series of one process that are sent with every export."""
    who = f'job="agents",instance="{process}"'
    for metric in METRICS:
        if metric in _SPARSE:
            continue
        for labels in _sets(metric):
            if metric.kind == names.HISTOGRAM:
                for bound in (*DURATION_BUCKETS_S, "+Inf"):
                    yield f'{metric.prometheus}_bucket{{{labels}{who},le="{bound}"}}'
                yield f"{metric.prometheus}_count{{{labels}{who}}}"
            else:
                yield f"{metric.prometheus}{{{labels}{who}}}"


def _sessions(process: int, count: int, since_s: int, until_s: int) -> Iterator[str]:
    """The samples of the sessions that are active in a stretch of time: five calls each, a minute apart."""
    apart_s = _DAYS * _DAY_S // max(count, 1)
    for number in range(count):
        began_s = _END_S - _DAYS * _DAY_S + number * apart_s
        if since_s <= began_s < until_s:
            labels = f'session_id="{process}-{number}",llm_task_type="one",gen_ai_request_model="gpt-5",llm_source="main_agent",job="agents",instance="{process}"'
            for call in range(5):
                yield f"llm_session_cost_usd_total{{{labels}}} {call + 1} {began_s + call * _EVERY_S}\n"
                for way in ("input", "output"):
                    yield f'llm_session_tokens_total{{{labels},llm_token_direction="{way}"}} {call + 1} {began_s + call * _EVERY_S}\n'


def fill(store: Path, processes: int, sessions: int) -> tuple[int, int]:
    """Write the month into the store, two days at a time. Gives the number of series and of samples."""
    series = [(each, _EVERY_S) for process in range(processes) for each in _series(process)]
    series += [(each, _RECORDED_EVERY_S) for each in _recorded()]
    samples = 0
    text = store.parent / "samples.txt"
    for since_s in range(_END_S - _DAYS * _DAY_S, _END_S, 2 * _DAY_S):
        until_s = since_s + 2 * _DAY_S
        with text.open("w") as file:
            for each, every_s in series:
                lines = [f"{each} {moment_s} {moment_s}\n" for moment_s in range(since_s, until_s, every_s)]
                samples += file.write("".join(lines)) and len(lines)
            for process in range(processes):
                file.writelines(_sessions(process, sessions // processes, since_s, until_s))
            file.write("# EOF\n")
        command = [program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
        subprocess.run([*command, str(text), str(store)], check=True, capture_output=True)
    text.unlink()
    return len(series), samples


def _took_s(address: str, query: Query) -> float:
    step_s = _DAY_S if query.step == "1d" else _DAYS * _DAY_S // (query.points or _PIXELS)
    form = {"query": filled(query.expression, _DAYS * _DAY_S, step_s=step_s, end_s=_END_S)}
    if query.is_instant:
        way, form = "query", {**form, "time": str(_END_S)}
    else:
        way, form = (
            "query_range",
            {**form, "start": str(_END_S - _DAYS * _DAY_S), "end": str(_END_S), "step": str(step_s)},
        )
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        ask(address, way, **form)
        times.append(time.perf_counter() - started)
    return min(times)  # whatever else the machine does only ever adds


def measure(processes: int, sessions: int) -> dict[tuple[str, str], float]:
    """Seconds by dashboard and panel, or file of rules."""
    panels: dict[tuple[str, str], float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "prometheus"
        filling = Path(folder) / "filling" / "store"
        filling.mkdir(parents=True)
        series, samples = fill(filling, processes, sessions)
        print(f"{processes} processes, {series} series, {samples:,} samples, {sessions} sessions", flush=True)
        with prometheus(place, filled_store=filling) as server:
            for board in _BOARDS:
                dashboard: dict[str, Any] = json.loads((ROOT / "grafana" / "dashboards" / f"{board}.json").read_text())
                for query in queries(dashboard):
                    panels[board, f"{query.row.split(':')[0]} {query.panel}".strip()] += _took_s(server.address, query)
            for name in _RULES:
                expressions = _expressions(name)
                panels["rules", f"{name}.yml: {len(expressions)} rules"] = sum(
                    _took_s(server.address, Query("", "", "", expression, is_instant=True, step=""))
                    for expression in expressions
                )
    return panels


def _expressions(name: str) -> list[str]:
    rules = yaml.safe_load((ROOT / "prometheus" / "rules" / f"{name}.yml").read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def main() -> None:
    """Measure, and print the table of docs/dashboards.md."""
    parser = argparse.ArgumentParser(description="time the queries of the dashboards over 30 days of data")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=10_000, help="in the month, five calls each")
    asked = parser.parse_args()
    panels = measure(asked.processes, asked.sessions)
    print("| dashboard | panel | ms |\n| --- | --- | ---: |")
    for (board, panel), took_s in panels.items():
        print(f"| {board} | {panel} | {took_s * 1_000:,.0f} |")


if __name__ == "__main__":
    main()
