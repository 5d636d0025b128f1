"""Vendors' telemetry beside costspan: it exports what it exports alone, and each call has its cost on one span."""
# Walks through attributes of any shape:
# pyright: basic

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from answers import error
from costspan import names
from launching import COSTSPAN, INSTRUMENT, rows, start
from provider import Provider
from stand_in_process import client_environment
from vendor_sink import attributes, sink, value
from vendors import CALLS, PROGRAM, VENDORS, Vendor


class Way(NamedTuple):
    """How costspan comes into a program: the command before `python`, what is said to the program."""

    before: list[str]
    word: str
    alone: str = "alone"  # the way to compare with


ALONE: Final = {"alone": Way([], ""), "launched alone": Way([INSTRUMENT], "")}
WAYS: Final = {
    "costspan run": Way([COSTSPAN, "run"], ""),
    "by hand, before": Way([], "before"),
    "by hand, after": Way([], "after"),
    "opentelemetry-instrument": Way([INSTRUMENT], "", "launched alone"),
}


class Ended(NamedTuple):
    """What a program left behind: what it got from its calls, what its vendor sent, what the ledger holds."""

    got: list[str]
    spans: list[tuple[str, dict[str, Any]]]  # scope, and the span
    records: list[tuple[str, dict[str, Any]]]
    metrics: dict[tuple[str, str], Any]
    rows: list[dict[str, Any]]


def _run(vendor: Vendor, way: str, provider: Provider, home: Path) -> Ended:
    """The program, to its end."""
    before, word, _ = {**ALONE, **WAYS}[way]
    home.mkdir()
    (home / "program.py").write_text(PROGRAM.format(setup=vendor.setup, end=vendor.end))
    (home / "prices.json").write_text("{}")
    provider.reset()
    provider.replies.append(error(400))
    with sink() as (address, sent):
        ended = start(
            [*before, sys.executable, "program.py", word], home, SINK=address, OTEL_COSTSPAN_LEDGER="on",
            **client_environment(provider.url), **vendor.environ, **_launched(way, vendor, address),
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    got = next(line for line in ended.stdout.splitlines() if line.startswith("GOT"))
    return Ended(
        json.loads(got.removeprefix("GOT")), list(_spans(sent["traces"])), list(_records(sent["logs"])),
        dict(_metrics(sent["metrics"])), rows(home),
    )  # fmt: skip


def _launched(way: str, vendor: Vendor, address: str) -> dict[str, str]:
    """The environment of OpenTelemetry's launcher: an endpoint, and of the instrumentations the vendor's own and ours."""
    if INSTRUMENT not in {**ALONE, **WAYS}[way].before:
        return {}
    kept = {vendor.entry} | ({"costspan"} if way in WAYS else set())
    found = {entry.name for entry in metadata.entry_points(group="opentelemetry_instrumentor")}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(found - kept),
    }


def _spans(requests: Iterable[Any]) -> Generator[tuple[str, dict[str, Any]]]:
    scoped = [
        (within.scope.name, attributes(of.resource.attributes), span)
        for request in requests for of in request.resource_spans for within in of.scope_spans for span in within.spans
    ]  # fmt: skip
    named = {span.span_id: span.name for _, _, span in scoped}
    once = {span.span_id: (scope, resource, span) for scope, resource, span in scoped}  # two exporters may have sent it
    for scope, resource, span in sorted(once.values(), key=lambda each: each[2].start_time_unix_nano):
        if attributes(span.attributes).get("logfire.span_type") == "pending_span":  # sent by the clock
            continue
        yield scope, {
            "name": span.name, "kind": span.kind, "status": (span.status.code, span.status.message),
            "parent": named.get(span.parent_span_id, bool(span.parent_span_id)),
            "events": [(event.name, attributes(event.attributes)) for event in span.events],
            "links": len(span.links), "resource": resource, "attributes": attributes(span.attributes),
        }  # fmt: skip


def _records(requests: Iterable[Any]) -> Generator[tuple[str, dict[str, Any]]]:
    for request in requests:
        for of in request.resource_logs:
            for within in of.scope_logs:
                for record in within.log_records:
                    yield within.scope.name, {
                        "name": record.event_name, "severity": record.severity_number, "body": value(record.body),
                        "attributes": attributes(record.attributes),
                    }  # fmt: skip


