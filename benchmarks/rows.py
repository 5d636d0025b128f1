"""The raw rows of a measurement, kept between runs under .cache/benchmarks/, which git ignores."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Final

from benchmarks.contenders import ROOT

FOLDER: Final = ROOT / ".cache" / "benchmarks"


class Rows:
    """The rows of one measurement, one JSON object a line."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"{name}.jsonl"

    def add(self, **row: Any) -> None:
        """Append a row."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as lines:
            lines.write(json.dumps(row) + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            yield from map(json.loads, self.path.read_text().splitlines())

    def forget(self, **fields: object) -> None:
        """Drop the rows that have all of these values, so that a repeated measurement replaces them."""
        kept = [row for row in self if not all(_fits(row.get(name), wanted) for name, wanted in fields.items())]
        if self.path.exists():
            self.path.write_text("".join(json.dumps(row) + "\n" for row in kept))


def _fits(value: Any, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, Collection) and not isinstance(wanted, str) else value == wanted
