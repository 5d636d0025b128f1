"""Which processes hold reservations, and whether they live: by their signs of life, and on one machine by looking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_PROC_START: int = 19  # the field `starttime` of /proc/<pid>/stat, counted after the name of the program


class Owner(NamedTuple):
    """One process. `started` tells it from an earlier one of the same number; `space` says where its number means
    something: the boot of the machine and the namespace of process numbers. Empty where the system does not tell.
    """

    n: int
    pid: int
    started: str
    space: str


def myself() -> Owner:
    """This process, by a number that is new each time."""
    pid = os.getpid()
    return Owner(drawn(), pid, _started(pid), space())


def drawn() -> int:
    """A number that nobody else draws; programs that give `random` the same seed would draw the same there."""
    return int.from_bytes(os.urandom(8), "big") >> 2


def space() -> str:
    """Where process numbers seen from here mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def boot(space: str) -> str:
    """The boot of the machine: moments of its monotonic clock mean something only within it."""
    return space.partition(" ")[0]


def is_seen_alive(owner: Owner, here: str) -> bool:
    """Whether it can be seen that the process lives. False may also mean that this cannot be seen from here."""
    return bool(here) and owner.space == here and bool(owner.started) and _started(owner.pid) == owner.started


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[_PROC_START]
