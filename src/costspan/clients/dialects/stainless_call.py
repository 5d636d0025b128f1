"""One call of a library of this shape under way: what it has besides what every call has (`calls.engine`)."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import parsed
from costspan.calls.observed_stream import Look, ObservedStream
from costspan.facts.call import Answer

_FIRST_REFUSAL: Final = 300


def is_usage_alone(event: Any) -> bool:
    """Whether an event that reports usage has nothing else to say: it came because we asked."""
    return not getattr(event, "choices", True) and not getattr(event, "error", None)


class _Stainless:
    """What is the same of a call and of its stream."""

    CARRIED = (*ObservedCall.CARRIED, "asked", "at_end", "taken")
    asked = False  # usage was asked for by us, so its event is ours to swallow
    at_end: Callable[..., None] | None = None  # told of a whole stream, not asked by us, if it reported usage
    taken = False  # what came back has been looked at
    response: Any = None  # the HTTP response that the library is reading, until it has been looked at

    @guard.guarded_positional("calls.read_response")
    def withheld(self: Any) -> Answer | None:
        """What the response says that the library could not make an object of, or that it refused to hand on."""
        response, self.response = self.response, None
        if response is None or response.status_code >= _FIRST_REFUSAL:
            return None
        self.call.http_status = response.status_code
        body = parsed(getattr(response, "_content", b""))
        answer = None if body is None else self.endpoint.read(body)
        return self.completed_by_estimate(answer)

    def completed_by_estimate(self, answer: Answer | None) -> Answer | None:
        """A whole answer says all that is known."""
        return answer


class StainlessCall(_Stainless, ObservedCall):
    """A call that is answered at once, as far as is known."""


class StainlessStream(_Stainless, ObservedStream):
    """A call whose answer is a stream, as it was asked for or turned out to be."""

    def completed_by_estimate(self, answer: Answer | None) -> Answer | None:
        """A stream that the library did not get to hand on is made by the provider all the same."""
        if answer is not None and answer.usage is not None:
            return answer
        return dataclasses.replace(answer or Answer(), usage=self.estimated(None))

    def reporting(self, events: list[Any]) -> list[Any]:
        """Any event of a chat stream may report usage, and none or many may follow it."""
        try:
            return [event for event in events if event.usage is not None]
        except AttributeError:  # bytes, or objects of a library that knows no usage
            return [event for event in events if getattr(event, "usage", None) is not None]

    def look(self) -> Look | None:
        """One event of a chat stream that we asked for usage is ours alone."""
        if self.native or self.has_kinds:
            return super().look()
        return self.is_ours if self.asked else None

    def is_ours(self, event: Any) -> bool:
        """Whether an event came because we asked: it reports usage, and nothing else.

        Who is asked for usage says in the other events that it is none yet: that is taken out again.
        """
        try:
            if event.usage is None:
                event.__pydantic_fields_set__.discard("usage")
                return False
        except AttributeError:  # no object of a library that knows of usage
            return False
        return is_usage_alone(event)

    def raised(self, error: BaseException) -> Any:
        """The event in the frame of the library's own loop (`Stream.__stream__`), where nothing else keeps it.

        Or what the error has of it.
        """
        trace, event = error.__traceback__, getattr(error, "body", None)
        while trace is not None:
            if trace.tb_frame.f_code.co_name == "__stream__":
                event = trace.tb_frame.f_locals.get("data") or event
            trace = trace.tb_next
        return event if isinstance(event, Mapping) else None

    def completed(self, *, is_reported: bool) -> None:
        """The dialect learns from streams that it did not ask."""
        if self.at_end is not None:
            self.at_end(is_reported=is_reported)
