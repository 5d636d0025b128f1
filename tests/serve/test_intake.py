"""What others book at the server: usage events by OTLP and usage of programs' own, each once, nothing lost unsaid."""
# The generated protobuf modules have no stubs:
# pyright: basic

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common._internal import _encode_attributes
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

from costspan import names
from costspan.emit import events
from costspan.facts.call import Call
from costspan.facts.money import ESTIMATED, Cost
from costspan.facts.usage import Usage
from costspan.serve.asked import Caller
from costspan.serve.tokens import Tokens
from ledger_calls import UNPRICED, booked, call, write
from served import client

PROTOBUF: Final = {"Content-Type": "application/x-protobuf"}
JSON: Final = {"Content-Type": "application/json"}
#: What an event does not tell: the library, sentences, and what no report asks for.
COLUMNS: Final = (
    "id", "started_ns", "day", "period", "provider", "host", "operation", "request_model", "response_model", "response_id",
    "session", "task_type", "source", "team", "account", "is_stream", "outcome", "error_type", "http_status", "finish_reason",
    "tier", "duration_s", "first_chunk_s", "input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens", "units",
    "is_complete", "cost_nano_usd", "quality", "cost_source", "price_version", "unpriced_reason", "trace_id", "span_id",
)  # fmt: skip


def message(calls: Iterable[Call], **changed: Any) -> Any:
    """The events of calls as their exporter sends them; attributes may be changed, None leaves one out."""
    sent = logs.ExportLogsServiceRequest()
    scope = sent.resource_logs.add().scope_logs.add()
    for one in calls:
        said = {**events.attributes(one), **changed}
        record = scope.log_records.add(
            event_name=names.USAGE_EVENT, time_unix_nano=one.started_ns + int(one.duration_s * 1e9),
            trace_id=one.trace_id.to_bytes(16, "big"), span_id=one.span_id.to_bytes(8, "big"),
        )  # fmt: skip
        record.attributes.extend(_encode_attributes({name: value for name, value in said.items() if value is not None}))
    return sent


