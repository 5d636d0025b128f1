"""The ways of calling: what a program does, and what of it the caller must be able to rely on.

Runs in the contender's environment. Each way answers what the caller saw that an unwatched program would not have
seen; an empty list means that nothing was changed.
"""

# a library is imported only by the ways of calling that use it
from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from benchmarks.correctness.provider import EVENTS, PIECE, Manner

#: About a thousand tokens of plain English: what the provider bills as input.
PROMPT: Final = (
    "Summarise last week's spending for the finance team in two sentences. Here is the log of the week, day by day. "
    + "On this day the search team ran the nightly index, answered tickets, and tried two new prompts; nothing broke. "
    * 37
)
MESSAGES: Final = [{"role": "user", "content": PROMPT}]
MODEL: Final = "gpt-4o"
UNKNOWN_MODEL: Final = "acme-large-9"
CLAUDE: Final = "claude-sonnet-4-5"
ASKED: Final = {"include_usage": True}
HOSTS: Final = ("api.openai.com", "api.anthropic.com")
Complaints = list[str]


def resolve_to_loopback() -> None:
    """From here on the providers' names mean this machine, so that the clients keep their own base URLs' hosts."""
    ask = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return ask("127.0.0.1" if name in HOSTS else host, *rest, **options)

    socket.getaddrinfo = getaddrinfo


class Program:
    """What a user's program does with the client libraries, talking to the stand-in at a port."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def openai_url(self) -> str:
        return f"http://api.openai.com:{self.port}/v1"

    def openai(self) -> Any:
        import openai

        return openai.OpenAI(api_key="sk-stand-in", base_url=self.openai_url, max_retries=0, timeout=20)

    def anthropic(self) -> Any:
        import anthropic

        url = f"http://api.anthropic.com:{self.port}"
        return anthropic.Anthropic(api_key="sk-stand-in", base_url=url, max_retries=0, timeout=20)

    def stream(self, **more: Any) -> Any:
        return self.openai().chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **more)

    # --- whole answers ---------------------------------------------------------------------------------------

    def whole(self, model: str = MODEL) -> Complaints:
        answer = self.openai().chat.completions.create(model=model, messages=MESSAGES)
        return _unlike(answer.choices[0].message.content, PIECE * EVENTS)

    def async_whole(self) -> Complaints:
        import openai

        async def call() -> Any:
            client = openai.AsyncOpenAI(api_key="sk-stand-in", base_url=self.openai_url, max_retries=0)
            return await client.chat.completions.create(model=MODEL, messages=MESSAGES)

        return _unlike(asyncio.run(call()).choices[0].message.content, PIECE * EVENTS)

    def raw_response(self) -> Complaints:
        raw = self.openai().chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
        return _unlike(raw.parse().choices[0].message.content, PIECE * EVENTS) + _unlike(raw.status_code, 200)

    def streaming_response(self) -> Complaints:
        create = self.openai().chat.completions.with_streaming_response.create
        with create(model=MODEL, messages=MESSAGES) as response:
            return _unlike(response.parse().choices[0].message.content, PIECE * EVENTS)

    def parse(self) -> Complaints:
        import pydantic

        class Answer(pydantic.BaseModel):
            answer: str

        completions = self.openai().chat.completions
        done = completions.parse(model=MODEL, messages=MESSAGES, response_format=Answer)
        return _unlike(done.choices[0].message.parsed, Answer(answer="flat"))

    def responses(self) -> Complaints:
        return _unlike(self.openai().responses.create(model=MODEL, input=PROMPT).output_text, PIECE * EVENTS)

    def unknown_model(self) -> Complaints:
        return self.whole(UNKNOWN_MODEL)

    def langchain(self) -> Complaints:
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(model=MODEL, base_url=self.openai_url, api_key="sk-stand-in", max_retries=0)
        return _unlike(model.invoke(PROMPT).content, PIECE * EVENTS)

    def litellm(self) -> Complaints:
        import litellm

        done = litellm.completion(model=MODEL, messages=MESSAGES, api_base=self.openai_url, api_key="sk-stand-in")
        return _unlike(done.choices[0].message.content, PIECE * EVENTS)

    def claude(self) -> Complaints:
        answer = self.anthropic().messages.create(model=CLAUDE, max_tokens=400, messages=MESSAGES)
        return _unlike(answer.content[0].text, PIECE * EVENTS)

    # --- streams ---------------------------------------------------------------------------------------------

    def stream_asked(self) -> Complaints:
        stream = self.stream(stream_options=ASKED)
        return _foreign(stream) + _unlike(sum(1 for _ in stream), EVENTS + 2)

    def stream_not_asked(self) -> Complaints:
        stream = self.stream()
        complaints, chunks = _foreign(stream), list(stream)
        if any(not chunk.choices for chunk in chunks):
            complaints.append("an extra chunk without choices")
        return complaints

    def async_stream_not_asked(self) -> Complaints:
        import openai

        async def call() -> Complaints:
            client = openai.AsyncOpenAI(api_key="sk-stand-in", base_url=self.openai_url, max_retries=0)
            stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
            return ["an extra chunk without choices" async for chunk in stream if not chunk.choices]

        return asyncio.run(call())

    def break_off(self) -> Complaints:
        stream = self.stream()
        complaints = _foreign(stream)
        _take_five(stream)
        return complaints

    def break_in_with(self) -> Complaints:
        with self.stream() as stream:
            _take_five(stream)
        return []

    def close(self) -> Complaints:
        stream = self.stream()
        _take_five(stream)
        stream.close()
        return []

    def never_iterated(self) -> Complaints:
        return _foreign(self.stream())

    def error_midway(self) -> Complaints:
        import openai

        try:
            for _ in self.stream():
                pass
        except openai.APIError:
            return []
        return ["the provider's error did not arrive"]

    def claude_stream(self) -> Complaints:
        client = self.anthropic()
        with client.messages.create(model=CLAUDE, max_tokens=400, messages=MESSAGES, stream=True) as stream:
            return _unlike(sum(event.type == "content_block_delta" for event in stream), EVENTS)

    def claude_break(self) -> Complaints:
        client = self.anthropic()
        with client.messages.create(model=CLAUDE, max_tokens=400, messages=MESSAGES, stream=True) as stream:
            _take_five(event for event in stream if event.type == "content_block_delta")
        return []


def _take_five(events: Iterable[Any]) -> None:
    for number, _ in enumerate(events, 1):
        if number == 5:
            break


def _unlike(found: object, expected: object) -> Complaints:
    return [] if found == expected else [f"{str(found)[:60]!r}"]


def _foreign(stream: object) -> Complaints:
    import openai

    return [] if isinstance(stream, openai.Stream) else [f"a {type(stream).__name__} instead of a Stream"]


class Way:
    """One way of calling: its name, what the program does, how the provider behaves, what must be installed."""

    def __init__(
        self,
        name: str,
        act: Callable[[Program], Complaints],
        manner: Manner = Manner.WHOLE,
        libraries: tuple[str, ...] = ("openai",),
        *,
        sampled: bool = True,
    ) -> None:
        self.name, self.act, self.manner, self.libraries, self.sampled = name, act, manner, libraries, sampled

    @property
    def may_be_estimated(self) -> bool:
        """True where the provider's count never reaches the caller: a marked estimate is then the right answer."""
        return self.manner is not Manner.WHOLE

    def run(self, port: int) -> Complaints:
        """Do it, and let go of everything that the program held."""
        try:
            return self.act(Program(port))
        except Exception as fault:  # noqa: BLE001  # a contender that breaks the program is a finding
            return [f"{type(fault).__name__}: {fault}"[:120]]
        finally:
            gc.collect()


