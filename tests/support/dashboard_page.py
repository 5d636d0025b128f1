"""What a reader sees of a dashboard: its queries asked of a real Prometheus, their answers shown by Grafana's own code.

`tests/grafana/show.cjs` does the showing; `Types` of it and of the compiler are installed into .cache once.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from stack import MissingProgramError

from panel_queries import ask, filled
from promtools import ROOT

Json: TypeAlias = dict[str, Any]
Answers: TypeAlias = dict[str, list[Json]]
DAY_S: Final = 86_400
_STEPS_S: Final = {"1d": DAY_S, "5m": 300, "": 900}
#: For how long a graph of short steps is looked at.
_GRAPH_S: Final = 1_800


def grafanas_code() -> Path:
    """A folder with Grafana's types, its code and a TypeScript compiler. Skips, aloud, where it cannot be had."""
    try:
        return installed()
    except MissingProgramError as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to check the dashboards by Grafana's own code: {fault}")
        pytest.skip(f"the dashboards are not checked by Grafana's own code on this machine: {fault}")


def installed() -> Path:
    """The same folder, kept in .cache. Raises MissingProgramError where npm is missing or could not install it."""
    kept = ROOT / ".cache" / "grafana-schema"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "grafana-schema.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # each worker of a test run comes by; two at once would spoil it
        _install(ROOT / "tests" / "grafana", kept)
    return kept


def _install(source: Path, kept: Path) -> None:
    npm = shutil.which("npm")
    is_there = (kept / "node_modules" / ".bin" / "tsc").exists()
    if not is_there and npm is None:
        raise MissingProgramError("npm is missing")
    is_there = is_there and (kept / "package-lock.json").read_text() == (source / "package-lock.json").read_text()
    for file in source.iterdir():
        shutil.copy(file, kept)
    if not is_there:
        done = subprocess.run(
            [str(npm), "ci", "--ignore-scripts"], cwd=kept, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise MissingProgramError(f"npm could not install Grafana's code: {done.stderr[-300:]}")


def step_s(panel: Json) -> int:
    """How far the points of a panel over time are apart."""
    return _STEPS_S[panel.get("interval", "")]


def answers(address: str, panel: Json, end_s: int, range_s: int, graph_s: int = _GRAPH_S) -> Answers:
    """What Prometheus answers the targets of a panel, by their letters."""
    return {target["refId"]: _asked(address, panel, target, end_s, range_s, graph_s) for target in panel["targets"]}


def _asked(address: str, panel: Json, target: Json, end_s: int, range_s: int, graph_s: int) -> list[Json]:
    every_s = step_s(panel)
    text = filled(target["expr"], range_s, {}, every_s, end_s)
    if target["instant"]:
        rows, remarks = ask(address, "query", query=text, time=str(end_s))
        samples = [(row["metric"], [row["value"]]) for row in rows]
    else:
        start_s = end_s - (range_s if every_s == DAY_S else graph_s)
        bounds = {
            "start": str(start_s // every_s * every_s),
            "end": str(end_s // every_s * every_s),
            "step": str(every_s),
        }
        rows, remarks = ask(address, "query_range", query=text, **bounds)
        samples = [(row["metric"], row["values"]) for row in rows]
    assert remarks == [], target
    return [
        {
            "labels": labels,
            "times": [round(float(moment_s) * 1_000) for moment_s, _ in values],
            "values": [value for _, value in values],
        }
        for labels, values in sorted(samples, key=lambda sample: sorted(sample[0].items()))
    ]


def shown(code: Path, panels: Sequence[tuple[Json, Answers]]) -> list[str]:
    """What Grafana's code makes of panels and answers: a text for each."""
    node = str(shutil.which("node"))
    asked = json.dumps([{"panel": panel, "answers": each} for panel, each in panels])
    done = subprocess.run(
        [node, "show.cjs"], cwd=code, input=asked, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    texts: list[str] = json.loads(done.stdout)
    return [f"{_head(panel)}\n{text}" for (panel, _), text in zip(panels, texts, strict=True)]


def _head(panel: Json) -> str:
    at = panel["gridPos"]
    queries = " ".join(f"{each['refId']}{'' if each['instant'] else ' over time'}" for each in panel["targets"])
    return (
        f"== {panel['title']}\n{panel['description']}\n{panel['type']} {at['w']}x{at['h']} at {at['x']},{at['y']}"
        f", at most {panel.get('maxDataPoints', 'any number of')} points, {queries}"
    )


def settings(dashboard: Json) -> str:
    """What a dashboard says but for its panels, a line for each word."""
    return "\n".join(f"{word}: {json.dumps(said)}" for word, said in dashboard.items() if word != "panels")
