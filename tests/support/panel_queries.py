"""What a dashboard asks, filled in as Grafana fills it in, and the raw answers of Prometheus."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
_ALL = ".*"


class Query(NamedTuple):
    """One query of one panel; `name` is what its figure is called."""

    dashboard: str
    panel: str
    name: str
    expression: str
    is_instant: bool
    step: str
    row: str = ""
    points: int = 0


def queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """The queries of a dashboard's JSON, row by row."""
    row = ""
    for panel in dashboard["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        renamed = [
            each["options"]["renameByName"] for each in panel.get("transformations", []) if each["id"] == "organize"
        ]
        for target in panel.get("targets", []):
            heads: dict[str, str] = renamed[0] if renamed else {}
            name: str = heads.get(f"Value #{target['refId']}") or heads.get("Value") or target["legendFormat"]
            instant, step = target["instant"], panel.get("interval", "")
            yield Query(
                dashboard["title"],
                panel["title"],
                name,
                target["expr"],
                instant,
                step,
                row,
                panel.get("maxDataPoints", 0),
            )


def filters(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """The queries of a dashboard's filters by name."""
    variables = dashboard["templating"]["list"]
    return {each["name"]: each["query"]["query"] for each in variables if each["type"] == "query"}


def filled(expression: str, range_s: int, chosen: Mapping[str, str] = {}, step_s: int = 86_400, end_s: int = 0) -> str:
    """The query as Grafana sends it. A filter that is not chosen is All; `end_s` is the end of the time range."""
    values = {"__range": f"{range_s}s", "__range_s": str(range_s), "__interval": f"{step_s}s", "__to": str(end_s)}

    def value(found: re.Match[str]) -> str:
        name = str(found[1] or found[2])
        if name.startswith("__"):
            return values[name]
        return chosen.get(name, _ALL)

    return _VARIABLE.sub(value, expression)


def ask(address: str, way: str, headers: Mapping[str, str] = {}, /, **form: str) -> tuple[list[Any], list[str]]:
    """The result of a query, and what Prometheus remarks about it (warnings and hints)."""
    url = f"http://{address}/api/v1/{way}"
    asked = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), dict(headers))
    with urllib.request.urlopen(asked, timeout=60) as answer:
        said: dict[str, Any] = json.load(answer)
    return said["data"]["result"], [*said.get("warnings", []), *said.get("infos", [])]
