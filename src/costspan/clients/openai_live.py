"""OpenAI's live socket: a session is a call, charged by its seconds; what it hands to other models is told beside them.

https://developers.openai.com/api/docs/guides/voice-latency-cost
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from costspan.calls.connections import Asked, Meaning
from costspan.calls.description import Endpoint
from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, opened, text
from costspan.clients import estimates, openai_body
from costspan.clients.openai_socket import Responses
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names, milliseconds

_STARTED: Final = "session.started"
_USED: Final = "session.usage.updated"
_CLOSED: Final = "session.closed"
_LOST: Final = "connection_lost"
_SESSION: Final = "the session"
_FREE_ITEMS: Final = frozenset({"message", "reasoning", "function_call", "custom_tool_call", "compaction"})


def session(message: Any) -> Answer | None:
    """What a message says of the whole session: each tells its seconds so far, and the last one why it has ended.

    Time in which the model is paused has a lower rate of its own, and is named.
    """
    said = fields(message)
    made, spent = fields(said.get("session")), fields(said.get("usage"))
    answer = Answer(model=text(made.get("model")), id=text(made.get("id")))
    if said.get("type") == _CLOSED:
        reason = text(said.get("reason")) or "closed"
        answer.finish_reasons, answer.error = (reason,), reason if reason == _LOST else None
    if not spent:
        return answer
    ms, paused_ms = milliseconds(spent.get("seconds")), milliseconds(spent.get("paused_seconds") or 0)
    unread = ["seconds"] if ms is None else []
    if paused_ms != 0:
        unread.append("paused_seconds")
    if ms is not None:
        answer.usage = Usage({units.SESSION_MS: max(0, ms - (paused_ms or 0))})
    answer.unread = bounded_names(unread)
    return answer


def delegated(message: Any) -> Answer | None:
    """An event of a response that the session had another model make. Its last one does not repeat what tools were used."""
    event = _event(message)
    if event.get("type") == "response.output_item.done":
        kind = text(fields(event.get("item")).get("type")) or "item"
        return None if kind in _FREE_ITEMS else Answer(unread=bounded_names([kind]))
    return openai_body.responses(event) if str(event.get("type")).startswith("response.") else None


def decided(message: Any) -> Answer | None:
    """A decision that the session asked for."""
    return openai_body.decisions(_event(message).get("decision"))


def _event(message: Any) -> Mapping[str, Any]:
    return fields(fields(message).get("event"))


def _items(_: Mapping[str, Any]) -> Callable[[Any], bool]:
    return lambda event: _event(opened(event)).get("type") == "response.output_item.done"


def _nothing(_: Any) -> None:
    """A session is not charged by the token: what it shows, and what asks for it, tell nothing of its seconds."""


def _no_prompt(_: Mapping[str, Any]) -> Prompt:
    return Prompt([], [], 0)


_PATH: Final = "/live/sessions"
SESSION: Final = Endpoint(_PATH, "realtime", session, request_usage=_nothing, shown=_nothing, prompt=_no_prompt)
DELEGATED: Final = Endpoint(
    _PATH, "chat", delegated, keeps=_items, shown=lambda event: estimates.shown(_event(event)), prompt=_no_prompt
)
DECIDED: Final = Endpoint(_PATH, "classification", decided)


class Live:
    """One connection of the live socket: one session, and the answers of other models that are told in it."""

    def __init__(self) -> None:
        self.model: str | None = None
        self._delegations = Responses()

    def sent(self, message: Any) -> Asked | None:
        """A session is asked for."""
        said = fields(message)
        if said.get("type") != "session.start":
            return None
        asked = fields(said.get("session"))
        return Asked(SESSION, model=text(asked.get("model")), body=asked)

    def received(self, message: Any) -> Meaning | None:
        """A message of the session, or of an answer that is made for it."""
        said = fields(message)
        kind = text(said.get("type"))
        if kind == "response.event":
            return self._of_delegation(said)
        if kind == "decision.event":
            name = text(said.get("event_id")) or ""
            made = fields(_event(said).get("decision"))
            return Meaning(DECIDED, f"decision {name}", text(made.get("id")) or name, "decision", ends=True)
        if kind == "error":  # of a session that has begun, it ends nothing
            return Meaning(SESSION, _SESSION, refused=True)
        if kind not in {_STARTED, _USED, _CLOSED}:
            return None
        made = fields(said.get("session"))
        name, model = text(made.get("id")), text(made.get("model"))
        return Meaning(SESSION, _SESSION, name, begins=kind == _STARTED, ends=kind == _CLOSED, model=model)

    def _of_delegation(self, said: Mapping[str, Any]) -> Meaning | None:
        lane = text(said.get("delegation_id")) or ""
        meaning = self._delegations.received({**_event(said), "stream_id": lane})
        if meaning is None:
            return None
        return meaning._replace(endpoint=DELEGATED, key=f"delegation {lane}", lane=f"delegation {lane}")


#: As a library's description has them.
LIVE: Final[dict[str, Any]] = {
    "connection": "LiveConnection",
    "opener": "LiveConnectionManager",
    "conversation": Live,
    "endpoints": (SESSION, DELEGATED, DECIDED),
}
