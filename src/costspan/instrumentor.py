"""The entry point: reads the settings, connects the parts, watches the client libraries. The one file that knows all."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.metrics import get_meter_provider

from costspan import guard, scope
from costspan.calls import patching
from costspan.calls.requests import Family
from costspan.clients import CLIENTS
from costspan.emit.bookkeeper import Bookkeeper
from costspan.emit.exits import unwatch_exits, watch_exits
from costspan.emit.pipeline import Ledger, Pipeline
from costspan.emit.pricer import Pricer
from costspan.facts.periods import Periods
from costspan.ledger.place import default_path
from costspan.settings import Settings, has_otlp_endpoint

if TYPE_CHECKING:
    from costspan.facts.attribution import Attribution

_log: Final = logging.getLogger("costspan")

#: The pipeline of this process, while costspan is installed.
pipeline: Pipeline | None = None


class CostspanInstrumentor(BaseInstrumentor):
    """Puts a price on every LLM call of this process.

    Found by `opentelemetry-instrument`; or by hand: `CostspanInstrumentor().instrument()`, with `tracer_provider`,
    `meter_provider`, `logger_provider` and, by its name in lower case, any setting of docs/settings.md
    (`ledger="off"`). Never raises: a launcher would give up on every instrumentation after this one.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: no client library is required, and each is watched when it is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        _install(kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002  # the base class's signature
        _remove()


@guard.guarded("instrument")
def _install(options: dict[str, Any]) -> None:
    global pipeline  # noqa: PLW0603  # one process, one pipeline
    settings = Settings.read(os.environ, **options)
    for mistake in settings.mistakes:
        _log.warning("costspan: %s", mistake)
    if not settings.enabled:
        return
    pipeline = Pipeline(
        settings,
        prices=Pricer(_prices_file(settings)),
        ledger=_ledger(settings, options.get("meter_provider") or get_meter_provider()),
        tracer_provider=options.get("tracer_provider"),
        meter_provider=options.get("meter_provider"),
        logger_provider=options.get("logger_provider"),
    )
    _begin_scope(settings)
    for client in CLIENTS:
        patching.install(Family(client, pipeline.fanout, settings.hosts, settings.ask_usage))
    watch_exits(pipeline, on_sigterm=settings.sigterm)


def _prices_file(settings: Settings) -> Path | None:
    """The user's own prices, checked at the start; without them where they are mistaken."""
    if not settings.prices:
        return None
    from costspan.pricing.overrides import OverrideError, read_overrides

    path = Path(settings.prices).expanduser()
    try:
        read_overrides(path)
    except OverrideError as mistakes:
        _log.warning("costspan: your own prices are not used: %s", mistakes)
        return None
    return path


def _ledger(settings: Settings, meter_provider: Any) -> Ledger | None:
    """Where no telemetry leaves this process, the ledger takes the record, unless it is told not to."""
    word = settings.ledger.lower()
    if word == "off" or (word == "auto" and _has_way_out(meter_provider)):
        return None
    is_default = word in {"auto", "on"}
    path = default_path(os.environ) if is_default else Path(settings.ledger).expanduser()
    return Bookkeeper(path, Periods(settings.time_zone))


def _has_way_out(meter_provider: Any) -> bool:
    if not has_otlp_endpoint(os.environ):
        return False
    is_set_up = hasattr(meter_provider, "force_flush")  # a real one; the API's placeholders have nothing to flush
    if not is_set_up:
        _log.warning(
            "costspan: an OTLP endpoint is configured, but nothing has set the OpenTelemetry SDK up, so nothing will be "
            "sent: install opentelemetry-distro, or set the providers up before costspan. The ledger takes the record"
        )
    return is_set_up


@guard.guarded("instrument.scope")
def _begin_scope(settings: Settings) -> None:
    said: Attribution = scope.read_defaults(os.environ)
    scope.defaults(**said._asdict())
    if settings.carry:
        scope.install_carry()
    if settings.baggage:
        scope.install_baggage(imported=settings.baggage, exported=settings.baggage)


@guard.guarded("uninstrument")
def _remove() -> None:
    global pipeline  # noqa: PLW0603
    for client in CLIENTS:
        patching.remove(client.name)
    scope.remove_carry()
    scope.uninstall_baggage()
    scope.forget_defaults()
    unwatch_exits()
    if pipeline is not None:
        pipeline.close()
        pipeline = None


@guard.guarded("flush")
def flush() -> None:
    """Pass on every call that has finished so far. Returns when the ledger and the SDK have them."""
    if pipeline is not None:
        pipeline.flush()
