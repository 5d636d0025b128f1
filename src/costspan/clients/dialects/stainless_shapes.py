"""What came back from a client library, told by its type: a whole message, a stream, an HTTP response in some wrapping."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costspan.calls import bodies, streams
from costspan.calls.engine import ObservedCall
from costspan.facts import call as outcomes


def of(kind: type) -> Callable[[ObservedCall, Any], Any]:
    """How to look at a value of this type."""
    if hasattr(kind, "__stream__") or hasattr(kind, "__decode__"):
        return _take_stream
    if any("http_response" in vars(parent).get("__annotations__", ()) for parent in kind.__mro__):
        return _take_raw
    if hasattr(kind, "iter_bytes") and hasattr(kind, "headers"):
        return bodies.follow
    if hasattr(kind, "iter_bytes") and hasattr(kind, "response"):
        return _take_bytes
    return _take_whole


def _take_stream(observed: ObservedCall, stream: Any) -> None:
    streams.follow(observed, stream)


def _take_raw(observed: ObservedCall, raw: Any) -> None:
    bodies.follow(observed, raw.http_response)


def _take_bytes(observed: ObservedCall, _: Any) -> None:
    observed.answered(None)


def _take_whole(observed: ObservedCall, message: Any) -> None:
    answer = observed.endpoint.read(message)
    observed.answered(answer, outcomes.OK)
