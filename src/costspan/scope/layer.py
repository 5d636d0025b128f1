"""What was said of a call, as a layer in the OpenTelemetry context, and what holds for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context, create_key, set_value

from costspan.facts.attribution import NOBODY, Attribution

if TYPE_CHECKING:
    from costspan.scope.run import Reference

#: Under which a context holds its innermost layer.
KEY: Final = create_key("costspan-attribution")
#: Under which it holds the watched call that is under way.
CALL: Final = create_key("costspan-observed")


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


class Layer:
    """One scope in a context: all that was said up to it, and the same completed with the defaults."""

    __slots__ = ("base", "outer", "owner", "run", "runs", "said", "whole", "within")

    def __init__(
        self, said: Attribution, owner: object, outer: Layer | None, runs: tuple[Reference, ...] = (),
        within: Sequence[bool] = (),
    ) -> None:  # fmt: skip
        self.said = said
        self.owner = owner
        self.outer = outer
        #: The run that began with this scope, and all that a call made in it counts for. A scope that is left while
        #: a task goes on in it is kept by that task, and the scopes around it are not: so it knows their runs itself.
        self.run: Reference | None = None
        self.runs = runs
        #: True while the watched call is open within which this was handed over from another thread.
        self.within = within
        self.base = PROCESS.defaults
        self.whole = said if self.base is NOBODY else said.over(self.base)

    def rebased(self) -> Attribution:
        """What was said, completed with the defaults that hold now."""
        self.base = PROCESS.defaults
        self.whole = self.said.over(self.base)
        return self.whole


def layer_in(context: Context) -> Layer | None:
    """The innermost layer of a context."""
    return context.get(KEY)  # pyright: ignore[reportReturnType]


def placed(context: Context, layer: Layer | None) -> Context:
    """The context with this layer as its innermost one, or with none."""
    if layer is not None:
        return set_value(KEY, layer, context)
    return Context({key: value for key, value in context.items() if key != KEY})
