"""One file per shape of client library: where it is watched, how what it returns is followed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from costspan.calls.points import Options, PatchedClient

if TYPE_CHECKING:
    from costspan.calls.description import Client
    from costspan.calls.recorder import Recorder


def patched(client: Client, recorder: Recorder, options: Options = Options()) -> PatchedClient:  # noqa: B008  # a constant
    """A client library, to be watched as its dialect says."""
    return import_module(f"{__name__}.{client.dialect}").PATCHED_CLIENT(client, recorder, options)
