"""What a request to Amazon Bedrock has of the prompt, and what an event of its streams shows: for estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, listed, parsed
from costspan.clients import bedrock_body, estimates

#: Where a prompt stands in the forms of vendors, besides where it usually does.
_PROMPTS: Final = ("inputText", "message", "chat_history")
#: Where an event shows something, in whichever form.
_SHOWN: Final = (
    "contentBlockStart", "contentBlockDelta", "content_block", "delta", "outputText", "generation", "generations",
    "completion", "outputs", "text",
)  # fmt: skip


def prompt(asked: Mapping[str, Any]) -> Prompt:
    """The prompt of a request: it is the request (Converse), or the JSON in its body (InvokeModel)."""
    said = _body(asked.get("body")) if "body" in asked else asked
    tools = listed(fields(said.get("toolConfig")).get("tools")) or said.get("tools")
    usual = estimates.prompt({**said, "tools": tools, "model": asked.get("modelId")})
    contents = [part for message in listed(said.get("messages")) for part in listed(fields(message).get("content"))]
    pictures = ["data:" for part in contents if "image" in fields(part)]
    return usual._replace(texts=[usual.texts, [estimates.texts(said.get(name)) for name in _PROMPTS], pictures])


def shown(event: Any) -> Any:
    """What an event of a stream shows the caller."""
    said = bedrock_body.opened(event)
    usual = estimates.shown(said) if "choices" in said else None
    return usual or [estimates.texts(said.get(name)) for name in _SHOWN]


def _body(body: Any) -> Mapping[str, Any]:
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    return fields(parsed(bytes(body))) if isinstance(body, bytes | bytearray) else {}
