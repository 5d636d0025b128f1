"""Bad input: never an exception in the caller's program, never a lost call, always a clear word."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import ways
from answers import CHAT_USAGE, EVENTS, Reply, chat_chunks, completion, events, message, message_events, whole
from caller import KINDS, Caller
from comparing import compared
from costspan import attribution, names
from costspan.facts.money import Cost, Unpriced
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_MANY = 10**30

# what stands where the usage should, and what is made of it
USAGES: list[tuple[Any, dict[str, int] | None]] = [
    (None, None),
    ({}, None),
    ([], None),
    ("lots", None),
    (18, None),
    (True, None),
    ({"prompt_tokens": None, "completion_tokens": None}, None),
    ({"prompt_tokens": -11, "completion_tokens": 7}, {"output": 7}),
    ({"prompt_tokens": 11, "completion_tokens": -7}, {"input": 11}),
    ({"prompt_tokens": 11.0, "completion_tokens": 7.5}, {"input": 11}),
    ({"prompt_tokens": "11", "completion_tokens": "seven"}, {"input": 11}),
    ({"prompt_tokens": True, "completion_tokens": [7]}, None),
    ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
    ({"prompt_tokens": {"total": 11}, "completion_tokens": 7}, {"output": 7}),
    ({**CHAT_USAGE, "prompt_tokens_details": "cached"}, {"input": 11, "output": 7, "reasoning": 2}),
    ({**CHAT_USAGE, "prompt_tokens_details": [3]}, {"input": 11, "output": 7, "reasoning": 2}),
    ({**CHAT_USAGE, "prompt_tokens_details": {"cached_tokens": -3}}, {"input": 11, "output": 7, "reasoning": 2}),
    ({"prompt_tokens": 1, "completion_tokens": 2, "cost": "free"}, {"input": 1, "output": 2}),
    ({"prompt_tokens": 1, "completion_tokens": 2, "cost": -5}, {"input": 1, "output": 2}),
    ({"prompt_tokens": 1, "completion_tokens": 2, "cost": [1]}, {"input": 1, "output": 2}),
    ({"prompt_tokens": _MANY, "completion_tokens": 2}, {"output": 2}),
]


@_MODES
@pytest.mark.parametrize("way", ["whole", "raw", "read along by read", "stream"])
@pytest.mark.parametrize(("usage", "counts"), USAGES, ids=[f"{number}" for number, _ in enumerate(USAGES)])
def test_a_malformed_usage_is_read_as_far_as_it_can_be(
    usage: Any, counts: dict[str, int] | None, way: str, provider: Provider, mode: str
) -> None:
    """What is no count is left out; without any, the call is unpriced and not free. A stream is estimated then."""

    def prepare(provider: Provider) -> None:
        *chunks, last, done = chat_chunks(usage=None)
        said = {} if usage is None else {"usage": usage}  # null is what those get who ask, and is kept from others
        stream = events([*chunks, {**last, **said}, done])
        provider.replies.append(stream if way == "stream" else whole(completion(usage=usage)))

    call = compared(ways.READ_TO_THE_END[way], "chat", provider, mode, prepare=prepare)
    assert call.outcome == "ok"
    if counts is None and way != "stream":
        assert call.usage is None
        assert isinstance(call.price, Unpriced)
        assert call.price.reason == "no_usage"
    elif counts is not None:
        assert call.usage is not None
        assert {unit: number for unit, number in call.usage if number} == counts
        assert all(number >= 0 for _, number in call.usage)
    else:
        assert call.usage is not None
        assert not call.usage.complete


BODIES = [
    ("no JSON", Reply(b"<html>Bad gateway</html>", kind="text/html")),
    ("broken JSON", Reply(b'{"id": "chatcmpl-1", "usage": {"prompt_')),
    ("empty", Reply(b"")),
    ("a list", whole([1, 2])),
    ("a number", whole(7)),
    ("a text", whole("yes")),
    ("null", whole(None)),
    ("no fields", whole({})),
    ("fields of other types", whole({"id": 5, "model": ["x"], "choices": "none", "usage": CHAT_USAGE})),
    ("an error in a 200", whole({"error": {"code": 502, "message": "upstream"}})),
    ("bytes that are no text", Reply(b"\xff\xfe{}\x00")),
]


@_MODES
@pytest.mark.parametrize("kind", ["chat", "messages"])
@pytest.mark.parametrize("way", ["whole", "raw", "read along by json", "read along by iter_bytes"])
@pytest.mark.parametrize("reply", [row[1] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_that_is_no_answer_is_still_a_call(
    reply: Reply, way: str, kind: str, provider: Provider, mode: str
) -> None:
    """Whatever the library makes of it reaches the caller; the call is booked once."""
    found = ways.READ_TO_THE_END[way]
    seen = _seen_without(found, kind, reply, provider, mode)
    with Watched() as watched:
        provider.replies.append(reply)
        assert Caller(KINDS[kind], provider.url, mode).run(found) == seen
        watched.call()
        assert watched.total(names.REQUESTS) == 1


def _seen_without(way: Any, kind: str, reply: Reply, provider: Provider, mode: str) -> list[Any]:
    provider.replies.append(reply)
    return Caller(KINDS[kind], provider.url, mode).run(way)


_CHUNKS = chat_chunks()
STREAMS: list[tuple[str, str, Reply]] = [
    ("nothing", "chat", Reply(kind=EVENTS, pieces=[])),
    ("only the end", "chat", events(["[DONE]"])),
    ("an event of unknown shape", "chat", events([*_CHUNKS[:3], {"surprise": True}, *_CHUNKS[3:]])),
    ("an event that is a list", "chat", events([*_CHUNKS[:3], [1], *_CHUNKS[3:]])),
    ("an event that is no JSON", "chat", events([*_CHUNKS[:3], "{oops", *_CHUNKS[3:]])),
    ("comments and blanks", "chat", Reply(kind=EVENTS, pieces=[b": hello\n\n\n\n", *(events(_CHUNKS).pieces or ())])),
    ("no event stream", "chat", whole(completion())),
    ("no end", "chat", events(_CHUNKS[:-1])),
    ("an unknown event", "messages", events([{"type": "surprise", "x": 1}, *message_events()], named=True)),
    ("no beginning", "messages", events(message_events()[3:], named=True)),
    ("only a beginning", "messages", events(message_events()[:1], named=True)),
    ("a beginning without usage", "messages",
     events([{"type": "message_start", "message": message(usage=None)}, *message_events()[1:]], named=True)),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream", "stream along by iter_lines", "break"])
@pytest.mark.parametrize(("kind", "reply"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_a_stream_of_odd_events_is_still_a_call(
    kind: str, reply: Reply, way: str, provider: Provider, mode: str
) -> None:
    """Whatever the library makes of it reaches the caller; the call is booked once, as an estimate at worst."""
    found = {**ways.READ_TO_THE_END, **ways.CUT_SHORT}[way]
    seen = _seen_without(found, kind, reply, provider, mode)
    with Watched(ask_usage="never") as watched:  # the replies do not depend on the question
        provider.replies.append(reply)
        assert Caller(KINDS[kind], provider.url, mode).run(found) == seen
        call = watched.call()
        assert watched.total(names.REQUESTS) == 1
    assert call.usage is None or all(number >= 0 for _, number in call.usage)


def test_a_model_that_nobody_knows_is_unpriced_and_not_free(provider: Provider) -> None:
    """Its tokens are counted, apart too."""
    provider.replies.append(whole(completion(model="my-own-model")))
    with Watched() as watched:
        caller = Caller(KINDS["chat"], provider.url, "sync")
        caller.arguments = {**caller.arguments, "model": "my-own-model"}
        caller.run(ways.whole)
        call = watched.call()
        assert watched.total(names.COST_USD) == 0
        assert watched.total(names.UNPRICED_REQUESTS, llm__unpriced__reason="unknown_model") == 1
        assert watched.total(names.UNPRICED_TOKENS) == 18
        assert watched.total(names.INPUT_TOKENS) == 11
    assert isinstance(call.price, Unpriced)


SAID: list[tuple[str, Any, str | None]] = [
    ("session", "x" * 1_000_000, "x" * 200),
    ("session", "line\nbreak\x00", "line break"),
    ("session", "\ud800 half", "\ufffd half"),
    ("session", 17, "17"),
    ("session", "", None),
    ("task_type", ["triage"], None),
    ("source", b"bytes", None),
    ("team", object(), None),
    ("account", 1.5, None),
    ("account", {"id": 1}, None),
]


@pytest.mark.parametrize(
    ("name", "value", "word"), SAID, ids=[f"{n}, {number}" for number, (n, _, _) in enumerate(SAID)]
)
def test_an_attribution_of_any_kind_loses_no_call(
    name: str, value: Any, word: str | None, provider: Provider,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What cannot be a word is left out and told once; what is too long is cut and told."""
    said: dict[str, Any] = {name: value}
    with Watched() as watched, attribution(**said):
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        call = watched.call()
        assert len(watched.spans()) == len(watched.events()) == 1
    assert getattr(call.attribution, name) == word
    assert isinstance(call.price, Cost)
    if word is None and value != "":
        assert f"the attribution's {name} was given as {type(value).__name__} and is ignored" in caplog.text


