"""Saying that calls are not counted, by the library's name: on the log, and for `costspan usage` in another process."""

from __future__ import annotations

from costspan import guard
from costspan.clients.libraries import NOT_WATCHED, REMARKS, WAITED_FOR
from costspan.ledger import notes


@guard.guarded("unwatched")
def imported(module: str) -> None:
    """A program imports a library that calls LLMs and is not watched."""
    _tell(NOT_WATCHED[module], REMARKS.get(NOT_WATCHED[module], ""))


@guard.guarded("unwatched")
def degraded(client: str, reason: str) -> None:
    """A library that is watched in other versions could not be; the log has it already."""
    notes.leave(notes.UNWATCHED, client, library=client, remark=reason)


def _tell(library: str, remark: str) -> None:
    remark = f" ({remark})" if remark else ""
    is_first = guard.tell_once(
        f"unwatched:{library}",
        "costspan: %s is imported and not watched: calls made with it are not counted%s. Watched are %s: docs/clients.md",
        library, remark, ", ".join(WAITED_FOR),
    )  # fmt: skip
    if is_first:
        notes.leave(notes.UNWATCHED, library, library=library, remark=remark.strip(" ()"))
