"""Cost items that are no call: the uptime of a machine, storage, pieces; at rates of the user's own, by the row.

In the ledger an item is a record like a call, whose client is this library itself: `operation` is its kind, `request_model` its
instance, `response_model` its rate.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

#: In the place of a client library, and of a provider.
CLIENT: Final = "costspan.item"
PROVIDER: Final = "own"
CALL: Final = "call"
UPTIME: Final = "uptime"
STORAGE: Final = "storage"
PIECE: Final = "piece"
#: Each kind of item, and the unit that is counted: whole numbers of it.
UNIT_OF: Final = {UPTIME: "uptime_ms", STORAGE: "byte_hours", PIECE: "pieces"}
#: A count of a row is below it: 31 years of uptime, a petabyte for a year.
MOST: Final = 10**19 // 2
_MS: Final = 1_000


def counted(kind: str, count: object) -> int:
    """The count of an item in the unit that is kept, of seconds, byte-hours or pieces. Raises ValueError."""
    if kind not in UNIT_OF:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(UNIT_OF)}")
    is_number = isinstance(count, (int, float, Decimal)) and not isinstance(count, bool) and math.isfinite(count)
    units = round(Decimal(str(count)) * (_MS if kind == UPTIME else 1)) if is_number else -1
    if not 0 <= units < MOST or (kind == PIECE and units != count):
        raise ValueError(f"count={count!r}: expected a number from 0 on, of pieces a whole one")
    return units
