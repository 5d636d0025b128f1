"""Results of batch jobs: each is a call, booked once at the price of a batch, for who handed the job in."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import SpanProcessor

import ways
from answers import Reply, completion, response, whole
from caller import KINDS, Caller
from comparing import OPENAI_USAGE
from costspan import attribution, names
from costspan.clients import batches
from costspan.facts.call import ERROR, OK
from costspan.facts.money import EXACT, Cost, Unpriced
from costspan.ledger.store import Store
from provider import Provider
from watching import Watched

Way = Callable[[Caller], Coroutine[Any, Any, None]]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
EMBEDDINGS: dict[str, Any] = {"object": "list", "data": [], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 5, "total_tokens": 5}}  # fmt: skip


def line(key: str, body: Any, status: int = 200, error: Any = None) -> bytes:
    """A line of a file of results."""
    answered = None if error is not None else {"status_code": status, "request_id": f"req_{key}", "body": body}
    return json.dumps({"id": f"batch_req_{key}", "custom_id": key, "response": answered, "error": error}).encode()


#: An answer of each endpoint, one that cannot be read, one that failed, one that came too late.
LINES = (
    line("a", completion(id="chatcmpl-a")),
    line("b", response()),
    line("c", EMBEDDINGS),
    line("d", completion(id="chatcmpl-d"))[:-9],
    line("e", {"error": {"message": "no", "code": "invalid_value"}}, 400),
    line("f", None, error={"code": "batch_expired", "message": "too late"}),
)


def results(lines: Iterable[bytes] = LINES, kind: str = "application/octet-stream") -> Reply:
    """The file of results."""
    return Reply(b"\n".join(lines) + b"\n", kind=kind)


def content(c: Caller) -> Any:
    """The file of results, fetched."""
    return c.method("files.content")("file-out")


async def text(c: Caller) -> None:
    """By the texts and bytes of a body that has been read."""
    found = await c.get(content(c))
    c.look([found.text, found.content])
    c.look([each async for each in c.each(found.iter_lines())])
    c.look(await c.get(c.method("files.retrieve_content")("file-out")))


async def read_along(c: Caller) -> None:
    """As it comes, and as a raw response."""
    async with c.within(c.method("files").with_streaming_response.content("file-out")) as found:
        c.look([each async for each in c.each(found.iter_lines())])
    raw = await c.get(c.method("files").with_raw_response.content("file-out"))
    c.look((await c.get(raw.parse())).text)


@_MODES
@pytest.mark.parametrize("kind", ["chat", "azure"])
@pytest.mark.parametrize("way", [text, read_along])
def test_the_lines_of_a_file_of_results_are_calls(
    way: Way, kind: str, provider: Provider, mode: str, tmp_path: Path
) -> None:
    """Once each, however often and by whichever process: as what they are, at the price of a batch."""

    def run() -> list[Any]:
        provider.replies.extend([results(), results()])
        return Caller(KINDS[kind], provider.url, mode).run(way)

    plain = run()
    hosts = f"127.0.0.1:{provider.port}=openai"
    with Watched(ledger=str(tmp_path / "ledger.db"), hosts=hosts) as watched:
        assert run() == plain
        calls = list(watched.calls())
        assert watched.total(names.REQUESTS) == len(watched.events()) == len(LINES)
    with Watched(ledger=str(tmp_path / "ledger.db"), hosts=hosts) as watched:  # as another process would
        assert run() == plain
        assert not watched.calls()
    assert [call.operation for call in calls] == ["chat", "chat", "embeddings", "batch", "chat", "chat"]
    assert [call.answer.id for call in calls] == [
        "chatcmpl-a", "resp_1", "batch_req_c", "file-out/3", "batch_req_e", "batch_req_f",
    ]  # fmt: skip
    assert [call.usage and call.usage.counts for call in calls] == [
        OPENAI_USAGE, OPENAI_USAGE, {"input": 5, "output": 0}, None, None, None,
    ]  # fmt: skip
    assert [(call.outcome, call.error_type) for call in calls] == [
        *[(OK, None)] * 4, (ERROR, "invalid_value"), (ERROR, "batch_expired"),
    ]  # fmt: skip
    assert {call.answer.processing for call in calls} == {"batch", None}
    assert isinstance(calls[0].price, Cost)
    assert calls[0].price.nano_usd == (8 + 3) * 75 + 7 * 300  # what is read from the cache costs no less
    assert isinstance(calls[3].price, Unpriced)
    assert [call.price for call in calls[4:]] == [None, None]


@_MODES
def test_a_result_belongs_to_who_handed_the_job_in(provider: Provider, mode: str) -> None:
    """Where that was in this process: by the id of the job, and by those of its files once they are told. Who only looked at
    a job is not the one who handed it in: its results belong to who fetches them.
    """
    job = {"id": "batch_1", "object": "batch", "status": "in_progress", "endpoint": "/v1/chat/completions"}
    done = {**job, "status": "completed", "output_file_id": "file-out"}
    of_others = {**done, "id": "batch_2", "output_file_id": "file-of-others"}

    async def way(c: Caller) -> None:
        given = {"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        with attribution(team="night"):
            c.look(await c.get(c.method("batches.create")(**given)))
        with attribution(team="day", session="s-1"):
            for _ in range(2):
                c.look(await c.get(c.method("batches.retrieve")("batch_1")))
            await c.get(content(c))
            c.look(await c.get(c.method("batches.retrieve")("batch_2")))
        with attribution(team="evening"):
            await c.get(c.method("files.content")("file-of-others"))

    others = results([line("x", completion(id="chatcmpl-x"))])
    provider.replies.extend([whole(job), whole(job), whole(done), results(LINES[:1]), whole(of_others), others])
    begun: list[Any] = []

    class Begun(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            del parent_context
            begun.append(span)

    with Watched() as watched:
        watched.tracer_provider.add_span_processor(Begun())
        Caller(KINDS["chat"], provider.url, mode).run(way)
        calls = watched.calls()
        assert len(watched.spans()) == len(begun) == len(calls)  # to hand in, to ask and to fetch are no calls
    assert [(call.attribution.team, call.attribution.session) for call in calls] == [("night", None), ("evening", None)]


@_MODES
@pytest.mark.parametrize(
    "body",
    [
        b"RIFF" + bytes(4096),
        b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}\n' * 2,
        b'{"messages": [{"role": "user", "content": "{\\"custom_id\\": 1, \\"response\\": 2}"}]}\n' * 2,
        b'{"custom_id": "a", "response": null}\n[]\n\xff\n' * 2,
        b"",
    ],
    ids=["sound", "requests", "training", "odd", "empty"],
)
def test_other_files_are_no_results(body: bytes, provider: Provider, mode: str) -> None:
    """They are passed on and not looked into."""

    async def way(c: Caller) -> None:
        c.look((await c.get(content(c))).content)

    provider.replies.append(Reply(body, kind="application/octet-stream"))
    with Watched() as watched:
        (seen,) = Caller(KINDS["chat"], provider.url, mode).run(way)
        assert not watched.calls()
        assert not watched.spans()
    assert seen[1] == repr(body)


@_MODES
def test_a_background_response_that_failed_is_an_error(provider: Provider, mode: str) -> None:
    """Booked once, for nothing: it is not left as one whose usage is unknown."""
    failed = response(background=True, status="failed", error={"code": "server_error", "message": "no"}, usage=None)
    provider.replies.extend(
        [whole(response(background=True, status="queued", usage=None)), whole(failed), whole(failed)]
    )
    with Watched() as watched:
        Caller(KINDS["responses"], provider.url, mode).run(ways.create_and_fetch)
        call = watched.call()
    assert (call.outcome, call.error_type, call.usage, call.price) == (ERROR, "server_error", None, None)


def test_a_result_is_read_as_what_it_says_that_it_is() -> None:
    """Pages, pictures and moderations have no word for themselves: they are told by a field."""
    bodies: dict[str, Any] = {
        "ocr": {"pages": [], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3}},
        "image_generation": {"created": 1, "data": [{"b64_json": ""}] * 2},
        "moderation": {"id": "modr-1", "model": "omni-moderation-latest", "results": [{}]},
    }
    found: list[Any] = [batches.result(json.loads(line(kind, body))) for kind, body in bodies.items()]
    assert [answer.operation for answer in found] == list(bodies)
    assert found[0].usage.counts == {"pages": 3}
    assert batches.result({"custom_id": "a", "response": None, "error": None}) is None
    refused = batches.result({"custom_id": "a", "response": {"status_code": 429, "body": None}})
    assert refused is not None
    assert refused.error == "429"


class AtSeller(NamedTuple):
    """A batch of one seller, handed in and fetched by one client: what it costs, for each model that was asked."""

    kind: str
    seller: str
    base: str
    nano_usd: dict[str, int]


#: At half the price of each token, with Groq also where the cache had it; at Together half for the one model alone.
_GROQ = {"openai/gpt-oss-120b": 11 * 75 + 7 * 300}
_TOGETHER = {"meta-llama/Llama-3.3-70B-Instruct-Turbo": 18 * 440, "openai/gpt-oss-120b": 11 * 150 + 7 * 600}
AT_SELLERS = [
    AtSeller("groq", "groq", "", _GROQ),
    AtSeller("chat", "groq", "/openai/v1", _GROQ),
    AtSeller("together", "together", "", _TOGETHER),
    AtSeller("chat", "together", "/v1", _TOGETHER),
]


def said_by(seller: str, key: str, model: str) -> bytes:
    """A line of results as the seller writes it: Together's says nothing of itself."""
    body = completion(id=f"chatcmpl-{seller}-{key}", model=model)
    if seller == "together":
        return json.dumps({"custom_id": key, "response": {"status_code": 200, "body": body}}).encode()
    return line(key, {**body, "service_tier": "on_demand", "x_groq": {"id": f"req_{key}"}})


