"""An identity for every process in the labels of what Prometheus scrapes from it.

What is pushed carries the process in its resource. What is scraped has `instance`, a host and a port, which the next
process on that port has too: its counters begin at zero under the same labels, and spend would be read too low.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from costspan import guard, names

_EXPORTER: Final = "opentelemetry.exporter.prometheus"


def identity(reader: Any) -> str | None:
    """A new identity for what this reader serves; None for one that pushes, whose resource says it."""
    is_scraped = any(each.__module__.startswith(_EXPORTER) for each in type(reader).__mro__)
    return uuid.uuid4().hex[:16] if is_scraped else None


@guard.guarded("sdk.scraped")
def identified(metrics_data: Any, identity: str) -> Any:
    """The data with the identity among the labels of every point of ours."""
    resources = [
        replace(resource, scope_metrics=[_labelled(scope, identity) for scope in resource.scope_metrics])
        for resource in metrics_data.resource_metrics
    ]
    return replace(metrics_data, resource_metrics=resources)


def _labelled(scope: Any, identity: str) -> Any:
    if scope.scope.name != names.SCOPE:
        return scope
    return replace(scope, metrics=[replace(metric, data=_data(metric.data, identity)) for metric in scope.metrics])


def _data(data: Any, identity: str) -> Any:
    points = [
        replace(each, attributes={**(each.attributes or {}), names.PROCESS: identity}) for each in data.data_points
    ]
    return replace(data, data_points=points)
