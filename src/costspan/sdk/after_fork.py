"""What a forked child has from the SDK and must not use: the parent's sums, locks, connections and identity.

Nothing of this is public in the SDK. Names were read in 1.43.0 and 1.45.2 and are looked up, not relied on: where one
has gone, that piece stays as the SDK left it. Measured with these versions, and without this module: a child repeats
the parent's sums; forked during an export, it never exports; two children write into one connection at a time.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any, Final

from costspan import guard, names

_INSTANCE_ID: Final = "service.instance.id"


def readers_of(meters: Any) -> list[Any]:
    """The metric readers of an SDK meter provider that costspan can join; none for any other provider."""
    return [reader for reader in all_readers(meters) if hasattr(reader, "_receive_metrics")]


def all_readers(meters: Any) -> list[Any]:
    """All of them, those that were added later included, whom the provider's own list does not name."""
    consumer = getattr(meters, "_measurement_consumer", None)
    return list(getattr(consumer, "_reader_storages", None) or getattr(meters, "_metric_readers", ()))


def disown(meters: Any, tracers: Any, loggers: Any) -> None:
    """In a forked child: have the providers begin anew, as far as costspan's data are concerned."""
    _begin_sums(meters)
    _take_identity(meters)
    for exporter in _exporters(meters, tracers, loggers):
        _reconnect(exporter)


@guard.guarded("fork.sums")
def _begin_sums(meters: Any) -> None:
    consumer = getattr(meters, "_measurement_consumer", None)
    _renew(consumer, "_lock")
    for reader in readers_of(meters):
        _renew(reader, "_export_lock")
    for storage in getattr(consumer, "_reader_storages", {}).values():
        if hasattr(storage, "_lock"):
            storage._lock = threading.RLock()  # noqa: SLF001
        _begin_storage(getattr(storage, "_instrument_view_instrument_matches", {}))


def _begin_storage(streams: dict[Any, list[Any]]) -> None:
    """Our own instruments from zero; those of others as they were, but with locks that no lost thread holds."""
    for instrument in list(streams):
        scope = getattr(instrument, "instrumentation_scope", None)
        if scope is not None and scope.name == names.SCOPE:
            del streams[instrument]
            continue
        for stream in streams[instrument]:
            _renew(stream, "_lock")
            for aggregation in getattr(stream, "_attributes_aggregation", {}).values():
                _renew(aggregation, "_lock")


def _renew(holder: Any, name: str) -> None:
    if hasattr(holder, name):
        setattr(holder, name, threading.Lock())


@guard.guarded("fork.identity")
def _take_identity(meters: Any) -> None:
    """Up to SDK 1.43 a child keeps the parent's instance id, and its counters would be taken for the parent's."""
    config = getattr(meters, "_sdk_config", None)
    if config is not None and not hasattr(meters, "_update_resource"):
        config.resource = config.resource.merge(type(config.resource)({_INSTANCE_ID: str(uuid.uuid4())}))


def _exporters(meters: Any, tracers: Any, loggers: Any) -> Iterator[Any]:
    for reader in readers_of(meters):
        yield getattr(reader, "_exporter", None)
    spans = getattr(tracers, "_active_span_processor", None)
    logs = getattr(loggers, "_multi_log_record_processor", None)
    for each in (*getattr(spans, "_span_processors", ()), *getattr(logs, "_log_record_processors", ())):
        batches = getattr(each, "_batch_processor", None)
        yield getattr(batches, "_exporter", None) or getattr(each, "span_exporter", None)


@guard.guarded("fork.connections")
def _reconnect(exporter: Any) -> None:
    """OTLP over HTTP keeps connections open, and a connection serves one process. gRPC sees to this itself."""
    transport = getattr(getattr(exporter, "_client", None), "_transport", None)  # SDK 1.43 has the session alone
    session = getattr(transport, "_session", None) or getattr(exporter, "_session", None)
    for adapter in getattr(session, "adapters", {}).values():
        adapter.__setstate__(adapter.__getstate__())  # as if it came out of a pickle: the same, without connections
    pool = getattr(transport, "_pool", None)
    if pool is not None:
        pool.clear()