def jobs_of(seller: str) -> list[Reply]:
    """A job when it is handed in, and when it is done."""
    job = {
        "id": f"batch_{seller}",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file-in",
        "status": "IN_PROGRESS",
    }
    done = {**job, "status": "COMPLETED", "output_file_id": "file-out", "error_file_id": "file-errors"}
    return [whole({"job": job, "warning": ""} if seller == "together" else job), whole(done)]


@_MODES
@pytest.mark.parametrize("at", AT_SELLERS, ids=lambda at: f"{at.kind} at {at.seller}")
def test_batches_of_sellers_who_have_openais_form(at: AtSeller, provider: Provider, mode: str, tmp_path: Path) -> None:
    """By their own clients and by OpenAI's: each result and each failure once, at their price of a batch, for who handed it in."""
    lines = [said_by(at.seller, f"key-{number}", model) for number, model in enumerate(at.nano_usd)]
    failure: Any = {"custom_id": "key-9", "error": {"message": "no such model", "code": "invalid_model"}}
    provider.replies.extend(
        [*jobs_of(at.seller), results(lines), results(lines), results([json.dumps(failure).encode()])]
    )

    async def way(c: Caller) -> None:
        given = {"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        with attribution(team="night"):
            await c.get(c.method("batches.create")(**given))
        done = await c.get(c.method("batches.retrieve")(f"batch_{at.seller}"))
        for file in (done.output_file_id, done.output_file_id, done.error_file_id):
            c.look(await c.get((await c.get(c.method("files.content")(file))).read()))

    hosts = f"127.0.0.1:{provider.port}={at.seller}"
    with Watched(ledger=str(tmp_path / "ledger.db"), hosts=hosts) as watched:
        Caller(KINDS[at.kind], provider.url + at.base, mode).run(way)
        *calls, failed = watched.calls()
        assert len(watched.spans()) == len(watched.events()) == watched.total(names.REQUESTS) == len(at.nano_usd) + 1
        assert watched.total(names.COST_USD) == pytest.approx(sum(at.nano_usd.values()) / 1e9)
    with Store.read(tmp_path / "ledger.db") as store:
        assert store.select("SELECT count(*), sum(cost_nano_usd) FROM calls") == [
            (len(lines) + 1, sum(at.nano_usd.values()))
        ]
    assert [(call.request_model, call.price and getattr(call.price, "nano_usd", None)) for call in calls] == list(
        at.nano_usd.items()
    )
    assert {(call.provider, call.attribution.team, getattr(call.price, "quality", None)) for call in calls} == {
        (at.seller, "night", EXACT)
    }
    assert (failed.outcome, failed.error_type, failed.price, failed.attribution.team) == (
        ERROR,
        "invalid_model",
        None,
        "night",
    )
    assert not provider.replies
