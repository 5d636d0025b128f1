"""Fields of a usage object that no reader counts: those known to cost nothing, and those that nobody knows.

A number in a field that nobody knows may be something that is charged, so the field is named (`Answer.unread`) and the
call is a lower bound. What is listed here was found in recorded answers and in the providers' documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.messages import fields, listed
from costspan.facts.usage import MOST_NAMES, ODD_NAME, count

#: Fields of one object that are looked at. Real ones have at most thirty.
MOST_FIELDS: Final = 200
_DEEPEST: Final = 3

#: Parts of a total that cost what the total costs, other measures of what is counted already, and sums.
NO_CHARGE: Final = frozenset({
    "total_tokens", "text_tokens", "accepted_prediction_tokens", "prompt_cache_miss_tokens", "context_details",
    "num_sources_used", "num_server_side_tools_used", "tool_calls_requested", "tool_calls_executed",
    "latency_checkpoint", "object", "created", "index",
})  # fmt: skip
# How long it took and how fast it went (Groq, SambaNova, GPUStack, llama.cpp), shares, and money, which is read by its
# own names: none of them counts what was used. Seconds of sound do, and so do those of a rented machine.
_MEASURE: Final = re.compile(
    r"(?:^|_)(?:time|latency|ttft|tpot|delay)(?:_|$)|_ms$|per_sec|rate$|ratio$|percent|cost|price"
)
_CHARGED_BY_TIME: Final = re.compile(r"audio|video|sound|speech|compute|gpu|container|session")


def note_unknown(unread: list[str], name: Any, value: Any, within: str = "", depth: int = 0) -> None:
    """Add the name of a field that no reader knows, if there is a number in it other than 0."""
    if len(unread) >= MOST_NAMES or _costs_nothing(name):
        return
    full = f"{within}.{name}" if within else name
    if isinstance(value, (int, float)):
        if value and not isinstance(value, bool):
            unread.append(full)
    elif isinstance(value, str):
        if count(value):
            unread.append(full)
    elif depth < _DEEPEST:
        _note_within(unread, full, value, depth)


def _note_within(unread: list[str], name: str, value: Any, depth: int) -> None:
    for item in listed(value)[:MOST_FIELDS]:
        note_unknown(unread, name, item, "", depth + 1)
    for inner, inside in bounded(fields(value), unread):
        note_unknown(unread, inner, inside, name, depth + 1)


def bounded(said: Mapping[str, Any], unread: list[str]) -> Any:
    """The fields of an object; of one with more than any real one has, the first, and it is told."""
    if len(said) <= MOST_FIELDS:
        return said.items()
    unread.append(ODD_NAME)
    return list(said.items())[:MOST_FIELDS]


def _costs_nothing(name: Any) -> bool:
    if name in NO_CHARGE:
        return True
    if not isinstance(name, str) or len(name) > MOST_FIELDS:
        return False
    return _MEASURE.search(name) is not None and _CHARGED_BY_TIME.search(name) is None
