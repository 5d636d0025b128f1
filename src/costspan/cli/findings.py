"""What `costspan doctor` finds: a topic, how grave it is, and a sentence with the way out."""

from __future__ import annotations

from typing import Final, NamedTuple

OK: Final = "ok"
NOTE: Final = "note"
WRONG: Final = "wrong"


class Finding(NamedTuple):
    """One thing that was looked at. `level` is OK, NOTE (worth knowing) or WRONG (figures are or will be missing)."""

    topic: str
    level: str
    sentence: str
