"""A table for people whose figures are never cut: names shorten first, then columns are left out, then rows stand as
lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

from costspan.report.naming import Names, padded, wrapped

_MARGIN: Final = 1
_GAP: Final = 2
#: Names are not made narrower than this while there are columns that can be left out,
_COMFORTABLE: Final = 16
#: and never narrower than this.
_NARROWEST: Final = 9
_NARROWEST_TEXT: Final = 24
# Where there is no width to keep to, such as in a file, a name still has an end.
_WIDEST: Final = 120

#: A name or nothing in a column of names, text in any other.
Cell: TypeAlias = "str | None"
Row: TypeAlias = Sequence[Cell]


class Column(NamedTuple):
    """A column of figures, or else of names; or the last one, of text that goes on below where there is no room.

    `leave_out` says in which order columns go where there is no room; 0 stays.
    """

    heading: str
    is_name: bool = False
    is_text: bool = False
    is_left: bool = False
    leave_out: int = 0


class Table(NamedTuple):
    """Columns and rows; `rows` is called each time they are gone through. `rest` and `foot` are sums, the latter below
    a line; what stands in their columns of names is no name.
    """

    columns: Sequence[Column]
    rows: Callable[[], Iterable[Row]]
    rest: Row | None = None
    foot: Row | None = None
    has_rows: bool = True

    @property
    def sums(self) -> list[Row]:
        """The rows that are no rows of the table's own."""
        return [row for row in (self.rest, self.foot) if row is not None]


class _Width(NamedTuple):
    """What a column would like, and with how little it can do: a name can do with less than a figure."""

    natural: int
    least: int


class _Layout(NamedTuple):
    """The columns that are shown, by number, and how wide each is."""

    shown: Sequence[int]
    widths: dict[int, int]


def show(table: Table, width: int | None, line: Callable[[str], None]) -> Sequence[str]:
    """Print the table line by line within the width. Returns the headings that were left out."""
    names, wanted = _measured(table)
    layout = _layout(table.columns, wanted, width)
    if layout is None:
        _show_lists(table, names, width or 0, line)
        return ()
    for number, column_names in names.items():
        column_names.fit(layout.widths.get(number, 0))
    rule = " " * _MARGIN + "─" * (sum(layout.widths.values()) + _GAP * (len(layout.shown) - 1))
    line(_joined([column.heading for column in table.columns], table.columns, layout))
    line(rule)
    for row in table.rows():
        for part in _parts(_texts(row, names), table.columns, layout):
            line(part)
    if table.rest is not None:
        line(_joined(_texts(table.rest, {}), table.columns, layout))
    if table.foot is not None:
        if table.has_rows:
            line(rule)
        line(_joined(_texts(table.foot, {}), table.columns, layout))
    return [column.heading for number, column in enumerate(table.columns) if number not in layout.shown]


def _measured(table: Table) -> tuple[dict[int, Names], list[_Width]]:
    """The names of each column of names, and how wide every column would like to be."""
    names = {number: Names() for number, column in enumerate(table.columns) if column.is_name}
    widths = [len(column.heading) for column in table.columns]
    for row in table.sums:
        widths = [max(width, len(cell or "")) for width, cell in zip(widths, row, strict=True)]
    figures = [number for number in range(len(widths)) if number not in names]
    for row in table.rows():
        for number in figures:
            widths[number] = max(widths[number], len(row[number] or ""))
        for number, column_names in names.items():
            column_names.meet(row[number])
    return names, [
        _Width(max(width, min(names[number].widest, _WIDEST)), width)
        if number in names
        else _Width(width, min(width, _NARROWEST_TEXT) if table.columns[number].is_text else width)
        for number, width in enumerate(widths)
    ]


def _layout(columns: Sequence[Column], wanted: Sequence[_Width], width: int | None) -> _Layout | None:
    """As many columns as there is room for; None where even those that stay have none."""
    shown = list(range(len(columns)))
    names = [number for number in shown if columns[number].is_name or columns[number].is_text]
    if width is None:
        return _Layout(shown, {number: wanted[number].natural for number in shown})
    optional = sorted((number for number in shown if columns[number].leave_out), key=lambda at: columns[at].leave_out)
    while not (fitted := _fitted(wanted, shown, names, width, _COMFORTABLE)) and optional:
        shown.remove(optional.pop(0))
    return fitted or _fitted(wanted, shown, names, width, _NARROWEST)


def _fitted(
    wanted: Sequence[_Width], shown: Sequence[int], names: Sequence[int], width: int, least: int
) -> _Layout | None:
    """Widths of these columns, the names sharing what the figures leave; None where a name would be too narrow."""
    room = width - _MARGIN - _GAP * (len(shown) - 1)
    room -= sum(wanted[number].natural for number in shown if number not in names)
    needs = {number: max(min(wanted[number].natural, least), wanted[number].least) for number in names}
    if room < sum(needs.values()):
        return None
    widths = {number: wanted[number].natural for number in shown}
    waiting = sorted(names, key=lambda number: wanted[number].natural)
    while waiting:
        number = waiting.pop(0)
        free = room - sum(needs[other] for other in waiting)
        widths[number] = min(wanted[number].natural, free, max(room // (len(waiting) + 1), needs[number]))
        room -= widths[number]
    return _Layout(tuple(shown), widths)


def _texts(row: Row, names: dict[int, Names]) -> list[str]:
    return [names[number].text(cell) if number in names else cell or "" for number, cell in enumerate(row)]


def _parts(texts: list[str], columns: Sequence[Column], layout: _Layout) -> Iterator[str]:
    """The row as a line, and as lines below it what the last column has no room for."""
    last = len(columns) - 1
    if not columns[last].is_text:
        yield _joined(texts, columns, layout)
        return
    for part in wrapped(texts[last], layout.widths[last]):
        yield _joined([*texts[:last], part], columns, layout)
        texts = [""] * last


def _joined(texts: Sequence[str], columns: Sequence[Column], layout: _Layout) -> str:
    parts = [
        padded(texts[number], layout.widths[number])
        if columns[number].is_name or columns[number].is_left or columns[number].is_text
        else texts[number].rjust(layout.widths[number])
        for number in layout.shown
    ]
    return (" " * _MARGIN + (" " * _GAP).join(parts)).rstrip()


def _show_lists(table: Table, names: dict[int, Names], width: int, line: Callable[[str], None]) -> None:
    """Each row as a list of headings and figures, one to a line: for a terminal that is narrower than the figures."""
    for column_names in names.values():
        column_names.fit(max(width - _MARGIN, _NARROWEST))
    label = max(len(column.heading) for column in table.columns if not column.is_name)
    for texts in chain((_texts(row, names) for row in table.rows()), (_texts(row, {}) for row in table.sums)):
        for column, text in zip(table.columns, texts, strict=True):
            if column.is_name and text:
                line(" " * _MARGIN + text)
        for column, text in zip(table.columns, texts, strict=True):
            if text and not column.is_name:
                _show_figure(column.heading.ljust(label), text, width, line)
        line("")


def _show_figure(heading: str, text: str, width: int, line: Callable[[str], None]) -> None:
    whole = f"{' ' * _MARGIN}  {heading}  {text}"
    if len(whole) <= width:
        line(whole)
    else:
        line(heading.rstrip())
        line(text)
