"""A bounded table that forgets what has not been asked for lately, never everything at once."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Holds the `most` keys asked for last, and at times up to twice as many; safe from any thread without a lock.

    What was asked for since the table was last full is young; when the young are `most`, the old ones go and the
    young become old. So no call pays for clearing it, and up to `most` keys that come in turn all stay.
    """

    __slots__ = ("_most", "_old", "young")

    def __init__(self, most: int) -> None:
        self._most = most
        self._old: dict[K, V] = {}
        self.young: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is kept of a key; asking for it makes it young."""
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.keep(key, found)
        return found

    def keep(self, key: K, value: V) -> V:
        """Keep a value, and give it back."""
        if len(self.young) >= self._most:
            self._old, self.young = self.young, {}
        self.young[key] = value
        return value

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def clear(self) -> None:
        """Forget all."""
        self._old, self.young = {}, {}
