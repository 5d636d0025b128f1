"""OpenAI's agents over sockets of their own: each answer is a call, once; what they ask by OpenAI's library is counted there."""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from budgeted import NOTHING_LEFT, budgeted
from costspan import attribution, names
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

agents: Any = pytest.importorskip("agents")
import openai  # noqa: E402  # the agents need it
from agents.models.openai_responses import OpenAIResponsesWSModel  # noqa: E402
from agents.realtime import (  # noqa: E402
    OpenAIRealtimeWebSocketModel,
    RealtimeAgent,
    RealtimeModelListener,
    RealtimeModelSendUserInput,
    RealtimeRunner,
)
from openai.types.realtime import ResponseCreateEvent  # noqa: E402

from socket_answers import (  # noqa: E402
    COUNTS,
    MODEL,
    RESPONSE_COUNTS,
    RESPONSE_USAGE,
    TRANSCRIBER,
    TURN,
    created,
    delta,
    done,
    piece,
    responses,
    session,
    sound,
    transcription,
)  # fmt: skip
from socket_server import CUT, SocketServer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets:DeprecationWarning")

_SOUND = {"format": {"type": "audio/pcm", "rate": 24_000}}
_SESSION = session(audio={"input": {**_SOUND, "transcription": {"model": TRANSCRIBER}}, "output": _SOUND})
_SAYS = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
_OUTPUT = [{**_SAYS, "content": [{"type": "output_text", "text": "It will rain", "annotations": [], "logprobs": []}]}]


def turn(name: str, **more: Any) -> tuple[Any, ...]:
    """A whole answer of the responses socket."""
    made = {"created_at": 1, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "output": _OUTPUT}
    return (responses("created", name), piece(), responses("completed", name, **made, usage=RESPONSE_USAGE, **more))


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    """The library sends traces of its own to OpenAI."""
    agents.set_tracing_disabled(True)
    yield
    agents.set_tracing_disabled(False)


