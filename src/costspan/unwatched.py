"""Saying that calls are not counted, by the library's name: on the log, in `costspan.degraded`, and for `costspan usage` elsewhere."""

from __future__ import annotations

from importlib import metadata

from costspan import guard
from costspan.calls import patching
from costspan.clients.libraries import NOT_WATCHED, REMARKS, WAITED_FOR
from costspan.ledger import notes
from costspan.settings import OTEL_COSTSPAN_HTTP_CLIENTS


@guard.guarded("unwatched")
def imported(module: str) -> None:
    """A program imports a library that calls LLMs and is not watched."""
    library = NOT_WATCHED[module]
    remark, version = REMARKS.get(library, ""), version_of(library)
    patching.unwatched[library] = version
    told = f" ({remark})" if remark else ""
    is_first = guard.tell_once(
        f"unwatched:{library}",
        "costspan: %s is imported and not watched: calls made with it are not counted%s. %s=true counts what it sends by"
        " the protocols of OpenAI and Anthropic. Watched are %s: `costspan docs clients`",
        f"{library} {version}".strip(), told, OTEL_COSTSPAN_HTTP_CLIENTS, ", ".join(WAITED_FOR),
    )  # fmt: skip
    if is_first:
        notes.leave(notes.UNWATCHED, library, library=library, version=version, remark=remark)


@guard.guarded("unwatched")
def degraded(client: str, reason: str) -> None:
    """A library that is watched in other versions could not be; the log has it already."""
    notes.leave(notes.UNWATCHED, client, library=client, remark=reason)


@guard.guarded("unwatched")
def used(client: str, route: str) -> None:
    """A program asks for something by a library that is watched, in a way that is not."""
    patching.unwatched[f"{client} {route}"] = ""
    is_first = guard.tell_once(
        f"unwatched:{client}:{route}",
        "costspan: %s of %s was called, which is not watched: its calls are not counted: `costspan docs clients`", route, client,
    )  # fmt: skip
    if is_first:
        notes.leave(notes.UNWATCHED, f"{client}.{route}", library=client, route=route)


def version_of(library: str) -> str:
    """The version of a distribution that is installed here, or nothing."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
