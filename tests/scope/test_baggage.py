"""Baggage: what may come in, what may go out, and that nothing goes to a provider."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import unquote_plus

import pytest
from opentelemetry import baggage, propagate
from opentelemetry import context as otel
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from costspan.facts.attribution import NOBODY, Attribution
from costspan.scope import (
    add_resolver,
    attribution,
    current,
    defaults,
    forget_defaults,
    from_baggage,
    install_baggage,
    remove_resolver,
    to_baggage,
    uninstall_baggage,
    without_baggage,
)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Nothing is allowed before and after, and the program's propagator is back."""
    own = propagate.get_global_textmap()
    yield
    uninstall_baggage()
    forget_defaults()
    assert propagate.get_global_textmap() is own


def carrying(**entries: str) -> otel.Context:
    context = otel.Context()
    for key, value in entries.items():
        context = baggage.set_baggage(key.replace("__", "."), value, context)
    return context


def header(context: otel.Context | None = None) -> dict[str, str]:
    """The baggage that a request made now would carry."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    pairs = [entry.split("=", 1) for entry in carrier.get("baggage", "").split(",") if entry]
    return {key: unquote_plus(value) for key, value in pairs}


IMPORTS = [
    ((), {"session__id": "s", "llm__team": "t"}, NOBODY),
    (("session", "team"), {"session__id": "s", "llm__team": "t", "llm__account": "a"}, Attribution("s", team="t")),
    (("session",), {"gen_ai__conversation__id": "c"}, Attribution("c")),
    (("session",), {"gen_ai__conversation__id": "c", "session__id": "s"}, Attribution("s")),
    (("team",), {"gen_ai__conversation__id": "c"}, NOBODY),
    (("team",), {"llm__team": "x" * 1_000}, Attribution(team="x" * 200)),
]


@pytest.mark.parametrize(("imported", "entries", "expected"), IMPORTS)
def test_only_what_is_allowed_comes_in(
    imported: tuple[str, ...], entries: dict[str, str], expected: Attribution
) -> None:
    """A caller from outside can say only the words that the user allowed, and they are cleaned like all others."""
    install_baggage(imported=imported)
    context = carrying(**entries)
    assert from_baggage(context) == expected
    assert current(context) == expected


def test_a_scope_is_heard_before_baggage_and_defaults_after() -> None:
    """What the program itself says about a call wins over what came in with the request."""
    install_baggage(imported=["session", "team"])
    defaults(team="default", account="default")
    token = otel.attach(carrying(session__id="incoming", llm__team="incoming"))
    with attribution(session="said"):
        assert current() == Attribution("said", team="incoming", account="default")
    otel.detach(token)


def test_baggage_is_heard_before_resolvers() -> None:
    """What came in with the request wins over what a resolver finds, whichever was set up first."""

    def resolver(_context: object) -> dict[str, object]:
        return {"team": "resolved", "source": "resolved"}

    add_resolver(resolver)
    install_baggage(imported=["team"])
    assert current(carrying(llm__team="incoming")) == Attribution(team="incoming", source="resolved")
    remove_resolver(resolver)


def test_only_what_is_allowed_goes_out() -> None:
    """An outgoing request carries the allowed words, quoted, beside the program's own baggage."""
    token = otel.attach(carrying(own="kept"))
    with attribution(session="zoë 1", team="search", account="secret"):
        assert header() == {"own": "kept"}
        install_baggage(exported=["session", "team"])
        assert header() == {"own": "kept", "session.id": "zoë 1", "llm.team": "search"}
        assert dict(baggage.get_all()) == {"own": "kept"}
    assert header() == {"own": "kept"}
    otel.detach(token)


def test_nothing_goes_to_a_provider() -> None:
    """Under the context for a provider no word of ours is in the baggage: neither exported nor passed on."""
    install_baggage(imported=["team", "session"], exported=["account"])
    incoming = carrying(own="kept", llm__team="incoming", gen_ai__conversation__id="c")
    token = otel.attach(incoming)
    with attribution(account="secret"):
        assert header() == {
            "own": "kept",
            "llm.team": "incoming",
            "gen_ai.conversation.id": "c",
            "llm.account": "secret",
        }
        assert header(without_baggage(otel.get_current())) == {"own": "kept"}
        assert to_baggage(without_baggage(incoming)) == without_baggage(incoming)
    otel.detach(token)


def test_without_baggage_is_free_where_nothing_is_allowed() -> None:
    """The context itself comes back, and the user's own baggage under the same keys is left alone."""
    context = carrying(session__id="the user's own")
    assert without_baggage(context) is context


def test_an_unknown_word_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in the allow-list is named with what was expected, and the rest of the list holds."""
    with caplog.at_level(logging.WARNING, "costspan"):
        install_baggage(imported=["sesion", "team"])
    [record] = caplog.records
    assert (
        "'sesion', which is ignored: expected one of session, task_type, source, team, account" in record.getMessage()
    )
    assert from_baggage(carrying(llm__team="t")) == Attribution(team="t")


def test_a_propagator_set_later_by_the_program_stays() -> None:
    """Uninstalling takes away our propagator only."""
    own = propagate.get_global_textmap()
    install_baggage(exported=["team"])
    theirs = W3CBaggagePropagator()
    propagate.set_global_textmap(theirs)
    uninstall_baggage()
    assert propagate.get_global_textmap() is theirs
    propagate.set_global_textmap(own)
