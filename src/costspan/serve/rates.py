"""How many requests a caller may make: so many a second, and twice as many at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from costspan.serve.problems import RequestError

_MOST_CALLERS: Final = 10_000
_BURST_S: Final = 2


class RateLimit:
    """Counts requests by caller, of the last callers only. One without a limit lets everything pass."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._room: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raises RequestError for one too many."""
        if not self._per_s:
            return
        most, now_s = self._per_s * _BURST_S, time.monotonic()
        room, last_s = self._room.pop(caller, (most, now_s))
        room = min(most, room + (now_s - last_s) * self._per_s)
        self._room[caller] = (max(room - 1, 0.0), now_s)
        if len(self._room) > _MOST_CALLERS:
            self._room.popitem(last=False)
        if room < 1:
            expected = f"at most {self._per_s:g} a second"
            raise RequestError(
                429, f"too many requests: expected {expected}", expected=expected, headers={"Retry-After": "1"}
            )
