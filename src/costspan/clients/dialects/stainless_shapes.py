"""What came back from a client library, told by its type: a whole message, a stream, an HTTP response in some wrapping."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from costspan import guard
from costspan.calls import items, streams
from costspan.clients.dialects import http_bodies, http_wires
from costspan.clients.dialects.stainless_call import StainlessCall, StainlessStream, is_usage_alone
from costspan.facts import call as outcomes

_Observed: TypeAlias = "StainlessCall | StainlessStream"


def of(kind: type) -> Callable[[_Observed, Any], Any]:
    """How to look at a value of this type."""
    if hasattr(kind, "__stream__") or hasattr(kind, "__decode__"):
        return _take_stream
    if _declares(kind, "http_response"):
        return _take_raw
    if hasattr(kind, "iter_bytes") and hasattr(kind, "headers"):
        return _take_response
    if hasattr(kind, "iter_bytes") and (hasattr(kind, "response") or _declares(kind, "response")):
        return _take_bytes
    return _take_whole


def _declares(kind: type, name: str) -> bool:
    return any(name in vars(parent).get("__annotations__", ()) for parent in kind.__mro__)


def _take_stream(observed: _Observed, stream: Any) -> None:
    source = stream._iterator
    if observed.endpoint.each:
        stream._iterator = items.iterated(observed, source)
        return
    followed: Any = StainlessStream.following(observed)
    is_async = hasattr(source, "__anext__")
    iterator = streams.AsyncEvents(followed, source) if is_async else streams.events(followed, source, _handed_on)
    stream._iterator = iterator
    followed.reader = weakref.ref(iterator)
    response = getattr(stream, "response", None) or getattr(stream, "http_response", None)
    if response is not None:
        http_wires.watch_closing(followed, response)


def _handed_on(look: Any, noted: Iterator[Any]) -> Iterator[Any]:
    is_asked = look.__func__ is StainlessStream.is_ours
    return _without_ours(noted) if is_asked else streams.passing(look, noted)


def _without_ours(noted: Iterator[Any]) -> Iterator[Any]:
    """The same as `streams.passing` with `is_ours`, in line: 0.5 kIr less for each event of a default stream."""
    for event in noted:
        try:
            if event.usage is None:
                event.__pydantic_fields_set__.discard("usage")
            elif is_usage_alone(event):
                continue
        except AttributeError:  # no object of a library that knows of usage
            pass
        except Exception as fault:  # noqa: BLE001  # in line, as there
            guard.fault("calls.look", fault)
        yield event


def _take_raw(observed: _Observed, raw: Any) -> None:
    _take_response(observed, raw.http_response)


def _take_response(observed: _Observed, response: Any) -> None:
    http_bodies.follow(observed, response, is_asked=observed.asked)


def _take_bytes(observed: _Observed, content: Any) -> None:
    if observed.endpoint.each or observed.endpoint.request_usage is not None:
        _take_response(observed, content.response)
    else:
        observed.answered(None)


def _take_whole(observed: _Observed, message: Any) -> None:
    if observed.endpoint.each:
        if type(message) is str:
            http_bodies.take_text(observed, message)
        else:
            items.within(observed, message)
        return
    answer = observed.endpoint.read(message)
    observed.answered(answer, outcomes.OK)
