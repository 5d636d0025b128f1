"""A label that tells the series of this process from any other's, where its resource does not.

Counters begin at zero with each process. Two that write one series, at once or one after the other, overwrite each
other, and spend is read too low. The SDK gives each process a `service.instance.id` of its own, unless somebody else has
set one: OTEL_RESOURCE_ATTRIBUTES, an operator of Kubernetes, the program. What is scraped has `instance`, a host and a
port, which the next process on that port has too. docs/decisions/0077-an-identity-of-our-own.md
"""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk import resources
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID

from costspan import guard, names

_EXPORTER: Final = "opentelemetry.exporter.prometheus"


class Identity:
    """Of one metric reader, in this process."""

    def __init__(self, reader: Any) -> None:
        self._is_scraped = any(each.__module__.startswith(_EXPORTER) for each in type(reader).__mro__)
        self.renew()

    def renew(self) -> None:
        """In a forked child: it is another process."""
        self.id = uuid.uuid4().hex[:16]

    @guard.guarded("sdk.identity")
    def added(self, metrics_data: Any) -> Any:
        """The data with the identity among the labels of every point of ours, where the resource is not enough."""
        found = metrics_data.resource_metrics
        told = [
            each
            if self._is_told_by(each.resource)
            else replace(each, scope_metrics=[labelled(scope, self.id) for scope in each.scope_metrics])
            for each in found
        ]
        return replace(metrics_data, resource_metrics=told)

    def label(self, resource: Any) -> str | None:
        """The identity that points of this resource carry; None where the resource is enough."""
        return None if self._is_told_by(resource) else self.id

    def _is_told_by(self, resource: Any) -> bool:
        return not self._is_scraped and is_of_this_process(resource.attributes.get(SERVICE_INSTANCE_ID))


def is_of_this_process(instance_id: object) -> bool:
    """Whether the SDK made this id, for this process (since its release 1.45)."""
    made = getattr(resources, "_service_instance_id", None)
    made_in = getattr(resources, "_service_instance_id_pid", None)
    return made is not None and instance_id == made and made_in == os.getpid()


def labelled(scope: Any, identity: str) -> Any:
    """A scope of ours with an identity among the labels of its points."""
    if scope.scope.name != names.SCOPE:
        return scope
    return replace(scope, metrics=[replace(metric, data=_data(metric.data, identity)) for metric in scope.metrics])


def _data(data: Any, identity: str) -> Any:
    points = [
        replace(each, attributes={**(each.attributes or {}), names.PROCESS: identity}) for each in data.data_points
    ]
    return replace(data, data_points=points)
