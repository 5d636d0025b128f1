"""The messages of OpenAI's sockets, realtime and responses: which begin and end an answer, and what they say of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.connections import Asked, Meaning
from costspan.calls.description import Endpoint
from costspan.calls.estimating import TOKENS_AROUND, Prompt
from costspan.calls.messages import NOTHING, fields, listed, text
from costspan.clients import estimates, openai_body, openai_usage
from costspan.facts import call as outcomes
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.recent import Recent

_ASKS: Final = "response.create"
#: The messages with which a response ends; `done` is realtime's, whose status says how.
_ENDS: Final = frozenset({
    "response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled",
})  # fmt: skip
_STOPPED: Final = frozenset({"cancelled"})

# --- the responses socket -----------------------------------------------------------------------------------------

(RESPONSE,) = estimates.usual(Endpoint("/responses", "chat", openai_body.responses))


class Responses:
    """One connection of the responses socket: in each lane one response after another."""

    def __init__(self) -> None:
        self.model: str | None = None

    def sent(self, message: Any) -> Asked | None:
        """A response is asked for."""
        said = fields(message)
        if said.get("type") != _ASKS:
            return None
        return Asked(RESPONSE, text(said.get("stream_id")) or "", text(said.get("model")), said)

    def received(self, message: Any) -> Meaning | None:
        """Most messages do not name their response, but all of them its lane."""
        said = fields(message)
        kind = text(said.get("type")) or ""
        lane = text(said.get("stream_id")) or ""
        if kind == "error":
            return Meaning(RESPONSE, lane, lane=lane, ends=True)
        if not kind.startswith("response.") or kind.startswith("response.steer."):
            return None
        made = fields(said.get("response"))
        ends = kind in _ENDS
        return Meaning(
            RESPONSE, lane, text(made.get("id")), lane, kind == "response.created", ends, _outcome(made), text(made.get("model"))
        )  # fmt: skip


def _outcome(made: Mapping[str, Any]) -> str:
    return outcomes.ABANDONED if made.get("status") in _STOPPED else outcomes.OK


# --- the realtime socket ------------------------------------------------------------------------------------------


def done(message: Any) -> Answer | None:
    """What the last message of a realtime response says; the others say nothing of usage."""
    made = fields(fields(message).get("response"))
    if not made:
        return None
    answer = openai_body.responses(made)
    if answer is not None and made.get("status") == "failed":
        answer.error = answer.error or openai_body.error_of(fields(made.get("status_details")).get("error"))
    return answer


def transcribed(message: Any) -> Answer | None:
    """What the transcription of what the user said says of usage: tokens, or seconds of sound."""
    said = fields(message)
    if said.get("error") is not None:
        return Answer(error=openai_body.error_of(said["error"]))
    return openai_body.sound(said) if "usage" in said else None


_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."
_SESSIONS: Final = frozenset({
    "session.created", "session.updated", "transcription_session.created", "transcription_session.updated",
})  # fmt: skip
# Sound: 24,000 samples a second of 16 bits, or by a law of telephony 8,000 of 8 bits. A token of the user's is 100 ms of it,
# one of the model's 50 ms. https://platform.openai.com/docs/guides/realtime-costs (2026-11)
_BYTES_PER_MS: Final = 48
_BYTES_PER_MS_OF_TELEPHONY: Final = 8
_TELEPHONY: Final = ("pcmu", "pcma", "ulaw", "alaw")
_BASE64: Final = 3 / 4
_MS_PER_TOKEN_HEARD: Final = 100
_MS_PER_TOKEN_SPOKEN: Final = 50
_MOST_HEARD: Final = 256
_MOST_TEXTS: Final = 1_000


def _heard(event: Any) -> Any:
    return fields(event).get("delta")


def _prompt(body: Mapping[str, Any]) -> Prompt:
    """A conversation so far: what the last response came to, and what has been said since."""
    spent: Mapping[str, int] = body.get("spent", NOTHING)
    texts = [found for found in listed(body.get("texts")) if found]
    sound = spent.get(units.INPUT_AUDIO, 0) + spent.get(units.OUTPUT_AUDIO, 0)
    before = spent.get(units.INPUT, 0) + spent.get(units.OUTPUT, 0) - sound
    sound += round(body.get("sound_ms", 0) / _MS_PER_TOKEN_HEARD)
    return Prompt(
        estimates.texts(texts), listed(body.get("tools")), before + TOKENS_AROUND * len(texts),
        parts={units.INPUT_AUDIO: sound} if sound else NOTHING,
    )  # fmt: skip


_SPOKEN: Final = Endpoint("/realtime", "realtime", done, shown=estimates.shown, prompt=_prompt)
_TRANSCRIBED: Final = Endpoint("/realtime", "transcription", transcribed, shown=_heard, prompt=_prompt)


class Realtime:
    """One connection of the realtime socket: the other side begins responses by itself, too, and names them in all messages.

    It bills the conversation anew with each response. What there is of it is kept for the estimate of one that is cut short:
    what the last response came to, and the texts and the sound since then.
    """

    def __init__(self) -> None:
        self.model: str | None = None
        self._session: Mapping[str, Any] = {}
        self._spent: Mapping[str, int] = {}
        self._texts: deque[Any] = deque(maxlen=_MOST_TEXTS)
        self._sound_ms = 0.0  # what belongs to the conversation
        self._open_ms = 0.0  # what may come to belong to it
        self._heard_ms: Recent[str, float] = Recent(_MOST_HEARD)  # by item

    def sent(self, message: Any) -> Asked | None:
        """A response is asked for, or something is said."""
        said = fields(message)
        kind = said.get("type")
        if kind == "input_audio_buffer.append":
            self._open_ms += self._ms(said.get("audio"), "input")
        elif kind == "conversation.item.create":
            self._take_item(fields(said.get("item")))
        elif kind == _ASKS:
            asks = fields(said.get("response"))
            self._texts += [asks.get("instructions"), *listed(asks.get("input"))]
            return Asked(_SPOKEN, model=self.model, body=self._conversation())
        return None

    def _take_item(self, item: Mapping[str, Any]) -> None:
        parts = [fields(part) for part in listed(item.get("content"))]
        self._sound_ms += sum(self._ms(part.get("audio"), "input") for part in parts)
        self._texts += [{**part, "audio": None} for part in parts]
        self._texts += [item.get("arguments"), item.get("output")]

    def received(self, message: Any) -> Meaning | None:
        """A message of the session, of a response, or of the transcription of what was heard."""
        said = fields(message)
        kind = text(said.get("type")) or ""
        if kind.startswith("response."):
            return self._of_response(said, kind)
        if kind.startswith(_TRANSCRIPTION):
            return self._of_transcription(said, kind.removeprefix(_TRANSCRIPTION))
        if kind == "error":
            return Meaning(_SPOKEN, "", refused=True)
        if kind in _SESSIONS:
            self._session = fields(said.get("session"))
        elif kind == "input_audio_buffer.speech_started":
            self._open_ms = 0
        elif kind == "input_audio_buffer.committed":
            self._heard_ms.keep(str(said.get("item_id")), self._open_ms)
            self._sound_ms, self._open_ms = self._sound_ms + self._open_ms, 0
        return None

    def _of_response(self, said: Mapping[str, Any], kind: str) -> Meaning | None:
        made = fields(said.get("response"))
        name = text(made.get("id")) or text(said.get("response_id"))
        if name is None:
            return None
        begins, ends = kind == "response.created", kind in _ENDS
        if ends:
            self._note_end(made)
        model = text(made.get("model")) or text(self._session.get("model"))
        brings: Mapping[str, float] = NOTHING
        if kind.endswith("audio.delta"):
            brings = {units.OUTPUT_AUDIO: self._ms(said.get("delta"), "output") / _MS_PER_TOKEN_SPOKEN}
        asks = self._conversation() if begins else NOTHING
        return Meaning(_SPOKEN, name, name, "", begins, ends, _outcome(made), model, self.model or model, asks, brings)

    def _note_end(self, made: Mapping[str, Any]) -> None:
        usage = openai_usage.careful(fields(made.get("usage")), [], {})
        if usage is not None:
            self._spent = usage.counts
            self._texts.clear()
            self._sound_ms = 0

    def _of_transcription(self, said: Mapping[str, Any], kind: str) -> Meaning | None:
        item = text(said.get("item_id"))
        if item is None or kind not in {"delta", "completed", "failed"}:
            return None
        name = f"{item} {said.get('content_index')}"
        asks = {"sound_ms": self._heard_ms.get(item) or 0}
        model = self._transcriber()
        return Meaning(
            _TRANSCRIBED, name, name, "heard", ends=kind != "delta", model=model, asked_model=model, asks=asks
        )

    def _transcriber(self) -> str | None:
        """The model that transcribes what the user says; older sessions name it outside of `audio`."""
        of_input = fields(fields(self._session.get("audio")).get("input")).get("transcription")
        return text(fields(of_input or self._session.get("input_audio_transcription")).get("model"))

    def _conversation(self) -> Mapping[str, Any]:
        session = NOTHING if self._spent else self._session  # they are in what was spent
        return {
            "spent": self._spent,
            "sound_ms": self._sound_ms,
            "texts": [session.get("instructions"), *self._texts],
            "tools": listed(session.get("tools")),
        }

    def _ms(self, sound: Any, direction: str) -> float:
        """How long sound in base64 lasts."""
        if not isinstance(sound, str):
            return 0
        form = fields(fields(fields(self._session.get("audio")).get(direction)).get("format")).get("type")
        form = str(form or self._session.get(f"{direction}_audio_format"))
        is_telephony = any(law in form for law in _TELEPHONY)
        return len(sound) * _BASE64 / (_BYTES_PER_MS_OF_TELEPHONY if is_telephony else _BYTES_PER_MS)


#: Of both.
ENDPOINTS: Final = (RESPONSE, _SPOKEN, _TRANSCRIBED)

# --- both, as a library's description has them ---------------------------------------------------------------------

RESPONSES: Final[dict[str, Any]] = {
    "connection": "ResponsesConnection",
    "opener": "ResponsesConnectionManager",
    "conversation": Responses,
    "endpoints": (RESPONSE,),
}
REALTIME: Final[dict[str, Any]] = {
    "connection": "RealtimeConnection",
    "opener": "RealtimeConnectionManager",
    "conversation": Realtime,
    "endpoints": (_SPOKEN, _TRANSCRIBED),
}
