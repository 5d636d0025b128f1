"""A usage event, and usage that a program books by itself, as the call of the ledger; every value is looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from costspan import names
from costspan.facts import foreign, money
from costspan.facts.attribution_words import ATTRIBUTE_OF, WORDS
from costspan.facts.call import OUTCOMES, Call
from costspan.facts.usage import MOST_COUNT, UNITS
from costspan.ledger.kept_calls import COLUMNS, call_of
from costspan.serve.arrivals import EVENT, Arrival

_MOST_NANO_USD: Final = money.MOST_USD * money.NANO_PER_USD
_LONGEST_S: Final = 10_000_000
_NS: Final = 1_000_000_000
_MONTH: Final = re.compile(r"\d{4}(?:0[1-9]|1[0-2])")
_LATEST_NS: Final = 2**63 - 1
#: Attributes that are texts, and the columns that they become.
_TEXTS: Final = {
    names.REQUEST_MODEL: "request_model", names.SERVER_ADDRESS: "host", names.ERROR_TYPE: "error_type",
    names.RESPONSE_MODEL: "model", names.RESPONSE_ID: "answer", names.SERVICE_TIER: "tier",
    **{attribute: word for word, attribute in ATTRIBUTE_OF.items()},
}  # fmt: skip


class RefusedError(ValueError):
    """A record that is not booked: the attribute, and what was expected of it."""


def of_event(arrival: Arrival | str, bounds: Mapping[str, str]) -> Call:
    """The call that a usage event tells of; `bounds` are the words that whoever sent it may book for. Raises RefusedError."""
    if isinstance(arrival, str):
        raise RefusedError(arrival)
    said = arrival.said
    if arrival.event != EVENT:
        raise RefusedError(f"event name {foreign.text(arrival.event) or ''!r}: expected {EVENT}")
    duration_s = _number(said, names.DURATION)
    started_ns = arrival.time_ns - int(duration_s * 1e9)
    if not 0 < started_ns <= _LATEST_NS:
        raise RefusedError("time_unix_nano: expected the end of the call")
    found: dict[str, Any] = {column: foreign.text(said.get(name)) for name, column in _TEXTS.items()}
    found |= {
        "id": _text(said, names.EVENT_ID), "client": names.UNKNOWN, "provider": _text(said, names.PROVIDER),
        "operation": _text(said, names.OPERATION), "started_ns": started_ns, "duration_s": duration_s,
        "outcome": _one_of(said, names.OUTCOME, OUTCOMES), "is_stream": said.get(names.STREAM) is True,
        "port": _whole(said, names.SERVER_PORT, 65_535), "http_status": _whole(said, names.STATUS_CODE, 999),
        "first_chunk_s": _number(said, names.TIME_TO_FIRST_CHUNK) if names.TIME_TO_FIRST_CHUNK in said else None,
        "period": str(said[names.PERIOD]) if _MONTH.fullmatch(str(said.get(names.PERIOD))) else "",
        "finish_reasons": _texts(said.get(names.FINISH_REASONS)),
        "counts": _counts(said), "trace_id": arrival.trace_id, "span_id": arrival.span_id, **_price(said),
    }  # fmt: skip
    found["is_complete"] = found.get("quality") != money.ESTIMATED
    return made(found, bounds)


def made(found: Mapping[str, Any], bounds: Mapping[str, str]) -> Call:
    """The call with these columns, within the words of whoever books it. Raises RefusedError for somebody else's."""
    own = dict(found)
    for word, value in bounds.items():
        if own.get(word) not in {None, value}:
            raise RefusedError(f"{word}: expected that of the token, or none")
        own[word] = value
    try:
        return call_of(COLUMNS, [own.get(column) for column in COLUMNS])
    except (ValueError, TypeError, LookupError) as fault:
        raise RefusedError(f"the record is no call: expected {fault}") from None


#: The words that may stand in a record.
ATTRIBUTION: Final = tuple(WORDS)


def _price(said: Mapping[str, Any]) -> dict[str, Any]:
    nano_usd = _whole(said, names.COST_NANO_USD, _MOST_NANO_USD)
    if nano_usd is None:
        return (
            {"unpriced_reason": _one_of(said, names.UNPRICED_REASON, money.REASONS)}
            if names.UNPRICED_REASON in said
            else {}
        )
    return {
        "nano_usd": nano_usd, "quality": _one_of(said, names.QUALITY, money.QUALITIES),
        "cost_source": _one_of(said, names.COST_SOURCE, (money.PROVIDER, money.LOCAL)),
        "price_version": foreign.text(said.get(names.PRICE_VERSION)) or "",
    }  # fmt: skip


def _counts(said: Mapping[str, Any]) -> dict[str, int] | None:
    found = said.get(names.USAGE_UNITS)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise RefusedError(f"{names.USAGE_UNITS}: expected a map of counts by unit")
    counts = cast("dict[str, Any]", found)
    for unit in counts:
        if unit not in UNITS:
            raise RefusedError(f"{names.USAGE_UNITS}.{foreign.text(unit)}: expected some of {', '.join(sorted(UNITS))}")
        if _whole({f"{names.USAGE_UNITS}.{unit}": counts[unit]}, f"{names.USAGE_UNITS}.{unit}", MOST_COUNT) is None:
            raise RefusedError(f"{names.USAGE_UNITS}.{unit}: expected a count")
    return counts


def _texts(found: object) -> list[str]:
    each = cast("list[object]", found) if isinstance(found, list) else []
    return [text for text in map(foreign.text, each) if text is not None]


def _text(said: Mapping[str, Any], name: str) -> str:
    text = foreign.text(said.get(name))
    if text is None:
        raise RefusedError(f"{name}: expected a text")
    return text


def _one_of(said: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    if said.get(name) not in known:
        raise RefusedError(f"{name}: expected one of {', '.join(known)}")
    return str(said[name])


def _whole(said: Mapping[str, Any], name: str, most: int) -> int | None:
    value = said.get(name)
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise RefusedError(f"{name}: expected a whole number from 0 to {most}")
    return value


def _number(said: Mapping[str, Any], name: str) -> float:
    value = said.get(name, 0.0)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not 0 <= value <= _LONGEST_S
    ):
        raise RefusedError(f"{name}: expected a number of seconds from 0 to {_LONGEST_S}")
    return float(value)