def as_json(sent: Any) -> bytes:
    """The same in OTLP's form of JSON, where ids are hex."""
    found = json_format.MessageToDict(sent)
    for record in found["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        for name in ("traceId", "spanId"):
            record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(found).encode()


CALLS: Final = (
    call(id="a"),
    call(id="b", price=UNPRICED, model="own", account=None, is_stream=True, first_chunk_s=0.25),
    call(id="c", price=Cost(5, ESTIMATED, "local", "v"), usage=Usage({"input": 3}, complete=False), port=8443),
    call(id="d", price=None, usage=None, outcome="error", error_type="timeout", http_status=504, response_id=None),
)


@pytest.mark.parametrize("form", ["protobuf", "json", "gzip"])
def test_an_event_becomes_the_call_that_it_tells_of(tmp_path: Path, form: str) -> None:
    """Every column that a report asks for, as if the program had written the ledger itself; each once."""
    own, sent = tmp_path / "own.db", tmp_path / "sent.db"
    write(own, *CALLS)
    content, headers = message(CALLS).SerializeToString(), PROTOBUF
    if form == "json":
        content, headers = as_json(message(CALLS)), JSON
    elif form == "gzip":
        content, headers = gzip.compress(content), {**PROTOBUF, "Content-Encoding": "gzip"}
    asked = client(sent, accepts=True)
    for _ in range(2):
        told = asked.post("/v1/logs", content=content, headers=headers)
        assert (told.status_code, told.content) == (200, b"{}" if form == "json" else b"")
        assert told.headers["content-type"] == headers["Content-Type"]
    assert booked(sent, *COLUMNS) == booked(own, *COLUMNS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (names.EVENT_ID, None), (names.EVENT_ID, 5), (names.PROVIDER, ""), (names.OUTCOME, "fine"), (names.DURATION, -1),
        (names.DURATION, float("nan")), (names.COST_NANO_USD, -1), (names.COST_NANO_USD, 10**18), (names.COST_NANO_USD, "5"),
        (names.QUALITY, "sure"), (names.USAGE_UNITS, {'x": 1, "input': 5}), (names.USAGE_UNITS, {"input": -1}),
        (names.USAGE_UNITS, {"input": 1.5}), (names.USAGE_UNITS, "many"), (names.STATUS_CODE, "x"),
        (names.USAGE_UNITS, {"input": [1]}), (names.OUTCOME, ["ok"]),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_malformed_event_is_refused_alone(tmp_path: Path, name: str, value: object) -> None:
    """The others are booked, and the sender is told which attribute was wrong."""
    path = tmp_path / "ledger.db"
    sent = message(CALLS[:1])
    sent.MergeFrom(message([call(id="bad")], **{name: value}))
    told = client(path, accepts=True).post("/v1/logs", content=sent.SerializeToString(), headers=PROTOBUF)
    partial = logs.ExportLogsServiceResponse.FromString(told.content).partial_success
    assert (told.status_code, partial.rejected_log_records) == (200, 1)
    assert name in partial.error_message
    assert booked(path) == ["a"]


def test_what_is_no_message_is_refused(tmp_path: Path) -> None:
    """A clear 4xx; the size counts after unpacking, too."""
    asked = client(tmp_path / "ledger.db", accepts=True)
    packed = {**PROTOBUF, "Content-Encoding": "gzip"}
    for content, headers, status, field in (
        (b"\xff" * 50, PROTOBUF, 400, "body"), (b"{", JSON, 400, "body"), (b'{"resourceLogs": 5}', JSON, 400, "body"),
        (b"[]", JSON, 400, "body"), (b"", {"Content-Type": "text/plain"}, 415, "Content-Type"),
        (b"x", {**PROTOBUF, "Content-Encoding": "br"}, 415, "Content-Encoding"), (b"x", packed, 400, "body"),
        (gzip.compress(b"x")[:-4], packed, 400, "body"), (gzip.compress(bytes(16_000_001)), packed, 413, "body"),
        (bytes(16_000_001), PROTOBUF, 413, "body"),
    ):  # fmt: skip
        told = asked.post("/v1/logs", content=content, headers=headers)
        assert (told.status_code, told.json()["field"]) == (status, field)
    for record in (
        {},
        {"attributes": 5},
        {"attributes": [{"key": 1}]},
        7,
        {"traceId": "xyz"},
        {"traceId": "-1"},
        {"traceId": 5},
    ):
        said = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        told = asked.post("/v1/logs", json=said).json()["partialSuccess"]
        assert told["rejectedLogRecords"] == "1"
        assert told["errorMessage"]
    assert not (tmp_path / "ledger.db").exists()


def test_usage_of_a_programs_own_is_priced_and_booked_once(tmp_path: Path) -> None:
    """Text, embeddings and sound; for an account or for the system."""
    path = tmp_path / "ledger.db"
    asked = client(path, accepts=True)
    at = {"started_at": "2026-11-20T12:00"}
    records = [
        {
            "id": "t1",
            "provider": "openai",
            "model": "gpt-5",
            "input_tokens": 1000,
            "output_tokens": 200,
            "account": "acme",
            **at,
        },
        {
            "id": "t2",
            "provider": "openai",
            "model": "text-embedding-3-small",
            "type": "embedding",
            "input_tokens": 9,
            **at,
        },
        {"id": "t3", "provider": "openai", "model": "whisper-1", "type": "audio_stt", "seconds": 90.5, **at},
        {"id": "t4", "provider": "acme", "model": "own", "units": {"images": 2}, **at},
        {"id": "t5", "provider": "openai", "model": "sora-2", "type": "video", "seconds": 8, **at},
    ]
    told = asked.post("/v1/usage/records", json={"records": records}).json()
    assert (told["booked"], told["duplicates"]) == (5, 0)
    cost = asked.post(
        "/v1/cost",
        json={"provider": "openai", "model": "gpt-5", "units": {"input": 1000, "output": 200}, "at": "2026-11-20"},
    )
    assert told["records"][0]["cost_usd"] == cost.json()["cost_usd"]
    assert Decimal(told["records"][2]["cost_usd"]) == Decimal("0.00905")
    assert (told["records"][3]["cost_usd"], bool(told["records"][3]["unpriced_reason"])) == (None, True)
    assert Decimal(told["records"][4]["cost_usd"]) == Decimal("0.8")
    again = asked.post("/v1/usage/records", json={"records": records}).json()
    assert (again["booked"], again["duplicates"]) == (0, 5)
    assert booked(path, "id", "account", "operation", "input_tokens") == [
        ("t1", "acme", "chat", 1000), ("t2", None, "embeddings", 9), ("t3", None, "transcription", None), ("t4", None, "chat", None),
        ("t5", None, "video_generation", None),
    ]  # fmt: skip


GOOD: Final[dict[str, Any]] = {"id": "x", "provider": "openai", "model": "gpt-5", "input_tokens": 1}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": ""}, "records[1].id"), ({"id": None}, "records[1].id"), ({"type": "film"}, "records[1].type"),
        ({"seconds": 5}, "records[1].seconds"), ({"type": "audio_stt", "seconds": -1}, "records[1].seconds"),
        ({"input_tokens": None}, "records[1]"), ({"input_tokens": -1}, "units.input"), ({"input_tokens": 1.5}, "records[1].input_tokens"),
        ({"started_at": "soon"}, "records[1].started_at"), ({"started_at": "2999-01-01"}, "records[1].started_at"),
        ({"duration_s": -1}, "records[1].duration_s"), ({"team": 5}, "records[1].team"), ({"teem": "a"}, "records[1].teem"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistaken_record_books_none(tmp_path: Path, changed: dict[str, Any], field: str) -> None:
    """400 with its place; the sender mends it and sends all again."""
    path = tmp_path / "ledger.db"
    told = client(path, accepts=True).post("/v1/usage/records", json={"records": [GOOD, {**GOOD, **changed}]})
    assert (told.status_code, told.json()["field"]) == (400, field)
    assert not path.exists()


def test_who_books_for_an_account_books_for_no_other(tmp_path: Path) -> None:
    """Its own is filled in, another's is refused; its ids take nobody else's place."""
    path = tmp_path / "ledger.db"
    tokens = {"0" * 64: Caller("reader")}
    asked = client(path, accepts=True, tokens=Tokens(tokens))
    tokens_of = Tokens.caller
    callers = {
        "acme": Caller("acme", {"account": "acme"}, books=True),
        "all": Caller("all", books=True),
        "reader": Caller("reader"),
    }

    def as_caller(_: Tokens, authorization: str) -> Caller:
        return callers[authorization]

    Tokens.caller = as_caller  # type: ignore[method-assign]
    try:
        for who, account, status in (
            ("acme", None, 200),
            ("acme", "acme", 200),
            ("acme", "other", 403),
            ("all", "other", 200),
            ("reader", None, 403),
        ):
            record = {**GOOD, "id": f"{account}", "account": account}
            told = asked.post("/v1/usage/records", json={"records": [record]}, headers={"Authorization": who})
            assert told.status_code == status, who
        foreign = message([call(id="e1", account="other"), call(id="e2", account="acme")]).SerializeToString()
        told = asked.post("/v1/logs", content=foreign, headers={**PROTOBUF, "Authorization": "acme"})
        assert logs.ExportLogsServiceResponse.FromString(told.content).partial_success.rejected_log_records == 1
    finally:
        Tokens.caller = tokens_of  # type: ignore[method-assign]
    assert booked(path, "id", "account") == [
        ("acme:None", "acme"),
        ("acme:acme", "acme"),
        ("other", "other"),
        ("e2", "acme"),
    ]


def test_a_server_that_reads_books_nothing(tmp_path: Path) -> None:
    """Unless it was started to."""
    path = tmp_path / "ledger.db"
    for route, said in (("/v1/usage/records", {"records": [GOOD]}), ("/v1/logs", {})):
        told = client(path).post(route, json=said)
        assert (told.status_code, told.json()["expected"]) == (403, "--accept")
    assert not path.exists()
