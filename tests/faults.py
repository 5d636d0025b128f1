"""Faults put into costspan while a program calls an LLM: at the entry of a function, or at one of its lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from typing_extensions import Self

import costspan

_ROOT = str(Path(costspan.__file__).parent) + "/"
_PARTS = ("calls/", "clients/", "emit/", "pricing/", "scope/", "ledger/", "facts/", "names.py")
#: In these the library's own code runs: they are the caller's call itself, and hold nothing else that could fail.
IN_THE_WAY = frozenset({
    "Family.request", "Family.request_async", "Family._again", "Family._again_async",
    "Family.responded", "Family._taken_later",
    "_events", "_swallowing", "AsyncEvents.__aiter__", "AsyncEvents.__anext__", "AsyncSwallowing.__anext__", "_is_usage_alone", "AsyncEvents.aclose",
    "_watch_closing.<locals>.close", "_watch_closing.<locals>.aclose",
    "_tapped.<locals>.iterate", "_async_tapped.<locals>.iterate", "_passing", "_async_passing",
    "_closing.<locals>.close", "_async_closing.<locals>.aclose",
    "_items", "_async_items",
    "_start_thread", "_run_thread", "_give_task",
})  # fmt: skip


class Site(NamedTuple):
    """Where a fault is put: at the entry of a function, or at one of its lines."""

    code: CodeType
    line: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.code.co_filename.removeprefix(_ROOT)}:{self.line or self.code.co_firstlineno} {self.code.co_name}"
        )


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_ROOT) and code.co_filename.removeprefix(_ROOT).startswith(_PARTS)


def qualified(code: CodeType) -> str:
    """The name of a function with its class, on every Python."""
    found = getattr(code, "co_qualname", None)
    return found if found is not None else _NAMES.get(code, code.co_name)


_NAMES: dict[CodeType, str] = {}


def sites(run: Callable[[], Any], *, lines: bool) -> dict[Any, Site]:
    """Every function (or line) of costspan that a run goes through in this thread, those in the way left out.

    By what makes it a case of its own: for a function, the functions of ours that it was called through.
    """
    found: dict[Any, Site] = {}

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            found[frame.f_code, frame.f_lineno] = Site(frame.f_code, frame.f_lineno)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event != "call" or not _is_ours(code) or qualified(code) in IN_THE_WAY:
            return None
        if lines:
            return local
        found[_way_to(frame)] = Site(code)
        return None

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return found


def _way_to(frame: FrameType | None) -> tuple[CodeType, ...]:
    way: list[CodeType] = []
    while frame is not None:
        if _is_ours(frame.f_code):
            way.append(frame.f_code)
            if qualified(frame.f_code) in IN_THE_WAY:
                break
        frame = frame.f_back
    return tuple(way)


class Fault:
    """Raises at a site, every time that it is reached, while in force."""

    def __init__(self, site: Site, kind: type[Exception]) -> None:
        self.site = site
        self.kind = kind
        self.times = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._again)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _again(self, *_: Any) -> None:
        # A trace function that has raised is taken off by the interpreter.
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not self.site.code:
            return None
        if self.site.line is None and event == "call":
            self._raise()
        return self._local

    def _local(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and frame.f_lineno == self.site.line:
            self._raise()
        return self._local

    def _raise(self) -> None:
        self.times += 1
        raise self.kind(f"a fault put in at {self.site}")
