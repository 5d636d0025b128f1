"""A usage event, and usage that a program books by itself, as the call of the ledger; every value is checked."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from costspan import names
from costspan.facts import cost_items, foreign, money
from costspan.facts.attribution_words import ATTRIBUTE_OF, WORDS
from costspan.facts.call import OUTCOMES, Call
from costspan.facts.usage import MOST_COUNT, UNITS
from costspan.ledger import rolled
from costspan.ledger.kept_calls import COLUMNS, call_of
from costspan.ledger.otlp_json import Arrival

_MOST_NANO_USD: Final = money.MOST_USD * money.NANO_PER_USD
_LONGEST_S: Final = 10_000_000
_MONTH: Final = re.compile(r"\d{4}(?:0[1-9]|1[0-2])")
_LATEST_NS: Final = 2**63 - 1
_OF_ITEMS: Final = frozenset(cost_items.UNIT_OF.values())
#: Attributes that are texts, and the columns that they become.
_TEXTS: Final = {
    names.REQUEST_MODEL: "request_model", names.SERVER_ADDRESS: "host", names.ERROR_TYPE: "error_type",
    names.RESPONSE_MODEL: "model", names.RESPONSE_ID: "answer", names.SERVICE_TIER: "tier", names.TRANSACTION: "transaction_id",
    names.ESTIMATE: "estimate",
    **{attribute: word for word, attribute in ATTRIBUTE_OF.items()},
}  # fmt: skip


class RefusedError(ValueError):
    """A record that is not booked: the attribute, and what was expected of it."""


def of_event(arrival: Arrival | str, bounds: Mapping[str, str], until_ns: int = 0) -> Call:
    """The call that a usage event tells of; `bounds` are the words that whoever sent it may book for. Raises RefusedError, also
    for a call that began before `until_ns`: of that time the ledger keeps sums of days.
    """
    if isinstance(arrival, str):
        raise RefusedError(arrival)
    said = arrival.said
    if arrival.event != names.USAGE_EVENT:
        raise RefusedError(f"event name {foreign.text(arrival.event) or ''!r}: expected {names.USAGE_EVENT}")
    duration_s = _number(said, names.DURATION)
    started_ns = arrival.time_ns - int(duration_s * 1e9)
    if not 0 < started_ns <= _LATEST_NS:
        raise RefusedError("time_unix_nano: expected the end of the call")
    too_old = rolled.refusal(started_ns, until_ns)
    if too_old is not None:
        raise RefusedError(too_old)
    found: dict[str, Any] = {column: foreign.text(said.get(name)) for name, column in _TEXTS.items()}
    found |= {
        "id": _text(said, names.EVENT_ID), "client": names.UNKNOWN, "provider": _text(said, names.PROVIDER),
        "operation": _text(said, names.OPERATION), "started_ns": started_ns, "duration_s": duration_s,
        "outcome": _one_of(said, names.OUTCOME, OUTCOMES), "is_stream": said.get(names.STREAM) is True,
        "port": _whole(said, names.SERVER_PORT, 65_535), "http_status": _whole(said, names.STATUS_CODE, 999),
        "first_chunk_s": _number(said, names.TIME_TO_FIRST_CHUNK) if names.TIME_TO_FIRST_CHUNK in said else None,
        "period": str(said[names.PERIOD]) if _MONTH.fullmatch(str(said.get(names.PERIOD))) else "",
        "finish_reasons": _texts(said.get(names.FINISH_REASONS)),
        "trace_id": arrival.trace_id, "span_id": arrival.span_id, **_price(said),
    }  # fmt: skip
    found["is_complete"] = found.get("quality") != money.ESTIMATED
    found |= _of_row(said.get(names.RECORD), is_bound=bool(bounds))
    is_item = found["client"] == cost_items.CLIENT
    found["counts"] = _counts(said.get(names.USAGE_UNITS), names.USAGE_UNITS, _OF_ITEMS if is_item else UNITS)
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


def _of_row(found: object, *, is_bound: bool) -> dict[str, Any]:
    """What an event of an export says beyond other events, by column. Who may book for some words only says nothing of
    answers that may come again: by their ids these would take the place of others.
    """
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RefusedError(f"{names.RECORD}: expected a map of columns")
    row = cast("dict[str, Any]", found)
    said: dict[str, Any] = {
        column: foreign.text(row[column]) for column in ("client", "geo", "speed", "processing", "unpriced_detail") if column in row
    }  # fmt: skip
    said |= {column: row[column] is True for column in ("is_complete", "is_fetchable") if column in row}
    said["unread"] = _texts(row.get("unread"))
    said["parts"] = _parts(row.get("parts"))
    computed = f"{names.RECORD}.computed_nano_usd"
    said["computed_nano_usd"] = _whole({computed: row.get("computed_nano_usd")}, computed, _MOST_NANO_USD)
    said["client"] = said.get("client") or names.UNKNOWN
    return said | {"is_fetchable": False} if is_bound else said


def _parts(found: object) -> list[tuple[str | None, dict[str, int], bool]]:
    """Portions that other models made: each the model and its counts."""
    name = f"{names.RECORD}.parts"
    parts: list[tuple[str | None, dict[str, int], bool]] = []
    for each in cast("list[object]", found) if isinstance(found, list) else []:
        part = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
        counts = _counts(part.get("units"), f"{name}.units", UNITS)
        if counts is None:
            raise RefusedError(f"{name}: expected maps of a model and its units")
        parts.append((foreign.text(part.get("model")), counts, True))
    return parts


def _counts(found: object, name: str, known: Collection[str]) -> dict[str, int] | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise RefusedError(f"{name}: expected a map of counts by unit")
    counts = cast("dict[str, Any]", found)
    most = MOST_COUNT if known is UNITS else cost_items.MOST
    for unit in counts:
        place = f"{name}.{unit}"
        if unit not in known:
            raise RefusedError(f"{name}.{foreign.text(unit)}: expected some of {', '.join(sorted(known))}")
        if _whole({place: counts[unit]}, place, most) is None:
            raise RefusedError(f"{place}: expected a count")
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
