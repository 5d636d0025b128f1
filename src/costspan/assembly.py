"""The parts, put together: loaded with the first client library, because most processes that start never call one."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.metrics import get_meter_provider

from costspan import guard, unwatched
from costspan.calls import patching
from costspan.calls.points import Options
from costspan.clients import WAITED_FOR, described, dialects
from costspan.clients.libraries import HTTP_CLIENTS
from costspan.emit.outputs import QUEUED, Output
from costspan.emit.pipeline import Ledger, Pipeline
from costspan.emit.reach import silent_here
from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.ledger import locks, notes
from costspan.ledger.claims import Claims
from costspan.ledger.opener import LazyLedger
from costspan.ledger.place import NoHome, NotAFile, check, outbox_of, path_of
from costspan.pricing.opener import LazyPrices
from costspan.settings import AUTO, OFF, ON, Settings, has_otlp_endpoint, otlp_endpoint

if TYPE_CHECKING:
    from costspan.budgets.keeper import Keeper

_log: Final = logging.getLogger("costspan")


def assembled(settings: Settings, prices: Path | None, providers: Mapping[str, Any]) -> Pipeline:
    """Everything that hears of a call; `prices` are the user's own, `providers` those of OpenTelemetry, by argument."""
    meters = providers.get("meter_provider") or get_meter_provider()
    path = guard.part("ledger", lambda: _ledger_path(settings, meters))
    table = LazyPrices(prices, [provider for _, provider in settings.hosts])
    return Pipeline(
        settings,
        prices=table,
        ledger=guard.part("ledger", lambda: _ledger(path, settings)),
        tracer_provider=providers.get("tracer_provider"),
        meter_provider=providers.get("meter_provider"),
        logger_provider=providers.get("logger_provider"),
        claims=guard.part("claims", lambda: _claims(settings)),
        notices=_notices(path, settings),
        outbox=guard.part("outbox", lambda: _outbox(settings)),
        keeper=guard.part("budgets", lambda: _keeper(settings, table, is_recorded=path is not None)),
    )


def _notices(ledger: Path | None, settings: Settings) -> list[Output]:
    """Who tells the user something with the first calls, off the caller's thread."""
    found: list[Output] = []
    if "opentelemetry.instrumentation.auto_instrumentation" in sys.modules:  # the exporters are the environment's
        found.append(Output("reach", QUEUED, _Reach().take))
    where = Whereabouts.of(ledger, settings)
    if where is not None:
        found.append(Output("notes", QUEUED, where.take))
    return found


def watch(name: str, pipeline: Pipeline, settings: Settings) -> None:
    """Watch the client library that the file of this name describes."""
    client = described(name)
    if client.name in patching.patched:
        return
    options = Options(settings.hosts, settings.ask_usage, unwatched.used)
    patching.install(dialects.patched(client, pipeline.recorder, options))
    if client.name in patching.degraded:
        unwatched.degraded(client.name, patching.degraded[client.name])


def unwatch() -> None:
    """Watch none any more."""
    for name in (*WAITED_FOR, *HTTP_CLIENTS):
        patching.remove(described(name).name)


def _ledger_path(settings: Settings, meter_provider: Any) -> Path | None:
    """Where no telemetry leaves this process, the ledger takes the record, unless it is told not to."""
    if settings.ledger == OFF or (settings.ledger == AUTO and _has_way_out(meter_provider)):
        return None
    try:
        path = path_of(settings.ledger, os.environ)
        check(path)
    except (NoHome, NotAFile) as reason:
        guard.degrade("ledger", str(reason))
        return None
    return path


def _claims(settings: Settings) -> Claims | None:
    """Beside the ledger, also where that is not written; not where the user wants nothing on the disk."""
    if settings.ledger == OFF:
        return None
    try:
        path = path_of(settings.ledger, os.environ)
        check(path)
    except (NoHome, NotAFile):  # told for the ledger
        return None
    return Claims(Path(f"{path}.claims"))


