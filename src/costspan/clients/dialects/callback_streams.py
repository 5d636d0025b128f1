"""The streams that LiteLLM gives: its own objects, whose methods are watched on their classes, so that the caller keeps them."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from typing import Any, Final

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.points import Point
from costspan.clients.dialects.callback_call import LayerStream

#: The classes, by their modules.
_KINDS: Final = (
    ("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper"),
    ("litellm.responses.streaming_iterator", "ResponsesAPIStreamingIterator"),
    ("litellm.responses.streaming_iterator", "SyncResponsesAPIStreamingIterator"),
)
#: Where LiteLLM's objects keep what is ours.
OURS: Final = "_costspan"


def points() -> tuple[Point, ...]:
    """Where the next item is made, and where a stream is closed."""
    item, end = Beside(_asked, _noted, _stopped), Beside(after=_closed)
    watched = {"__next__": item.whole, "__anext__": item.whole_async, "close": end.whole, "aclose": end.whole_async}
    return tuple(
        Point(module, f"{kind}.{name}", wrapper, is_optional=True)
        for module, kind in _KINDS
        for name, wrapper in watched.items()
    )


def follow(observed: Any, stream: Any) -> None:
    """Watch a stream to its end, or to where it is let go of; one of another class says nothing that is read here."""
    kind = type(stream)
    if (kind.__module__, kind.__name__) in _KINDS:
        followed: Any = LayerStream.following(observed)
        followed.chunks = getattr(stream, "chunks", None)
        setattr(stream, OURS, followed)
    else:
        observed.answered(None)


def _of(stream: Any) -> LayerStream | None:
    """The call whose answer is in this stream."""
    return vars(stream).get(OURS)


@guard.guarded_positional("calls.event")
def _asked(stream: Any, _: Any, __: Any) -> None:
    followed = _of(stream)
    if followed is not None:
        followed.at_work = True


@guard.guarded_positional("calls.event")
def _noted(stream: Any, event: Any) -> None:
    followed = _of(stream)
    if followed is not None:
        followed.at_work = False
        followed.told_model = vars(stream).get("_provider_response_model")
        followed.note(event)


@guard.guarded_positional("calls.event")
def _stopped(stream: Any, _: Any, error: BaseException) -> None:
    followed = _of(stream)
    if followed is not None:
        followed.at_work = False
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            followed.ended()
        else:
            followed.broken(error)


@guard.guarded_positional("calls.event")
def _closed(stream: Any, _: Any) -> None:
    followed = _of(stream)
    if followed is not None and not followed.at_work:
        followed.closed()
