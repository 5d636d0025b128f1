"""What nobody said: resolvers are asked, in order, and only for what is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from costspan import guard
from costspan.facts.attribution import NOBODY, Attribution
from costspan.scope import (
    SPAN_FILLS,
    add_resolver,
    attribution,
    classify,
    current,
    defaults,
    forget_defaults,
    from_span,
    remove_resolver,
)
from costspan.scope.classify import Resolver
from costspan.scope.layer import PROCESS


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No resolver and no default is left behind."""
    monkeypatch.setattr(classify, "_entries", list[Any]())
    yield
    monkeypatch.setattr(PROCESS, "resolve", None)
    forget_defaults()
    assert current() == NOBODY


def knows(**words: object) -> Resolver:
    def resolver(_context: object) -> Mapping[str, object]:
        return words

    return resolver


ORDERS: list[tuple[dict[str, str], list[dict[str, object]], dict[str, str], Attribution]] = [
    # what a scope says, resolvers in order, defaults -> what is current
    ({}, [{"session": "r1"}, {"session": "r2", "team": "r2"}], {}, Attribution(session="r1", team="r2")),
    ({"session": "s"}, [{"session": "r", "team": "r"}], {}, Attribution(session="s", team="r")),
    ({}, [{"team": "r"}], {"team": "d", "account": "d"}, Attribution(team="r", account="d")),
    ({}, [{"team": None, "session": " "}], {"team": "d"}, Attribution(team="d")),
    ({}, [{"session": 7, "colour": "red"}], {}, Attribution(session="7")),
]


@pytest.mark.parametrize(("said", "resolvers", "default", "expected"), ORDERS)
def test_scopes_then_resolvers_then_defaults(
    said: dict[str, str], resolvers: list[dict[str, object]], default: dict[str, str], expected: Attribution
) -> None:
    """A resolver fills what no scope said; the first that knows wins; defaults come last; its words are cleaned."""
    defaults(**default)
    for words in resolvers:
        add_resolver(knows(**words))
    with attribution(**said):
        assert current() == expected


def test_a_resolver_is_asked_only_for_what_is_missing() -> None:
    """A resolver that fills the session is not called where the session is said."""
    asked: list[object] = []

    def resolver(context: object) -> Mapping[str, object]:
        asked.append(context)
        return {"session": "r", "team": "not its business"}

    add_resolver(resolver, fills=["session"])
    with attribution(session="s"):
        assert current() == Attribution(session="s")
    assert asked == []
    assert current() == Attribution(session="r")
    assert len(asked) == 1


def test_a_resolver_added_twice_is_asked_once() -> None:
    """Adding again replaces, removing takes away, removing what is not there is nothing."""
    asked: list[object] = []
    add_resolver(asked.append)
    add_resolver(asked.append)  # a bound method is equal to itself, and never identical
    current()
    remove_resolver(asked.append)
    remove_resolver(asked.append)
    current()
    assert len(asked) == 1


def test_a_failing_resolver_is_stopped_and_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in a resolver is counted, and costs nobody else a word."""
    monkeypatch.setattr(guard, "raise_again", False)
    monkeypatch.setattr(guard, "faults", dict[str, int]())

    def fails(_context: object) -> None:
        raise KeyError

    add_resolver(fails)
    add_resolver(knows(team="r"))
    with attribution(session="s"):
        assert current() == Attribution(session="s", team="r")
    assert guard.faults == {"attribution.resolver": 1}


def test_an_answer_that_is_no_mapping_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The sentence names the resolver, what came, and what was expected."""
    add_resolver(lambda _context: "session-1")  # pyright: ignore[reportArgumentType]
    with caplog.at_level(logging.WARNING, "costspan"):
        assert [current(), current()] == [NOBODY, NOBODY]
    [record] = caplog.records
    assert "returned str and is ignored: expected a mapping" in record.getMessage()


SPANS = [
    ({"gen_ai.conversation.id": "c1", "gen_ai.agent.name": "planner"}, ALWAYS_ON, Attribution("c1", "planner")),
    ({"gen_ai.agent.name": "planner"}, ALWAYS_ON, Attribution(None, "planner")),
    ({"http.route": "/"}, ALWAYS_ON, NOBODY),
    ({"gen_ai.agent.name": "planner"}, ALWAYS_OFF, NOBODY),
]


@pytest.mark.parametrize(("attributes", "sampler", "expected"), SPANS)
def test_a_framework_span_fills_what_nobody_said(
    attributes: dict[str, str], sampler: Sampler, expected: Attribution
) -> None:
    """On demand: the conversation id is the session, the agent's name the task type; an unsampled span says nothing."""
    tracer = TracerProvider(sampler=sampler).get_tracer("framework")
    with tracer.start_as_current_span("invoke_agent", attributes=attributes):
        assert current() == NOBODY
        add_resolver(from_span, fills=SPAN_FILLS)
        assert current() == expected
        with attribution(session="said"):
            assert current() == expected._replace(session="said")
