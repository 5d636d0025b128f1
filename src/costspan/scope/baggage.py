"""Attribution between services, by W3C baggage: only the words that are allowed, never on the way to an LLM provider.

Inside the process the attribution is not kept in the baggage. It is added while the headers of an outgoing request
are written, by a propagator around the global one, and only where the request does not go to a provider.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.baggage import get_baggage, remove_baggage, set_baggage
from opentelemetry.context import Context, create_key, get_current, set_value
from opentelemetry.propagators import textmap

from costspan import guard
from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.attribution_words import ATTRIBUTE_OF, FRAMEWORK_ATTRIBUTES, SESSION
from costspan.scope.classify import add_resolver, remove_resolver
from costspan.scope.layer import PROCESS
from costspan.scope.session import current
from costspan.scope.words import attribution_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Read as the session where that is absent: agent frameworks propagate it.
_CONVERSATION: Final = FRAMEWORK_ATTRIBUTES[SESSION]
_UNSAID: Final = create_key("costspan-without-baggage")


class _Allowed:
    """Which words may come in, which may go out, and the keys taken out on the way to a provider."""

    def __init__(self, imported: Iterable[str] = (), exported: Iterable[str] = ()) -> None:
        self.imported = _known(imported)
        self.exported = _known(exported)
        words = {*self.imported, *self.exported}
        keys = [ATTRIBUTE_OF[word] for word in words]
        self.stripped = (*keys, _CONVERSATION) if SESSION in words else tuple(keys)


def _known(words: Iterable[str]) -> tuple[str, ...]:
    said = tuple(words)
    for name in said:
        if name not in ATTRIBUTE_OF:
            sentence = "costspan: baggage is allowed for %r, which is ignored: expected one of %s"
            guard.tell_once(f"baggage:{name}", sentence, name, ", ".join(ATTRIBUTE_OF))
    return tuple(name for name in ATTRIBUTE_OF if name in said)


class _Process:
    allowed = _Allowed()


_process: Final = _Process()


def install_baggage(*, imported: Iterable[str] = (), exported: Iterable[str] = ()) -> None:
    """Let these words (`session`, `team`, ...) come in by baggage, and go out by it. Both are off until allowed."""
    uninstall_baggage()
    _process.allowed = _Allowed(imported, exported)
    PROCESS.strip = _stripped if _process.allowed.stripped else None
    if _process.allowed.imported:
        add_resolver(_imported, fills=_process.allowed.imported, is_first=True)
    if _process.allowed.exported:
        _wrap_propagator()


def uninstall_baggage() -> None:
    """Let nothing in and nothing out."""
    _process.allowed = _Allowed()
    PROCESS.strip = None
    remove_resolver(_imported)
    _unwrap_propagator()


def from_baggage(context: Context | None = None) -> Attribution:
    """What the baggage of a context says, as far as it may come in."""
    imported = _process.allowed.imported
    return attribution_of({name: _read(name, context) for name in imported}) if imported else NOBODY


def to_baggage(context: Context | None = None) -> Context:
    """The context with the current attribution in its baggage, as far as it may go out."""
    context = get_current() if context is None else context
    exported = _process.allowed.exported
    if not exported or context.get(_UNSAID):
        return context
    said = current(context)
    for name in exported:
        value: str | None = getattr(said, name)
        if value is not None:
            context = set_baggage(ATTRIBUTE_OF[name], value, context)
    return context


def _stripped(context: Context) -> Context:
    allowed = _process.allowed
    for key in allowed.stripped:
        if get_baggage(key, context) is not None:
            context = remove_baggage(key, context)
    return set_value(_UNSAID, True, context) if allowed.exported else context  # noqa: FBT003


def _read(name: str, context: Context | None) -> object:
    value = get_baggage(ATTRIBUTE_OF[name], context)
    return get_baggage(_CONVERSATION, context) if value is None and name == SESSION else value


def _imported(context: Context) -> Mapping[str, object]:
    return from_baggage(context)._asdict()


class _Propagator(textmap.TextMapPropagator):
    """The program's own propagator, told what the baggage says besides."""

    def __init__(self, own: textmap.TextMapPropagator) -> None:
        self.own = own

    def extract(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        getter: textmap.Getter[textmap.CarrierT] = textmap.default_getter,
    ) -> Context:
        return self.own.extract(carrier, context, getter)

    def inject(
        self,
        carrier: textmap.CarrierT,
        context: Context | None = None,
        setter: textmap.Setter[textmap.CarrierT] = textmap.default_setter,
    ) -> None:
        self.own.inject(carrier, _told(context) or context, setter)

    @property
    def fields(self) -> set[str]:
        return self.own.fields


@guard.guarded("baggage")
def _told(context: Context | None) -> Context:
    return to_baggage(context)


def _wrap_propagator() -> None:
    # Reading the entry points of propagators takes time that few programs need.
    from opentelemetry import propagate

    propagate.set_global_textmap(_Propagator(propagate.get_global_textmap()))


def _unwrap_propagator() -> None:
    propagate: Any = sys.modules.get("opentelemetry.propagate")
    if propagate is not None and isinstance(own := propagate.get_global_textmap(), _Propagator):
        propagate.set_global_textmap(own.own)
