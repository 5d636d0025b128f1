"""What a request to Amazon Bedrock has of the prompt, and what an event of its streams shows: for estimates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt, Shown
from costspan.calls.messages import fields, listed, parsed
from costspan.clients import bedrock_body, estimates

#: Where a prompt stands in the forms of vendors, besides where it usually does.
_PROMPTS: Final = ("inputText", "message", "chat_history")
#: Where an event shows something, in the forms of vendors. (In Converse there is padding beside it.)
_SHOWN: Final = ("outputText", "generation", "generations", "completion", "outputs", "text")
#: Nova is told of tools at length: so many tokens more than others, over the recorded prompts.
_TOLD_OF_TOOLS: Final = ((re.compile(r"nova-2"), 700), (re.compile(r"nova"), 190))
#: What stands around a call of a tool, as Claude writes it.
_TOKENS_AROUND_CALL: Final = 32


def prompt(asked: Mapping[str, Any]) -> Prompt:
    """The prompt of a request: it is the request (Converse), or the JSON in its body (InvokeModel)."""
    said = _body(asked.get("body")) if "body" in asked else asked
    model = str(asked.get("modelId"))
    tools = listed(fields(said.get("toolConfig")).get("tools")) or said.get("tools")
    usual = estimates.prompt({**said, "tools": tools, "model": model})
    contents = [part for message in listed(said.get("messages")) for part in listed(fields(message).get("content"))]
    pictures = ["data:" for part in contents if "image" in fields(part)]
    more = next((tokens for pattern, tokens in _TOLD_OF_TOOLS if tools and pattern.search(model)), 0)
    texts = [usual.texts, [estimates.texts(said.get(name)) for name in _PROMPTS], pictures]
    return usual._replace(texts=texts, tokens_around=usual.tokens_around + more)


def shown(event: Any) -> Shown:
    """What an event of a stream shows the caller."""
    said = bedrock_body.opened(event)
    usual = estimates.shown(said)
    begun = fields(fields(said.get("contentBlockStart")).get("start"))
    delta = fields(said.get("contentBlockDelta")).get("delta")
    found = [usual.texts, estimates.texts(delta), [estimates.texts(said.get(name)) for name in _SHOWN]]
    return Shown(found, usual.tokens + (_TOKENS_AROUND_CALL if "toolUse" in begun else 0))


def _body(body: Any) -> Mapping[str, Any]:
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    return fields(parsed(bytes(body))) if isinstance(body, bytes | bytearray) else {}
