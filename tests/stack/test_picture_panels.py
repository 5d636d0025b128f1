"""scripts/pictures draws each kind of panel with all that is in it, where it lies. Its figures: test_dashboard_pages.py."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from dashboard_page import Json
from pictures import dashboards, drawing
from pictures.charts import chart

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
#: Of a room of 282 by 130 the graph has 200 by 100: 74 and 8 are left free beside it, 8 and 22 above and below.
SIZE = (282, 130)
TICKS = [{"value": 0, "text": "$0"}, {"value": 2, "text": "$2"}, {"value": 4, "text": "$4"}]


def series(name: str, colour: str, *points: tuple[int, float]) -> Json:
    return {"name": name, "colour": colour, "points": points, "calcs": ["$3"]}


def test_bars_stand_at_their_days_on_top_of_each_other() -> None:
    """Each is as high as its value, nine tenths of a day wide; days and amounts are named."""
    first, second = series("a", "#aa0000", (0, 2), (DAY_MS, 1)), series("b", "#00bb00", (0, 2))
    made = chart({"series": [first, second], "isBars": True, "ticks": TICKS}, SIZE, (0, 2 * DAY_MS), DAY_MS)
    assert made.bars == [
        (74.0, 58.0, 90.0, 50.0, "#aa0000"), (174.0, 83.0, 90.0, 25.0, "#aa0000"), (74.0, 8.0, 90.0, 50.0, "#00bb00"),
    ]  # fmt: skip
    assert made.levels == [(108.0, "$0"), (58.0, "$2"), (8.0, "$4")]
    assert made.moments == [(74.0, "01 Jan"), (174.0, "02 Jan")]


def test_a_line_ends_where_a_step_is_missing() -> None:
    """What lies alone is a dot: nothing is drawn where nothing was measured."""
    of_hours = series("a", "#aa0000", (0, 0), (HOUR_MS, 4), (3 * HOUR_MS, 2))
    made = chart({"series": [of_hours], "isBars": False, "ticks": TICKS}, SIZE, (0, 4 * HOUR_MS), HOUR_MS)
    assert made.lines == [("74.0,108.0 124.0,8.0", "#aa0000")]
    assert made.dots == [(224.0, 58.0, "#aa0000")]
    assert made.moments[:2] == [(74.0, "00:00"), (124.0, "01:00")]


def panel(kind: str, **more: Any) -> Json:
    """A panel as the JSON has it, in the lower right corner of a page."""
    defaults = {"noValue": "nothing here"}
    at = {"x": 12, "y": 4, "w": 12, "h": 9}
    return {"type": kind, "title": "Title", "gridPos": at, "options": {}, "fieldConfig": {"defaults": defaults}, **more}


def cell(text: str, part: float | None = None) -> Json:
    return {"text": text, "part": part, "colour": None if part is None else "#3274d9"}


def page(of: Json, content: Any) -> str:
    """The picture of a dashboard with one panel."""
    laid = dashboards.laid_out(of, content, dashboards.SCENES["usage"])
    return drawing.drawn(
        "dashboard.html", "dark", board={"title": "Board"}, panels={"dark": [laid]}, scene=dashboards.SCENES["usage"]
    )


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text.partition("<body>")[2])).split())


def figure(name: str, text: str, part: float | None = None) -> Json:
    return {"name": name, "text": text, "colour": "#f2495c", "part": part}


STAT = panel("stat", options={"colorMode": "value", "textMode": "auto"})
PAINTED = panel("stat", options={"colorMode": "background", "textMode": "auto"})
TABLE = {"columns": [{"name": "Model", "align": "left"}, {"name": "Cost", "align": "right"}], "totals": ["", "$9"]}
GRAPH = panel("timeseries", interval="1d")
DRAWN: list[tuple[Json, Any, str, str]] = [
    # panel, its content, what is read in it, what is in its drawing
    (STAT, [figure("Cost", "$5")], "Title $5", "color: #f2495c"),
    (STAT, [figure("In", "5"), figure("Out", "<b>")], "Title In 5 Out <b>", "grid-area: 5 / 13 / span 9 / span 12"),
    (STAT, [figure(f"n{each}", str(each)) for each in range(30)], "n0 0 n1 1 n2 2", "and 11 more, by scrolling"),
    (PAINTED, [figure("State", "fine")], "Title fine", "background: #f2495c40"),
    (panel("bargauge"), [figure("day", "62.0%", 0.62)], "Title day 62.0%", "width: 62.0%; background: #f2495c"),
    (panel("bargauge"), [figure("day", "NaN")], "Title nothing here", "nothing here"),
    (panel("table"), {**TABLE, "rows": [{"behind": "#f2495cff", "cells": [cell("<m>"), cell("$9", 0.5)]}]},
     "Title Model Cost <m> $9 $9", "width: 50.0%; background: #3274d9"),
    (panel("table"), {**TABLE, "rows": [{"behind": "#f2495cff", "cells": [cell("m"), cell("")]}]}, "m $9", "background: #f2495c40"),
    (panel("table"), {**TABLE, "rows": [{"behind": None, "cells": [cell(f"m{each}"), cell("")]} for each in range(30)]},
     "m0 m1 m2", "and 22 more, by scrolling"),
    (panel("table"), {"columns": [], "rows": [], "totals": []}, "Title nothing here", "nothing here"),
    (GRAPH, {"series": [series("input", "#3274d9", (dashboards.SCENES["usage"].end_s // 86_400 * DAY_MS, 4))], "isBars": True,
             "calcs": ["sum"], "ticks": TICKS}, "$0 $2 $4 01 Nov 05 Nov 09 Nov 13 Nov 17 Nov Name sum input $3", 'fill="#3274d9"'),
    (GRAPH, {"series": [], "isBars": True, "calcs": ["sum"], "ticks": []}, "Title nothing here", "nothing here"),
]  # fmt: skip


@pytest.mark.parametrize(("of", "content", "read", "drawn"), DRAWN, ids=[f"{row[0]['type']} {row[2]}" for row in DRAWN])
def test_a_panel_is_drawn_with_all_that_is_in_it(of: Json, content: Any, read: str, drawn: str) -> None:
    """Its title, figures, names, bars and colours; its words for nothing; how much more there is where it is too small."""
    picture = page(of, content)
    assert read in words(picture)
    assert drawn in picture


def test_a_picture_says_that_grafana_did_not_draw_it() -> None:
    """And what Prometheus held."""
    said = words(page(STAT, [figure("Cost", "$5")]))
    assert said.startswith("Board Drawn by costspan's own script from the dashboard's JSON, not by Grafana.")
    assert "the calls of a fleet in November, looked at on 21 November 2026, 14:50 UTC" in said
