"""Where the telemetry of a process goes, and in whose name: what is needed to send what it could not.

Nothing of this is public in the SDK. Names were read in 1.43.0 and 1.45.2; where they have gone, the outbox is off.
"""
# pyright: basic

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource

from costspan import guard, names
from costspan.sdk.acknowledged import Acknowledgement

_OTLP: Final = "opentelemetry.exporter.otlp."
_USER: Final = re.compile(r"//[^/@]*@")
#: While the program ends, messages that hold nothing but ours are not tried for longer than this.
_PATIENCE_AT_END_S: Final = 0.75


def is_otlp(exporter: Any) -> bool:
    """Whether an exporter sends by OTLP to somewhere."""
    is_known = any(each.__module__.startswith(_OTLP) for each in type(exporter).__mro__)
    return is_known and isinstance(getattr(exporter, "_endpoint", None), str)


def endpoint(exporter: Any) -> str:
    """Where an exporter sends, without user and password."""
    return _USER.sub("//", exporter._endpoint)  # noqa: SLF001


def is_grpc(exporter: Any) -> bool:
    """Whether it sends by gRPC."""
    return any(each.__module__.startswith(f"{_OTLP}proto.grpc.") for each in type(exporter).__mro__)


def resource_of(meters: Any) -> Resource | None:
    """In whose name a meter provider sends."""
    found = getattr(getattr(meters, "_sdk_config", None), "resource", None)
    return found if isinstance(found, Resource) else None


def described(resource: Any) -> dict[str, Any]:
    """A resource as JSON takes it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in resource.attributes.items()
        if isinstance(value, str | int | float | tuple)
    }


def log_exporter(loggers: Any) -> Any:
    """What sends the usage events by OTLP; None where nothing does."""
    return next((each for each in _log_exporters(loggers) if is_otlp(each)), None)


def _log_exporters(loggers: Any) -> Iterator[Any]:
    several = getattr(loggers, "_multi_log_record_processor", None)
    for each in getattr(several, "_log_record_processors", ()):
        yield getattr(getattr(each, "_batch_processor", None), "_exporter", None) or getattr(each, "_exporter", None)


class SentEvents:
    """Tells which usage events an exporter has delivered, and which it has given up."""

    def __init__(
        self, exporter: Any, note: Callable[[list[str], bool], object], is_closing: Callable[[], bool]
    ) -> None:
        self._exporter = exporter
        self.endpoint = endpoint(exporter)
        self._note = guard.guarded("emit.outbox")(note)
        self._is_closing = is_closing
        self._acknowledged = Acknowledgement(exporter)
        #: The exporter's own method.
        self.export = exporter.export
        exporter.export = self._export

    def _export(self, batch: Sequence[Any]) -> Any:
        ids = [each for each in map(_event_id, batch) if each is not None]
        self._acknowledged.begin()
        is_ours = len(ids) == len(batch)
        result = self._export_in_time(batch) if is_ours and self._is_closing() else self.export(batch)
        if ids:
            self._note(ids, self._is_taken(result))
        return result

    @property
    def is_open(self) -> bool:
        """Whether its provider has not been shut down."""
        return not getattr(self._exporter, "_shutdown", False)

    def is_delivered(self, batch: Sequence[Any]) -> bool:
        """Send records of another process; whether they have arrived."""
        self._acknowledged.begin()
        return self._is_taken(self.export(batch))

    def _is_taken(self, result: Any) -> bool:
        return getattr(result, "name", "") == "SUCCESS" and self._acknowledged.is_taken()

    def _export_in_time(self, batch: Sequence[Any]) -> Any:
        """The program ends, and what does not arrive stays in the outbox: nobody need wait for it."""
        holder: Any = getattr(self._exporter, "_client", None)
        holder = holder if hasattr(holder, "_timeout") else self._exporter
        usual = getattr(holder, "_timeout", None)
        if not isinstance(usual, int | float):
            return self.export(batch)
        holder._timeout = min(usual, _PATIENCE_AT_END_S)  # noqa: SLF001
        try:
            return self.export(batch)
        finally:
            holder._timeout = usual  # noqa: SLF001


def _event_id(record: Any) -> str | None:
    """The id of a usage event of ours; None for any other record."""
    said = getattr(record, "log_record", record)
    if getattr(said, "event_name", None) != names.USAGE_EVENT:
        return None
    found = (getattr(said, "attributes", None) or {}).get(names.EVENT_ID)
    return found if isinstance(found, str) else None


class _Caught:
    """A processor that keeps the records which pass."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def on_emit(self, log_record: Any) -> None:
        self.records.append(log_record)

    emit = on_emit

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        del timeout_millis
        return True


def events_of(resource: Mapping[str, Any], write: Callable[[Any], object]) -> list[Any]:
    """The records that `write` writes with a logger provider of a resource, as exporters take them."""
    caught: Any = _Caught()
    provider = LoggerProvider(Resource(dict(resource)), shutdown_on_exit=False)
    provider.add_log_record_processor(caught)
    write(provider)
    return caught.records