def _metrics(requests: Iterable[Any]) -> Generator[tuple[tuple[str, str], Any]]:
    """Of each metric: unit, and of each series the count of a histogram or the value of a sum."""
    for request in requests:
        for of in request.resource_metrics:
            for within in of.scope_metrics:
                for metric in within.metrics:
                    points = getattr(metric, metric.WhichOneof("data")).data_points
                    yield (within.scope.name, metric.name), (metric.unit, sorted(map(_point, points)))


def _point(point: Any) -> tuple[str, Any]:
    labels = json.dumps(_lasting(attributes(point.attributes)), sort_keys=True)
    return labels, point.count if hasattr(point, "count") else getattr(point, point.WhichOneof("value"))


#: What differs from one run to the next: ids, times, and what is told of this process.
_PASSING: Final = re.compile(
    r"(^|[._])(id|ids|pid|uuid|time|duration|latency|timestamp|lineno|ttft|tbt|hash|stacktrace|json_schema)$|time_(to|per)_|"
    r"^process\.|^gen_ai\.response\.time"
)


def _lasting(said: Any) -> Any:
    """Without ids and times, also those within texts."""
    if isinstance(said, dict):
        return {name: _lasting(item) for name, item in said.items() if not _PASSING.search(name)}
    if isinstance(said, (list, tuple)):
        return [_lasting(item) for item in said]
    return re.sub(r"\b[0-9a-f]{16,}\b|\d+[.:]\d+[\d.:]*", "0", said) if isinstance(said, str) else said


#: What costspan writes on a span of somebody else.
_ADDED: Final = {attribute.name for attribute in names.ATTRIBUTES}


def _changes(alone: dict[str, Any], watched: dict[str, Any], added: set[str]) -> dict[str, Any]:
    """What of a span or record is other than without us; `added` are attributes that it may have more."""
    before, after = (
        {**said, **said["attributes"], "attributes": None} for said in (_lasting(alone), _lasting(watched))
    )
    expected = {**before, **{name: after[name] for name in added & after.keys() - before.keys()}}
    return {
        name: (expected.get(name), after.get(name))
        for name in expected.keys() | after.keys()
        if expected.get(name) != after.get(name)
    }


def _theirs(scoped: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item for scope, item in scoped if scope != "costspan"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_exports_what_it_exports_alone(vendor: str, provider: Provider, tmp_path: Path) -> None:
    """Its spans, records and metrics are what they are without us but for ids and times; each call has one cost, exact."""
    missing = [module for module in VENDORS[vendor].needs if find_spec(module) is None]
    if missing:
        pytest.skip(f"{vendor} is not installed here: `make test-matrix` has an environment with it")
    alone = {name: _run(VENDORS[vendor], name, provider, tmp_path / name) for name in ALONE}
    for name, way in WAYS.items():
        watched, bare = _run(VENDORS[vendor], name, provider, tmp_path / name), alone[way.alone]
        assert watched.got == bare.got, name
        assert bare.spans, name
        for kind in ("spans", "records"):
            theirs, before = _theirs(getattr(watched, kind)), _theirs(getattr(bare, kind))
            assert [item["name"] for item in theirs] == [item["name"] for item in before], name
            added = (_ADDED if kind == "spans" else set()) | VENDORS[vendor].gains
            assert [_changes(*pair, added) for pair in zip(before, theirs, strict=True)] == [{}] * len(theirs), name
        assert {key: said for key, said in watched.metrics.items() if key[0] != "costspan"} == bare.metrics, name
        assert [_row(row) for row in sorted(watched.rows, key=lambda row: row["started_ns"])] == CALLS, name
        assert len(watched.spans) - len(_theirs(watched.spans)) == VENDORS[vendor].beside, name
        costs = [said["attributes"].get(names.COST_AMOUNT) for _, said in watched.spans]
        kept = [row for row in watched.rows if VENDORS[vendor].exports_abandoned or row["outcome"] != "abandoned"]
        assert _sorted(costs) == _sorted(row["cost_nano_usd"] and row["cost_nano_usd"] / 1e9 for row in kept), name


def _sorted(amounts: Iterable[float | None]) -> list[float]:
    return sorted(amount for amount in amounts if amount is not None)


def _row(row: dict[str, Any]) -> tuple[str, str | None, int | None]:
    return row["outcome"], row["quality"], None if row["quality"] == "estimated" else row["cost_nano_usd"]
