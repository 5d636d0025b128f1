"""What Cohere says of its usage: billed units, and beside them the tokens that the models saw, of which some are free.

The conventions ask for what is billed where both are reported: https://opentelemetry.io/docs/specs/semconv/gen-ai/
What was read from the cache is counted among the tokens that the models saw, so it says nothing of the billed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, listed, text
from costspan.clients.estimates import texts
from costspan.clients.usage_fields import bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, bounded_names, count

_BILLED: Final = {
    "input_tokens": units.INPUT,
    "output_tokens": units.OUTPUT,
    "image_tokens": units.INPUT_IMAGE,
    "images": units.IMAGES,
    "search_units": units.SEARCH_UNITS,
    "pages": units.PAGES,
}
#: Of the tokens that the models saw, those that say what the billed ones are.
_SEEN: Final = {"image_tokens": (units.INPUT_IMAGE, units.INPUT), "reasoning_tokens": (units.REASONING, units.OUTPUT)}
_ENDS: Final = frozenset({"message-end", "stream-end"})


def said(message: Any) -> Answer | None:
    """A chat, a generation, or one event of its stream: of either version, the last one reports the usage."""
    of = fields(message)
    about = fields(of.get("response")) or fields(of.get("delta")) or of
    reason = text(about.get("finish_reason")) or text(of.get("finish_reason"))
    name = text(of.get("id")) or text(about.get("response_id")) or text(about.get("id"))
    answer = Answer(id=name, finish_reasons=(reason,) if reason else ())
    if reason is not None and reason.startswith("ERROR"):
        answer.error = code(about.get("error_type")) or code(reason) or "error"
    unread: list[str] = []
    spent = about.get("usage")
    if spent is None:
        spent = about.get("meta")
    counts = _counts(fields(spent), unread)
    if spent and not fields(spent):
        unread.append("usage")
    answer.usage = Usage(counts) if counts else None
    answer.unread = bounded_names(unread)
    return answer


def embedded(message: Any) -> Answer | None:
    """What has no output: embeddings, rankings, classes, pages of documents."""
    answer = said(message)
    if answer is not None and answer.usage is not None:
        answer.usage.counts.setdefault(units.OUTPUT, 0)
    return answer


def _counts(spent: Mapping[str, Any], unread: list[str]) -> dict[str, int]:
    billed, seen = fields(spent.get("billed_units")), fields(spent.get("tokens"))
    if seen and not billed:
        unread.append("billed_units")
        return _counted({name: seen.get(name) for name in ("input_tokens", "output_tokens")}, unread)
    counts = _counted(billed, unread)
    if units.INPUT_IMAGE in counts and billed.get("text_tokens") is None:  # beside the text; else inside, as a sum
        counts[units.INPUT] = counts.get(units.INPUT, 0) + counts[units.INPUT_IMAGE]
    for name, (unit, total) in _SEEN.items():
        number = count(seen.get(name))
        if number is not None and number <= counts.get(total, -1):
            counts.setdefault(unit, number)
    return counts


def _counted(billed: Mapping[str, Any], unread: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, value in bounded(billed, unread):
        unit, number = _BILLED.get(name), count(value)
        if value is None or name == "text_tokens":
            continue
        if unit is None:
            note_unknown(unread, name, value, "billed_units")
        elif number is None:
            unread.append(f"billed_units.{name}")
        else:
            counts[unit] = number
    return counts


def ends(event: Any) -> bool:
    """The event with usage."""
    of = fields(event)
    return of.get("type") in _ENDS or of.get("event_type") in _ENDS


def shown(event: Any) -> Any:
    """What an event of a stream shows the caller."""
    of = fields(event)
    message = fields(fields(of.get("delta")).get("message"))
    called = fields(fields(message.get("tool_calls")).get("function"))
    said_first = of.get("text") if of.get("event_type") == "text-generation" else None
    return [
        said_first,
        texts(message.get("content")),
        message.get("tool_plan"),
        called.get("name"),
        called.get("arguments"),
    ]


def prompt(body: Mapping[str, Any]) -> Prompt:
    """What a request has of the prompt."""
    messages = [
        texts(body.get(name)) for name in ("messages", "message", "prompt", "chat_history", "preamble", "documents")
    ]
    return Prompt(messages, [body["tools"]] if listed(body.get("tools")) else [])
