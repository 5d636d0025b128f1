"""Where the ledger lies. Apart from the store, because asking must not load SQLite."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from costspan.settings import AUTO, OFF, ON, OTEL_COSTSPAN_LEDGER, Settings


class NoHome(OSError):  # noqa: N818 - a state of the machine; the message is a sentence with the way out
    """There is no directory for a ledger."""


def default_path(environ: Mapping[str, str]) -> Path:
    """Where the ledger lies: the path in OTEL_COSTSPAN_LEDGER, else costspan/ledger.db in the user's data directory.

    Raises NoHome where the user has none.
    """
    return path_of(Settings.read(environ).ledger, environ)


def path_of(setting: str, environ: Mapping[str, str]) -> Path:
    """The path that the setting `ledger` stands for, as settings.py has read it."""
    if setting not in {AUTO, ON, OFF}:
        return Path(setting)
    return data_directory(environ) / "ledger.db"


def outbox_of(setting: str, environ: Mapping[str, str]) -> Path:
    """The directory of outboxes that the setting `outbox` stands for. Raises NoHome."""
    if setting not in {AUTO, ON, OFF}:
        return Path(setting)
    return data_directory(environ) / "outbox"


class NotAFile(OSError):  # noqa: N818 - a state of the machine; the message is a sentence with the way out
    """What is there can hold no ledger."""


_KINDS: Final = {stat.S_IFDIR: "a directory", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe",
                 stat.S_IFSOCK: "a socket"}  # fmt: skip


def check(path: Path) -> None:
    """Raise NotAFile where something else than a file is at `path`, or at the end of it if it is a link."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # there is nothing, or nothing that this user may see
        return
    if kind == stat.S_IFDIR:
        raise NotAFile(f"{path} is a directory, and no ledger: name a file, such as {path / 'ledger.db'}")
    if kind != stat.S_IFREG:
        raise NotAFile(
            f"{path} is {_KINDS.get(kind, 'no file')}, and no ledger: name a file, or say off where there is to be none"
        )


def data_directory(environ: Mapping[str, str]) -> Path:
    """What costspan keeps for this user: $XDG_DATA_HOME/costspan, else ~/.local/share/costspan. Raises NoHome."""
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    base = Path(data) if Path(data).is_absolute() else _home(environ) / ".local" / "share"
    return base / "costspan"


def _home(environ: Mapping[str, str]) -> Path:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        import pwd

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError, AttributeError):
        raise NoHome(
            f"there is no home directory for a ledger (HOME is not set, and this user has none): set {OTEL_COSTSPAN_LEDGER} "
            "to a path"
        ) from None
