"""`costspan.estimate()`: what a call will use and cost, before it is sent."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from costspan import instrumentor, scope
from costspan.facts.recent import Recent
from costspan.forecast.estimate import Estimate, made
from costspan.forecast.history import Known, known
from costspan.forecast.request import Asked, read
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.place import NoHome, path_of
from costspan.ledger.store import Store
from costspan.pricing import loaded

#: What the ledger knows is asked anew after so many seconds: a loop that estimates each of its calls does not wait for it.
KEPT_S: Final = 60.0
_MOST_KEPT: Final = 256

_kept: Final[Recent[tuple[Path, str, str | None], tuple[float, Known]]] = Recent(_MOST_KEPT)


def estimate(
    request: Mapping[str, Any] | None = None, /, *, provider: str | None = None, task_type: str | None = None,
    ledger: str | os.PathLike[str] | None = None, **words: Any,
) -> Estimate:  # fmt: skip
    """What a call will use and cost. `request` or words are those that the client library takes: `model`, `messages`, ...

    Who serves the model (`provider`) is told by the ledger or the model's name where it is not said; `task_type` is that
    of the attribution around. `ledger` is another file than that of this program. Raises EstimateError, a ValueError, for a
    request of which there is no estimate, LedgerError where the `ledger` that is named cannot be read. Nothing is sent.
    """
    asked = read({**(request or {}), **words})
    task = task_type if task_type is not None else scope.current().task_type
    settings = instrumentor.settings_in_force()
    calls = _known(asked, task, settings.ledger) if ledger is None else _read(Path(ledger), asked, task)
    prices = loaded(settings.prices)
    return made(asked, provider, task, calls, prices, time.time())


def _known(asked: Asked, task_type: str | None, setting: str) -> Known:
    """What the program's ledger knows; nothing where it has none, or one that cannot be read now."""
    try:
        path = path_of(setting, os.environ)
    except NoHome:
        return Known()
    key = (path, asked.model, task_type)
    kept, now_s = _kept.get(key), time.monotonic()
    if kept is not None and now_s - kept[0] < KEPT_S:
        return kept[1]
    try:
        found = _read(path, asked, task_type)
    except LedgerError:
        found = Known()
    _kept.keep(key, (now_s, found))
    return found


def _read(path: Path, asked: Asked, task_type: str | None) -> Known:
    try:
        with Store.read(path) as store:
            return known(store, asked.model, task_type)
    except NoLedger:
        return Known()
