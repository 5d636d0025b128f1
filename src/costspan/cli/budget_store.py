"""What `costspan doctor` says of the budgets that programs are to obey: which store keeps them, and whether it answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from costspan.budgets.link import DeclinedError, LostError
from costspan.budgets.opening import UnusableError, server_at, store_beside
from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.ledger.place import NoHome, path_of
from costspan.settings import OTEL_COSTSPAN_BUDGET_STORE, OTEL_COSTSPAN_BUDGETS, Settings

_TOPIC: Final = "budgets"
_PATIENCE_S: Final = 2.0
#: What stands before the host, also where it holds signs that it should not.
_SECRETS: Final = re.compile(r"^([a-z]+)://.*@", re.DOTALL)


def doctor(set_: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Where a budgets.yaml is obeyed, or a server is named: the store."""
    if set_.budget_store:
        yield from _server(set_.budget_store)
        if not set_.budgets:
            yield Finding(_TOPIC, NOTE, f"no budgets.yaml is obeyed ({OTEL_COSTSPAN_BUDGETS}): the server is not asked")
    elif set_.budgets:
        try:
            path: Path | str = store_beside(path_of(set_.ledger, environ))
        except NoHome as fault:
            yield Finding(_TOPIC, WRONG, f"budgets are not obeyed: {fault}")
        else:
            yield Finding(_TOPIC, OK, f"the processes of this machine share {path}")


def shown(value: str) -> str:
    """The value of a setting; of the URL of a server neither who asks it nor its password."""
    return _SECRETS.sub(r"\1://***@", value).partition("?")[0] if "://" in value else value


def _server(url: str) -> Iterator[Finding]:
    try:
        server = server_at(url)
    except UnusableError as fault:
        yield Finding(_TOPIC, WRONG, f"{OTEL_COSTSPAN_BUDGET_STORE} {fault}")
        return
    try:
        with contextlib.closing(server.connect(_PATIENCE_S)) as connection:
            name, doubts = connection.doubts()
    except (LostError, DeclinedError) as fault:
        yield Finding(_TOPIC, WRONG, f"{OTEL_COSTSPAN_BUDGET_STORE} ({server.shown}) does not answer: {fault}")
        return
    yield Finding(_TOPIC, OK, f"all machines share {server.shown}, which answers: {name}")
    for doubt in doubts:
        yield Finding(_TOPIC, NOTE, f"{server.shown}: {doubt} (`costspan docs enforcement`)")
