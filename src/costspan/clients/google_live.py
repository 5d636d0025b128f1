"""The messages of Google's live socket: each report of usage is that of one turn, with all of the session that the turn was made of.

"The API charges you per turn for all tokens present in the session context window":
https://ai.google.dev/gemini-api/docs/live-api/best-practices (2026-09). The reports of a session are so many charges, not a running total.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from costspan.calls.connections import Asked, Meaning
from costspan.calls.description import Endpoint
from costspan.calls.estimating import Prompt
from costspan.calls.messages import NOTHING, fields, listed
from costspan.clients import google_body
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import bounded_names, count

_RENAMED: Final = {"responseTokenCount": "candidatesTokenCount", "responseTokensDetails": "candidatesTokensDetails"}
_THOUGHTS: Final = "thoughtsTokenCount"
_TOTAL: Final = "totalTokenCount"
_IN_TOTAL: Final = ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount")
#: Sound of 24,000 samples a second of 16 bits, of which a token is 40 ms.
_BYTES_PER_TOKEN_SPOKEN: Final = 48 * 40
#: What is charged beside the usage, by its field in a message, and the name that it is told by.
_BESIDE: Final = {
    "grounding_metadata": "groundingMetadata",
    "input_transcription": "inputTranscription",
    "output_transcription": "outputTranscription",
}
_TURN: Final = "turn"


def turn(message: Any) -> Answer | None:
    """What a message says of its turn: what it used, and what is charged beside that."""
    said = fields(message)
    beside = [name for field, name in _BESIDE.items() if _content(said).get(field) is not None]
    spent = said.get("usage_metadata")
    if spent is None:
        return Answer(unread=bounded_names(beside)) if beside else None
    answer = Answer()
    google_body.take_usage(answer, _as_elsewhere(spent))
    answer.finish_reasons = ("turn",)
    answer.unread = bounded_names((*answer.unread, *beside))
    return answer


def _as_elsewhere(spent: Any) -> Any:
    """A usage as `generateContent` has it. Its total leaves the thoughts out, which are charged as output all the same."""
    dump = getattr(spent, "model_dump", None)
    said: dict[str, Any] = (
        dump(by_alias=True, exclude_none=True, mode="json") if dump is not None else dict(fields(spent))
    )
    if not said:
        return spent
    said = {_RENAMED.get(name, name): value for name, value in said.items()}
    thoughts, total = count(said.get(_THOUGHTS)), count(said.get(_TOTAL))
    if thoughts and total is not None and total == sum(count(said.get(name)) or 0 for name in _IN_TOTAL):
        said[_TOTAL] = total + thoughts
    return said


def _content(said: Mapping[str, Any]) -> Mapping[str, Any]:
    return fields(said.get("server_content"))


def _parts(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from map(fields, listed(fields(_content(said).get("model_turn")).get("parts")))


def _telling(_: Mapping[str, Any]) -> Callable[[Any], bool]:
    return lambda message: any(_content(fields(message)).get(field) is not None for field in _BESIDE)


def _shown(message: Any) -> Any:
    said = fields(message)
    called = [fields(each).get("args") for each in listed(fields(said.get("tool_call")).get("function_calls"))]
    return [*(part.get("text") for part in _parts(said)), called]


def _prompt(body: Mapping[str, Any]) -> Prompt:
    """What the last turn came to: it is the prompt of the next, which has more."""
    return Prompt([], [], body.get("spent", 0))


TURN: Final = Endpoint("/live", "realtime", turn, keeps=_telling, shown=_shown, prompt=_prompt)


class Live:
    """One session: its turns have no names, and one follows another."""

    def __init__(self) -> None:
        self.model: str | None = None
        self._name = f"{random.getrandbits(64):016x}"
        self._number = 1
        self._is_told = False  # what the turn used has been told, and the rest of it still comes
        self._is_over = False  # it has ended, and what it used was not told
        self._spent = 0

    def sent(self, message: Any) -> Asked | None:  # noqa: ARG002  # sound is sent all the time, and the server tells turns apart
        """Nothing that is sent is a request of its own."""
        return None

    def received(self, message: Any) -> Meaning | None:
        """A turn begins with what it shows, and ends with the report of what it used."""
        said = fields(message)
        content = _content(said)
        is_complete = bool(content.get("turn_complete"))
        if said.get("usage_metadata") is not None:
            meaning = self._meaning(ends=True)
            self._number, self._is_told, self._is_over = self._number + 1, not is_complete, False
            self._note(said["usage_metadata"])
            return meaning
        shows = content.get("model_turn") is not None or said.get("tool_call") is not None
        if shows and self._is_over:
            self._number, self._is_over = self._number + 1, False
        is_told, self._is_told = self._is_told, self._is_told and not is_complete
        if is_told or not (shows or is_complete or any(content.get(field) is not None for field in _BESIDE)):
            return None
        self._is_over = is_complete
        spoken = sum(
            len(data) for part in _parts(said) if isinstance(data := fields(part.get("inline_data")).get("data"), bytes)
        )
        return self._meaning(brings={units.OUTPUT_AUDIO: spoken / _BYTES_PER_TOKEN_SPOKEN} if spoken else NOTHING)

    def _meaning(self, *, ends: bool = False, brings: Mapping[str, float] = NOTHING) -> Meaning:
        name = f"{self._name}/{self._number}"
        return Meaning(
            TURN, _TURN, name, ends=ends, asked_model=self.model, asks={"spent": self._spent}, brings=brings
        )  # fmt: skip

    def _note(self, spent: Any) -> None:
        said = fields(spent)
        self._spent = sum(count(said.get(name)) or 0 for name in ("prompt_token_count", "response_token_count"))


#: As a library's description has it.
LIVE: Final[dict[str, Any]] = {
    "connection": "AsyncSession",
    "opener": "AsyncLive",
    "conversation": Live,
    "endpoints": (TURN,),
}
