"""Saying who a call is for: `with attribution(session=..., team=...):`, a decorator, and defaults of the process.

What was said travels in the OpenTelemetry context, as a layer under a key of ours. Leaving a scope puts back what
was said outside it and touches nothing else in the context. No token is kept for that: a token can be given back
only in the thread and task that it came from, and a generator may well be closed in another one
(https://github.com/open-telemetry/opentelemetry-python/issues/2606).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.context import Context, attach, create_key, get_current, set_value

from costspan.facts.attribution import NOBODY, Attribution
from costspan.guard import guarded, tell_once
from costspan.scope.decorate import bound
from costspan.scope.words import Word, attribution_in_order, attribution_of

if TYPE_CHECKING:
    from types import TracebackType

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY: Final = create_key("costspan-attribution")
_VARIABLES: Final = {name: f"OTEL_COSTSPAN_{name.upper()}" for name in Attribution._fields}


class Process:
    """What holds for the whole process: its defaults, who is asked for what a scope left open, who cleans baggage."""

    __slots__ = ("defaults", "is_counted", "resolve", "strip")

    def __init__(self) -> None:
        self.defaults = NOBODY
        #: Whether calls of this process are counted; True too where that has been settled or told.
        self.is_counted = False
        self.resolve: Callable[[Attribution, Context], Attribution] | None = None
        self.strip: Callable[[Context], Context] | None = None


PROCESS: Final = Process()


class _Layer:
    """One scope in a context: all that was said up to it, and the same completed with the defaults."""

    __slots__ = ("base", "outer", "owner", "said", "whole")

    def __init__(self, said: Attribution, owner: object, outer: _Layer | None) -> None:
        self.said = said
        self.owner = owner
        self.outer = outer
        self.base = PROCESS.defaults
        self.whole = said if self.base is NOBODY else said.over(self.base)

    def rebased(self) -> Attribution:
        self.base = PROCESS.defaults
        self.whole = self.said.over(self.base)
        return self.whole


def current(context: Context | None = None) -> Attribution:
    """Who a call made now, or in `context`, is for: the scopes, the resolvers, the defaults of the process."""
    if context is None:
        context = get_current()
    layer: _Layer | None = context.get(_KEY)  # pyright: ignore[reportAssignmentType]
    if PROCESS.resolve is not None:
        return PROCESS.resolve(NOBODY if layer is None else layer.said, context)
    if layer is None:
        return PROCESS.defaults
    return layer.whole if layer.base is PROCESS.defaults else layer.rebased()


class Attributed:
    """What `attribution()` returns: a context manager and a decorator, to be used as often as one likes.

    With `is_exact`, it says all five words: those it leaves open are open inside, whatever was said around it.
    """

    __slots__ = ("_is_exact", "_said")

    def __init__(self, said: Attribution, *, is_exact: bool = False) -> None:
        self._said = said
        self._is_exact = is_exact

    def __enter__(self) -> None:
        _open(self)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self)

    async def __aenter__(self) -> None:
        _open(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self)

    def __call__(self, function: _F) -> _F:
        """The function, its calls made under this attribution; a generator's body, while it runs."""
        return bound(function, self)

    def again(self) -> Attributed:
        """The same attribution for one more run, so that runs at the same time do not close each other's scope."""
        return Attributed(self._said, is_exact=self._is_exact)

    def turns(self) -> Turns:
        """The same attribution for the turns of one generator."""
        return Turns(self)

    def layer(self, outer: _Layer | None) -> _Layer:
        """What this attribution says inside `outer`."""
        said = self._said if outer is None or self._is_exact else self._said.over(outer.said)
        return _Layer(said, self, outer)


