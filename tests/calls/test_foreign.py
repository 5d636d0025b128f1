"""Texts from outside: what is kept of them anywhere is short, clean, and tells two of them apart."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest

import ways
from answers import chat_chunks, completion, events, message_events, whole
from caller import KINDS, Caller
from costspan import attribution, names
from costspan.facts import foreign
from costspan.ledger.store import Store
from costspan.metrics.cardinality import CardinalityLimit
from provider import Provider
from watching import Watched

_SECRET = "sk-proj-Kq83hfk29dkfLQ"
_PROMPT = "Summarize the attached medical record of Mr. Miller"
_HUGE = "m" * 1_000_000
_UNSAFE = "\n\r\t\x00\x1b\x7f\x85\xad\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041"


class Model(str, enum.Enum):
    """How some libraries say a model."""

    MINI = "gpt-4o-mini"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("", None),
        (None, None),
        (7, None),
        (b"gpt", None),
        (["gpt"], None),
        ("\n", None),
        (Model.MINI, "gpt-4o-mini"),
        ("gpt\n4o", "gpt 4o"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("日本語　モデル", "日本語　モデル"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\ud83d\ude00", "😀"),
        ("a\ud800b", "a�b"),
        ("x" * 200, "x" * 200),
    ],
)
def test_a_text_is_kept_clean(said: object, kept: str | None) -> None:
    """Letters of every script stay; what ends lines, colours terminals or turns the writing does not."""
    assert foreign.text(said) == kept


@pytest.mark.parametrize("character", _UNSAFE)
def test_no_unsafe_character_is_kept(character: str) -> None:
    """One by one, at any place of the text."""
    for said in (character, f"a{character}b", f"{character}a", f"a{character}"):
        assert character not in (foreign.text(said) or "")


@pytest.mark.parametrize("beginning", ["x", "ü", "x\n", "\ud800"])
def test_two_long_texts_stay_two(beginning: str) -> None:
    """Cut to what is kept, with a digest: an answer is found again by its id, and no other is taken for it."""
    said = [beginning * 300 + end for end in ("", "a", "b", "a" * 1_000)]
    kept = {foreign.text(one) for one in said}
    assert len(kept) == len(said)
    assert all(one is not None and len(one) <= foreign.LONGEST for one in kept)
    assert kept == {foreign.text(one) for one in said}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("overloaded_error", "overloaded_error"),
        ("context.length-exceeded", "context.length-exceeded"),
        ("RESOURCE_EXHAUSTED", "resource_exhausted"),
        ("InvalidParameter", "invalidparameter"),
        (429, "429"),
        ("429", "429"),
        (-1, None),
        (True, None),
        (10**40, None),
        (4.29, None),
        (None, None),
        ("", None),
        ({"code": "nested"}, None),
        (_PROMPT, None),
        (_SECRET, None),
        ("0f3a9c1b2d4e5f60718293a4b5c6d7e8", None),
        ("x" * 65, None),
        ("café", None),
        ("a\nb", None),
    ],
)
def test_an_error_has_a_short_word_or_none(said: object, kept: str | None) -> None:
    """A prompt, a key, an id or a sentence is no code."""
    assert foreign.code(said) == kept


def test_a_label_is_kept_like_every_text() -> None:
    """Whatever comes to a counter by another way is cleaned at its cap."""
    cap = CardinalityLimit(10)
    assert cap.value("a\nb") == "a b"
    assert len(cap.value(_HUGE)) <= foreign.LONGEST
    assert cap.value(None) == cap.value("") == cap.value("\n") == names.UNKNOWN


def _kept(watched: Watched, path: Path) -> str:
    """Everything that is kept of the calls, as one text."""
    spans = [(span.name, dict(span.attributes or {}), span.status.description) for span in watched.spans()]
    events = [dict(event.attributes) for event in watched.events()]
    points = [dict(point.attributes) for metric in names.METRICS for point in watched.points(metric)]
    watched.calls()
    with Store.open(path) as store:
        rows = [tuple(row) for row in store.connection.execute("SELECT * FROM calls")]
    assert spans
    assert events
    assert points
    assert rows
    return "\n".join(map(repr, (spans, events, points, rows)))


def _hostile(text: str) -> dict[str, Any]:
    return {"id": text, "model": text, "service_tier": text, "system_fingerprint": text}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("text", [_HUGE, _UNSAFE * 20, "\u202eevil\x1b[2J"], ids=["huge", "unsafe", "turned"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_no_text_of_an_answer_is_kept_as_it_came(
    text: str, mode: str, provider: Provider, tmp_path: Path, *, is_stream: bool
) -> None:
    """Model that was asked for, and model, id, tier and finish reason that were answered: in no output at all."""
    path = tmp_path / "ledger.db"
    body = completion(**_hostile(text))
    body["choices"][0]["finish_reason"] = text
    chunks: list[Any] = [{**chunk, **_hostile(text)} if isinstance(chunk, dict) else chunk for chunk in chat_chunks()]
    provider.replies.append(events(chunks) if is_stream else whole(body))
    with Watched(ledger=str(path)) as watched, attribution(session="s"):
        caller = Caller(KINDS["chat"], provider.url, mode)
        caller.arguments = {**caller.arguments, "model": text}
        caller.run(ways.to_the_end if is_stream else ways.whole)
        assert watched.call().outcome == "ok"
        kept = _kept(watched, path)
    assert len(kept) < 40_000
    assert not any(character in kept for character in _UNSAFE if character != "\n")
    assert "\\x1b" not in kept
    assert "\\u202e" not in kept


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("said", [_SECRET, _PROMPT, {"a": _PROMPT}, 10**30], ids=["key", "prompt", "object", "number"])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_what_a_provider_says_of_an_error_is_not_kept(
    client: str, said: object, mode: str, provider: Provider, tmp_path: Path
) -> None:
    """Only a word that has the form of a code: a prompt or a key may stand there."""
    path = tmp_path / "ledger.db"
    fault = {"error": {"code": said, "type": said, "message": str(said)}}
    if client == "openai":
        provider.replies.append(events([*chat_chunks()[:2], fault]))
    else:
        provider.replies.append(events([*message_events()[:2], {"type": "error", **fault}], named=True))
    with Watched(ledger=str(path)) as watched:
        Caller(KINDS["chat" if client == "openai" else "messages"], provider.url, mode).run(ways.to_the_end)
        assert watched.call().outcome == "error"
        kept = _kept(watched, path)
    assert _SECRET not in kept
    assert _SECRET.lower() not in kept
    assert "medical" not in kept
    assert str(10**30) not in kept
