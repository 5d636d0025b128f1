"""The parts, put together: loaded with the first client library, because most processes that start never call one."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from opentelemetry.metrics import get_meter_provider

from costspan import guard
from costspan.calls import patching
from costspan.calls.requests import Family
from costspan.clients import WAITED_FOR, described
from costspan.emit.bookkeeper import Bookkeeper
from costspan.emit.pipeline import Ledger, Pipeline
from costspan.emit.pricer import Pricer
from costspan.facts.periods import Periods
from costspan.ledger.place import NoHome, path_of
from costspan.settings import AUTO, OFF, Settings, has_otlp_endpoint

_log: Final = logging.getLogger("costspan")


def assembled(settings: Settings, prices: Path | None, providers: Mapping[str, Any]) -> Pipeline:
    """Everything that hears of a call; `prices` are the user's own, `providers` those of OpenTelemetry, by argument."""
    return Pipeline(
        settings,
        prices=Pricer(prices),
        ledger=guard.part("ledger", lambda: _ledger(settings, providers.get("meter_provider") or get_meter_provider())),
        tracer_provider=providers.get("tracer_provider"),
        meter_provider=providers.get("meter_provider"),
        logger_provider=providers.get("logger_provider"),
    )


def watch(name: str, pipeline: Pipeline, settings: Settings) -> None:
    """Watch the client library that the file of this name describes."""
    patching.install(Family(described(name), pipeline.fanout, settings.hosts, settings.ask_usage))


def unwatch() -> None:
    """Watch none any more."""
    for name in WAITED_FOR:
        patching.remove(described(name).name)


def _ledger(settings: Settings, meter_provider: Any) -> Ledger | None:
    """Where no telemetry leaves this process, the ledger takes the record, unless it is told not to."""
    if settings.ledger == OFF or (settings.ledger == AUTO and _has_way_out(meter_provider)):
        return None
    try:
        path = path_of(settings.ledger, os.environ)
    except NoHome as reason:
        guard.degrade("ledger", str(reason))
        return None
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
