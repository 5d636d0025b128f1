"""What Mistral's API says beyond what it has in common with OpenAI's: conversations, and documents by the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, listed, text
from costspan.clients import openai_body
from costspan.clients.estimates import texts
from costspan.clients.usage_fields import bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names, count

_ERROR: Final = "conversation.response.error"
_PAGES: Final = "pages_processed"
_SIZE: Final = "doc_size_bytes"


def conversed(message: Any) -> Answer | None:
    """An answer within a conversation, whole or one event of its stream: the last one reports the usage."""
    said = fields(message)
    if said.get("type") == _ERROR:
        return Answer(error=openai_body.error_of(said))
    answer = openai_body.chat(said)
    if answer is not None and answer.usage is not None:
        answer.finish_reasons = ("completed",)
        models = (text(fields(entry).get("model")) for entry in listed(said.get("outputs")))
        answer.model = answer.model or next(filter(None, models), None)
    return answer


def shown(event: Any) -> Any:
    """What an event of a conversation shows: text, or the arguments of a tool."""
    said = fields(event)
    return [texts(said.get("content")), said.get("name") if "arguments" in said else None, said.get("arguments")]


def prompt(body: Mapping[str, Any]) -> Prompt:
    """What a request has of the prompt; what was said before in the conversation is with the service."""
    said = [texts(body.get(name)) for name in ("inputs", "instructions")]
    return Prompt(said, [body["tools"]] if body.get("tools") else [])


def read_pages(message: Any) -> Answer | None:
    """A document that was read: charged by the page, and by another price where the pages were annotated, too.

    https://mistral.ai/pricing (2026-11)
    """
    said = fields(message)
    answer = Answer(model=text(said.get("model")))
    unread: list[str] = []
    pages = None
    for name, value in bounded(fields(said.get("usage_info")), unread):
        if name == _PAGES:
            pages = count(value)
        elif name != _SIZE:
            note_unknown(unread, name, value)
    if pages is None:
        unread.append(f"usage_info.{_PAGES}")
    elif said.get("document_annotation"):
        answer.usage = Usage({units.ANNOTATED_PAGES: pages})
    else:
        answer.usage = Usage({units.PAGES: pages})
        if any(_is_annotated(fields(page)) for page in listed(said.get("pages"))):
            unread.append("image_annotation")  # which pages that makes annotated ones is not documented
    answer.unread = bounded_names(unread)
    return answer


def _is_annotated(page: Mapping[str, Any]) -> bool:
    return any(fields(image).get("image_annotation") for image in listed(page.get("images")))
