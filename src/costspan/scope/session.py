"""Saying who a call is for: `with attribution(session=..., team=...):`, a decorator, and defaults of the process.

What was said travels in the OpenTelemetry context, as a layer under a key of ours. Leaving a scope puts back what
was said outside it and touches nothing else in the context. No token is kept for that: a token can be given back
only in the thread and task that it came from, and a generator may well be closed in another one
(https://github.com/open-telemetry/opentelemetry-python/issues/2606).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.context import Context, attach, get_current

from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.call import Call
from costspan.guard import guarded, guarded_positional, tell_once
from costspan.scope.decorate import bound
from costspan.scope.layer import CALL, KEY, PROCESS, Layer, layer_in, placed
from costspan.scope.run import RUNS, Reference, Run, alive, counting, of_outlet
from costspan.scope.words import Word, attribution_in_order, attribution_of

if TYPE_CHECKING:
    from types import TracebackType

    from costspan.calls.engine import ObservedCall

_F = TypeVar("_F", bound=Callable[..., Any])
_VARIABLES: Final = {name: f"OTEL_COSTSPAN_{name.upper()}" for name in Attribution._fields}


def current(context: Context | None = None) -> Attribution:
    """Who a call made now, or in `context`, is for: the scopes, the resolvers, the defaults of the process."""
    if context is None:
        context = get_current()
    layer: Layer | None = context.get(KEY)  # pyright: ignore[reportAssignmentType]
    if PROCESS.resolve is not None:
        return PROCESS.resolve(NOBODY if layer is None else layer.said, context)
    if layer is None:
        return PROCESS.defaults
    return layer.whole if layer.base is PROCESS.defaults else layer.rebased()


class Attributed:
    """What `attribution()` returns: a context manager and a decorator, to be used as often as one likes.

    With `is_exact`, it says all five words: those it leaves open are open inside, whatever was said around it.
    """

    __slots__ = ("_is_exact", "_runs", "_said", "within")

    def __init__(
        self,
        said: Attribution,
        *,
        is_exact: bool = False,
        runs: tuple[Reference, ...] = (),
        within: Sequence[bool] = (),
    ) -> None:
        self._said = said
        self._is_exact = is_exact
        self._runs = runs
        #: True while the watched call is open within which this is carried along. It does not go to other processes.
        self.within = within

    def __enter__(self) -> Run:
        run = Run()
        _open(self, run)
        return run

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self)

    def __call__(self, function: _F) -> _F:
        """The function, its calls made under this attribution; a generator's body, while it runs."""
        return bound(function, self)

    def __reduce__(self) -> tuple[Any, ...]:
        outlets = [run.outlet() for reference in self._runs if (run := reference()) is not None]
        return _unpacked, (tuple(self._said), self._is_exact, *filter(None, outlets))

    def again(self) -> Attributed:
        """The same attribution for one more run, so that runs at the same time do not close each other's scope."""
        return Attributed(self._said, is_exact=self._is_exact, runs=self._runs, within=self.within)

    def is_more_than(self, said: Attribution) -> bool:
        """Whether it says anything else, or counts for any run."""
        return bool(self._runs) or self._said != said

    def turns(self) -> Turns:
        """The same attribution for the turns of one generator."""
        return Turns(self)

    def layer(self, outer: Layer | None) -> Layer:
        """What this attribution says inside `outer`."""
        if outer is None or self._is_exact:
            return Layer(self._said, self, outer, self._runs, self.within)
        return Layer(self._said.over(outer.said), self, outer, alive(outer.runs) if outer.runs else (), outer.within)


class Turns:
    """The layer of one generator: in the context while the body runs, taken out while the body waits.

    What the body inherits is settled at its first turn. A scope that the body holds open over a `yield` waits
    and comes back with it.
    """

    __slots__ = ("_around", "_layer", "_whose")

    def __init__(self, whose: Attributed) -> None:
        self._whose = whose
        self._layer: Layer | None = None
        self._around: Layer | None = None

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
        self._around = layer_in(context)
        if self._layer is None:
            self._layer = self._whose.layer(self._around)
            self._layer.outer = None
        attach(placed(context, self._layer))

    @guarded("attribution")
    def _end(self) -> None:
        context = get_current()
        self._layer = layer_in(context)
        attach(placed(context, self._around))
        self._around = None


def _unpacked(words: tuple[str | None, ...], is_exact: bool, *outlets: str) -> Attributed:  # noqa: FBT001
    runs = tuple([of_outlet(path).reference for path in outlets])
    return Attributed(Attribution(*words), is_exact=is_exact, runs=runs)


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


def carried() -> Attributed:
    """Exactly what is current now, with the runs that it counts for and the call that is open: to be entered elsewhere."""
    context = get_current()
    layer = layer_in(context)
    runs = alive(layer.runs) if layer is not None else ()
    return Attributed(current(), is_exact=True, runs=runs, within=_within(context, layer))


def carried_along(*, calls: bool = False) -> Attributed | None:
    """The same, where there is more to take along than what holds for the whole process; with `calls`, an open call is."""
    whose = carried()
    return whose if whose.is_more_than(PROCESS.defaults) or (calls and whose.within) else None


def call_above(context: Context) -> Sequence[bool]:
    """True while a watched call is open above this context: in it, or where it was handed over from another thread."""
    return _within(context, layer_in(context))


def _within(context: Context, layer: Layer | None) -> Sequence[bool]:
    observed: ObservedCall | None = context.get(CALL)  # pyright: ignore[reportAssignmentType]
    if observed is not None:
        return observed.sign
    return () if layer is None else layer.within


def before_fork(_: float) -> None:
    """Have the runs that a child will carry told of its calls: those of the thread that forks."""
    if not RUNS:
        return
    layer = layer_in(get_current())
    for run in (reference() for reference in (layer.runs if layer is not None else ())):
        if run is not None:
            run.outlet()


@guarded_positional("scope.run")
def begin_in_runs(context: Context, call: Call) -> None:
    """A call begins in a context: for the runs of its scopes, and of its session."""
    layer = layer_in(context)
    call.runs = counting(() if layer is None else layer.runs, call.attribution.session)


def without_baggage(context: Context) -> Context:
    """The context for a request to an LLM provider: no word of ours leaves in its baggage. Itself where none could."""
    return context if PROCESS.strip is None else PROCESS.strip(context)


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
            "or have it call costspan.instrument() first (`costspan docs in-code`)",
        )


@guarded("attribution")
def _open(whose: Attributed, run: Run) -> None:
    if not PROCESS.is_counted:
        _tell_uncounted()
    context = get_current()
    layer = whose.layer(layer_in(context))
    layer.run = run.reference
    layer.runs = (*layer.runs, run.reference)
    attach(placed(context, layer))


@guarded("attribution")
def _close(whose: Attributed) -> None:
    context = get_current()
    layer = layer_in(context)
    if layer is None:
        return  # Closed in another thread or task than it was opened in: nothing of ours is here.
    if layer.owner is whose:
        _end_run(layer)
        attach(placed(context, layer.outer))
        # A task started inside may keep this layer for ever; it need not keep all the outer ones too.
        layer.outer = None
    else:
        _unlink(layer, whose)


def _end_run(layer: Layer) -> None:
    run = layer.run() if layer.run is not None else None
    if run is not None:
        run.ended()


def _unlink(above: Layer, whose: Attributed) -> None:
    """Take out a layer that another one still lies on, as when two generators end in the order they began."""
    while above.outer is not None:
        if above.outer.owner is whose:
            _end_run(above.outer)
            above.outer = above.outer.outer
            return
        above = above.outer
