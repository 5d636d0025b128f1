"""What dead processes left in their outboxes, sent once, in their own name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from costspan import guard, names
from costspan.emit.events import Events
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.ledger import outbox, outbox_lines
from costspan.metrics.restored import Restored
from costspan.sdk import way_out
from costspan.sdk.identity import labelled
from costspan.sdk.way_out import SentEvents

#: So many usage events go in one message.
_AT_ONCE: Final = 512


class MetricsWay(NamedTuple):
    """Where metrics go, and what sends a message of them and says whether it was delivered."""

    endpoint: str
    send: Callable[[Any], bool]


class Ways(NamedTuple):
    """By which what was left behind is sent; either may be closed at the moment."""

    metrics: MetricsWay | None
    events: SentEvents | None


@dataclass
class Delivered:
    """What came of it."""

    processes: int = 0
    calls: int = 0
    nano_usd: int = 0
    #: Outboxes that the receiver did not take, or not whole.
    refused: int = 0
    #: Outboxes that cannot be read, or that go elsewhere, or for which there was no time.
    left: int = 0


def deliver(directory: Path, ways: Ways, *, patience_s: float, but: Path | None = None) -> Delivered:
    """Deliver what dead processes left in a directory, but for one file, the oldest first.

    After `patience_s` no further one is begun. Ends with the first one that is refused: the next would be, too. Raises nothing for the state of a file.
    """
    done = Delivered()
    until_s = monotonic() + patience_s
    for path in outbox.prune(directory):
        guard.count("outbox.old")
        _tell_of(path, f"waited for more than {outbox.MOST_DAYS} days to be delivered and was let go")
    for path in outbox.files(directory):
        if path == but:
            continue
        if monotonic() >= until_s or done.refused:
            done.left += 1
            continue
        with outbox.dead(path) as file:
            if file is not None:  # else its process lives, or another one delivers it
                _deliver_file(file, ways, done)
    return done


def _deliver_file(file: outbox.DeadFile, ways: Ways, done: Delivered) -> None:
    try:
        kept = file.read()
        is_refused = _is_refused(file, kept, ways)
    except outbox_lines.NewerError:
        _tell_of(file.path, "is of a newer costspan, which can deliver it")
        done.left += 1
    except OSError as fault:
        _tell_of(file.path, f"cannot be delivered yet ({fault})")
        done.left += 1
    except (outbox_lines.UnreadableError, LookupError, TypeError, ValueError):
        outbox.told_unreadable(file.set_aside())
        done.left += 1
    else:
        if is_refused:
            done.refused += 1
        elif kept.waits:
            done.left += 1
        else:
            _finish(file, kept, done)


def _finish(file: outbox.DeadFile, kept: outbox_lines.Kept, done: Delivered) -> None:
    done.processes += 1
    done.calls += len(kept.calls)
    done.nano_usd += sum(call.price.nano_usd for _, call in kept.calls if isinstance(call.price, Cost))
    if kept.unread:
        outbox.told_unreadable(file.set_aside())
    else:
        file.remove()


def _is_refused(file: outbox.DeadFile, kept: outbox_lines.Kept, ways: Ways) -> bool:
    """Send what one process left by the ways that are open and lead where it sent, and note what has arrived."""
    way = ways.metrics
    if way is not None and way.endpoint == kept.head["metrics"] and kept.has_totals:
        if not all(map(way.send, _messages(kept))):
            return True
        kept.totals = kept.booked
        file.note(outbox_lines.TOTALS, kept.totals)
    if ways.events is None or ways.events.endpoint != kept.head["logs"]:
        return False
    waiting = kept.undelivered()
    for start in range(0, len(waiting), _AT_ONCE):
        some = waiting[start : start + _AT_ONCE]
        if not _are_taken(kept.head["log_resource"], some, ways.events):
            return True
        kept.events.update(call.id for call in some)
        file.note(outbox_lines.EVENTS, [call.id for call in some])
    return False


def _are_taken(resource: Mapping[str, Any], calls: Sequence[Call], events: SentEvents) -> bool:
    return events.is_delivered(way_out.events_of(resource, lambda provider: Events(provider).take(calls)))


def _messages(kept: outbox_lines.Kept) -> Iterator[MetricsData]:
    """What the process would have told at its end, under its own identity."""
    restored = Restored(kept.head["settings"], kept.sums)
    for kept_ns, call in kept.calls:
        restored.add(kept_ns, call)
    resource, identity = Resource(dict(kept.head["resource"])), kept.head["process"]
    for metrics in restored.messages():
        yield _message(resource, identity, metrics)


def _message(resource: Resource, identity: str | None, metrics: list[Metric]) -> MetricsData:
    scope = ScopeMetrics(InstrumentationScope(names.SCOPE), metrics, schema_url="")
    if identity is not None:
        scope = labelled(scope, identity)
    return MetricsData([ResourceMetrics(resource, [scope], schema_url="")])


def _tell_of(path: Path, state: str) -> None:
    guard.tell_once(f"outbox:{path}:{state}", "costspan: the outbox %s %s", path, state)
