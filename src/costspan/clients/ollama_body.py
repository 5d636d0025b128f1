"""The bodies of Ollama's API: one object, or one a line, of which the last has the counts.

A server may leave out the count of a prompt that it had evaluated before: then the input is unknown, not nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, text
from costspan.clients import estimates
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names, count

_INPUT: Final = "prompt_eval_count"
_OUTPUT: Final = "eval_count"
#: A request without a prompt only has a model loaded or let go of.
_NOTHING_ASKED: Final = frozenset({"load", "unload"})


def generated(message: Any) -> Answer | None:
    """An answer of chat or generate, whole or one object of its stream."""
    body = fields(message)
    answer = _answer(body)
    reason = text(body.get("done_reason"))
    answer.finish_reasons = (reason,) if reason is not None else ()
    if reason in _NOTHING_ASKED:
        answer.usage = Usage({units.INPUT: 0, units.OUTPUT: 0})
    elif body.get("done"):
        _take_counts(answer, body, {_INPUT: units.INPUT, _OUTPUT: units.OUTPUT})
    return answer


def embedded(message: Any) -> Answer | None:
    """Embeddings: all tokens are input."""
    body = fields(message)
    answer = _answer(body)
    if body.get(_INPUT) is not None:
        _take_counts(answer, body, {_INPUT: units.INPUT})
        if answer.usage is not None:
            answer.usage.counts[units.OUTPUT] = 0
    return answer


def scored(message: Any) -> Answer | None:
    """Answers to questions of a System One model."""
    body = fields(message)
    answer = _answer(body)
    _take_counts(answer, fields(body.get("usage")), {"input_tokens": units.INPUT, "output_tokens": units.OUTPUT})
    return answer


def shown(event: Any) -> Any:
    """What an object of a stream shows: the answer, and how the model came to it."""
    said = fields(event)
    message = fields(said.get("message"))
    return estimates.texts([said.get("response"), said.get("thinking"), *map(message.get, _SHOWN)])


_SHOWN: Final = ("content", "thinking", "tool_calls")


def prompt(body: Mapping[str, Any]) -> Prompt:
    """The prompt of a request; a suffix is told to the model as well."""
    said = estimates.prompt(body)
    return said._replace(texts=[said.texts, body.get("suffix")])


def _answer(body: Mapping[str, Any]) -> Answer:
    return Answer(model=text(body.get("model")), error="error" if body.get("error") else None)


def _take_counts(answer: Answer, said: Mapping[str, Any], names: Mapping[str, str]) -> None:
    counts = {unit: number for name, unit in names.items() if (number := count(said.get(name))) is not None}
    if counts:
        answer.usage = Usage(counts)
        answer.unread = bounded_names(name for name, unit in names.items() if unit not in counts)
