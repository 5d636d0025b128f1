"""The span that a vendor has begun for a call that is being made, where it does not make it the current one.

Such a span is found in the frame of the vendor's own function, which is waiting for the call to return. Where a release
of the vendor names things differently, nothing is found, and the call gets a span of ours beside theirs.
"""

from __future__ import annotations

import inspect
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span

#: The module of the only such function that is known; its local variable, and the attribute of that which is the span.
#: Read in langfuse 5.0.
MODULE: Final = "langfuse.openai"
_VARIABLE: Final = "generation"
_ATTRIBUTE: Final = "_otel_span"
#: So far above a call the function of a vendor is looked for: a client library's methods and wrappers lie between.
_MOST_FRAMES: Final = 16


def span() -> Span | None:
    """The open span of the vendor that waits for the call of this thread, if one does. Asked where MODULE is loaded."""
    frame: FrameType | None = inspect.currentframe()
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        if frame.f_globals.get("__name__") == MODULE:
            begun: Any = getattr(frame.f_locals.get(_VARIABLE), _ATTRIBUTE, None)
            if begun is not None:
                return begun if begun.is_recording() else None
        frame = frame.f_back
    return None
