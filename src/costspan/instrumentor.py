"""The entry point: reads the settings, and waits for the first client library before it loads anything else."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from costspan import guard
from costspan.clients.libraries import HTTP_CLIENTS, NOT_WATCHED, OTHER_MODULES, SERVICES, WAITED_FOR
from costspan.process.exits import own_in_child, unwatch_exits, watch_exits
from costspan.process.fork import Participant, unwatch_forks, watch_forks
from costspan.process.imports import when_imported
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.emit.pipeline import Pipeline

_log: Final = logging.getLogger("costspan")

#: The pipeline of this process, from its first client library on, while costspan is installed.
pipeline: Pipeline | None = None


class _Setup(NamedTuple):
    """What was said when costspan was installed."""

    settings: Settings
    prices: Path | None
    options: dict[str, Any]


#: Parts that enter the SDK, by what they enter: loaded as soon as that is, and never by the thread that passes calls
#: on. A fork while a thread imports leaves the child with a module that it can never import.
_PARTS_OF_SDK: Final = {
    "opentelemetry.sdk.trace": "costspan.sdk.fast_span",
    "opentelemetry.sdk.metrics": "costspan.sdk.export_extra",
    "opentelemetry.sdk._logs": "costspan.emit.redelivery",
}

_setup: _Setup | None = None
_hooked: Final[set[str]] = set()
_lock = threading.RLock()


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
    global _setup  # noqa: PLW0603  # one process, one setup
    settings = Settings.read(os.environ, **options)
    for mistake in settings.mistakes:
        _log.warning("costspan: %s", mistake)
    if not settings.enabled:
        when_imported("costspan.scope", _settle, _hooked)
        return
    _setup = _Setup(settings, guard.part("prices", lambda: _prices_file(settings)), options)
    guard.part("exits", lambda: watch_exits(_Ends(), on_sigterm=settings.sigterm))
    guard.part("forks", lambda: watch_forks(participants))
    if settings.says_who or settings.baggage:
        guard.part("attribution", lambda: import_module("costspan.scope"))
    when_imported("costspan.scope", _begin_scope, _hooked)
    for name, module in WAITED_FOR.items():
        if name in SERVICES:
            when_imported(module.partition(".")[0], functools.partial(_meet_service, name), _hooked)
        else:
            for each in (module, *OTHER_MODULES.get(name, ())):
                when_imported(each, functools.partial(_meet, name), _hooked)
    for name, module in HTTP_CLIENTS.items() if settings.http_clients else ():
        when_imported(module, functools.partial(_meet_http, name), _hooked)
    for module in NOT_WATCHED:
        when_imported(module, functools.partial(_miss, module), _hooked)


def _prices_file(settings: Settings) -> Path | None:
    """The user's own prices, checked at the start; without them where they are mistaken."""
    if not settings.prices:
        return None
    from costspan.pricing.overrides import OverrideError, read_overrides

    path = Path(settings.prices)
    try:
        read_overrides(path)
    except OverrideError as mistakes:
        guard.degrade("your own prices", str(mistakes))
        return None
    return path


def _begin_scope(scope: Any) -> None:
    """Somebody says who calls are for, or is about to ask."""
    if _setup is None:
        return
    settings = _setup.settings
    scope.is_counted()
    guard.part("attribution", lambda: scope.defaults(**settings.attribution()))
    if settings.carry:
        guard.part("carry", lambda: scope.install_carry(calls=settings.http_clients))
    if settings.baggage:
        guard.part("baggage", lambda: scope.install_baggage(imported=settings.baggage, exported=settings.baggage))


@guard.guarded("instrument.scope")
def _settle(scope: Any) -> None:
    """It was said that nothing is to be counted: no need to tell."""
    scope.is_counted()


@guard.guarded("uninstrument.scope")
def _end_scope() -> None:
    scope: Any = sys.modules.get("costspan.scope")
    if scope is not None:
        scope.remove_carry()
        scope.uninstall_baggage()
        scope.forget_defaults()


