"""What one call holds of hard budgets while it is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costspan.budgets.counted import Counted
    from costspan.budgets.store import Hold


class Held:
    """The holds of one key, each with its budget. `is_over` once they are settled."""

    __slots__ = ("holds", "is_over", "key")

    def __init__(self, key: str, holds: list[tuple[Counted, Hold]]) -> None:
        self.key = key
        self.holds = holds
        self.is_over = False
