"""The raw rows of a measurement, kept between runs under .cache/benchmarks/<version of Python>, which git ignores."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contenders import ROOT
from benchmarks.environments import python_version


class Rows:
    """The rows of one measurement, one JSON object a line."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def path(self) -> Path:
        """The file of the rows."""
        folder = ROOT / ".cache" / "benchmarks" / python_version()
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._name}.jsonl"

    @contextmanager
    def _alone(self) -> Generator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def add(self, **row: Any) -> None:
        """Append a row."""
        with self._alone(), self.path.open("a") as lines:
            lines.write(json.dumps(row) + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            yield from map(json.loads, self.path.read_text().splitlines())

    def forget(self, **fields: object) -> None:
        """Drop the rows that have all of these values, so that a repeated measurement replaces them."""
        with self._alone():
            kept = [row for row in self if not all(_fits(row.get(name), wanted) for name, wanted in fields.items())]
            self.path.write_text("".join(json.dumps(row) + "\n" for row in kept))


def _fits(value: Any, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, Collection) and not isinstance(wanted, str) else value == wanted
