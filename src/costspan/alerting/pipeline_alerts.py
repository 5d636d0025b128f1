"""Alerts about the way of telemetry: Collectors, Prometheus and Alertmanager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costspan.alerting.literals import matches, selector
from costspan.alerting.rule import CRITICAL, JOB, WARNING, Alert
from costspan.alerting.series import (
    COLLECTOR_FILTERED,
    COLLECTOR_LOSSES,
    COLLECTOR_QUEUE_CAPACITY,
    COLLECTOR_QUEUE_SIZE,
    COLLECTOR_STRANGERS,
    NOTIFICATION_LOSSES,
    PIPELINE_JOBS,
    PROMETHEUS_LOSSES,
    REACHED,
)
from costspan.alerting.spend import indented, scraped_growth, summed
from costspan.names import POINTS_REFUSED, REFUSED_REASON, prometheus_label

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHERE: Final = f"{JOB} ({{{{ $labels.instance }}}})"


def _counted_elsewhere(*counters: str) -> str:
    """PromQL: any of these counters of services has grown in the last 10 minutes."""
    return "\nor\n".join(f"{summed(scraped_growth(counter, '10m'), 'job, instance')} > 0" for counter in counters)


def pipeline_alerts() -> Iterator[Alert]:
    """The alerts that depend on no budget and on no program."""
    yield Alert(
        "LlmPipelineDown",
        f"{selector(REACHED, matches('job', PIPELINE_JOBS))} == 0",
        CRITICAL,
        f"{_WHERE} is down: what it should pass on waits or is lost, and budgets are blind to it",
        "Prometheus has not reached it for five minutes. Programs that send to it keep their calls until it is back.",
        held="5m",
    )
    yield Alert(
        "LlmPipelineLoss",
        _counted_elsewhere(*COLLECTOR_LOSSES, *PROMETHEUS_LOSSES),
        CRITICAL,
        f"{_WHERE} loses telemetry",
        "About {{ $value | humanize }} points were refused or thrown away in the last 10 minutes.",
    )
    yield _points_refused()
    yield Alert(
        "LlmWrongToken",
        _counted_elsewhere(*COLLECTOR_STRANGERS),
        WARNING,
        f"{_WHERE} refuses somebody who has no token, or a wrong one",
        "About {{ $value | humanize }} requests in the last 10 minutes. If it is one of ours, its spend is not seen.",
    )
    yield Alert(
        "LlmNotificationsFailed",
        _counted_elsewhere(*NOTIFICATION_LOSSES),
        CRITICAL,
        f"{_WHERE} cannot send notifications: budgets may be crossed unheard",
        "About {{ $value | humanize }} in the last 10 minutes failed for good.",
    )
    yield Alert(
        "LlmPipelineQueueFull",
        f"{COLLECTOR_QUEUE_SIZE} / {COLLECTOR_QUEUE_CAPACITY} >= 0.8",
        WARNING,
        "The queue of {{ $labels.exporter }} in the Collector is {{ $value | humanizePercentage }} full",
        "The store behind it does not take what arrives. When the queue is full, programs have to wait.",
        held="5m",
    )


def _points_refused() -> Alert:
    """By the name of the sender, as the Collectors of this repository tell it; of other Collectors only their counters."""
    reason = prometheus_label(REFUSED_REASON)
    named = f"count by (job, {reason}) (max_over_time({POINTS_REFUSED.prometheus}[10m]))"
    sender = f"{JOB} sends points that cannot be counted ({{{{ $labels.{reason} }}}}): its spend is not seen in full"
    unnamed = f"{_WHERE} drops LLM cost points: a program exports delta, stale or invalid values"
    why = (
        f"{{{{ $value }}}} processes of {JOB} in the last 10 minutes. delta: unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE "
        "there; time: its clock is more than 45 days behind; value, kind: it is broken, or not costspan."
    )
    return Alert(
        "LlmPointsRefused",
        f"{named}\nor on () (\n{indented(_counted_elsewhere(*COLLECTOR_FILTERED))}\n)",
        WARNING,
        f"{{{{ if $labels.{reason} }}}}{sender}{{{{ else }}}}{unnamed}{{{{ end }}}}",
        f"{{{{ if $labels.{reason} }}}}{why}{{{{ else }}}}About {{{{ $value | humanize }}}} points in the last 10 minutes.{{{{ end }}}}",
    )