MISTAKES = [
    ("OTEL_COSTSPAN_LABEL_LIMIT", "many", "expected a whole number from 1 to 10000; 250 is used instead"),
    ("OTEL_COSTSPAN_LABEL_LIMIT", "0", "expected a whole number from 1 to 10000; 250 is used instead"),
    ("OTEL_COSTSPAN_SESSION_LIMIT", "-1", "expected a whole number from 1 to 1000000; 4096 is used instead"),
    ("OTEL_COSTSPAN_SPANS", "maybe", "expected true or false; true is used instead"),
    ("OTEL_COSTSPAN_ASK_USAGE", "sometimes", "expected known or always or never; known is used instead"),
    (
        "OTEL_COSTSPAN_TIME_ZONE",
        "Mars/Olympus",
        "expected a time zone such as UTC or Europe/Berlin; UTC is used instead",
    ),
    ("OTEL_COSTSPAN_HOSTS", "my.host", "expected host=provider, with commas between pairs; nothing is used instead"),
    ("OTEL_COSTSPAN_PRICES", "/nowhere/prices.yaml", "/nowhere/prices.yaml"),
]


@pytest.mark.parametrize(("name", "value", "told"), MISTAKES)
def test_a_mistaken_setting_is_told_and_the_program_runs_on(
    name: str,
    value: str,
    told: str,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its name, what was given, what was expected and what is used instead."""
    monkeypatch.setenv(name, value)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert watched.call().usage is not None
    sentences = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    # Where the hosts are mistaken, nobody has said whose prices count here, and that is told, too.
    (sentence,) = [sentence for sentence in sentences if "whose prices count" not in sentence]
    assert told in sentence
    if "PRICES" not in name:
        assert sentence.startswith(f'costspan: {name} is "{value}": ')


def test_a_setting_that_is_none_is_told(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """A name misspelt."""
    monkeypatch.setenv("OTEL_COSTSPAN_LABELS", "50")
    monkeypatch.setenv("OTEL_COSTSPAN_LEGDER", "on")
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert watched.call().outcome == "ok"
    assert "OTEL_COSTSPAN_LABELS is no setting of costspan" in caplog.text
    assert "OTEL_COSTSPAN_LEGDER is no setting of costspan: did you mean OTEL_COSTSPAN_LEDGER?" in caplog.text
