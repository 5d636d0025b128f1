"""Numbers in metrics: none that an exporter cannot encode, whatever was summed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from costspan import guard, instrumentor, names
from costspan.facts.usage import Usage
from costspan.metrics import numbers
from ledger_calls import COST, call
from watching import Watched

_MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("value", "exported"),
    [
        (0, 0),
        (7, 7),
        (1.5, 1.5),
        (_MOST, _MOST),
        (_MOST + 1, _MOST),
        (2**70, _MOST),
        (math.inf, None),
        (-math.inf, None),
        (math.nan, None),
    ],
)
def test_a_value_is_exported_as_far_as_it_can_be(value: float, exported: float | None) -> None:
    """Integers have 64 bits; what says nothing is left out. Both are counted."""
    guard.faults.clear()
    assert numbers.number(value) == exported
    assert guard.faults == ({} if value == exported else {numbers.PLACE: 1})
    guard.faults.clear()


def test_sums_without_bounds_leave_every_metric_alive() -> None:
    """Counts, money and sessions beyond what can be encoded: all of it is exported, and what is right stays right."""
    with Watched() as watched:
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        assert pipeline.sessions is not None
        huge = call(usage=Usage({"input": 2**70, "output": 10**400}), price=replace(COST, nano_usd=10**400))
        for made in (huge, huge, call(team="other")):
            pipeline.totals.add(made, "202611", "20261129")
            pipeline.sessions.add(made)
        pipeline.dispatcher.put(call(session=None))
        watched.calls()
        data = watched.reader.get_metrics_data()
        assert data is not None
        encoded = encode_metrics(data)
    found = {
        metric.name: metric
        for resource in encoded.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {names.SESSION_COST_USD.name, names.COST_USD.name, names.DAY_TOKENS.name} <= set(found)
    assert sum(point.as_int for point in found[names.REQUESTS.name].sum.data_points) == 3
    cost = [point.as_double for point in found[names.COST_USD.name].sum.data_points]
    assert min(cost) == COST.nano_usd / 1e9
    assert all(map(math.isfinite, cost))
    guard.faults.clear()
