"""Tests that call a model."""

import asyncio

import openai

ASKED = [{"role": "user", "content": "Where is order 4711?"}]


def test_an_answer_comes() -> None:
    """As a whole."""
    done = openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert done.choices[0].message.content


def test_an_answer_comes_in_pieces() -> None:
    """As a stream, within a loop."""

    async def pieces() -> list[str]:
        client = openai.AsyncOpenAI()
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)
        return [event.choices[0].delta.content or "" async for event in stream]

    assert "".join(asyncio.run(pieces()))
