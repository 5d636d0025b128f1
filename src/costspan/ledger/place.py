"""Where the ledger lies. Apart from the store, because asking must not load SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Words of the setting that are no path (settings.py).
_WORDS: Final = frozenset({"", "auto", "on", "off"})


def default_path(environ: Mapping[str, str]) -> Path:
    """Where the ledger lies: the path in OTEL_COSTSPAN_LEDGER, else costspan/ledger.db in the user's data directory."""
    chosen = environ.get("OTEL_COSTSPAN_LEDGER", "").strip()
    if chosen.lower() not in _WORDS:
        return Path(chosen).expanduser()
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    base = Path(data) if Path(data).is_absolute() else Path(environ.get("HOME") or Path.home(), ".local", "share")
    return base / "costspan" / "ledger.db"
