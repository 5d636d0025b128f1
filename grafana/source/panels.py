"""The panel kinds of the dashboards, in the words of Grafana's classic JSON: figure, bars, lines, gauge and table.

Checked against the types of @grafana/schema by tests/stack/test_dashboards.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Final, TypeAlias

from grafana.source.signals import PLAIN, SHARE, USD, Signal

Json: TypeAlias = dict[str, Any]

DATA_SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
NO_COLOUR: Final = "transparent"
_DECIMALS: Final = {USD: 4, SHARE: 1}
# What is more than nothing and less than the last decimal is told as that, never as zero: how it is written, and by how
# much the value is smaller than what is written.
_LEAST: Final = {USD: ("<${}", 1.0), SHARE: ("<{}%", 0.01)}
_MORE_THAN_NOTHING: Final = 1e-12
_LETTERS: Final = ascii_uppercase


@dataclass(frozen=True)
class Look:
    """How a panel differs from others of its kind: colours by series, words for numbers or for nothing, and so on.

    `steps` are the values from which on another colour holds. `interval` is the shortest step of a graph, `points` are the
    most that it draws.
    `decimals` go by the name of a signal.
    """

    colours: Mapping[str, str] | None = None
    words: Mapping[int, tuple[str, str]] | None = None
    nothing: str = "none"
    steps: Sequence[tuple[float | None, str]] = ((None, BLUE),)
    interval: str = ""
    points: int = 1000
    decimals: Mapping[str, int] | None = None


def bar() -> Json:
    """A cell that is a bar from nothing to a whole."""
    return {"custom.cellOptions": {"type": "gauge", "mode": "basic"}, "min": 0, "max": 1}


def highlight(words: Mapping[int, tuple[str, str]]) -> Json:
    """A cell with words for numbers, whose colour is that of its whole row."""
    look = {"type": "color-background", "mode": "basic", "applyToRow": True}
    return {"custom.cellOptions": look, "mappings": [_words(words)], "custom.align": "left"}


PLAIN_LOOK: Final = Look()


def figure(title: str, said: str, signals: Sequence[Signal], width: int = 6, look: Look = PLAIN_LOOK) -> Json:
    """One or more figures of the time range."""
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto",
        "textMode": "auto" if len(signals) == 1 and not signals[0].legend else "value_and_name",
        "colorMode": "background" if look.words else "value" if len(look.steps) > 1 else "none",
        "graphMode": "none",
        "justifyMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return _panel("stat", title, said, width, _asked(signals, instant=True), look, signals, options, {})


def gauge(title: str, said: str, signals: Sequence[Signal], width: int = 8, look: Look = PLAIN_LOOK) -> Json:
    """Bars from nothing to a limit (or to a whole)."""
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    }
    panel = _panel("bargauge", title, said, width, _asked(signals, instant=True), look, signals, options, {})
    panel["fieldConfig"]["defaults"] |= {"min": 0, "max": 1}
    return panel


def bars(title: str, said: str, signals: Sequence[Signal], width: int = 12, look: Look = PLAIN_LOOK) -> Json:
    """Stacked bars over time, each standing right of the moment with which its step begins."""
    custom = {
        "drawStyle": "bars",
        "barAlignment": 1,
        "barWidthFactor": 0.9,
        "fillOpacity": 80,
        "lineWidth": 0,
        "stacking": {"group": "A", "mode": "normal"},
        "axisSoftMin": 0,
    }
    return _over_time(title, said, signals, width, look, custom)


def lines(title: str, said: str, signals: Sequence[Signal], width: int = 12, look: Look = PLAIN_LOOK) -> Json:
    """Lines over time; where nothing was measured, there is a gap."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": False, "axisSoftMin": 0}
    return _over_time(title, said, signals, width, look, custom)


