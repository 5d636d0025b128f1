"""What the agent can do: calls of the openai and anthropic clients as anyone would write them. No costspan here."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import anthropic
import openai

FAST = "gpt-4o-mini"
THINKING = "gpt-5.4-mini"
EMBEDDING = "text-embedding-3-small"
WRITER = "claude-sonnet-5"
READER = "claude-haiku-4-5"
#: A model of the house: no price table knows what it costs.
HOUSE = "acme-triage-8b"

HANDBOOK = "You answer for the Acme shop.\n" + "\n".join(
    f"Rule {number}: be kind, be brief, look the order up before you say anything about it." for number in range(1, 61)
)
CACHED_HANDBOOK: Any = [{"type": "text", "text": HANDBOOK, "cache_control": {"type": "ephemeral"}}]

LOOK_UP: Any = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "The state of an order.",
        "parameters": {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
    },
}


@cache
def gpt() -> openai.OpenAI:
    """The client of OpenAI; its address and key stand in the environment."""
    return openai.OpenAI()


@cache
def claude() -> anthropic.Anthropic:
    """The client of Anthropic."""
    return anthropic.Anthropic()


def look_up(order: str) -> str:
    """A tool of the agent: the state of an order."""
    return f"Order {order}: packed on Monday, with the carrier since Tuesday."


def answer_with_tool(question: str) -> str:
    """OpenAI chat: the model asks for a tool, gets its result, and answers."""
    messages: list[Any] = [{"role": "system", "content": HANDBOOK}, {"role": "user", "content": question}]
    wish = gpt().chat.completions.create(model=FAST, messages=messages, tools=[LOOK_UP]).choices[0].message
    messages.append(wish)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": look_up(call.function.arguments)}
        for call in wish.tool_calls or ()
        if call.type == "function"
    ]
    return (
        gpt().chat.completions.create(model=FAST, messages=messages, tools=[LOOK_UP]).choices[0].message.content or ""
    )


def answer_live(question: str) -> str:
    """OpenAI chat as a stream that does not ask for its usage, as most do not."""
    messages: Any = [{"role": "system", "content": HANDBOOK}, {"role": "user", "content": question}]
    stream = gpt().chat.completions.create(model=FAST, messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def write_live(question: str) -> str:
    """Anthropic's stream helper, with a prompt that the provider keeps in its cache."""
    messages: Any = [{"role": "user", "content": question}]
    with claude().messages.stream(model=WRITER, max_tokens=500, system=CACHED_HANDBOOK, messages=messages) as stream:
        return "".join(stream.text_stream)


def write_until_interrupted(question: str) -> str:
    """A stream that is broken off: the customer has closed the window after a few words."""
    messages: Any = [{"role": "user", "content": question}]
    heard = ""
    with claude().messages.create(
        model=WRITER, max_tokens=500, system=CACHED_HANDBOOK, messages=messages, stream=True
    ) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                heard += event.delta.text
            if len(heard) > len("You asked: "):
                break
    return heard


def triage(question: str) -> str:
    """A model of the house, behind OpenAI's API."""
    messages: Any = [{"role": "user", "content": question}]
    return gpt().chat.completions.create(model=HOUSE, messages=messages).choices[0].message.content or ""


def index(texts: list[str]) -> int:
    """Embeddings of some texts; their number."""
    return len(gpt().embeddings.create(model=EMBEDDING, input=texts).data)


def check(question: str) -> str:
    """One short question, as a watchdog asks it."""
    messages: Any = [{"role": "user", "content": question}]
    reply = claude().messages.create(model=READER, max_tokens=100, messages=messages)
    return reply.content[0].text if reply.content[0].type == "text" else ""


def ask_a_busy_provider(question: str) -> str:
    """The provider refuses with 429 at first; the client tries again by itself, and is answered."""
    messages: Any = [{"role": "user", "content": question}]
    busy = gpt().with_options(default_headers={"x-stand-in": "busy"})
    return busy.chat.completions.create(model=FAST, messages=messages).choices[0].message.content or ""


def ask_a_broken_provider(question: str) -> str:
    """The provider fails with 500; the agent goes on without an answer."""
    messages: Any = [{"role": "user", "content": question}]
    broken = claude().with_options(default_headers={"x-stand-in": "down"}, max_retries=0)
    try:
        broken.messages.create(model=READER, max_tokens=100, messages=messages)
    except anthropic.InternalServerError as error:
        return f"no answer: {error.status_code}"
    return "answered"


async def summarise(letters: list[str]) -> list[str]:
    """Many letters at once: async OpenAI and Anthropic, streams and whole answers, side by side."""
    readers = [_summarise_openai, _summarise_anthropic]
    async with openai.AsyncOpenAI() as async_gpt, anthropic.AsyncAnthropic() as async_claude:
        clients = [async_gpt, async_claude]
        return await asyncio.gather(*[readers[at % 2](clients[at % 2], letter) for at, letter in enumerate(letters)])


async def _summarise_openai(client: Any, letter: str) -> str:
    messages = [{"role": "user", "content": f"Summarise: {letter}"}]
    stream = await client.chat.completions.create(
        model=FAST, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def _summarise_anthropic(client: Any, letter: str) -> str:
    messages = [{"role": "user", "content": f"Summarise: {letter}"}]
    reply = await client.messages.create(model=READER, max_tokens=300, messages=messages)
    return reply.content[0].text


async def research(question: str) -> str:
    """OpenAI's Responses API with a model that thinks before it answers."""
    async with openai.AsyncOpenAI() as client:
        return (await client.responses.create(model=THINKING, instructions=HANDBOOK, input=question)).output_text
