"""facts/lost_answers.py: whether a call that failed may have been billed, told by the errors of real HTTP libraries."""

from __future__ import annotations

import asyncio
import gc
import http.client
import importlib
import socket
import struct
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
import urllib3

from caller import flavour
from costspan.facts.call import ABANDONED, ERROR
from costspan.facts.lost_answers import may_be_billed
from costspan.facts.money import NO_USAGE, Unpriced
from provider import Provider
from watching import Watched

_PATIENCE_S: Final = 0.5
_HALF: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
_RESET: Final = struct.pack("ii", 1, 0)
HTTP: Final = flavour("openai")


def silent(connection: socket.socket) -> None:
    connection.recv(65_536)  # until the client hangs up


def closing(_: socket.socket) -> None:
    pass


def half(connection: socket.socket) -> None:
    connection.sendall(_HALF)


def resetting(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Generator[str]:
    """Reads a request, and answers in a way that is none."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it was shut
                return
            with connection:
                with connection.makefile("rb") as request:
                    request.readline()
                    request.read(int(http.client.parse_headers(request).get("Content-Length", "0")))
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@contextmanager
def nobody() -> Generator[str]:
    """A port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def crowded() -> Generator[str]:
    """A port at which no further connection is taken."""
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def by_aiohttp(url: str) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json={}) as response:
        await response.read()


def by_botocore(url: str) -> None:
    botocore: Any = importlib.import_module("botocore.session")  # without types, as its settings
    config: Any = importlib.import_module("botocore.config").Config(
        read_timeout=_PATIENCE_S, connect_timeout=_PATIENCE_S, retries={"total_max_attempts": 1}
    )
    client = botocore.get_session().create_client(
        "bedrock-runtime", "us-east-1", endpoint_url=url, config=config,
        aws_access_key_id="local", aws_secret_access_key="local",
    )  # fmt: skip
    client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hello"}]}])


def by_openai(url: str) -> None:
    client = openai.OpenAI(api_key="local", base_url=url, max_retries=0, timeout=_PATIENCE_S)
    client.chat.completions.create(model="gpt-4o-mini", messages=[])


WAYS: Final[dict[str, Callable[[str], object]]] = {
    "httpx": lambda url: httpx.post(url, json={}, timeout=_PATIENCE_S),
    "httpx2": lambda url: httpx2.post(url, json={}, timeout=_PATIENCE_S),
    "requests": lambda url: requests.post(url, json={}, timeout=_PATIENCE_S),
    "urllib3": lambda url: urllib3.PoolManager().request("POST", url, timeout=_PATIENCE_S, retries=False),
    "urllib3, again": lambda url: urllib3.PoolManager().request("POST", url, timeout=_PATIENCE_S, retries=1),
    "aiohttp": lambda url: asyncio.run(by_aiohttp(url)),
    "botocore": by_botocore,
    "openai": by_openai,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_broke_after_the_request_was_sent_may_have_been_billed(way: str) -> None:
    """The provider goes on working for a caller whose connection broke, or who does not wait any longer."""
    for answer in (silent, closing, resetting, *([] if way == "botocore" else [half])):  # it hands half an answer on
        with server(answer) as url, pytest.raises(Exception) as failed:  # noqa: PT011  # each library has its own
            WAYS[way](url)
        assert may_be_billed(failed.value), answer


@pytest.mark.parametrize("way", WAYS)
def test_what_could_not_be_sent_was_not_billed(way: str) -> None:
    """Also where it is a timeout."""
    for place in (nobody, crowded):
        with place() as url, pytest.raises(Exception) as failed:  # noqa: PT011
            WAYS[way](url)
        assert not may_be_billed(failed.value), place


def test_other_errors_are_no_lost_answers() -> None:
    """What a program does wrong before anything is sent costs nothing. A chain of causes may be a ring."""
    ring = ValueError("one")
    ring.__cause__ = KeyError(ring)
    ring.__cause__.__cause__ = ring
    assert [may_be_billed(error) for error in (ring, TypeError(), UnicodeError())] == [False] * 3
    assert may_be_billed(RuntimeError(), "DEADLINE_EXCEEDED")


def _over_a_connection_of_a_loop_that_has_ended(library: Any, url: str) -> None:
    """The usual slip of notebooks and tests: one client, and `asyncio.run` twice."""
    client = library.AsyncClient()

    async def ask() -> None:
        await client.post(f"{url}/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []})

    asyncio.run(ask())
    asyncio.run(ask())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_request_by_a_loop_that_has_ended_may_have_been_billed(library: Any, provider: Provider) -> None:
    """The server answers, and nobody hears it."""
    with pytest.raises(RuntimeError, match="Event loop is closed") as failed:
        _over_a_connection_of_a_loop_that_has_ended(library, provider.url)
    assert may_be_billed(failed.value)
    assert not may_be_billed(RuntimeError("no provider is set"))
    del failed
    gc.collect()  # nobody can close such a connection any more


class Deprecated(Exception):  # noqa: N818
    """As `ConnectionClosed` of websockets is."""

    @property
    def reason(self) -> str:
        """Nobody is to ask for it."""
        warnings.warn("use something else", DeprecationWarning, stacklevel=2)
        return ""


def test_no_property_of_an_error_is_asked() -> None:
    """What it warns of would be the program's warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not may_be_billed(Deprecated())


def test_a_call_whose_answer_was_lost_is_unpriced_and_one_that_was_not_sent_is_free() -> None:
    """Unknown is not zero."""
    with Watched() as watched:
        for place in (server(closing), nobody()):
            with place as url, pytest.raises(openai.APIConnectionError):
                by_openai(url)
        lost, unsent = watched.calls()
    assert (lost.outcome, unsent.outcome) == (ERROR, ERROR)
    assert isinstance(lost.price, Unpriced)
    assert lost.price.reason == NO_USAGE
    assert unsent.price is None


class GivenUp(BaseException):
    """As trio's `Cancelled`, gevent's `GreenletExit` and `Timeout` are: no `Exception`."""


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_that_is_given_up_is_no_error(is_stream: bool) -> None:  # noqa: FBT001
    """Whichever library cancels: it was abandoned, and may have been billed."""

    def give_up(_: Any) -> Any:
        raise GivenUp

    client = openai.OpenAI(api_key="local", http_client=HTTP.Client(transport=HTTP.MockTransport(give_up)))
    create: Any = client.chat.completions.create
    with Watched() as watched:
        with pytest.raises(GivenUp):
            create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], stream=is_stream)
        call = watched.call()
    assert (call.outcome, call.error_type) == (ABANDONED, "GivenUp")
    assert call.price is not None


class GatewayTimeout(Exception):  # noqa: N818  # as some libraries call it
    """An answer of the provider's, by its status."""

    status_code = 504


def test_an_answer_with_a_status_is_not_lost() -> None:
    """Whatever its error is called."""

    def refuse(_: Any) -> Any:
        raise GatewayTimeout

    client = openai.OpenAI(
        api_key="local", max_retries=0, http_client=HTTP.Client(transport=HTTP.MockTransport(refuse))
    )
    with Watched() as watched:
        with pytest.raises(GatewayTimeout):
            client.chat.completions.create(model="gpt-4o-mini", messages=[])
        assert watched.call().price is None