class Turns:
    """The layer of one generator: in the context while the body runs, taken out while the body waits.

    What the body inherits is settled at its first turn. A scope that the body holds open over a `yield` waits
    and comes back with it.
    """

    __slots__ = ("_around", "_layer", "_whose")

    def __init__(self, whose: Attributed) -> None:
        self._whose = whose
        self._layer: _Layer | None = None
        self._around: _Layer | None = None

    def __enter__(self) -> None:
        self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @guarded("attribution")
    def _begin(self) -> None:
        if not PROCESS.is_counted:
            _tell_uncounted()
        context = get_current()
        self._around = _layer_in(context)
        if self._layer is None:
            self._layer = self._whose.layer(self._around)
            self._layer.outer = None
        attach(_placed(context, self._layer))

    @guarded("attribution")
    def _end(self) -> None:
        context = get_current()
        self._layer = _layer_in(context)
        attach(_placed(context, self._around))
        self._around = None


def attribution(
    *, session: Word = None, task_type: Word = None, source: Word = None, team: Word = None, account: Word = None
) -> Attributed:
    """Say who the calls made inside are for, by `with` or as a decorator.

    None and an empty text say nothing, so the scope around is heard, and at last the defaults of the process. A value
    that is no text, integer, UUID or Enum is ignored and told once; a text is cut to 200 characters.
    """
    return Attributed(attribution_in_order(session, task_type, source, team, account))


def defaults(
    *, session: Word = None, task_type: Word = None, source: Word = None, team: Word = None, account: Word = None
) -> None:
    """Say who the calls of this process are for where nobody says otherwise. What is left out stays as it was."""
    PROCESS.defaults = attribution_in_order(session, task_type, source, team, account).over(PROCESS.defaults)


def forget_defaults() -> None:
    """Take the defaults of the process back."""
    PROCESS.defaults = NOBODY


def read_defaults(environ: Mapping[str, str]) -> Attribution:
    """The defaults that the environment states: OTEL_COSTSPAN_SESSION, _TASK_TYPE, _SOURCE, _TEAM, _ACCOUNT."""
    return attribution_of({name: environ.get(variable) for name, variable in _VARIABLES.items()})


def environment(context: Context | None = None) -> dict[str, str]:
    """The current attribution as variables for a child: `subprocess.run(..., env={**os.environ, **environment()})`."""
    said = current(context)
    return {_VARIABLES[name]: text for name, text in said._asdict().items() if text is not None}


def without_baggage(context: Context) -> Context:
    """The context for a request to an LLM provider: no word of ours leaves in its baggage. Itself where none could."""
    return context if PROCESS.strip is None else PROCESS.strip(context)


def _layer_in(context: Context) -> _Layer | None:
    return context.get(_KEY)  # pyright: ignore[reportReturnType]


def _placed(context: Context, layer: _Layer | None) -> Context:
    if layer is not None:
        return set_value(_KEY, layer, context)
    return Context({key: value for key, value in context.items() if key != _KEY})


def is_counted() -> None:
    """Calls of this process are counted, or it was said that they are not to be: no word is owed."""
    PROCESS.is_counted = True


def _tell_uncounted() -> None:
    """Who says for whom calls are expects them to be counted."""
    PROCESS.is_counted = True
    if "costspan" not in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ""):
        tell_once(
            "uncounted",
            "costspan: a call is attributed, and nothing is counted in this process: start the program by `costspan run`, "
            "or have it call CostspanInstrumentor().instrument() first (docs/getting-started.md)",
        )


@guarded("attribution")
def _open(whose: Attributed) -> None:
    if not PROCESS.is_counted:
        _tell_uncounted()
    context = get_current()
    attach(_placed(context, whose.layer(_layer_in(context))))


@guarded("attribution")
def _close(whose: Attributed) -> None:
    context = get_current()
    layer = _layer_in(context)
    if layer is None:
        return  # Closed in another thread or task than it was opened in: nothing of ours is here.
    if layer.owner is whose:
        attach(_placed(context, layer.outer))
        # A task started inside may keep this layer for ever; it need not keep all the outer ones too.
        layer.outer = None
    else:
        _unlink(layer, whose)


def _unlink(above: _Layer, whose: Attributed) -> None:
    """Take out a layer that another one still lies on, as when two generators end in the order they began."""
    while above.outer is not None:
        if above.outer.owner is whose:
            above.outer = above.outer.outer
            return
        above = above.outer
