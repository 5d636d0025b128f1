"""The way of one whole call through costspan, in the caller's thread: how many functions it enters, in how many files."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import openai
import pytest
from test_architecture import section, spoken

import costspan
from answers import completion
from caller import flavour
from entered import Way
from watching import Watched

#: What is reached. The aim is 60 and 10; what more a call needs has to be worth its place here.
MOST_CALLS: Final = 80
MOST_FILES: Final = 25
_CALLS: Final = 20  # of which the first ones load and learn, and some wake the dispatcher
_ASKED: Final[Any] = [{"role": "user", "content": "What is the weather like?"}]


HTTP: Final = flavour("openai")


def _answer(_: Any) -> Any:
    return HTTP.Response(200, json=completion())


def _sync() -> list[Way]:
    client = openai.OpenAI(api_key="local", http_client=HTTP.Client(transport=HTTP.MockTransport(_answer)))
    ways = [Way() for _ in range(_CALLS)]
    for way in ways:
        with way:
            client.chat.completions.create(model="gpt-4o-mini", messages=_ASKED)
    return ways


async def _async() -> list[Way]:
    http = HTTP.AsyncClient(transport=HTTP.MockTransport(_answer))
    client = openai.AsyncOpenAI(api_key="local", http_client=http)
    ways = [Way() for _ in range(_CALLS)]
    for way in ways:
        with way:
            await client.chat.completions.create(model="gpt-4o-mini", messages=_ASKED)
    return ways


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_way_of_a_whole_call_is_short(mode: str) -> None:
    """Within a scope with a session, with every signal of the contract: at most so many Python calls, in so many files."""
    with Watched(), costspan.attribution(session="conversation", team="search"):
        ways = _sync() if mode == "sync" else asyncio.run(_async())
    way = min(ways, key=lambda way: way.entered.total())
    calls, files = way.entered.total(), len({file for file, _ in way.entered})
    assert calls <= MOST_CALLS, f"{calls} calls, {files} files:\n{way}"
    assert files <= MOST_FILES, f"{calls} calls, {files} files:\n{way}"


def test_the_way_is_as_the_page_tells_it() -> None:
    """The functions in the numbered steps of docs/architecture.md are entered, and first entered in that order."""
    steps = re.findall(r"^\d+\. .*?(?=^\S|\n\n)", section("The way of a whole call"), re.DOTALL | re.MULTILINE)
    told = [name for step in steps for name in spoken(step) if ".py:" in name]
    with Watched(), costspan.attribution(session="conversation", team="search"):
        way = min(_sync(), key=lambda way: way.entered.total())
    entered = [f"{file}:{name}" for file, name in way.entered]
    assert len(told) > 20
    assert told == [name for name in entered if name in told]
