"""The report of the demo as a terminal shows it: the text in the README, which a test keeps fresh."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from pages import ROOT

NAMES: Final = ("report",)
#: The report has no colours but those of the terminal: what is behind, and the text.
_THEMES: Final = {"light": TerminalTheme((238, 240, 243), (36, 41, 46), [(0, 0, 0)] * 8), "dark": SVG_EXPORT_THEME}
#: Characters in a line: no line of the table is longer, and a phone shows it as large as may be.
_WIDTH: Final = 110
#: Rich has the font of its drawing from another host; without it, it is the reader's own of one width.
_FOREIGN_FONT: Final = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


def shown() -> str:
    """What the README shows of the demo."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"<!-- make demo -->\n```text\n(.*?)```", readme, re.DOTALL)
    return found.rstrip()


def draw(folder: Path) -> None:
    """Write the picture into a folder, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme, theme in _THEMES.items():
        (folder / f"{NAMES[0]}-{scheme}.svg").write_text(_drawn(theme), encoding="utf-8")


def _drawn(theme: TerminalTheme) -> str:
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text(f"$ costspan demo\n\n{shown()}"))
    drawn = console.export_svg(title="costspan demo", theme=theme, unique_id="report")
    return _FOREIGN_FONT.sub("", drawn)
