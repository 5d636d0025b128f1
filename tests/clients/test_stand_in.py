"""The stand-in for the providers answers the real clients as the providers do, and knows what it served."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator
from typing import Any

import anthropic
import openai
import pytest

from stand_in_process import EXAMPLE, served, stand_in

MESSAGES: Any = [{"role": "system", "content": "Be brief. " * 60}, {"role": "user", "content": "Where is order 4711?"}]
SYSTEM: Any = [{"type": "text", "text": "Be brief. " * 60, "cache_control": {"type": "ephemeral"}}]
TOOL = {"type": "object", "properties": {"order": {"type": "string"}}}

Counts = dict[str, int]


@pytest.fixture
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


@pytest.fixture
def openai_client(address: str) -> Generator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        yield client


@pytest.fixture
def anthropic_client(address: str) -> Generator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=address, api_key="none") as client:
        yield client


def chat_counts(usage: Any) -> Counts:
    return {
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "cache_read": usage.prompt_tokens_details.cached_tokens,
        "reasoning": usage.completion_tokens_details.reasoning_tokens,
    }


def message_counts(usage: Any) -> Counts:
    read, write = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return {
        "input": usage.input_tokens + read + write,
        "output": usage.output_tokens,
        "cache_read": read,
        "cache_write": write,
    }


def response_counts(usage: Any) -> Counts:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "reasoning": usage.output_tokens_details.reasoning_tokens,
    }


def chat(client: Any, model: str = "gpt-4o-mini", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


def chat_usage(client: Any) -> Any:
    return chat(client).usage


def chat_thinking(client: Any) -> Any:
    return chat(client, model="gpt-5.4-mini").usage


def chat_stream(client: Any) -> Any:
    return list(chat(client, stream=True, stream_options={"include_usage": True}))[-1].usage


def message(client: Any, **more: Any) -> Any:
    return client.messages.create(
        model="claude-haiku-4-5", max_tokens=9, system=SYSTEM, messages=[{"role": "user", "content": "Why?"}], **more
    )


def message_usage(client: Any) -> Any:
    return message(client).usage


def message_stream(client: Any) -> Any:
    with client.messages.stream(
        model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "Why?"}]
    ) as stream:
        return stream.get_final_message().usage


def response(client: Any) -> Any:
    return client.responses.create(model="gpt-5.4-mini", input="Why?").usage


def response_stream(client: Any) -> Any:
    with client.responses.stream(model="gpt-5.4-mini", input="Why?") as stream:
        return stream.get_final_response().usage


WAYS: list[Any] = [
    # client     way of calling    counts
    ("openai", chat_usage, chat_counts),
    ("openai", chat_thinking, chat_counts),
    ("openai", chat_stream, chat_counts),
    ("openai", response, response_counts),
    ("openai", response_stream, response_counts),
    ("anthropic", message_usage, message_counts),
    ("anthropic", message_stream, message_counts),
]


@pytest.mark.parametrize(("library", "way", "counts"), WAYS)
def test_the_client_is_told_what_was_served(
    address: str,
    openai_client: Any,
    anthropic_client: Any,
    library: str,
    way: Callable[[Any], Any],
    counts: Callable[[Any], Counts],
) -> None:
    """The usage in an answer is the usage in the stand-in's own books, the second time with a warm cache."""
    client = openai_client if library == "openai" else anthropic_client
    for _ in range(2):
        told = counts(way(client))
        entry = served(address)["requests"][-1]
        assert told == {name: entry[name] for name in told}
        assert told["input"] > 0
        assert told["output"] > 0


def test_a_known_prompt_is_read_from_the_cache(address: str, openai_client: Any, anthropic_client: Any) -> None:
    """OpenAI counts cached tokens in steps of 128; Anthropic charges the first writing of a marked prompt."""
    for _ in range(2):
        chat(openai_client)
        message(anthropic_client)
    entries = served(address)["requests"]
    assert [(entry["cache_read"], entry["cache_write"]) for entry in entries] == [(0, 0), (0, 150), (128, 0), (150, 0)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ],
)
def test_a_chat_stream_tells_its_usage_to_those_who_ask(openai_client: Any, options: Any, *, told: bool) -> None:
    """Usage comes in one last chunk without choices, if and only if `include_usage` is true."""
    chunks = list(chat(openai_client, stream=True, **options))
    assert [not chunk.choices for chunk in chunks] == [False] * (len(chunks) - told) + [True] * told
    assert [chunk.usage is not None for chunk in chunks] == [not chunk.choices for chunk in chunks]


