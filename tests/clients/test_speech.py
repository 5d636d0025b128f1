"""Speech that is made: by the characters of the request, or by the tokens that its last event reports."""

from __future__ import annotations

from typing import Any

import pytest

import ways
from answers import Reply, events
from caller import KINDS, Caller
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

TEXT = "eleven char"
DELTA = {"type": "speech.audio.delta", "audio": "AAAA"}
DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}
TOKENS = ({"input": 14, "output": 101}, 1_220_400)  # at 0.60 and 12 USD per million
ASKED: dict[str, Any] = {"model": "gpt-4o-mini-tts", "input": TEXT, "voice": "alloy", "stream_format": "sse"}


async def _along(c: Caller) -> None:
    """The body, read piece by piece."""
    async with c.within(c.client.audio.speech.with_streaming_response.create(**ASKED)) as response:
        async for piece in c.each(response.iter_bytes()):
            c.look(piece)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("way", "reply", "expected"),
    [
        (ways.method("audio.speech.create", **ASKED), events([DELTA, DELTA, DONE]), TOKENS),
        (_along, events([*[DELTA] * 60, DONE]), TOKENS),
        (ways.method("audio.speech.create", **ASKED), events([DELTA]), ({"characters": 11}, None)),
        (ways.method("audio.speech.create", **ASKED), Reply(b"RIFF", kind="audio/wav"), ({"characters": 11}, None)),
        (
            ways.method("audio.speech.create", **{**ASKED, "model": "tts-1"}),
            Reply(b"RIFF", kind="audio/wav"),
            ({"characters": 11}, 165_000),
        ),
    ],
    ids=["events", "events read along", "no report", "sound", "by characters"],
)
def test_speech_that_comes_in_events_is_charged_by_what_they_report(
    way: Any, reply: Reply, expected: tuple[dict[str, int], int | None], mode: str, provider: Provider
) -> None:
    """Else by the characters, at the models that have a price for these."""
    provider.replies.append(reply)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(way)
        call = watched.call()
    assert call.usage is not None
    assert (call.usage.counts, call.price.nano_usd if isinstance(call.price, Cost) else None) == expected
    assert call.usage.complete
