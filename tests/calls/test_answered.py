"""Calls that were answered, and billed, and whose answer the library then refuses to hand on: the money stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest

import ways
from answers import CHAT_USAGE, RESPONSE_USAGE, Reply, completion, message, response, whole
from caller import Caller
from comparing import compared, usage_of
from costspan.facts.call import ERROR
from costspan.facts.money import UNKNOWN_MODEL, Cost, Unpriced
from provider import Provider

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def _stopped(reason: str) -> dict[str, Any]:
    said = {"role": "assistant", "content": '{"wor', "refusal": None}
    return completion(choices=[{"index": 0, "message": said, "finish_reason": reason, "logprobs": None}])


def _unfit() -> dict[str, Any]:
    said = {"role": "assistant", "content": '{"number": 5}', "refusal": None}
    return completion(choices=[{"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}])


def _unfit_response() -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": '{"number": 5}', "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    return response(output=[item])


async def _with_options(c: Caller) -> None:
    """A client with other options than the first."""
    c.client = c.client.with_options(timeout=9)
    await ways.chat_parse(c)


_BAD_CHAT = {**completion(), "choices": "none"}
_BAD_MESSAGE = {**message(), "content": 5}
_STRICT = "APIResponseValidationError"
ROWS: list[tuple[str, str, Callable[[Caller], Any], dict[str, Any], str]] = [
    ("parse, cut at its length", "chat", ways.chat_parse, _stopped("length"), "LengthFinishReasonError"),
    ("parse, filtered", "chat", ways.chat_parse, _stopped("content_filter"), "ContentFilterFinishReasonError"),
    ("parse, a schema that does not fit", "chat", ways.chat_parse, _unfit(), "ValidationError"),
    ("responses.parse, does not fit", "responses", ways.responses_parse, _unfit_response(), "ValidationError"),
    ("strict, chat", "chat", ways.whole, _BAD_CHAT, _STRICT),
    ("parse with options", "chat", _with_options, _stopped("length"), "LengthFinishReasonError"),
    ("strict, messages", "messages", ways.whole, _BAD_MESSAGE, _STRICT),
    ("strict, groq", "groq", ways.whole, _BAD_CHAT, _STRICT),
    ("strict, cerebras", "cerebras", ways.whole, _BAD_CHAT, _STRICT),
    ("strict, together", "together", ways.whole, _BAD_CHAT, _STRICT),
    ("strict, fireworks", "fireworks", ways.whole, _BAD_CHAT, _STRICT),
    ("strict, perplexity", "perplexity", ways.whole, _BAD_CHAT, _STRICT),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(("kind", "way", "body", "raised"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_was_answered_is_booked_whatever_the_library_raises(
    kind: str, way: Callable[[Caller], Any], body: dict[str, Any], raised: str, provider: Provider, mode: str
) -> None:
    """The caller gets the library's exception, the outcome says error, and the usage and its cost stand."""

    def prepare(provider: Provider) -> None:
        provider.replies.append(whole(body))

    call = compared(way, kind, provider, mode, prepare=prepare, _strict_response_validation=raised == _STRICT)
    assert (call.outcome, call.error_type, call.http_status) == (ERROR, raised, 200)
    assert call.usage is not None
    assert call.usage.complete
    assert call.usage.counts == usage_of(kind)
    assert isinstance(call.price, Cost) or call.price == Unpriced(UNKNOWN_MODEL, ANY)


@_MODES
def test_a_raw_answer_is_booked_before_it_is_parsed(provider: Provider, mode: str) -> None:
    """`with_raw_response`: the call was over when the program began to parse."""

    def prepare(provider: Provider) -> None:
        provider.replies.append(whole(_BAD_CHAT))

    call = compared(ways.raw, "chat", provider, mode, prepare=prepare, _strict_response_validation=True)
    assert call.usage is not None
    assert call.usage.counts == usage_of("chat")


@_MODES
@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_an_answer_that_nobody_can_read_is_unpriced(kind: str, provider: Provider, mode: str) -> None:
    """A 200 was billed, whatever its body looks like: the call is unpriced, not free."""

    def prepare(provider: Provider) -> None:
        provider.replies.append(Reply(b'{"usage": {"prompt_tok'))

    call = compared(ways.whole, kind, provider, mode, prepare=prepare)
    assert call.outcome == ERROR
    assert isinstance(call.price, Unpriced)


def test_the_bodies_of_this_file_report_the_usual_usage() -> None:
    """What is broken in them is not the usage."""
    assert _BAD_CHAT["usage"] == CHAT_USAGE
    assert _unfit_response()["usage"] == RESPONSE_USAGE
