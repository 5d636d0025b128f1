"""What a report is printed on: a terminal of some width, or a file as wide as it comes."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Final

from costspan.report import table
from costspan.report.naming import harmless, wrapped
from costspan.report.table import Table

_TURNED_NAME: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc].*?(?=  )")
_BOLD: Final = "\x1b[1m{}\x1b[0m"


class Page:
    """Lines of text for people. `width` is None where there is none to keep to."""

    def __init__(self, file: IO[str] | None = None, width: int | None = None) -> None:
        self._file = file or sys.stdout
        self._is_terminal = self._file.isatty()
        self.width = width or _width(self._file)
        reconfigure = getattr(self._file, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")  # a name may have signs that the terminal lacks

    def title(self, text: str) -> None:
        """Print the text as a heading."""
        is_styled = self._is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        for part in wrapped(harmless(text), self.width):
            self._write(_BOLD.format(part) if is_styled else part)

    def sentence(self, text: str) -> None:
        """Print the text, broken between words where the terminal is narrower: a figure and a path stay whole."""
        for part in wrapped(harmless(text), self.width):
            self._write(part)

    def line(self, text: str) -> None:
        """Print the text on a line of its own, whatever the width: a command to copy."""
        self._write(harmless(text))

    def table(self, shown: Table) -> None:
        """Print the table, and which columns had no room."""
        left_out = table.show(shown, self.width, self._write)
        if left_out:
            self.sentence(f"Not shown for want of room: {', '.join(left_out)} (--json has all).")

    def _write(self, text: str) -> None:
        # A terminal that turns Hebrew and Arabic around would turn the figures after such a name around, too.
        self._file.write((_TURNED_NAME.sub("\\g<0>\u200e", text) if self._is_terminal else text) + "\n")


def _width(file: IO[str]) -> int | None:
    """COLUMNS where it is set, else the terminal's."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    if not file.isatty():
        return None
    try:
        return os.get_terminal_size(file.fileno()).columns or None
    except (OSError, ValueError):
        return 80