@guard.guarded("instrument.client")
def _meet(name: str, _: Any) -> None:
    """A client library has been imported."""
    setup, parts = _setup, connect()
    if setup is not None and parts is not None:
        from costspan import assembly

        assembly.watch(name, parts, setup.settings)


def _meet_http(name: str, library: Any) -> None:
    """An HTTP library has been imported, and once, perhaps for settings that are no more, was to be watched."""
    if _setup is not None and _setup.settings.http_clients:
        _meet(name, library)


@guard.guarded("instrument.unwatched")
def _miss(module: str, _: Any) -> None:
    """A library has been imported that calls LLMs and is not watched."""
    if _setup is not None:
        from costspan import unwatched

        unwatched.imported(module)


@guard.guarded("instrument.service")
def _meet_service(name: str, library: Any) -> None:
    """A library is imported of which few programs use what is watched. Where clients may have been made, no waiting."""
    if _setup is None:
        return
    if WAITED_FOR[name] in sys.modules:
        _meet(name, library)
    else:
        from costspan.clients.botocore_sessions import await_client

        await_client(library, SERVICES[name], functools.partial(_meet, name, library))


@guard.guarded("instrument.connect")
def connect() -> Pipeline | None:
    """Load and connect everything now, not with the first client library; None where costspan is not installed."""
    global pipeline  # noqa: PLW0603  # one process, one pipeline
    with _lock:
        if _setup is not None and pipeline is None:
            from costspan import assembly

            pipeline = assembly.assembled(*_setup)
            for module, part in _PARTS_OF_SDK.items():
                when_imported(module, functools.partial(_load, part), _hooked)
        return pipeline


@guard.guarded("instrument.sdk")
def _load(part: str, _: Any) -> None:
    import_module(part)


@guard.guarded("uninstrument")
def _remove() -> None:
    global pipeline, _setup  # noqa: PLW0603
    _setup = None
    _end_scope()
    unwatch_exits()
    unwatch_forks()
    if pipeline is not None:
        from costspan import assembly

        assembly.unwatch()
        pipeline.close()
        pipeline = None


class _Ends:
    """What this process does at its end. Without a client library: nothing."""

    def close(self) -> None:
        if pipeline is not None:
            pipeline.close()

    def ask(self, errand: Callable[[], object]) -> bool:
        return pipeline is not None and pipeline.dispatcher.ask(errand)

    def deliver(self) -> None:
        if pipeline is not None:
            pipeline.deliver()


def settings_in_force() -> Settings:
    """Those that costspan was installed with; where it is not, those of the environment."""
    return Settings.read(os.environ) if _setup is None else _setup.settings


def participants() -> list[Participant]:
    """What is told of a fork, in this order. Without a client library: only what this module and the exits keep."""
    parts = pipeline.participants() if pipeline is not None else []
    return [Participant("fork.connect", _renew_lock), *parts, Participant("fork.exits", own_in_child)]


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  # a thread that is not here may hold it
    _lock = threading.RLock()


def instrument(**options: Any) -> None:
    """Watch the LLM calls of this process from here on: the in-code start, for where no launcher is.

    Takes what `CostspanInstrumentor().instrument()` takes: providers of OpenTelemetry, and any setting by its name in
    lower case. Called again, or under a launcher, it changes nothing. Never raises.
    """
    instrumentor = CostspanInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(**options)
    elif options:
        _log.warning(
            "costspan: it has been started already, by a launcher or in code; these have no effect any more: %s",
            ", ".join(options),
        )


@guard.guarded("flush")
def flush(*, send: bool = False) -> None:
    """Pass on every call that has finished so far. Returns when the ledger and the SDK have them; with `send`, when the
    SDK has sent them: for runtimes that freeze or end a process without a word.
    """
    if pipeline is not None:
        pipeline.flush()
        if send:
            pipeline.send()
