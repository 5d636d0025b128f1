"""What a provider says on its sockets, realtime and responses, and what is asked of it there."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

MODEL = "gpt-realtime"
TRANSCRIBER = "gpt-4o-mini-transcribe"
#: 132 input tokens: 119 of text, 60 of them cached, and 13 of sound, 4 of them cached. 121 output tokens, 91 of them sound.
USAGE = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip
COUNTS = {
    "input": 132, "output": 121, "input_audio": 13, "input_image": 0, "cache_read": 64, "cache_read_audio": 4,
    "cache_read_image": 0, "output_audio": 91,
}  # fmt: skip
RESPONSE_USAGE = {
    "input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 2},
}  # fmt: skip
RESPONSE_COUNTS = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
ASKED: dict[str, Any] = {"type": "response.create"}
ASKED_OF_RESPONSES: dict[str, Any] = {"type": "response.create", "model": "gpt-4o-mini", "input": "Will it rain?"}


def session(model: str = MODEL, **more: Any) -> dict[str, Any]:
    """The first message of a realtime connection."""
    heard = {"transcription": {"model": TRANSCRIBER}}
    said = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": model, "audio": {"input": heard}}
    return {"type": "session.created", "event_id": "event_0", "session": {**said, **more}}


def created(name: str = "resp_1", **more: Any) -> dict[str, Any]:
    """A response begins."""
    made: dict[str, Any] = {
        "object": "realtime.response",
        "id": name,
        "status": "in_progress",
        "output": [],
        "usage": None,
    }
    return {"type": "response.created", "event_id": "event_1", "response": {**made, **more}}


def delta(name: str = "resp_1", text: str = "It will rain, I think") -> dict[str, Any]:
    """A piece of what the model says, in words."""
    return {
        "type": "response.output_audio_transcript.delta", "event_id": "event_2", "response_id": name, "item_id": "item_1",
        "output_index": 0, "content_index": 0, "delta": text,
    }  # fmt: skip


def sound(name: str = "resp_1", ms: int = 200) -> dict[str, Any]:
    """A piece of what the model says, as sound."""
    return {**delta(name), "type": "response.output_audio.delta", "delta": b64encode(b"\1" * 48 * ms).decode()}


def done(name: str = "resp_1", usage: Any = USAGE, status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response has ended."""
    made: dict[str, Any] = {"object": "realtime.response", "id": name, "status": status, "output": [], "usage": usage}
    return {"type": "response.done", "event_id": "event_3", "response": {**made, **more}}


def transcription(kind: str, **more: Any) -> dict[str, Any]:
    """What the user said, in words."""
    return {
        "type": f"conversation.item.input_audio_transcription.{kind}", "event_id": "event_4", "item_id": "item_0",
        "content_index": 0, **more,
    }  # fmt: skip


TURN = (created(), delta(), sound(), done())


def responses(kind: str, name: str = "resp_1", lane: str | None = None, **more: Any) -> dict[str, Any]:
    """A message of the responses socket that holds the response."""
    status = {"created": "in_progress"}.get(kind, kind)
    made: dict[str, Any] = {
        "object": "response",
        "id": name,
        "status": status,
        "model": "gpt-4o-mini-2024-07-18",
        "output": [],
        **more,
    }
    return {"type": f"response.{kind}", "sequence_number": 0, "response": made, **({"stream_id": lane} if lane else {})}


def piece(text: str = "It will rain, I think", lane: str | None = None) -> dict[str, Any]:
    """A message that does not."""
    said: dict[str, Any] = {
        "type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "delta": text, "logprobs": [],
    }  # fmt: skip
    return {**said, **({"stream_id": lane} if lane else {})}


RESPONSE_TURN = (responses("created"), piece(), responses("completed", usage=RESPONSE_USAGE))
