"""A whole dashboard: its filters, its rows of panels laid out on the grid, its links to the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from grafana.source.panels import DATA_SOURCE, Json
from grafana.source.promql import NO_FILTERS, Filters, selector, title

from costspan.budgets.policy import COUNTED_DIMENSIONS
from costspan.names import REQUESTS, prometheus_label

#: The classic model: every Grafana from 10 on reads it. https://grafana.com/docs/grafana/latest/dashboards/
_SCHEMA_VERSION: Final = 42
_COLUMNS: Final = 24
_TAG: Final = "costspan"
_RANGES: Final = (
    ("Today", "now/d", "now"),
    ("Yesterday", "now-1d/d", "now-1d/d"),
    ("This month", "now/M", "now"),
    ("Last month", "now-1M/M", "now-1M/M"),
    ("Last 7 days", "now-7d", "now"),
    ("Last 30 days", "now-30d", "now"),
    ("This year", "now/y", "now"),
)


class Row(NamedTuple):
    """Panels side by side, of one height; with a title, the row can be folded away."""

    height: int
    panels: Sequence[Json]
    title: str = ""


class Dashboard(NamedTuple):
    """What a dashboard file says."""

    name: str
    title: str
    said: str
    rows: Sequence[Row]
    filters: Filters = NO_FILTERS
    start: str = "now/M"
    refresh: str = "5m"
    choices: Sequence[Json] = ()

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.name}.json"

    def text(self) -> str:
        """The file: Grafana's classic JSON."""
        written: Json = {
            "uid": f"costspan-{self.name}",
            "title": f"Costspan: {self.title}",
            "description": self.said,
            "tags": [_TAG],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": self.refresh,
            # That of Grafana's preferences: the budgets' own stands in no dashboard.
            "timezone": "",
            "time": {"from": self.start, "to": "now"},
            "timepicker": {
                "quick_ranges": [{"display": said, "from": start, "to": end} for said, start, end in _RANGES]
            },
            "links": [_LINK],
            "templating": {"list": [_DATA_SOURCES, *_variables(self.filters), *self.choices]},
            "panels": list(_laid_out(self.rows)),
        }
        return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


_LINK: Final[Json] = {
    "type": "dashboards",
    "title": "Costspan",
    "tags": [_TAG],
    "icon": "external link",
    "tooltip": "",
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
}
_DATA_SOURCES: Final[Json] = {
    "type": "datasource",
    "name": "datasource",
    "label": "Prometheus",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
}


def _variables(filters: Filters) -> Iterator[Json]:
    """A filter for each word; each offers what is left by those before it."""
    for index, word in enumerate(filters):
        series = selector(REQUESTS, Filters(filters[:index]))
        asked = f"label_values({series}, {prometheus_label(COUNTED_DIMENSIONS[word])})"
        yield choice(word, asked)


def choice(word: str, asked: str) -> Json:
    """A variable of the page: one, several or all of the values that a query finds."""
    return {
        "type": "query",
        "name": word,
        "label": title(word),
        "datasource": DATA_SOURCE,
        # 5: the query as it is typed. @grafana/prometheus, PromVariableQueryType
        "query": {"query": asked, "refId": f"filter-{word}", "qryType": 5},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def only(page: str, word: str, words: Sequence[str]) -> str:
    """The link of a cell: the page with this value alone for a variable, all else as it is."""
    kept = [f"${{{each}:queryparam}}" for each in ("datasource", *words) if each != word]
    return f"/d/costspan-{page}?" + "&".join(
        ["${__url_time_range}", *kept, f"var-{word}=${{__value.raw:percentencode}}"]
    )


def _laid_out(rows: Sequence[Row]) -> Iterator[Json]:
    """The panels with their places and numbers."""
    number, y = 1, 0
    for row in rows:
        if row.title:
            place = {"h": 1, "w": _COLUMNS, "x": 0, "y": y}
            yield {"type": "row", "id": number, "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
            number, y = number + 1, y + 1
        x = 0
        for panel in row.panels:
            width = panel["gridPos"]["w"]
            yield {"id": number, **panel, "gridPos": {"h": row.height, "w": width, "x": x, "y": y}}
            number, x = number + 1, x + width
        if x > _COLUMNS:
            raise ValueError(f"the row of {row.panels[0]['title']!r} is {x} columns wide: the grid has {_COLUMNS}")
        y += row.height
