"""What the record of a call keeps of its estimate, so that both are compared: JSON in the column `estimate` of the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from costspan.facts.money import MOST_USD, NANO_PER_USD
from costspan.facts.usage import INPUT, MOST_COUNT, OUTPUT, count

#: The cost among the figures of an estimate.
COST: Final = "cost_nano_usd"
_MOST: Final = {INPUT: MOST_COUNT, OUTPUT: MOST_COUNT, COST: MOST_USD * NANO_PER_USD}
FIGURES: Final = tuple(_MOST)


class Noted(NamedTuple):
    """`words` is the input as its words tell it, which is what later estimates learn from; then, by figure, the expected number and
    the bound. One that was not known is absent.
    """

    words: int
    has_tools: bool
    expected: Mapping[str, int]
    bound: Mapping[str, int]


def error(expected: int, came: int) -> float:
    """How far an expected number is off, as a share of what came."""
    return abs(expected - came) / max(1, came)


def note(noted: Noted) -> str:
    """As the ledger keeps it."""
    said: dict[str, Any] = {"words": noted.words, "tools": int(noted.has_tools)}
    said |= {figure: [noted.expected.get(figure), noted.bound.get(figure)] for figure in FIGURES}
    return json.dumps(said, separators=(",", ":"))


def read(text: object) -> Noted | None:
    """What the ledger has; None for what is not of this form: another version may have written it."""
    try:
        found: Any = json.loads(cast("str", text))
        words = count(found["words"])
        expected, bound = (
            {figure: number for figure, most in _MOST.items() if (number := count(found[figure][at], most)) is not None}
            for at in (0, 1)
        )
        return Noted(words, bool(found["tools"]), expected, bound) if words else None
    except (ValueError, TypeError, LookupError):
        return None
