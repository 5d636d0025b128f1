"""Acting on a module once it is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import wrapt


def when_imported(module: str, act: Callable[[Any], object], awaited: set[str] | None = None) -> None:
    """Call `act` with the module: now if it is imported, else when it is. Of each module in `awaited`, that is asked for once alone."""
    if module in sys.modules:
        act(sys.modules[module])
    elif awaited is None or module not in awaited:
        if awaited is not None:
            awaited.add(module)
        wrapt.register_post_import_hook(act, module)
