"""Which client of AWS's library is the first to call models: most programs that import it call other services alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def await_client(botocore: Any, services: Collection[str], act: Callable[[], object]) -> None:
    """Have `act` called when a client of one of these services is about to be made, by a session that is made from now on."""

    def wait(session: Any) -> None:
        for service in services:
            session.register(f"creating-client-class.{service}", made)

    def made(**_: Any) -> None:
        act()

    botocore.register_initializer(wait)
