"""Two machines, two gateways: a trace that crosses machines is judged whole, and waits for its gateway on disk."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from stack import Stack

from collectors import agent, find_gateways, gateway, judge_at_once, make_certificate
from costspan.names import COST_USD
from otlp_receiver import Received, over_http
from stack_clients import needing_programs, new_job, post, request

TRACES = 40
#: A machine on which the name of the gateways says nothing.
LOST = "machine-lost"
MACHINES, GATEWAYS = ("machine-a", "machine-b"), ("gateway-a", "gateway-b")


class Fleet(NamedTuple):
    """A running fleet, and what each gateway let through."""

    stack: Stack
    received: tuple[Received, Received]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Generator[Fleet]:
    """Each machine may reach both gateways, each gateway has a trace store of its own."""
    folder = tmp_path_factory.mktemp("fleet")
    make_certificate(folder)
    with over_http() as (first, one), over_http() as (second, other):
        ways_in = [gateway(name, folder, store) for name, store in zip(GATEWAYS, (first, second), strict=True)]
        machines = [agent(name, folder, GATEWAYS[0]) for name in (*MACHINES, LOST)]
        machines[-1].environment["COSTSPAN_GATEWAY_HOST"] = "gateways.invalid"
        stack = needing_programs(lambda: Stack(folder / "stack", only=["prometheus"], more=[*ways_in, *machines]))
        for name in GATEWAYS:
            judge_at_once(stack, name)
        find_gateways(stack, MACHINES, GATEWAYS)
        with stack:
            yield Fleet(stack, (one, other))


def send(stack: Stack, count: int, *, fails_on_both: bool = False) -> set[bytes]:
    """Traces that begin well on one machine, or fail there too, and fail on the other; their ids."""
    providers = [TracerProvider(), TracerProvider()]
    for provider, name in zip(providers, MACHINES, strict=True):
        exporter = OTLPSpanExporter(f"{stack.url(name, 4318)}/v1/traces")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    caller, called = (provider.get_tracer("costspan") for provider in providers)
    sent: set[bytes] = set()
    for _ in range(count):
        with caller.start_as_current_span("agent") as outer:
            sent.add(outer.get_span_context().trace_id.to_bytes(16, "big"))
            if fails_on_both:
                outer.set_status(Status(StatusCode.ERROR))
            with called.start_as_current_span("chat", context=trace.set_span_in_context(outer)) as inner:
                inner.set_status(Status(StatusCode.ERROR))
    for provider in providers:
        provider.shutdown()
    return sent


def whole(received: Received, among: set[bytes]) -> set[bytes]:
    """The traces that came with both of their spans."""
    names: dict[bytes, set[str]] = {}
    for span in received.spans:
        names.setdefault(span.trace_id, set()).add(span.name)
    return {key for key, spans in names.items() if key in among and spans == {"agent", "chat"}}


def test_a_failed_trace_is_kept_with_the_spans_of_every_machine(fleet: Fleet) -> None:
    """The span that went well is known to belong to a failure, because both came to the same gateway."""
    sent = send(fleet.stack, TRACES)
    one, other = fleet.received
    fleet.stack.until(lambda: whole(one, sent) | whole(other, sent) == sent, "every trace is to arrive whole")
    assert not whole(one, sent) & whole(other, sent)
    assert min(len(whole(one, sent)), len(whole(other, sent))) >= TRACES // 10, "both gateways are used"


def test_spans_wait_on_disk_while_no_gateway_is_there(fleet: Fleet) -> None:
    """Also over the death of the machines' Collectors.

    When they are back each asks again at its own time, seconds apart, and here a gateway judges after one second: each
    half of these traces has a reason of its own to be kept.
    """
    fleet.stack.stop(*GATEWAYS)
    sent = send(fleet.stack, 5, fails_on_both=True)
    fleet.stack.kill(*MACHINES)
    fleet.stack.start(*MACHINES, *GATEWAYS)
    one, other = fleet.received
    fleet.stack.until(lambda: whole(one, sent) | whole(other, sent) == sent, "every trace is to arrive whole", 90)


def test_money_needs_no_choice_among_gateways(fleet: Fleet) -> None:
    """An agent that finds no gateway for its spans starts all the same, and its figures arrive."""
    job = new_job()
    assert post(fleet.stack.url(LOST, 4318), request(job, COST_USD)) == 200
    arrived = f'llm_cost_usd_total{{job="{job}"}}'
    fleet.stack.until(lambda: fleet.stack.value(arrived) == 1.5, "the money is to arrive")
