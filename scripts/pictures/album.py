"""All pictures: those that are drawn always, and those that Chromium takes of what is started for them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Final

from stack import MissingProgramError

from pictures import dashboards, notifications, report, usage_page, way_of_a_call
from pictures.photographing import Photographer, photographer

#: Each has `NAMES`, and `draw(folder)` or `photograph(photographer)`.
DRAWN: Final = (way_of_a_call, report)
PHOTOGRAPHED: Final = (usage_page, notifications, dashboards)


def draw(folder: Path) -> None:
    """Draw what needs no other program into a folder."""
    for subject in DRAWN:
        subject.draw(folder)


def photograph(folder: Path) -> None:
    """Have pictures taken into a folder. Where a program is missing, what it would show is missing, and that is printed."""
    try:
        with photographer(folder) as taking:
            for subject in PHOTOGRAPHED:
                _take(subject, taking)
    except FileNotFoundError as fault:
        print(f"Without the pictures that a browser takes: {fault}")


def _take(subject: ModuleType, photographer: Photographer) -> None:
    try:
        subject.photograph(photographer)
    except MissingProgramError as fault:
        print(f"Without the pictures {', '.join(subject.NAMES)}: {fault}")
