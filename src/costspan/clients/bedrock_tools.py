"""What Amazon Bedrock does beside answering, and charges by itself: tools that it runs, guardrails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from costspan.calls.messages import fields, listed, text

_SYSTEM_TOOL: Final = "nova_"


def run(said: Mapping[str, Any]) -> Iterator[str]:
    """Tools that the service ran by itself (Nova's search of the web, and its code): charged by the request, counted nowhere.

    https://docs.aws.amazon.com/nova/latest/userguide/grounding.html (2026-11)
    """
    start = fields(fields(said.get("contentBlockStart")).get("start"))
    for block in (start, *listed(fields(fields(said.get("output")).get("message")).get("content"))):
        name = text(fields(fields(block).get("toolUse")).get("name")) or ""
        if name.startswith(_SYSTEM_TOOL):
            yield name


def telling(opened: Callable[[Any], Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], Callable[[Any], bool] | None]:
    """What gives from a request, if it has such tools, what tells the events of its stream that speak of them."""

    def tells(event: Any) -> bool:
        return any(run(opened(event)))

    def of(body: Mapping[str, Any]) -> Callable[[Any], bool] | None:
        tools = listed(fields(body.get("toolConfig")).get("tools"))
        return tells if any("systemTool" in fields(tool) for tool in tools) else None

    return of


def extras(body: Mapping[str, Any]) -> Iterator[str]:
    """A guardrail is charged by the text it reads, and answers tell how much only where they are asked to be traced.

    https://aws.amazon.com/bedrock/pricing/ (guardrails, 2026-11)
    """
    if body.get("guardrailConfig") or body.get("guardrailIdentifier"):
        yield "guardrail"
