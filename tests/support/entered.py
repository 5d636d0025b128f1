"""What of costspan a piece of a program enters: functions, and in which files."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import costspan
from faults import qualified

SOURCE: Final = str(Path(costspan.__file__).parent)


class Way:
    """What of costspan is entered between entering and leaving it, in this thread."""

    def __init__(self) -> None:
        self.entered: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Way:  # noqa: PYI034  # Self is of Python 3.11
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # A comprehension is no call of its own from Python 3.12 on.
        if event == "call" and code.co_filename.startswith(SOURCE) and not code.co_name.endswith("comp>"):
            self.entered[code.co_filename.removeprefix(SOURCE).strip("/"), qualified(code)] += 1

    def __str__(self) -> str:
        return "\n".join(f"{times} x {file} {name}" for (file, name), times in sorted(self.entered.items()))