def _outbox(settings: Settings) -> Path | None:
    """Where telemetry is kept until it is delivered; not where it goes nowhere, nor where nothing is to be on the disk."""
    is_wanted = settings.outbox != OFF and not (settings.outbox == AUTO and settings.ledger == OFF)
    if not is_wanted or not locks.ARE_POSSIBLE:
        return None
    try:
        return outbox_of(settings.outbox, os.environ)
    except NoHome as reason:
        guard.degrade("outbox", str(reason))
        return None


def _keeper(settings: Settings, prices: LazyPrices, *, is_recorded: bool) -> Keeper | None:
    """What keeps the budgets that this process is to obey."""
    if not settings.budgets:
        return None
    from costspan.budgets import enforcing  # most processes have none
    from costspan.budgets.policy import PolicyError

    store = settings.budget_store
    try:
        path = _ledger_beside(settings) if store else path_of(settings.ledger, os.environ)
        if path is not None:
            check(path)
        return enforcing.keeper(Path(settings.budgets), path, prices, is_recorded=is_recorded, store=store)
    except (NoHome, NotAFile, PolicyError) as reason:
        guard.degrade("budgets", str(reason))
        return None


def _ledger_beside(settings: Settings) -> Path | None:
    """The ledger whose rows count too, where the budgets are kept on a server; none where nothing is to be on the disk."""
    with contextlib.suppress(NoHome):
        return None if settings.ledger == OFF else path_of(settings.ledger, os.environ)
    return None


def _ledger(path: Path | None, settings: Settings) -> Ledger | None:
    return None if path is None else LazyLedger(path, Periods(settings.time_zone))


_WAY_OUT_DEFAULT: Final = (
    "; the ledger has the calls all the same. Start it by `costspan run`, or set OTEL_EXPORTER_OTLP_ENDPOINT, or "
    "OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER to none"
)
_WAY_OUT_CHOSEN: Final = (
    ". The endpoint is set by OTEL_EXPORTER_OTLP_...: start a Collector there, or unset it; OTEL_COSTSPAN_LEDGER=on "
    "keeps the calls in the ledger too"
)


class _Reach:
    """Says in one line, before the exporters do in many, that nobody listens where they send. Off the caller's thread."""

    def __init__(self) -> None:
        self._is_settled = False

    def take(self, _: Sequence[Call]) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        silent = silent_here(os.environ)
        if silent:
            guard.tell_once(
                "silent",
                "costspan: nobody listens at %s, where OpenTelemetry's exporters send: errors of theirs that follow are of "
                "that, and the end of the program waits for them%s",
                " and ".join(silent), _WAY_OUT_CHOSEN if has_otlp_endpoint(os.environ) else _WAY_OUT_DEFAULT,
            )  # fmt: skip


#: How often the note on where calls went is written again.
_EVERY_S: Final = 30.0


class Whereabouts:
    """Leaves a note on where the record of this process's calls is, where the default ledger does not have it."""

    def __init__(self, how: str, where: str) -> None:
        self._how = how
        self._where = where
        self._written_s = float("-inf")

    @classmethod
    def of(cls, ledger: Path | None, settings: Settings) -> Whereabouts | None:
        """None where whoever asks `costspan usage` finds the calls."""
        if ledger is not None:
            is_default = settings.ledger in {AUTO, ON}
            return None if is_default else cls("ledger", str(ledger.absolute()))
        endpoint = urlsplit(f"//{otlp_endpoint(os.environ).rpartition('//')[2]}").netloc.rpartition("@")[2]
        return cls("otlp", endpoint) if endpoint else cls("off", "")

    def take(self, _: Sequence[Call]) -> None:
        """Write it with the first calls, and now and then again."""
        if monotonic() - self._written_s >= _EVERY_S:
            self._written_s = monotonic()
            notes.leave(notes.RECORD, self._how, how=self._how, where=self._where)


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
