"""Cost items that are no call: the uptime of a machine, storage, pieces; at rates of the user's own, by the row.

In the ledger an item is a record like a call, whose client is this library itself: `operation` is its kind, `request_model` its
instance, `response_model` its rate.
"""

from __future__ import annotations

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
