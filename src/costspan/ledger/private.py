"""Files for the user alone: records say who works on what."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

from costspan.ledger.place import check

PRIVATE: Final = 0o600
#: For files that nobody else is to have put there: a link is not followed, and a pipe is not waited for.
PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_COMPANIONS: Final = ("", "-wal", "-shm")


def make(path: Path) -> None:
    """Make the file and its directory, whatever the umask says; an empty file that is there becomes the user's alone.

    Where `path` is a link whose end is missing, that end is made.
    """
    end = Path(os.path.realpath(path))
    end.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(end, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
    except FileExistsError:  # also where another process was first
        check(path)
        if end.is_file() and not end.stat().st_size:
            _tighten(end)
        return
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_file(target: Path) -> Generator[Path]:
    """A file to be filled, which is at `target` when that is done. Raises FileExistsError where something is there, and OSError; then there
    is no new file, and nothing that was there is changed.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, "expected the name of a new file", str(target))
    being_made = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        make(being_made)
        yield being_made
        os.link(being_made, target)  # unlike a renaming, it replaces nothing
    finally:
        being_made.unlink(missing_ok=True)


def tighten(path: Path) -> None:
    """Take the file, which is a ledger, and what SQLite has beside it away from everybody else."""
    for companion in _COMPANIONS:
        _tighten(Path(f"{path}{companion}"))


def _tighten(path: Path) -> None:
    with contextlib.suppress(OSError):  # it is another user's, or there is none
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(PRIVATE)
