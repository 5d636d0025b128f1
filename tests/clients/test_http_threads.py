"""A watched client whose request is sent by another thread: the HTTP library below it, watched too, does not count it again."""

from __future__ import annotations

import importlib
import json
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

import costspan
from answers import Reply, completion, whole
from azure_caller import Asker as AzureAsker
from caller import flavour
from comparing import OPENAI_USAGE
from costspan import names
from costspan.ledger.store import Store
from forking import in_child
from google_caller import Asker as GoogleAsker
from http_caller import CHAT, STREAM_WITH_USAGE
from provider import Provider
from watching import Watched

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]

_PATH = "/v1/chat/completions"
_TRANSPORTS: Any = importlib.import_module("azure.core.pipeline.transport")
_HTTP = flavour("openai")

#: Runs a function elsewhere, and waits for what it gives.
Elsewhere = Callable[[Callable[[], Any]], Any]


@pytest.fixture(autouse=True)
def http_clients_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the user says."""
    monkeypatch.setenv("OTEL_COSTSPAN_HTTP_CLIENTS", "true")


@pytest.fixture
def books(tmp_path: Path, provider: Provider) -> Iterator[Watched]:
    """A watched process with a ledger; at its end, what was served stands in ledger and counters, once."""
    path = tmp_path / "ledger.db"
    with Watched(ledger=str(path)) as watched:
        yield watched
        served = len(provider.asked)
        assert served > 0
        counted = watched.total(names.REQUESTS), watched.total(names.INPUT_TOKENS), watched.total(names.OUTPUT_TOKENS)
        assert len(watched.spans()) == len(watched.events()) == served
    with Store.read(path) as store:
        booked = store.select("SELECT count(*), sum(input_tokens), sum(output_tokens) FROM calls")
    assert booked == [counted] == [(served, served * OPENAI_USAGE["input"], served * OPENAI_USAGE["output"])]


# --- ways to have work done by another thread ------------------------------------------------------------------


def by_itself(work: Callable[[], Any]) -> Any:
    """The thread that asks."""
    return work()


def by_thread(work: Callable[[], Any]) -> Any:
    """A thread of its own."""
    done: Future[Any] = Future()
    thread = threading.Thread(target=_into, args=(done, work))
    thread.start()
    thread.join(20)
    return done.result(0)


def by_pool(work: Callable[[], Any]) -> Any:
    """The pool of multiprocessing."""
    with ThreadPool(1) as pool:
        return pool.apply_async(work).get(20)


@contextmanager
def executor() -> Generator[Elsewhere]:
    """A pool that has had work before, and has its thread from there."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(20)
        yield lambda work: pool.submit(work).result(20)


@contextmanager
def worker(wrapped: Callable[[Any], Any] = lambda work: work) -> Generator[Elsewhere]:
    """A worker of the program's own, with a queue."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(work: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        waiting.put((done, wrapped(work)))
        return done.result(20)

    thread = threading.Thread(target=lambda: [_into(*each) for each in iter(waiting.get, None)])
    thread.start()
    try:
        yield put
    finally:
        waiting.put(None)
        thread.join(20)


def _into(done: Future[Any], work: Callable[[], Any]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001  # handed on
        done.set_exception(error)


@pytest.fixture(params=["thread", "pool", "executor", "queue", "carried"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    """Each way to have work done by another thread."""
    plain = {"thread": by_thread, "pool": by_pool}
    if request.param in plain:
        yield plain[request.param]
    else:
        opened = {"executor": executor, "queue": worker, "carried": partial(worker, costspan.carry)}
        with opened[request.param]() as way:
            yield way


# --- clients that send by another thread -----------------------------------------------------------------------


def sending(sender: Any, elsewhere: Elsewhere) -> Any:
    """A transport of Azure, or a client of an HTTP library, that has its requests sent elsewhere: a program's own."""
    send = sender.send
    sender.send = lambda request, **kwargs: elsewhere(lambda: send(request, **kwargs))  # pyright: ignore[reportUnknownLambdaType]
    return sender


async def _whole(a: AzureAsker) -> None:
    """A whole answer."""
    await a.get(a.of.complete(CHAT))


async def _both(a: AzureAsker) -> None:
    """A whole answer, and a stream that is read to its end."""
    await a.get(a.of.complete(CHAT))
    stream = a.of.complete(STREAM_WITH_USAGE)
    await a.stream(await stream if a.is_async else stream)


_BOTH = [("azure_inference", False), ("azure_inference", True)]


def test_azures_transport_over_the_executor_of_the_loop(provider: Provider, books: Watched) -> None:
    """`AsyncioRequestsTransport` sends by requests, in threads that know nothing of the context."""
    seen = AzureAsker(provider.url, "async", transport=_TRANSPORTS.AsyncioRequestsTransport()).run(_both)
    assert len(seen) > 2, seen
    assert [(call.client, call.is_stream) for call in books.calls()] == _BOTH


