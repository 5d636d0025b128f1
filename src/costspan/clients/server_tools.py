"""What a chat answer tells of tools that the server ran by itself: they are charged beside the tokens, and no usage counts them.

Where the number is known and has one price it is counted; else the field is named, and the amount is a lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from costspan.calls.messages import fields, listed
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names, count

#: Groq: searches, visits, code; the price depends on the tool, and for some on the time that it ran.
#: https://console.groq.com/docs/tool-use/built-in-tools (2026-11)
_EXECUTED: Final = "executed_tools"
#: Z.ai and Zhipu list what a search found; how many searches that took is not said.
#: https://docs.z.ai/guides/tools/web-search (2026-11)
_FOUND: Final = "web_search"
#: Moonshot: each call of this name is one search. https://platform.moonshot.ai/docs/pricing/tools (2026-11)
_SEARCH: Final = "$web_search"
_INDEX: Final = "index"
_TOLD: Final = re.compile(rb'"(?:executed_tools|web_search)"\s*:\s*\[\s*[^]\s]|"\$web_search"')
#: Models that run tools without being given any.
_COMPOUND: Final = re.compile(r"(^|/)compound")


def take(answer: Answer, said: Mapping[str, Any], choices: Iterable[Mapping[str, Any]]) -> None:
    """Count what a chat answer, or one event of its stream, tells of such tools, or name it."""
    searches = 0
    unread = [_FOUND] if listed(said.get(_FOUND)) else []
    for choice in choices:
        shown = fields(choice.get("message") or choice.get("delta"))
        if shown.get(_EXECUTED):
            unread.append(_EXECUTED)
        calls = [fields(call) for call in listed(shown.get("tool_calls"))]
        found = [call for call in calls if fields(call.get("function")).get("name") == _SEARCH]
        searches += len(found)
        if any(
            (count(call.get(_INDEX)) or 0) >= len(calls) for call in found
        ):  # others are told of in events of their own
            unread.append("tool_calls.web_search")
    if searches:
        answer.usage = answer.usage or Usage(complete=False)
        answer.usage.counts[units.WEB_SEARCHES] = max(searches, answer.usage.get(units.WEB_SEARCHES))
    if unread:
        answer.unread = bounded_names((*answer.unread, *unread))


def telling(body: Mapping[str, Any]) -> Callable[[Any], bool] | None:
    """What tells the events of a stream that speak of such tools from the others, where the request has any; else None."""
    has_tools = any(fields(tool).get("type") not in (None, "function") for tool in listed(body.get("tools")))
    return _tells if has_tools or _COMPOUND.search(str(body.get("model"))) else None


def _tells(event: Any) -> bool:
    if isinstance(event, bytes):
        return _TOLD.search(event) is not None
    said, probe = fields(event), Answer()
    take(probe, said, map(fields, listed(said.get("choices"))))
    return probe.usage is not None or bool(probe.unread)