def run(way: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What a program sees of its agents."""
    return asyncio.run(way())


# --- the responses socket ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def agent(url: str) -> AsyncGenerator[Any]:
    """An agent whose model holds a socket."""
    client = openai.AsyncOpenAI(api_key="local", base_url=f"{url}/v1", max_retries=0)
    model = OpenAIResponsesWSModel("gpt-4o-mini", client)
    async with client:
        yield agents.Agent(name="forecaster", instructions="Be brief.", model=model)
        await model.close()


async def asked_twice(url: str) -> list[Any]:
    """Whole, then streamed to the end."""
    async with agent(url) as forecaster:
        return await _asked_twice(forecaster)


async def _asked_twice(forecaster: Any) -> list[Any]:
    with attribution(team="sky"):
        whole = await agents.Runner.run(forecaster, "Will it rain?")
        streamed = agents.Runner.run_streamed(forecaster, "And tomorrow?")
        kinds = [event.type async for event in streamed.stream_events()]
    return [whole.final_output, streamed.final_output, kinds, whole.raw_responses[0].usage.total_tokens]


def test_each_answer_of_the_responses_socket_is_a_call() -> None:
    """Once, with its usage, for who asked; the agents see what they see without costspan."""
    with SocketServer(turn("resp_1"), turn("resp_2")) as server:
        plain = run(lambda: asked_twice(server.url))
    with Watched() as watched, SocketServer(turn("resp_1"), turn("resp_2")) as server:
        assert run(lambda: asked_twice(server.url)) == plain
        calls = watched.calls()
        assert watched.total(names.REQUESTS) == len(watched.spans()) == 2
    assert [call.answer.id for call in calls] == ["resp_1", "resp_2"]
    for call in calls:
        assert (call.client, call.provider, call.operation, call.outcome) == ("openai_agents", "openai", "chat", OK)
        assert (call.request_model, call.attribution.team, call.is_stream) == ("gpt-4o-mini", "sky", True)
        assert call.usage is not None
        assert call.usage.counts == RESPONSE_COUNTS
        assert isinstance(call.price, Cost)


def test_what_they_ask_by_openais_library_is_counted_there(provider: Provider) -> None:
    """The other transport: one call, of that library."""

    async def way() -> None:
        async with openai.AsyncOpenAI(api_key="local", base_url=provider.url, max_retries=0) as client:
            await agents.OpenAIResponsesModel("gpt-4o-mini", client).get_response(
                None, "Will it rain?", agents.ModelSettings(), [], None, [], agents.ModelTracing.DISABLED,
                previous_response_id=None, conversation_id=None, prompt=None,
            )  # fmt: skip

    with Watched() as watched:
        run(way)
        assert watched.call().client == "openai"


def _of(messages: tuple[Any, ...], way: Callable[[str], Coroutine[Any, Any, Any]]) -> Call:
    with Watched() as watched, SocketServer(messages) as server:
        run(lambda: way(server.url))
        return watched.call()


async def fails(url: str) -> None:
    """Asked whole."""
    async with agent(url) as forecaster:
        with contextlib.suppress(Exception):  # older versions say nothing of an answer that failed
            await agents.Runner.run(forecaster, "Will it rain?")


@pytest.mark.parametrize(
    ("messages", "is_estimated"),
    [
        (({"type": "error", "status": 400, "error": {"type": "invalid_request_error", "code": "bad"}},), False),
        ((responses("created"), piece(), CUT), True),
        ((responses("created"), responses("failed", error={"code": "server_error", "message": "no"})), True),
    ],
    ids=["refused", "cut", "failed"],
)
def test_an_answer_that_fails_is_an_error(messages: tuple[Any, ...], *, is_estimated: bool) -> None:
    """What was shown before that is estimated."""
    call = _of(messages, fails)
    assert call.outcome == ERROR
    assert (call.usage is not None and not call.usage.complete) == is_estimated


def test_a_stream_that_is_left_is_an_estimate() -> None:
    """The library lets go of its socket as it does without costspan: the next answer comes on a new one."""

    async def way(url: str) -> list[str]:
        async with agent(url) as forecaster:
            return await left_and_asked(forecaster.model)

    async def left_and_asked(model: Any) -> list[str]:
        events = await model._fetch_response(
            None, "Will it rain?", agents.ModelSettings(), [], None, [], previous_response_id=None, conversation_id=None,
            stream=True,
        )  # fmt: skip
        async for event in events:
            if event.type == "response.output_text.delta":
                break
        await events.aclose()
        assert not model._get_ws_request_lock().locked(), "closed, it holds nothing"
        assert model._ws_connection is None
        return [event.type async for event in model.stream_response(
            None, "And now?", agents.ModelSettings(), [], None, [], agents.ModelTracing.DISABLED,
            previous_response_id=None, conversation_id=None, prompt=None,
        )]  # fmt: skip

    with Watched() as watched, SocketServer((responses("created"), piece(), 0.2, piece()), turn("resp_2")) as server:
        assert run(lambda: way(server.url))[-1] == "response.completed"
        left, whole = watched.calls()
    assert (left.outcome, whole.outcome) == (ABANDONED, OK)
    assert left.usage is not None
    assert not left.usage.complete
    assert left.usage.counts["output"] > 0


def test_a_hard_budget_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    """No socket is opened for it."""
    with SocketServer(turn("resp_1")) as server, budgeted(tmp_path, NOTHING_LEFT) as watched:
        run(lambda: fails(server.url))
        assert server.asked == []
        assert watched.call().outcome == "refused"


# --- the realtime socket ----------------------------------------------------------------------------------------------


async def talked(server: SocketServer, until: int, query: str = f"?model={MODEL}") -> None:
    """A session in which something is said, until so many messages of the provider have come."""
    runner = RealtimeRunner(RealtimeAgent(name="forecaster", instructions="Be brief."))
    config: Any = {"api_key": "local", "url": f"ws://127.0.0.1:{server.port}/v1/realtime{query}"}
    with attribution(team="sky"):
        talk = await runner.run(model_config=config)
        async with talk:
            await talk.send_message("Will it rain?")
            async for event in talk:
                is_of_provider = event.type == "raw_model_event" and event.data.type == "raw_server_event"
                until -= is_of_provider
                if not until:
                    break


def of_realtime(messages: tuple[Any, ...], until: int, **more: Any) -> list[Call]:
    with Watched() as watched, SocketServer(messages, greeting=[_SESSION]) as server:
        run(lambda: talked(server, until, **more))
        assert watched.total(names.REQUESTS) == len(watched.calls())
        return list(watched.calls())


@pytest.mark.parametrize("query", [f"?model={MODEL}", "?call_id=rtc_1"])
def test_each_answer_of_a_realtime_session_is_a_call(query: str) -> None:
    """The one that was asked for, one that the provider began by itself, and the transcription of what it heard."""
    heard = transcription("completed", transcript="Rain?", usage={"type": "duration", "seconds": 2})
    calls = of_realtime((*TURN, heard, *TURN_2), 1 + len(TURN) + 1 + len(TURN_2), query=query)
    assert [(call.operation, call.answer.id) for call in calls] == [
        ("realtime", "resp_1"), ("transcription", "item_0 0"), ("realtime", "resp_2"),
    ]  # fmt: skip
    for call in (calls[0], calls[2]):
        assert (call.client, call.provider, call.outcome) == ("openai_agents", "openai", OK)
        assert (call.request_model, call.attribution.team) == (MODEL, "sky")
        assert call.usage is not None
        assert call.usage.counts == COUNTS
        assert isinstance(call.price, Cost)
        assert call.price.nano_usd > 0


TURN_2 = (created("resp_2"), delta("resp_2"), sound("resp_2"), done("resp_2"))


def test_a_session_that_is_closed_leaves_an_estimate() -> None:
    """Of what had come by then."""
    (call,) = of_realtime((*TURN[:-1], 0.5), len(TURN))
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.counts["output_audio"] > 0


class Heard(RealtimeModelListener):
    """Waits for the first sound."""

    def __init__(self) -> None:
        self.seen = asyncio.Event()

    async def on_event(self, event: Any) -> None:
        if event.type == "audio":
            self.seen.set()


@pytest.mark.parametrize("end", ["closed", "cut", "cancelled"])
def test_a_session_that_has_ended_is_booked_while_the_program_keeps_it(end: str) -> None:
    """For who asked, although the connection was opened by nobody in particular."""

    async def way(server: SocketServer, watched: Watched) -> None:
        model = OpenAIRealtimeWebSocketModel()
        config: Any = {"api_key": "local", "url": f"ws://127.0.0.1:{server.port}/v1/realtime?model={MODEL}"}
        model.add_listener(heard := Heard())
        await model.connect(config)
        listening = model._websocket_task
        assert listening is not None
        with attribution(team="sky"):
            await model.send_event(RealtimeModelSendUserInput(user_input="Will it rain?"))
        await heard.seen.wait()
        if end == "cancelled":
            listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (model.close() if end == "closed" else listening)
        (call,) = watched.calls()
        assert (call.outcome, call.attribution.team) == (ABANDONED, "sky")
        await model.close()

    messages = (*TURN[:-1], CUT if end == "cut" else 0.5)
    with Watched() as watched, SocketServer(messages, greeting=[_SESSION]) as server:
        run(lambda: way(server, watched))


def test_what_could_not_be_sent_is_no_call() -> None:
    """The program gets the error, and goes on with the connection."""

    async def way(server: SocketServer) -> None:
        model = OpenAIRealtimeWebSocketModel()
        config: Any = {"api_key": "local", "url": f"ws://127.0.0.1:{server.port}/v1/realtime?model={MODEL}"}
        await model.connect(config)
        socket = model._websocket
        with patch.object(socket, "send", side_effect=OSError("no route")), pytest.raises(OSError, match="no route"):
            await model._send_raw_message(ResponseCreateEvent(type="response.create"))
        await model.close()

    with Watched() as watched, SocketServer(TURN, greeting=[_SESSION]) as server:
        run(lambda: way(server))
        assert watched.calls() == []


def test_a_session_that_costspan_leaves_goes_on() -> None:
    """Switched off in the middle: nothing is booked any more, and nothing is missing."""
    watched = Watched()
    with SocketServer(TURN, greeting=[_SESSION]) as server:

        async def way() -> None:
            with watched:
                pass
            await talked(server, 1 + len(TURN))

        run(way)
    assert not watched._calls