def test_a_transport_of_the_programs_own(elsewhere: Elsewhere, provider: Provider, books: Watched) -> None:
    """Whole and streamed, by each way to have work done elsewhere: beneath a client of Azure, and of OpenAI."""
    transport = sending(_TRANSPORTS.RequestsTransport(), elsewhere)
    seen = AzureAsker(provider.url, "sync", transport=transport).run(_both)
    assert len(seen) > 2, seen
    assert [(call.client, call.is_stream) for call in books.calls()] == _BOTH
    http: Any = _HTTP.Client()
    with openai.OpenAI(api_key="local", base_url=f"{provider.url}/v1", http_client=sending(http, elsewhere)) as client:
        create: Any = client.chat.completions.create
        create(**CHAT)
        assert list(create(**STREAM_WITH_USAGE))
    assert [call.client for call in books.calls()[2:]] == ["openai", "openai"]


def test_whatever_is_sent_below_a_call_is_its_own(provider: Provider) -> None:
    """Also another request than the call's, in this thread and in others, where nobody said whom the call is for."""
    other = {**CHAT, "messages": [{"role": "user", "content": "Another"}]}

    def first_another(work: Callable[[], Any]) -> Any:
        ask = partial(requests.post, provider.url + _PATH, json=other, timeout=20)
        with executor() as by_executor:
            assert {way(ask).status_code for way in (by_itself, by_thread, by_pool, by_executor)} == {200}
        return work()

    transport = sending(_TRANSPORTS.RequestsTransport(), first_another)
    with Watched() as watched:
        AzureAsker(provider.url, "sync", transport=transport).run(_whole)
        assert watched.call().client == "azure_inference"
    assert len(provider.asked) == 5


# --- what is no part of the call -------------------------------------------------------------------------------


def content(parts: list[Any]) -> Any:
    """An answer of Google's API."""
    said = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return {"candidates": [said], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


def test_a_thread_that_outlives_the_call_is_counted(provider: Provider, books: Watched) -> None:
    """What it asks for after the call, in which it was started, is its own."""
    is_over, threads = threading.Event(), list[threading.Thread]()

    def later() -> None:
        assert is_over.wait(20)
        requests.post(provider.url + _PATH, json=CHAT, timeout=20)

    def beginning(work: Callable[[], Any]) -> Any:
        threads.append(threading.Thread(target=later))
        threads[0].start()
        return work()

    AzureAsker(provider.url, "sync", transport=sending(_TRANSPORTS.RequestsTransport(), beginning)).run(_whole)
    is_over.set()
    threads[0].join(20)
    assert [call.client for call in books.calls()] == ["azure_inference", "requests"]


@contextmanager
def under_way(provider: Provider, http: Any) -> Generator[None]:
    """A call of OpenAI's client is under way, and has its answer afterwards."""
    is_asked, is_due = threading.Event(), threading.Event()

    def held(_: Any) -> Reply:
        is_asked.set()
        return Reply(pieces=[is_due, json.dumps(completion()).encode()])

    provider.replies.append(held)
    with openai.OpenAI(api_key="local", base_url=f"{provider.url}/v1", http_client=http) as client:
        create: Any = client.chat.completions.create
        calling = threading.Thread(target=partial(create, **CHAT))
        calling.start()
        assert is_asked.wait(20)
        try:
            yield
        finally:
            is_due.set()
            calling.join(20)


@pytest.mark.parametrize("is_hidden", [False, True])
def test_what_is_asked_beside_a_call_is_counted(provider: Provider, books: Watched, *, is_hidden: bool) -> None:
    """The same, where the call's own request has been seen; anything else, where that is hidden by a queue."""
    beside = {**CHAT, "messages": [{"role": "user", "content": "Another"}]} if is_hidden else CHAT
    with (
        worker() as elsewhere,
        _HTTP.Client() as http,
        under_way(provider, sending(http, elsewhere) if is_hidden else http),
    ):
        requests.post(provider.url + _PATH, json=beside, timeout=20)
    assert [call.client for call in books.calls()] == ["requests", "openai"]


def test_a_forked_child_asks_for_itself(provider: Provider) -> None:
    """What its parent has under way is no call of the child's, whatever it asks."""

    def ask() -> None:
        requests.post(provider.url + _PATH, json=CHAT, timeout=20)
        assert [call.client for call in watched.calls()] == ["requests"]

    with Watched() as watched:
        with worker() as elsewhere, _HTTP.Client() as http, under_way(provider, sending(http, elsewhere)):
            assert in_child(ask) == 0
        assert watched.call().client == "openai"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_tool_that_asks_a_model_in_a_thread_is_counted(provider: Provider, mode: str) -> None:
    """Google's library runs tools between its requests: what these ask by a client that is not watched is a call of its own."""

    def rain(city: str) -> str:
        """Whether it rains in a city."""
        ask = partial(requests.post, provider.url + _PATH, json={**CHAT, "user": city}, timeout=20)
        return str([elsewhere(ask).status_code for elsewhere in (by_itself, by_thread, by_pool)])

    async def way(a: GoogleAsker) -> None:
        await a.get(a.of.models.generate_content(model="gemini-2.5-flash", contents="Ulm?", config={"tools": [rain]}))

    calls_tool = whole(content([{"functionCall": {"name": "rain", "args": {"city": "Ulm"}}}]))
    provider.replies.extend([calls_tool, *[whole(completion())] * 3, whole(content([{"text": "no"}]))])
    with Watched() as watched:
        (answer,) = GoogleAsker(provider.url, mode).run(way)
        assert answer[1]["candidates"], answer
        clients = [call.client for call in watched.calls()]
    assert clients == ["google_genai", "requests", "requests", "requests", "google_genai"]
    assert len(provider.asked) == 5
