"""Recorded exchanges that the measuring scripts read: one file of JSON lines for each API, at `COSTSPAN_CORPUS`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pages import ROOT

CORPUS: Final = Path(os.environ.get("COSTSPAN_CORPUS") or ROOT.parent / "shared" / "corpus")


def apis() -> list[str]:
    """The names of the APIs that were recorded. Ends the script where there are none, as `with_usage` does."""
    return [path.stem for path in _files()]


def with_usage(api: str) -> Iterator[dict[str, Any]]:
    """The recorded exchanges of an API that report usage. Raises FileNotFoundError for an API that was not recorded."""
    _files()
    with (CORPUS / f"{api}.jsonl").open(encoding="utf-8") as lines:
        yield from (each for each in map(json.loads, lines) if each["expected"]["usage_present"])


def _files() -> list[Path]:
    found = sorted(CORPUS.glob("*.jsonl"))
    if not found:
        sys.exit(f"{Path(sys.argv[0]).stem}: no recorded traffic at {CORPUS}: say where it lies by COSTSPAN_CORPUS")
    return found
