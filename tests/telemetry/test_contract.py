"""What the documentation says is emitted is emitted: every metric with its labels, every attribute, every outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ways
from answers import completion, error, whole
from budgeted import budgeted
from caller import KINDS, Caller
from costspan import attribution, estimate, guard, instrumentor, names, reserve
from costspan.calls import patching
from costspan.facts import call as outcomes
from provider import Provider
from watching import Watched

_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}

_BUDGETS = """
anomaly: {do: alert}
budgets:
  - {name: none, period: day, limit_usd: 0, scope: {task_type: refused}, hard: true, overage: false}
  - {name: all, period: day, limit_usd: 10, hard: true, overage: false}
  - {name: told, period: day, limit_requests: 1, thresholds: [{at: 33.30, do: [alert]}]}
"""


@pytest.fixture
def told(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Everything that one process emits which met most of what there is: points by metric, spans, events."""
    monkeypatch.setattr(guard, "faults", {"test": 1})
    monkeypatch.setitem(patching.degraded, "test", "moved")
    with budgeted(tmp_path, _BUDGETS) as watched:
        keeper = instrumentor.pipeline and instrumentor.pipeline.keeper
        assert keeper
        assert keeper.watch
        keeper.watch.counted["hour", "search", None] = 1
        with attribution(task_type="refused"):
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        with (
            reserve(account="a", amount_usd=1),
            estimate(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}]),
            attribution(session="s", task_type="t", source="x", team="y", account="a"),
        ):
            for kind, way, reply in (
                ("chat", ways.whole, whole(completion(usage=_USAGE, service_tier="default"))),
                ("chat", ways.whole, whole(completion(usage=None))),
                ("chat", ways.whole, error(429)),
                ("chat", ways.to_the_end, None),
                ("messages", ways.closed_at_once, None),
            ):
                provider.replies.extend([reply] if reply else [])
                Caller(KINDS[kind], provider.url, "sync").run(way)
        kept = [dict(span.attributes or {}) for span in watched.spans()]
        kept += [dict(event.attributes) for event in watched.events()]
        yield {"points": _points(watched), "kept": kept}


def _points(watched: Watched) -> dict[str, list[dict[str, Any]]]:
    """The labels of all points, by metric, of one collection: sessions are told once."""
    points: dict[str, list[dict[str, Any]]] = {metric.name: [] for metric in names.METRICS}
    data = watched.reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points[metric.name] += [dict(point.attributes or {}) for point in metric.data.data_points]
    return points


def test_every_documented_metric_is_emitted_with_its_labels(told: dict[str, Any]) -> None:
    """No metric stands in the contract before it exists."""
    assert [name for name, points in told["points"].items() if not points] == []
    for metric in names.METRICS:
        for labels in told["points"][metric.name]:
            assert set(labels) <= set(metric.labels)
        assert {name for labels in told["points"][metric.name] for name in labels} == set(metric.labels)


def test_every_documented_attribute_and_outcome_is_emitted(told: dict[str, Any]) -> None:
    """On a metric, a span or a usage event; of a process that is scraped, test_scraped.py looks for its identity."""
    found = [*told["kept"], *[labels for points in told["points"].values() for labels in points]]
    documented = {attribute.name for attribute in names.ATTRIBUTES} - {names.PROCESS}
    assert {name for labels in found for name in labels} >= documented
    assert {labels[names.OUTCOME] for labels in found if names.OUTCOME in labels} == set(outcomes.OUTCOMES)
