"""The bodies of Hugging Face's own inference server for text (TGI), and what its tasks without usage are counted by.

TGI counts in the `details` that a caller asks for: the tokens that it made, and how long the prompt was; of a whole answer
the prompt is listed token by token, and only for who asks for that, too (`decoder_input_details`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.description import Endpoint
from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, listed, text
from costspan.clients import openai_body
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, count

_MADE: Final = "generated_tokens"
_GIVEN: Final = "input_length"
_MOST_SEQUENCES: Final = 16


def generated(message: Any) -> Answer | None:
    """A text of TGI, whole or one event of its stream; providers beside it answer as OpenAI does."""
    said = fields(listed(message)[0]) if listed(message) else fields(message)
    if "choices" in said or "usage" in said:
        return openai_body.chat(said)
    error = (openai_body.code(said.get("error_type")) or "error") if said.get("error") is not None else None
    details = fields(said.get("details"))
    reason = text(details.get("finish_reason"))
    answer = Answer(error=error, finish_reasons=(reason,) if reason is not None else ())
    if details:
        _take_details(answer, details)
    return answer


def _take_details(answer: Answer, details: Mapping[str, Any]) -> None:
    """Of several sequences, the others are made of the same prompt, and counted beside the best one."""
    unread: list[str] = []
    made = [details, *map(fields, listed(details.get("best_of_sequences"))[:_MOST_SEQUENCES])]
    numbers = [count(each.get(_MADE)) for each in made]
    counts: dict[str, int] = {}
    if None in numbers:
        unread.append(_MADE)
    if any(number is not None for number in numbers):
        counts[units.OUTPUT] = sum(number for number in numbers if number is not None)
    given = count(details.get(_GIVEN))
    if given is None and _GIVEN not in details:
        given = len(listed(details.get("prefill"))) or None
    if given is not None:
        counts[units.INPUT] = given
    else:
        unread.append(_GIVEN)
    answer.usage = Usage(counts) if counts else None
    answer.unread = tuple(unread)


def _shown(event: Any) -> Any:
    """One token an event."""
    return fields(fields(event).get("token")).get("text")


def _prompt(body: Mapping[str, Any]) -> Prompt:
    return Prompt([body.get("inputs"), body.get("prompt")], tokens_around=0)


#: What an estimate of such a stream is made of.
ESTIMATED: Final[dict[str, Any]] = {"shown": _shown, "prompt": _prompt}


def picture(path: str) -> Endpoint:
    """A task that draws one picture a call, whatever form it comes in."""
    return Endpoint(path, "image_generation", _nothing, request_usage=_one_picture)


def _nothing(_: Any) -> Answer | None:
    return None


def _one_picture(_: Mapping[str, Any]) -> Usage:
    return Usage({units.IMAGES: 1})
