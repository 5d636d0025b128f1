"""What the calls of child processes came to, told to the run that they carry: a line each in a file of that run.

The file is made when a run is first taken along to another process, and goes with the run. A child never makes it anew:
what it tells a run that is over is told to nobody.
"""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from typing import Any, Final

from costspan.guard import guarded

_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)


@guarded("scope.outlet")
def made_for(run: object) -> str:
    """The path of a new file, only this user's, which is removed when the run is let go of, or with the process."""
    descriptor, path = tempfile.mkstemp(prefix="costspan-run-", suffix=".jsonl")
    os.close(descriptor)
    weakref.finalize(run, _remove, path, os.getpid())
    return path


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the run, and of this
        try:
            os.unlink(path)  # noqa: PTH108  # it may run at the very end, when little is left to import
        except OSError:  # somebody cleaned up
            return


@guarded("scope.outlet")
def tell(path: str, told: list[Any]) -> None:
    """Add a line. It is written at once and whole, so that none is lost or mixed up, however the child ends."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _NO_LINKS)
    except FileNotFoundError:  # the run is over
        return
    try:
        os.write(descriptor, (json.dumps(told) + "\n").encode())
    finally:
        os.close(descriptor)


@guarded("scope.outlet")
def told_since(path: str, offset: int) -> tuple[list[list[Any]], int]:
    """The lines from a place in the file on, and the place after them. A line without its end is left for later."""
    with open(path, "rb") as file:  # noqa: PTH123
        file.seek(offset)
        whole, end, _ = file.read().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole) + len(end)
