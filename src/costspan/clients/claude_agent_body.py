"""What Claude's CLI tells the agent SDK of usage: totals that run over a connection, by model, in tokens and in dollars.

A connection is one process of Claude's CLI: its totals begin at zero with it, also for a session that is resumed, and again where the
conversation is reset. What one result adds is the difference to the result before.
https://code.claude.com/docs/en/agent-sdk/cost-tracking (2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from costspan.calls.messages import NOTHING, fields, text
from costspan.clients import anthropic_body
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.money import nano_from_usd
from costspan.facts.usage import count

#: Of a model's totals: the word of the Messages API for each.
_COUNTS: Final[Mapping[str, str]] = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_input_tokens",
    "cacheCreationInputTokens": "cache_creation_input_tokens",
}
_SEARCHES: Final = "webSearchRequests"
_COST: Final = "costUSD"
#: Who answers, in the CLI's words.
_PROVIDERS: Final[Mapping[Any, str]] = {
    None: "anthropic", "firstParty": "anthropic", "anthropicAws": "anthropic", "anthropicGoogleCloud": "anthropic",
    "bedrock": "aws.bedrock", "mantle": "aws.bedrock", "vertex": "gcp.vertex_ai", "foundry": "azure.ai.inference",
    "gateway": "unknown",
}  # fmt: skip
_MOST_STEPS: Final = 1_000
_MOST_MODELS: Final = 64


class Spent(NamedTuple):
    """What a model used for one result, and who answered for it."""

    provider: str
    answer: Answer


class Totals:
    """What one connection has told so far."""

    def __init__(self) -> None:
        self._models: dict[str, Mapping[str, int]] = {}
        self._cost: int = 0
        self._steps: dict[str, Mapping[str, Any]] = {}  # since the last result, by the id of the message

    def take(self, message: Any) -> Iterator[Spent]:
        """What a message adds: of what models used, only a result says it."""
        said = fields(message)
        kind = said.get("type")
        if kind == "assistant":
            self._take_step(fields(said.get("message")))
        elif kind == "conversation_reset":
            self.__init__()
        elif kind == "result":
            yield from self._result(said)

    def rest(self) -> Iterator[Spent]:
        """What was seen of steps whose result did not come, each step once: a lower bound."""
        steps, self._steps = self._steps, {}
        for step in steps.values():
            answer = anthropic_body.message(step)
            if answer is not None and answer.usage is not None:
                answer.usage.complete = False
                yield Spent(_PROVIDERS[None], answer)

    def _take_step(self, step: Mapping[str, Any]) -> None:
        """A message comes once for each block of its content: the last of them says most."""
        key = text(step.get("id"))
        if key is not None and len(self._steps) < _MOST_STEPS:
            self._steps[key] = step

    def _result(self, said: Mapping[str, Any]) -> Iterator[Spent]:
        steps, self._steps = self._steps, {}
        cost = nano_from_usd(said.get("total_cost_usd"))
        before, self._cost = self._cost, self._cost if cost is None else cost
        models = fields(said.get("modelUsage"))
        if models:
            found = [self._of_model(name, fields(models[name])) for name in list(models)[:_MOST_MODELS]]
        else:  # before Claude's CLI told it by model: the tokens of this result, the dollars of all
            model = next((text(step.get("model")) for step in reversed(list(steps.values()))), None)
            found = [_plain(said, model, None if cost is None else _added(cost, before))]
        error = _error_of(said)
        for spent in found:
            if spent is not None:
                spent.answer.id, spent.answer.error = text(said.get("uuid")), error
                yield spent

    def _of_model(self, name: str, said: Mapping[str, Any]) -> Spent | None:
        """The difference to what was told of this model before; None where nothing was added."""
        now = {key: number for key in (*_COUNTS, _SEARCHES) if (number := count(said.get(key))) is not None}
        cost = nano_from_usd(said.get(_COST))
        if cost is not None:
            now[_COST] = cost
        before = self._models.get(name, NOTHING)
        self._models[name] = now
        if any(number < before.get(key, 0) for key, number in now.items()):
            before = NOTHING  # it has begun anew
        added = {key: number - before.get(key, 0) for key, number in now.items()}
        if not any(added.values()):
            return None
        usage: dict[str, Any] = {word: added[key] for key, word in _COUNTS.items() if key in added}
        usage["server_tool_use"] = {"web_search_requests": added.get(_SEARCHES, 0)}
        model = text(said.get("canonicalModel")) or name.partition("[")[0]  # `[1m]`: with a long context
        answer = anthropic_body.message({"model": model, "usage": usage}) or Answer()
        answer.reported_nano_usd = added.get(_COST)
        return Spent(_PROVIDERS.get(said.get("provider"), "unknown"), answer)


def _added(now: int, before: int) -> int:
    return now - before if now >= before else now


def _plain(said: Mapping[str, Any], model: str | None, cost: int | None) -> Spent | None:
    answer = anthropic_body.message({"model": model, "usage": said.get("usage")}) or Answer()
    if answer.usage is None and not cost:
        return None
    answer.reported_nano_usd = cost
    return Spent(_PROVIDERS[None], answer)


def _error_of(said: Mapping[str, Any]) -> str | None:
    """A result that failed says why in its subtype, and one of a call that failed by its status."""
    if said.get("is_error") is not True:
        return None
    status = said.get("api_error_status")
    return str(status) if type(status) is int else code(said.get("subtype")) or "error"


def told(answer: Any) -> Answer | None:
    """An answer as it was worked out here."""
    return answer if isinstance(answer, Answer) else None
