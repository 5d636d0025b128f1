"""Stacked bars as shapes of an SVG picture: where each bar stands, how high its parts are, what is written at the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

#: The picture, in its own units; the page scales it.
WIDTH: Final = 960
HEIGHT: Final = 200
LEFT: Final = 72
TOP: Final = 16
FLOOR: Final = 172
#: What is not zero is at least so high, so that it is seen.
LEAST: Final = 2.0
_WIDEST: Final = 44.0
_FILLED: Final = 0.78
#: Up to so many days, every so-manieth has its date written below.
_LABELLED: Final = ((14, 1), (31, 3))
_ELSE_LABELLED: Final = 7
_PRECISION: Final = 1


class Column(NamedTuple):
    """What a bar shows: its label below, the words of its tooltip, the amounts that lie on each other from below, and where it leads.

    `has_gap` says that something of it has no amount.
    """

    label: str
    words: str
    amounts: tuple[int, ...]
    link: str
    has_gap: bool = False


class Bar(NamedTuple):
    """A bar: `slot` is where its slot begins and how wide that is, `parts` has the shape of each amount as an SVG path, empty where there is none."""

    column: Column
    slot: tuple[str, str]
    middle: float
    top: float
    parts: tuple[str, ...]
    is_labelled: bool


class Tick(NamedTuple):
    """A label of the axis of values."""

    y: float
    text: str


class Chart(NamedTuple):
    """A picture. `shown` are the numbers of the parts that any bar has."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    shown: tuple[int, ...]


def labelled(count: int) -> int:
    """Of so many bars every so-manieth has a label: each up to 14, every third up to 31, every seventh beyond."""
    return next((step for most, step in _LABELLED if count <= most), _ELSE_LABELLED)


def stacked(columns: Sequence[Column], text: Callable[[int], str]) -> Chart | None:
    """The picture of the columns; None where all of them are zero. `text` writes an amount at the axis."""
    most = max((sum(column.amounts) for column in columns), default=0)
    if not most:
        return None
    slot = (WIDTH - LEFT) / len(columns)
    step = labelled(len(columns))
    bars = tuple(
        _bar(column, LEFT + number * slot, slot, most, is_labelled=number % step == 0)
        for number, column in enumerate(columns)
    )
    # Half of an odd number is written rounded; the line stands in the middle all the same.
    marks = ((FLOOR, 0), ((FLOOR + TOP) / 2, most // 2), (TOP, most))
    ticks = tuple(Tick(y, text(amount)) for y, amount in marks)
    kinds = range(len(columns[0].amounts))
    return Chart(bars, ticks, tuple(kind for kind in kinds if any(column.amounts[kind] for column in columns)))


def _bar(column: Column, start: float, slot: float, most: int, *, is_labelled: bool) -> Bar:
    width = min(slot * _FILLED, _WIDEST)
    left = start + (slot - width) / 2
    y = float(FLOOR)
    parts: list[str] = []
    for amount in column.amounts:
        height = max(amount / most * (FLOOR - TOP), LEAST) if amount > 0 else 0.0
        y -= height
        parts.append(
            f"M{_short(left)} {_short(y)}h{_short(width)}v{_short(height)}h-{_short(width)}z" if height else ""
        )
    return Bar(
        column,
        (_short(start), _short(slot)),
        round(start + slot / 2, _PRECISION),
        round(y, _PRECISION),
        tuple(parts),
        is_labelled,
    )


def _short(value: float) -> str:
    return f"{value:.{_PRECISION}f}".removesuffix(".0")
