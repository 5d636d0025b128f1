"""The span that a vendor has begun for a call that is being made, where it does not make it the current one.

Such a span is found in the frame of the vendor's own function, which is waiting for the call to return. Where a release
of the vendor names things differently, nothing is found, and the call gets a span of ours beside theirs.
"""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span

#: By the module of the function: the local variable that has the span, and the attribute of it that is the span.
#: Read in langfuse 3.0 to 5.0.
_VENDORS: Final = {"langfuse.openai": ("generation", "_otel_span")}
#: So far above a call the function of a vendor is looked for: a client library's methods and wrappers lie between.
_MOST_FRAMES: Final = 16


def is_possible() -> bool:
    """Whether any such vendor is in this process."""
    return not sys.modules.keys().isdisjoint(_VENDORS)


def span() -> Span | None:
    """The open span of the innermost vendor that waits for the call of this thread, if one does."""
    frame: FrameType | None = inspect.currentframe()
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        found = _VENDORS.get(frame.f_globals.get("__name__", ""))
        if found is not None:
            variable, attribute = found
            begun: Any = getattr(frame.f_locals.get(variable), attribute, None)
            if begun is not None:
                return begun if begun.is_recording() else None
        frame = frame.f_back
    return None
