"""What a scope left open, asked of those who may know: baggage, a framework's span, a function of the user's own.

Nothing is guessed, least of all from content: a word that nobody sets has no value, and the spend shows up as
unattributed. The order is: scopes from the inside out, imported baggage, resolvers as added, defaults of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import get_current_span

from costspan import guard
from costspan.facts.attribution import Attribution
from costspan.facts.attribution_words import FRAMEWORK_ATTRIBUTES
from costspan.scope.layer import PROCESS
from costspan.scope.words import word

if TYPE_CHECKING:
    from opentelemetry.context import Context

#: Says by name (`session`, `task_type`, ...) what it knows about a call made in a context; None where it knows nothing.
Resolver = Callable[["Context"], Mapping[str, object] | None]


class _Entry(NamedTuple):
    function: Resolver
    fills: tuple[str, ...]


_entries: Final[list[_Entry]] = []


def add_resolver(function: Resolver, *, fills: Iterable[str] = Attribution._fields, is_first: bool = False) -> None:
    """Ask `function` for every call that lacks one of the words it `fills`; a fault in it is stopped and counted.

    It runs in the caller's thread before the request leaves, so it should be quick, and must not call an LLM.
    """
    remove_resolver(function)
    names = tuple(fills)
    entry = _Entry(function, tuple(name for name in Attribution._fields if name in names))
    _entries.insert(0 if is_first else len(_entries), entry)
    PROCESS.resolve = _resolve


def remove_resolver(function: Resolver) -> None:
    """Ask `function` no more."""
    _entries[:] = [entry for entry in _entries if entry.function != function]
    if not _entries:
        PROCESS.resolve = None


def from_span(context: Context) -> Mapping[str, object] | None:
    """A resolver: the conversation id and the agent's name of the current span, where a framework opened one.

    A span that is not sampled has no attributes, so with head sampling this fills only the sampled share of the calls.
    That is why it is added only on demand.
    """
    attributes: Mapping[str, object] | None = getattr(get_current_span(context), "attributes", None)
    if not attributes:
        return None
    return {word: attributes.get(name) for word, name in FRAMEWORK_ATTRIBUTES.items()}


#: What `from_span` can fill.
SPAN_FILLS: Final = tuple(FRAMEWORK_ATTRIBUTES)


def _resolve(said: Attribution, context: Context) -> Attribution:
    for entry in tuple(_entries):
        lacking = [name for name in entry.fills if getattr(said, name) is None]
        if lacking:
            said = _asked(entry.function, lacking, said, context) or said
    return said.over(PROCESS.defaults)


@guard.guarded("attribution.resolver")
def _asked(function: Resolver, lacking: list[str], said: Attribution, context: Context) -> Attribution | None:
    found: Any = function(context)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        guard.tell_once(
            f"resolver:{function!r}",
            "costspan: the resolver %r returned %s and is ignored: expected a mapping such as {'session': '...'}, or None",
            function,
            type(found).__name__,
        )
        return None
    answer: Mapping[str, object] = found  # pyright: ignore[reportUnknownVariableType]
    return said._replace(**{name: word(name, answer.get(name)) for name in lacking})
