"""Where the bars, lines and marks of a graph lie: plain geometry, in pixels from the upper left corner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

#: What is left free around the bars and lines: for amounts, for moments.
_LEFT: Final = 74
_TOP: Final = 8
_BOTTOM: Final = 22
_BAR: Final = 0.9  # of a day's room, as the dashboards have it
_MOST_MOMENTS: Final = 6
#: What the name of a moment takes to the right of it.
_NAME: Final = 40
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


@dataclass
class Chart:
    """What is to be drawn: `bars` (x, y, width, height, colour), `lines` (points as SVG has them, colour), `dots` (x, y,
    colour), `levels` (y, text) and `moments` (x, text).
    """

    width: float
    height: float
    bars: list[tuple[float, float, float, float, str]] = field(
        default_factory=list[tuple[float, float, float, float, str]]
    )
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    dots: list[tuple[float, float, str]] = field(default_factory=list[tuple[float, float, str]])
    levels: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    moments: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])


@dataclass
class _Room:
    """Turns moments and values into places."""

    chart: Chart
    from_ms: int
    until_ms: int
    highest: float

    def x(self, moment_ms: float) -> float:
        share = (moment_ms - self.from_ms) / (self.until_ms - self.from_ms)
        return round(_LEFT + share * (self.chart.width - _LEFT - 8), 1)

    def y(self, value: float) -> float:
        return round(_TOP + (1 - value / self.highest) * (self.chart.height - _TOP - _BOTTOM), 1)


def chart(
    graph: Mapping[str, Any], size: tuple[float, float], span_ms: tuple[int, int], step_ms: int
) -> Chart:  # fmt: skip
    """A graph in a room of this size, over a span of time. A bar begins at its moment and is as wide as a step.

    Args:
        graph: its `series` with `points` (moment in ms, value) and `colour`, its `ticks`, whether it `isBars`, as draw.cjs
            writes them.
        size: width and height in pixels.
        span_ms: the first and the last moment.
        step_ms: from one point to the next; lines end where one is missing.
    """
    made = Chart(*size)
    room = _Room(made, *span_ms, highest=graph["ticks"][-1]["value"])
    made.levels = [(room.y(tick["value"]), tick["text"]) for tick in graph["ticks"]]
    named = [(room.x(moment), text) for moment, text in _moments(*span_ms, step_ms)]
    made.moments = [(x, text) for x, text in named if x + _NAME <= made.width]
    if graph["isBars"]:
        _stack(room, graph["series"], step_ms)
    else:
        for series in graph["series"]:
            _line(room, series["points"], series["colour"], step_ms)
    return made


def _stack(room: _Room, series: Sequence[Mapping[str, Any]], step_ms: int) -> None:
    """Bars, those of one moment on top of each other."""
    below: dict[int, float] = defaultdict(float)
    for each in series:
        for moment, value in each["points"]:
            left, right = room.x(moment), room.x(moment + _BAR * step_ms)
            bottom, below[moment] = below[moment], below[moment] + value
            top = room.y(below[moment])
            room.chart.bars.append((left, top, round(right - left, 1), round(room.y(bottom) - top, 1), each["colour"]))


def _line(room: _Room, points: Sequence[tuple[int, float]], colour: str, step_ms: int) -> None:
    """Lines between points that are a step apart; a point alone is a dot."""
    runs: list[list[tuple[int, float]]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= step_ms:
            runs[-1].append(point)
        else:
            runs.append([point])
    for run in runs:
        places = [(room.x(moment), room.y(value)) for moment, value in run]
        if len(places) == 1:
            room.chart.dots.append((*places[0], colour))
        else:
            room.chart.lines.append((" ".join(f"{x},{y}" for x, y in places), colour))


def _moments(from_ms: int, until_ms: int, step_ms: int) -> list[tuple[int, str]]:
    """Some moments of a span with their names, in UTC: dates where it has several or a step is one, else hours."""
    is_days = step_ms >= _DAY_MS or until_ms - from_ms > 2 * _DAY_MS
    every_ms = _DAY_MS if is_days else _HOUR_MS
    found = range(-(-from_ms // every_ms) * every_ms, until_ms, every_ms)
    chosen = found[:: -(-len(found) // _MOST_MOMENTS) or 1]
    form = "%d %b" if is_days else "%H:%M"
    return [(each, datetime.fromtimestamp(each / 1_000, timezone.utc).strftime(form)) for each in chosen]