CUT: Final = Manner.CUT
WAYS: Final = {
    way.name: way
    for way in (
        Way("whole", Program.whole),
        Way("async whole", Program.async_whole),
        Way("with_raw_response", Program.raw_response),
        Way("with_streaming_response", Program.streaming_response),
        Way(".parse()", Program.parse),
        Way("responses API", Program.responses),
        Way("stream, usage asked for", Program.stream_asked),
        Way("stream, not asked", Program.stream_not_asked),
        Way("async stream, not asked", Program.async_stream_not_asked),
        Way("break", Program.break_off, CUT),
        Way("with + break", Program.break_in_with, CUT),
        Way(".close()", Program.close, CUT),
        Way("never iterated", Program.never_iterated, CUT),
        Way("error mid-stream", Program.error_midway, Manner.ERROR),
        Way("unknown model", Program.unknown_model),
        Way("head-sampled out", Program.whole, sampled=False),
        Way("LangChain on top", Program.langchain, libraries=("openai", "langchain")),
        Way("LiteLLM on top", Program.litellm, libraries=("openai", "litellm")),
        Way("anthropic, whole", Program.claude, libraries=("anthropic",)),
        Way("anthropic, stream", Program.claude_stream, libraries=("anthropic",)),
        Way("anthropic, break", Program.claude_break, CUT, ("anthropic",)),
    )
}