def test_openai_asks_for_a_tool_and_uses_its_result(openai_client: Any) -> None:
    """The first answer is a tool call with arguments, the next one a text."""
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": TOOL}}]
    wish = chat(openai_client, tools=tools).choices[0]
    call = wish.message.tool_calls[0]
    assert (wish.finish_reason, call.function.name, call.function.arguments) == (
        "tool_calls",
        "look_up",
        '{"order": "4711"}',
    )
    result = {"role": "tool", "tool_call_id": call.id, "content": "on its way"}
    final = openai_client.chat.completions.create(
        model="gpt-4o-mini", messages=[*MESSAGES, wish.message, result], tools=tools
    )
    assert "The record we looked up" in final.choices[0].message.content


def test_anthropic_asks_for_a_tool_and_uses_its_result(anthropic_client: Any) -> None:
    """The same by Anthropic's words: `tool_use`, then `tool_result`."""
    tools = [{"name": "look_up", "input_schema": TOOL}]
    wish = message(anthropic_client, tools=tools)
    assert (wish.stop_reason, wish.content[0].name, wish.content[0].input) == ("tool_use", "look_up", {"order": "Why"})
    result = {"type": "tool_result", "tool_use_id": wish.content[0].id, "content": "on its way"}
    final = anthropic_client.messages.create(
        model="claude-haiku-4-5",
        max_tokens=9,
        tools=tools,
        messages=[{"role": "assistant", "content": wish.content}, {"role": "user", "content": [result]}],
    )
    assert "The record we looked up" in final.content[0].text


def test_embeddings_cost_input_alone(address: str, openai_client: Any) -> None:
    """Numbers between -1 and 1, as many as asked for; usage without output."""
    answer = openai_client.embeddings.create(model="text-embedding-3-small", input=["one", "two two"], dimensions=8)
    assert [len(row.embedding) for row in answer.data] == [8, 8]
    assert all(-1 <= number <= 1 for row in answer.data for number in row.embedding)
    assert answer.usage.prompt_tokens == served(address)["totals"]["input"] == 3


def test_answers_carry_the_quota(openai_client: Any, anthropic_client: Any) -> None:
    """Both providers tell in headers what is left."""
    raw = openai_client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    assert raw.headers["x-ratelimit-remaining-requests"] == "4999"
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES[1:]
    )
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "3998"


def test_a_busy_provider_refuses_once_and_then_answers(address: str, openai_client: Any) -> None:
    """The client tries again by itself after a 429; only the answer has usage."""
    assert chat(openai_client, extra_headers={"x-stand-in": "busy"}).usage.prompt_tokens > 0
    assert [(entry["status"], entry["input"] > 0) for entry in served(address)["requests"]] == [
        (429, False),
        (200, True),
    ]


def test_a_broken_provider_never_answers(address: str, anthropic_client: Any) -> None:
    """A 500 reaches the caller as the client's own exception, and nothing was served."""
    with pytest.raises(anthropic.InternalServerError):
        message(anthropic_client.with_options(max_retries=0), extra_headers={"x-stand-in": "down"})
    assert served(address)["totals"]["requests"] == 0


def test_a_caller_may_leave_in_the_middle(address: str, openai_client: Any, anthropic_client: Any) -> None:
    """A broken-off stream stands in the books as served, and the stand-in goes on."""
    with chat(openai_client, stream=True) as stream:
        next(iter(stream))
    with message(anthropic_client, stream=True) as stream:
        next(iter(stream))
    assert chat_usage(openai_client)
    assert served(address)["totals"]["requests"] == 3


def test_the_same_questions_give_the_same_books() -> None:
    """Nothing depends on the clock, on chance or on the port."""
    books: list[Any] = []
    for _ in range(2):
        with stand_in() as where, openai.OpenAI(base_url=f"{where}/v1", api_key="none") as client:
            chat(client)
            chat_stream(client)
            books.append(served(where))
    assert books[0] == books[1]


def test_the_stand_in_ends_with_its_parent() -> None:
    """Its standard input ends: the process ends too, with code 0."""
    ended = subprocess.run(
        [sys.executable, "-m", "stand_in"],
        cwd=EXAMPLE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
