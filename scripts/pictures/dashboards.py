"""The dashboards, drawn from their JSON over fleets whose calls are known. Grafana itself is not run, and each picture says so.

A real Prometheus holds the calls of tests/support. Its answers go through Grafana's own code (tests/grafana/show.cjs), which
decides on figures, units, colours, order and totals; where panels lie and what is in them says the JSON. What is ours is
the drawing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple

from stack import binaries

import few_calls
from dashboard_page import DAY_S, Answers, Json, answers, installed, step_s
from fleet import moment_s
from pages import ROOT
from panel_fleet import known_fleet
from pictures.charts import chart
from pictures.drawing import COLOURS
from pictures.photographing import Photographer
from promtools import prometheus

_ZONE: Final = "UTC"
_NOVEMBER_S: Final = moment_s(_ZONE, 2026, 11, 1)


class Scene(NamedTuple):
    """What a Prometheus holds, in words and as samples, and what somebody looks at: until when, how much of it in all, and
    how much in graphs of short steps.
    """

    holds: str
    samples: Callable[[], str]
    end_s: int
    range_s: int
    graph_s: int

    @property
    def until(self) -> str:
        """The end of the time range, written out."""
        return datetime.fromtimestamp(self.end_s, timezone.utc).strftime("%d %B %Y, %H:%M UTC")


_MONTH: Final = Scene(
    "the calls of a fleet in November",
    lambda: known_fleet(_ZONE, _NOVEMBER_S - 30 * DAY_S, few_calls.END_S).samples(),
    few_calls.END_S, few_calls.END_S - _NOVEMBER_S, 3 * DAY_S,
)  # fmt: skip
_DAYS: Final = Scene(
    "thirteen calls and five budgets", few_calls.samples, few_calls.END_S, few_calls.RANGE_S, 8 * 3_600
)
SCENES: Final[Mapping[str, Scene]] = {"usage": _MONTH, "sessions": _MONTH, "budgets": _DAYS, "health": _DAYS}
BOARDS: Final[Mapping[str, Json]] = {
    name: json.loads((ROOT / "grafana" / "dashboards" / f"{name}.json").read_text(encoding="utf-8")) for name in SCENES
}
NAMES: Final = tuple(f"dashboard-{name}" for name in BOARDS)
WIDTH: Final = 1_200
_CELL: Final = (WIDTH - 28 + 8) / 24  # a column of Grafana's grid with the gap behind it
_ROW: Final = 38  # likewise a row: 30 and 8
_HEAD: Final = 44  # what a panel's title and edges take
_LEGEND_LINE: Final = 20
_LINE: Final = 25  # of a table
_SMALL_LINE: Final = 14  # of many figures in one panel


def contents(code: Path, panels: Sequence[tuple[Json, Answers]], scheme: str) -> list[Any]:
    """What there is to draw of each panel, by Grafana's code in the colours of a scheme: see draw.cjs."""
    asked = json.dumps([{"panel": panel, "answers": each} for panel, each in panels])
    command = [str(shutil.which("node")), str(Path(__file__).with_name("draw.cjs"))]
    environ = os.environ | {"COSTSPAN_SCHEME": scheme}
    done = subprocess.run(command, cwd=code, env=environ, input=asked, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def laid_out(panel: Json, content: Any, scene: Scene) -> Json:
    """A panel as the template needs it: the rows of a table that fit into it, a graph as bars, lines and marks."""
    at = panel["gridPos"]
    made = {
        **panel,
        "content": content,
        "nothing": panel["fieldConfig"]["defaults"]["noValue"],
        "chart": None,
        "more": 0,
    }
    if panel["type"] == "table":
        rows = content["rows"]
        has_bars = any(cell["part"] is not None for row in rows for cell in row["cells"])
        fit = (at["h"] * _ROW - _HEAD - 3 * _LINE) // (_LINE + 8 * has_bars)
        made |= {"content": {**content, "rows": rows[:fit]}, "more": len(rows[fit:])}
    if panel["type"] == "stat":
        fit = (at["h"] * _ROW - _HEAD - _LINE) // _SMALL_LINE
        made |= {"content": content[:fit], "more": len(content[fit:])}
    if panel["type"] == "timeseries" and content["ticks"]:
        every_s = step_s(panel)
        span_s = scene.range_s if every_s == DAY_S else scene.graph_s
        lines = len(content["series"]) + 1 if content["calcs"] else 1
        size = (at["w"] * _CELL - 26, at["h"] * _ROW - _HEAD - lines * _LEGEND_LINE)
        first_s = (scene.end_s - span_s) // every_s * every_s
        last_s = scene.end_s // every_s * every_s + (every_s if content["isBars"] else 0)
        made["chart"] = chart(content, size, (first_s * 1_000, last_s * 1_000), every_s * 1_000)
    return made


def _asked(scene: Scene) -> list[tuple[Json, Answers]]:
    """The panels of a scene with what Prometheus answers."""
    boards = [BOARDS[name] for name, each in SCENES.items() if each is scene]
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder), scene.samples()) as server:
        return [
            (panel, answers(server.address, panel, scene.end_s, scene.range_s, scene.graph_s))
            for board in boards
            for panel in board["panels"]
        ]


def photograph(photographer: Photographer) -> None:
    """Have every dashboard drawn. Raises MissingProgramError without Prometheus or npm."""
    binaries.program("prometheus")
    code = installed()
    asked = [*_asked(_MONTH), *_asked(_DAYS)]
    told = {scheme: contents(code, asked, scheme) for scheme in COLOURS}
    for name, board in BOARDS.items():
        panels = {
            scheme: [laid_out(panel, left.pop(0), SCENES[name]) for panel in board["panels"]]
            for scheme, left in told.items()
        }
        photographer.of_template(
            f"dashboard-{name}", WIDTH, "dashboard.html", board=board, panels=panels, scene=SCENES[name]
        )
