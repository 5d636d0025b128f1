"""Watching Hugging Face's inference clients: every task leaves by one method, which gives a body, or the lines of a stream.

The method knows the task, and endpoints are found by that: the paths are as many as there are providers.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls import streams
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, parsed, text
from costspan.calls.observed_stream import Look, ObservedStream
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects import http_bodies

#: What stands for the model where an address does.
_NO_MODEL: Final = "dummy"
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_REPORTS: Final = re.compile(rb'"(?:usage|details)"\s*:\s*\{')


class LineStream(ObservedStream):
    """A stream of server-sent events that comes line by line, as text or, in older versions, as bytes."""

    @guard.guarded_positional("calls.event")
    def digest(self) -> None:
        """Of the lines, those that hold data are events."""
        self.has_kinds = False
        self.recent[self.known :] = filter(None, map(_data, self.recent[self.known :]))
        super().digest()

    def reporting(self, events: list[Any]) -> list[Any]:
        """Those with a usage in them."""
        return [event for event in events if _REPORTS.search(event)]

    def look(self) -> Look:
        """The library reads no further than the mark of the end."""
        return self._meets_end

    def _meets_end(self, line: Any) -> None:
        if _data(line) == _DONE:
            self.ended()


class HuggingfaceClient(PatchedClient):
    """Hugging Face's library, watched on behalf of a recorder."""

    stream_kind = LineStream

    def points(self) -> tuple[Point, ...]:
        """The method of both clients."""
        plain, twin = self.client.modules
        given = ("request_parameters", "stream")
        return (
            Point(plain, "InferenceClient._inner_post", self.whole(self._ask, _take), given),
            Point(twin, "AsyncInferenceClient._inner_post", self.whole_async(self._ask, _take_async), given),
        )

    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """The library's errors have the status in their response alone."""
        if error is not None:
            http_bodies.note_status(observed, error)
        super().left(observed, error)

    def _ask(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        asked = args[0] if args else kwargs["request_parameters"]
        body = asked.json if isinstance(asked.json, Mapping) else NOTHING
        # Old versions call a conversation by the name of the other task where the service is Hugging Face's own.
        endpoint = self.client.endpoint("/conversational" if "messages" in body else f"/{asked.task}", "post")
        if endpoint is None:
            return None
        named = [text(name) for name in (body.get("model"), asked.model)]
        model = next((name for name in named if name and name != _NO_MODEL and "://" not in name), None)
        return Request(endpoint, self.servers.at(asked.url), body, model, bool(kwargs.get("stream")))


def _data(line: Any) -> bytes:
    raw = line if isinstance(line, bytes) else line.encode("utf-8", "replace")
    return raw[len(_DATA) :].strip() if raw.startswith(_DATA) else b""


def _take(observed: ObservedCall, result: Any) -> Any:
    if isinstance(observed, ObservedStream):
        return streams.events(observed, iter(result))
    return _taken(observed, result)


def _take_async(observed: ObservedCall, result: Any) -> Any:
    if isinstance(observed, ObservedStream):
        return streams.AsyncEvents(observed, aiter(result))
    return _taken(observed, result)


def _taken(observed: ObservedCall, body: Any) -> Any:
    has_usage = observed.endpoint.request_usage is None  # else it is a picture, or sound
    observed.answered(observed.endpoint.read(parsed(body)) if has_usage else None)
    return body


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = HuggingfaceClient
