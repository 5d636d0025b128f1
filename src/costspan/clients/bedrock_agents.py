"""What agents of Amazon Bedrock say: each model that one asked, in the traces of its answer, where these were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from costspan.calls.merging import merged
from costspan.calls.messages import fields, text
from costspan.clients import bedrock_body
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names


class _Traced(Usage):
    """The sum of what models used, and which model each was, by the id of the trace: it is told before its answer."""

    __slots__ = ("models", "spent")

    def __init__(self, models: Mapping[str, str], spent: Iterable[tuple[str, Usage]]) -> None:
        super().__init__()
        self.models = models
        self.spent = tuple(spent)
        for _, each in self.spent:
            self.counts = self.added_to(each).counts


def traced(message: Any) -> Answer | None:
    """One event of the answer of an agent."""
    said = bedrock_body.opened(message)
    answer = bedrock_body.fault_of(said)
    if answer is not None:
        return answer
    models: dict[str, str] = {}
    spent: list[tuple[str, Usage]] = []
    unread: list[str] = []
    for trace in map(fields, fields(fields(said.get("trace")).get("trace")).values()):
        asked, given = fields(trace.get("modelInvocationInput")), fields(trace.get("modelInvocationOutput"))
        if model := text(asked.get("foundationModel")):
            models[str(asked.get("traceId"))] = model
        usage = bedrock_body.counted(fields(fields(given.get("metadata")).get("usage")), unread)
        if usage is not None:
            spent.append((str(given.get("traceId")), usage))
    if not models and not spent:
        return None
    return _told(Answer(unread=bounded_names(unread)), models, spent)


def add(earlier: Answer, later: Answer) -> Answer:
    """Two events of one answer: every model that was asked is charged."""
    traces = [usage for usage in (earlier.usage, later.usage) if isinstance(usage, _Traced)]
    earlier.usage = later.usage = None
    models = {name: model for each in traces for name, model in each.models.items()}
    return _told(merged(earlier, later), models, [one for each in traces for one in each.spent])


def _told(answer: Answer, models: Mapping[str, str], spent: Iterable[tuple[str, Usage]]) -> Answer:
    usage = _Traced(models, spent)
    parts = tuple((models.get(name), each) for name, each in usage.spent)
    asked = {model for model, _ in parts}
    answer.usage = usage
    answer.model = next(iter(asked)) if len(asked) == 1 else None
    answer.parts = parts if len(asked) > 1 else ()
    return answer