def table(
    title: str, said: str, keys: Mapping[str, str], signals: Sequence[Signal], width: int = 24,
    *, order: str, totals: Sequence[str] = (), links: Mapping[str, str] | None = None,
    cells: Mapping[str, Json] | None = None, look: Look = PLAIN_LOOK,
) -> Json:  # fmt: skip
    """A row for each set of labels, a column for each signal, the greatest of `order` first.

    `keys` gives the header of each label; the signals' queries keep exactly these labels. `order` and `totals` are
    headers: the column to sort by, and those that are added up under the table. `links`: where a click leads to.
    `cells`: what is particular about a column. An empty cell says nothing: the word for nothing is that of an empty table.
    """
    named = {f"Value #{letter}": signal.name for letter, signal in zip(_LETTERS, signals, strict=False)}
    renamed = {**keys, **(named if len(signals) > 1 else {"Value": signals[0].name})}
    options: Json = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": order, "desc": True}],
    }
    panel = _panel("table", title, said, width, _asked(signals, instant=True, form="table"), look, signals, options, {})
    panel["transformations"] = [
        *([{"id": "merge", "options": {}}] if len(signals) > 1 else []),
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(renamed)},
                "renameByName": renamed,
            },
        },
    ]
    for override in panel["fieldConfig"]["overrides"]:
        header = override["matcher"]["options"]
        column = {"custom.align": "right", "noValue": ""} | (cells or {}).get(header, {})
        if header in totals:
            column["custom.footer"] = {"reducers": ["sum"]}
        override["properties"] += _properties(column)
    for header in keys.values():
        panel["fieldConfig"]["overrides"].append(_override(header, {"noValue": ""}))
    for header, url in (links or {}).items():
        link = {"title": "Show only this", "url": url, "targetBlank": False}
        panel["fieldConfig"]["overrides"].append(_override(header, {"links": [link]}))
    return panel


def _over_time(
    title: str, said: str, signals: Sequence[Signal], width: int, look: Look, custom: Json
) -> Json:  # fmt: skip
    options: Json = {
        "legend": {"calcs": ["sum"] if "stacking" in custom else [], "displayMode": "table" if "stacking" in custom
                   else "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }  # fmt: skip
    panel = _panel("timeseries", title, said, width, _asked(signals, instant=False), look, signals, options, custom)
    if look.interval:
        # A step is never shorter, and for so many of them not longer: a day stays a day.
        panel |= {"interval": look.interval, "maxDataPoints": look.points}
    return panel


def _panel(
    kind: str, title: str, said: str, width: int, targets: list[Json], look: Look, signals: Sequence[Signal],
    options: Json, custom: Json,
) -> Json:  # fmt: skip
    # A series that is named by its labels, or alone, has the panel's unit. A table's names have none: a team called 2026
    # is no amount.
    has_own = [signal for signal in signals if not signal.legend] if len(signals) > 1 or kind == "table" else []
    defaults: Json = {
        **({} if kind == "table" or len(has_own) == len(signals) else _measure(signals[0], look)),
        "noValue": look.nothing,
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
    }
    if kind != "timeseries":
        steps = [{"color": colour, "value": value} for value, colour in look.steps]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if look.words:
        defaults["mappings"] = [_words(look.words)]
    if custom:
        defaults["custom"] = custom
    overrides = [_override(name, {"color": {"mode": "fixed", "fixedColor": each}})
                 for name, each in (look.colours or {}).items()]  # fmt: skip
    overrides += [_override(signal.name, _measure(signal, look)) for signal in has_own]
    return {
        "type": kind,
        "title": title,
        "description": said,
        "datasource": DATA_SOURCE,
        "gridPos": {"h": 0, "w": width, "x": 0, "y": 0},
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": options,
    }


def _measure(signal: Signal, look: Look) -> Json:
    """Unit and decimals, and a word for what is more than nothing and too little for them."""
    decimals = (look.decimals or {}).get(signal.name, _DECIMALS.get(signal.unit))
    measure: Json = {"unit": signal.unit} if signal.unit != PLAIN else {}
    if decimals is not None:
        measure["decimals"] = decimals
    if decimals is not None and signal.unit in _LEAST:
        written, part = _LEAST[signal.unit]
        step = 10**-decimals
        little = {"from": _MORE_THAN_NOTHING, "to": step * part / 2}
        result = {"text": written.format(f"{step:.{decimals}f}"), "index": 0}
        measure["mappings"] = [{"type": "range", "options": {**little, "result": result}}]
    return measure


def _asked(signals: Sequence[Signal], *, instant: bool, form: str = "time_series") -> list[Json]:
    return [
        {
            "refId": letter,
            "datasource": DATA_SOURCE,
            "expr": signal.expression,
            "legendFormat": signal.legend or signal.name,
            "editorMode": "code",
            "format": form,
            "instant": instant,
            "range": not instant,
            "exemplar": False,
        }
        for letter, signal in zip(_LETTERS, signals, strict=False)
    ]


def _words(words: Mapping[int, tuple[str, str]]) -> Json:
    options = {str(number): {"text": text, "color": colour, "index": index}
               for index, (number, (text, colour)) in enumerate(words.items())}  # fmt: skip
    return {"type": "value", "options": options}


def _override(name: str, properties: Json) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": _properties(properties)}


def _properties(properties: Json) -> list[Json]:
    return [{"id": name, "value": value} for name, value in properties.items()]
