"""Labels that cannot blow up a counter: every dimension has a cap, and `other` takes what is above it."""

from __future__ import annotations

from costspan.facts import foreign
from costspan.names import OTHER, UNKNOWN


class CardinalityLimit:
    """The first `limit` values of one dimension; every later one is `other`."""

    __slots__ = ("_known", "limit", "overflowed")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.overflowed = 0
        self._known: set[str] = set()

    def value(self, text: str | None) -> str:
        """The label for a value; `unknown` where nobody said one."""
        if text in self._known:
            return text
        text = foreign.text(text)
        if text is None:
            return UNKNOWN
        if text in self._known:
            return text
        if len(self._known) >= self.limit:
            self.overflowed += 1
            return OTHER
        self._known.add(text)
        return text

    def clear(self) -> None:
        """Forget every value."""
        self._known.clear()
        self.overflowed = 0
