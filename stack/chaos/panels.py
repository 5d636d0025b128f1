"""What the committed dashboards show of a case: their own queries, filled in as Grafana fills them in, and asked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from tests.support.panel_queries import Query, ask, filled, queries

from stack.compose import ROOT

DAY_S: Final = 86_400
#: How far back a reader looks: a case is over in less.
RANGE_S: Final = 4 * 3_600
#: The budget whose rows of the budget page the cases are read from.
BUDGET: Final = "each-team"


class Panels:
    """The panels, for somebody who looks at the last hours before `end_s`."""

    def __init__(self, address: str, end_s: float, headers: Mapping[str, str]) -> None:
        self._address = address
        self._end_s = end_s
        self._headers = headers

    def cost(self, team: str) -> float | None:
        """*Usage*, the figure *Cost*, filtered by team."""
        return self._figure(_query("usage", "Cost", "Cost"), {"team": team})

    def cost_in_sessions(self, task_type: str) -> float | None:
        """*Sessions and tasks*, the figure *Cost in sessions*, filtered by task type."""
        return self._figure(_query("sessions", "Cost in sessions", "Cost in sessions"), {"task_type": task_type})

    def spent(self, team: str) -> float | None:
        """*Budgets*, what a team has spent of its budget; of now, as on the page."""
        query = _query("budgets", "Budgets", "Spent, USD")
        text = filled(query.expression, RANGE_S, {"budget": BUDGET})
        rows, _ = ask(self._address, "query", self._headers, query=text)
        told = [float(row["value"][1]) for row in rows if row["metric"]["llm_budget_each"] == team]
        return told[0] if told else None

    def days(self, team: str) -> dict[str, float]:
        """*Usage*, the bars *Cost by day* of today and yesterday: USD by `20261122`."""
        query = _query("usage", "Cost by day", "Cost")
        today_s = int(self._end_s) // DAY_S * DAY_S
        text = filled(query.expression, RANGE_S, {"team": team})
        bounds = {"start": str(today_s - DAY_S), "end": str(today_s), "step": str(DAY_S)}
        rows, _ = ask(self._address, "query_range", self._headers, query=text, **bounds)
        found: dict[str, float] = {}
        for row in rows:
            for moment_s, value in row["values"]:
                day = time.strftime("%Y%m%d", time.gmtime(moment_s))
                found[day] = found.get(day, 0.0) + float(value)
        return {day: usd for day, usd in found.items() if usd}

    def _figure(self, query: Query, chosen: dict[str, str]) -> float | None:
        text = filled(query.expression, RANGE_S, chosen)
        rows, _ = ask(self._address, "query", self._headers, query=text, time=f"{self._end_s:.3f}")
        return float(rows[0]["value"][1]) if rows else None


@cache
def _query(board: str, panel: str, name: str) -> Query:
    """A query of the files that Grafana is given."""
    dashboard: dict[str, Any] = json.loads((ROOT / "grafana" / "dashboards" / f"{board}.json").read_text("utf-8"))
    found = [each for each in queries(dashboard) if (each.panel, each.name) == (panel, name)]
    if len(found) != 1:
        raise ValueError(
            f"grafana/dashboards/{board}.json has {len(found)} queries {name!r} in {panel!r}: expected one"
        )
    return found[0]
