"""`costspan.usage()`: a program asks the ledger what was used and what it cost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Final

from costspan import instrumentor
from costspan.facts.periods import zone
from costspan.ledger.columns import COLUMNS
from costspan.ledger.faults import LedgerError
from costspan.ledger.place import path_of
from costspan.pricing import Prices, loaded
from costspan.report.of_ledger import OfLedger
from costspan.report.query import UsageQuery
from costspan.report.words import SIGNS, Filter, filters, nearest
from costspan.scope.words import word as clean_word

#: To the letter: ids may differ in upper and lower case, and may have stars.
_IS: Final = SIGNS[2]
#: What is no filter and is often tried as one: the question that takes it.
_QUESTIONS: Final = {"by": "by({!r})", "period": "total({!r})", "since": "total({!r})", "top": "by('model', top={!r})"}


def usage(
    *,
    where: str | Iterable[str] = (),
    time_zone: str | tzinfo | None = None,
    ledger: str | os.PathLike[str] | None = None,
    url: str | None = None,
    token: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    timeout_s: float = 30,
    **words: object,
) -> UsageQuery:
    """Ask the ledger of this program, or of this user, what was used and what it cost; nothing is read yet.

    `ledger` names another file, `url` a `costspan serve` that is asked with a `token`: its certificate is to be of an authority of
    this system, or of `ca_file`, and each answer may let wait for `timeout_s`.

    Words of the attribution, `provider`, `model` and the others of `costspan usage` choose the calls: each a value, None
    for calls without one, or several values of which either is meant. `where` takes the command line's filters, such
    as `model=gpt-5*` or `account!=`. Days and months begin in `time_zone` (else OTEL_COSTSPAN_TIME_ZONE). Raises ValueError
    with the words that are known.
    """
    settings = instrumentor.settings_in_force()
    if url is None and (token is not None or ca_file is not None):
        raise ValueError("token and ca_file are for a server: expected url=... with them")
    if url is not None and ledger is not None:
        raise ValueError(f"ledger={str(ledger)!r} and url={url!r}: expected one of them")
    chosen = [one for name, value in words.items() for one in _filters(name, value)]
    chosen += filters([where] if isinstance(where, str) else where)
    place = time_zone if isinstance(time_zone, tzinfo) else zone(settings.time_zone if time_zone is None else time_zone)

    def prices() -> Prices:
        return loaded(settings.prices)

    if url is not None:
        from costspan.remote import of_server, server  # HTTP is loaded where a server is asked

        of_server.named(place)
        asked = server.Server(url, token, None if ca_file is None else os.fspath(ca_file), timeout_s)
        return UsageQuery(of_server.OfServer(asked, _send), tuple(chosen), place)
    if ledger is not None:
        return UsageQuery(OfLedger(Path(ledger), instrumentor.flush, prices), tuple(chosen), place)
    own = path_of(settings.ledger, os.environ)
    return UsageQuery(OfLedger(own, _pass_on, prices), tuple(chosen), place)


def _send() -> None:
    """Have the calls of this program where they go by OTLP: the server may be there."""
    instrumentor.flush(send=True)


def _pass_on() -> None:
    """Have the calls of this program in its ledger. Raises LedgerError where it has none: they would be missed in silence."""
    if instrumentor.pipeline is not None and instrumentor.pipeline.ledger is None:
        raise LedgerError(
            "the calls of this program are in no ledger, as OTLP takes them or OTEL_COSTSPAN_LEDGER is off: "
            "OTEL_COSTSPAN_LEDGER=on keeps them here too, and costspan.usage(ledger=...) asks another one"
        )
    instrumentor.flush()


def _filters(name: str, value: object) -> list[Filter]:
    if name in _QUESTIONS:
        raise ValueError(
            f"{name}={value!r} chooses no calls, it is part of a question: costspan.usage().{_QUESTIONS[name].format(value)}"
        )
    if name not in COLUMNS:
        expected = f"expected some of {', '.join(COLUMNS)}{nearest(name, COLUMNS)}"
        raise ValueError(
            f"{name}={value!r} chooses no calls: {expected}, or where, time_zone, ledger, url, token, ca_file, timeout_s"
        )
    values: list[object] = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not values:
        raise ValueError(f"{name}={value!r} chooses no calls: expected a value, several, or None for calls without one")
    return [Filter(name, _IS, _value(name, one)) for one in values]


def _value(name: str, said: object) -> str:
    """The value of a filter; empty for calls without one."""
    if said is None or said == "":
        return ""
    text = clean_word(name, said)
    if text is None:
        raise ValueError(
            f"{name}={said!r} chooses no calls: expected a text, an integer, a UUID, an Enum of these, or None"
        )
    return text
