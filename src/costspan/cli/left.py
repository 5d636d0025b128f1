"""What programs had not delivered when they ended, for `costspan doctor` and `costspan usage`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.facts.counting import number
from costspan.ledger import locks, outbox
from costspan.ledger.place import NoHome, outbox_of
from costspan.report.amounts import short_usd
from costspan.settings import AUTO, OFF, Settings

_TOPIC: Final = "outbox"
#: What waits for longer has nobody who delivers it.
_LONG_S: Final = 3_600
_S_PER_MINUTE: Final = 60


def directory(set_: Settings, environ: Mapping[str, str]) -> Path | None:
    """Where outboxes lie; None where there is no place for them."""
    try:
        return outbox_of(set_.outbox, environ)
    except NoHome:
        return None


def doctor(set_: Settings, environ: Mapping[str, str], now_s: float) -> Iterator[Finding]:
    """Whether calls are kept until they are delivered, and what waits."""
    place = directory(set_, environ)
    if set_.outbox == OFF or (set_.outbox == AUTO and set_.ledger == OFF):
        yield Finding(
            _TOPIC,
            NOTE,
            "what a program has not delivered when it ends is lost: the outbox is off (`costspan docs settings`)",
        )
    elif not locks.ARE_POSSIBLE:
        yield Finding(_TOPIC, NOTE, "what a program has not delivered when it ends is lost: this system has no flock")
    elif place is None:
        yield Finding(
            _TOPIC,
            NOTE,
            "what a program has not delivered when it ends is lost: there is no home directory for an outbox",
        )
    if place is None:
        return
    found = list(outbox.waiting(place))
    for each in found:
        if each.fault:
            yield Finding(_TOPIC, WRONG, f"{each.path} cannot be delivered: {each.fault}")
    oldest_s = max((now_s - each.written_s for each in found if each.calls), default=0.0)
    for sentence in _sentences(found):
        yield Finding(_TOPIC, WRONG if oldest_s > _LONG_S else NOTE, f"{sentence}, for up to {number(int(oldest_s // _S_PER_MINUTE), 'minute')}: "
                      "the next program that sends there delivers it, or costspan deliver")  # fmt: skip
    for path in outbox.set_aside(place):
        yield Finding(_TOPIC, NOTE, f"{path} could not be read whole; what could be was delivered")
    if not found:
        yield Finding(_TOPIC, OK, f"nothing waits to be delivered in {place}")


def usage(set_: Settings, environ: Mapping[str, str]) -> list[str]:
    """Sentences on what waits."""
    place = directory(set_, environ)
    return [] if place is None else [f"{each}: costspan deliver." for each in _sentences(outbox.waiting(place))]


def _sentences(found: Iterator[outbox.Waiting] | list[outbox.Waiting]) -> Iterator[str]:
    sums: dict[str, tuple[int, int, int]] = {}
    for each in found:
        if each.calls:
            programs, calls, nano_usd = sums.get(each.endpoint, (0, 0, 0))
            sums[each.endpoint] = programs + 1, calls + each.calls, nano_usd + each.nano_usd
    for endpoint, (programs, calls, nano_usd) in sums.items():
        yield (
            f"Not yet delivered to {endpoint}: what {number(programs, 'program')} had not sent at the end, of "
            f"{number(calls, 'call')}, {short_usd(nano_usd, 6)} USD"
        )
