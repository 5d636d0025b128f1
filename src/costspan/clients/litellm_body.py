"""What LiteLLM knows of an answer: the provider's own body, as text, or its own object in the form of OpenAI's.

The body is read as the provider's API means it, told by its form: of caches, tiers and searches it says more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from costspan.calls.description import Reader
from costspan.calls.merging import merged
from costspan.calls.messages import fields, parsed
from costspan.clients import anthropic_body, bedrock_body, google_body, ollama_body, openai_body
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, count

_LONGEST: Final = 16 * 1024 * 1024

#: How a body shows whose form it has, the first that fits.
_FORMS: Final[tuple[tuple[Callable[[Mapping[str, Any]], bool], Reader], ...]] = (
    (lambda said: "usageMetadata" in said, google_body.generated),
    (lambda said: "inputTokens" in fields(said.get("usage")), bedrock_body.conversed),
    (
        lambda said: said.get("type") == "message" and "input_tokens" in fields(said.get("usage")),
        anthropic_body.message,
    ),
    (lambda said: "eval_count" in said or "prompt_eval_count" in said, ollama_body.generated),
    (lambda said: "prompt_tokens" in fields(said.get("usage")), openai_body.chat),
)


def own(body: Any) -> Answer | None:
    """What the provider's own body says, or None where it says nothing of usage, or is of no form that is told here."""
    said = fields(parsed(body.encode()) if isinstance(body, str) and len(body) <= _LONGEST else body)
    for is_of, read in _FORMS:
        if is_of(said):
            answer = read(said)
            return answer if answer is not None and answer.usage is not None else None
    return None


def chat(message: Any) -> Answer | None:
    """A chat or completion, or an event of its stream: its last has the usage among what is hidden.

    A cost in it is LiteLLM's own calculation.
    """
    hidden: Any = getattr(message, "_hidden_params", None)
    said = fields(message)
    if said.get("usage") is None and isinstance(hidden, dict):
        said = {**said, "usage": fields(hidden).get("usage")}
    answer = openai_body.chat(said)
    if answer is not None:
        answer.reported_nano_usd = None
    return answer


def reported(chunks: list[Any]) -> Answer | None:
    """What the provider reported in the events of a stream; None where it did not.

    LiteLLM fills in a zero for what an event does not say.
    """
    answer: Answer | None = None
    for chunk in chunks:
        said = chat(chunk) if getattr(chunk, "usage", None) is not None else None
        if said is None or said.usage is None:
            continue
        if answer is not None and answer.usage is not None:
            known, counts = answer.usage, said.usage.counts
            said.usage = Usage({unit: number or known.get(unit) for unit, number in counts.items()})
            said = merged(answer, said)
        answer = said
    return answer


def ranked(message: Any) -> Answer | None:
    """A ranking: billed by searches or by tokens."""
    billed = fields(fields(fields(message).get("meta")).get("billed_units"))
    named = {"search_units": units.SEARCH_UNITS, "total_tokens": units.INPUT}
    counts = {unit: number for name, unit in named.items() if (number := count(billed.get(name))) is not None}
    return Answer(Usage(counts) if counts else None)
