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
        self._known: dict[str, str] = {}  # each by itself: of equal texts one is kept

    def value(self, text: str | None) -> str:
        """The label for a value; `unknown` where nobody said one."""
        known = None if text is None else self._known.get(text)
        if known is not None:
            return known
        text = foreign.text(text)
        if text is None:
            return UNKNOWN
        known = self._known.get(text)
        if known is not None:
            return known
        if len(self._known) >= self.limit:
            self.overflowed += 1
            return OTHER
        self._known[text] = text
        return text

    def clear(self) -> None:
        """Forget every value."""
        self._known.clear()
        self.overflowed = 0
