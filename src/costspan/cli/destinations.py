"""What `costspan doctor` says about the way of the telemetry: exporters, endpoints, who listens, instance ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Final

from packaging.version import Version

from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.emit.reach import SIGNALS, endpoint, listens
from costspan.settings import has_otlp_endpoint

_CARRIES: Final = {"TRACES": "spans", "METRICS": "counters, and so cost", "LOGS": "usage events"}
# The SDK gives every process an id of its own from this version on (ServiceInstanceIdResourceDetector).
_SDK_WITH_IDS: Final = Version("1.44")

#: How counters are sent: `cumulative`, `delta` or `lowmemory`.
TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


def telemetry(environ: Mapping[str, str]) -> Iterator[Finding]:
    """For each signal, where it goes, and whether somebody listens there."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding("telemetry", NOTE, "OTEL_SDK_DISABLED is true: no telemetry is sent; the ledger does not need it")
        return
    if environ.get("OTEL_CONFIG_FILE"):
        yield Finding("telemetry", NOTE, f"OTEL_CONFIG_FILE={environ['OTEL_CONFIG_FILE']} decides where telemetry goes")
        return
    if not metadata.entry_points(group="opentelemetry_configurator"):
        yield _no_configurator(environ)
        return
    for signal in SIGNALS:
        yield _signal(signal, environ)
    if environ.get(TEMPORALITY, "").strip().lower() == "delta":
        yield Finding(
            "telemetry", WRONG,
            f"{TEMPORALITY} is delta: the Collector of costspan's stack refuses deltas, and no spend arrives there. Take it "
            "away, unless metrics go to a backend of your own that adds deltas up",
        )  # fmt: skip


def instances(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether every process has a `service.instance.id` of its own: without it the counters of two look like one's."""
    topic = "instance ids"
    said = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    names = [pair.partition("=")[0].strip() for pair in said.split(",")]
    version = metadata.version("opentelemetry-sdk")
    if "service.instance.id" in names or Version(version) < _SDK_WITH_IDS:
        reason = (
            "OTEL_RESOURCE_ATTRIBUTES sets service.instance.id, for every process and restart the same"
            if "service.instance.id" in names
            else f"opentelemetry-sdk {version} sets no service.instance.id"
        )
        yield Finding(
            topic, OK,
            f"{reason}: the metrics of each process carry costspan_process as well, which no Collector and no relabelling "
            "may drop",
        )  # fmt: skip
    else:
        yield Finding(topic, OK, f"opentelemetry-sdk {version} gives every process a service.instance.id of its own")
    if "prometheus" in environ.get("OTEL_METRICS_EXPORTER", ""):
        yield Finding(
            topic, NOTE,
            "metrics are scraped (OTEL_METRICS_EXPORTER=prometheus): what a process counts after its last scrape, and what "
            "its forked children count, reaches no budget. A restart is told apart by the label costspan_process, "
            "which no relabelling may drop. For exact budgets, push by OTLP",
        )  # fmt: skip
    if not environ.get("OTEL_SERVICE_NAME") and "service.name" not in names:
        yield Finding(topic, NOTE, "no service name is set (OTEL_SERVICE_NAME): the figures come from unknown_service")


def _no_configurator(environ: Mapping[str, str]) -> Finding:
    missing = "no package here sets up the SDK for opentelemetry-instrument: pip install opentelemetry-distro"
    if has_otlp_endpoint(environ):
        return Finding("telemetry", WRONG, f"an OTLP endpoint is configured, but nothing is sent: {missing}")
    return Finding("telemetry", NOTE, f"nothing is sent unless the program sets up the SDK itself ({missing})")


def _signal(signal: str, environ: Mapping[str, str]) -> Finding:
    what = f"{signal.lower()} ({_CARRIES[signal]})"
    exporters = [name.strip() for name in environ.get(f"OTEL_{signal}_EXPORTER", "otlp").split(",")]
    if exporters == ["none"]:
        return Finding("telemetry", NOTE, f"{what} go nowhere: OTEL_{signal}_EXPORTER is none")
    if not any(name.startswith("otlp") for name in exporters):
        return Finding("telemetry", OK, f"{what} go to the exporter {' and '.join(exporters)}")
    host, port, is_chosen = endpoint(signal, environ)
    where = f"{what} go by OTLP to {host}:{port}"
    if listens(host, port):
        return Finding("telemetry", OK, f"{where}, and somebody listens there")
    if is_chosen:
        return Finding("telemetry", WRONG, f"{where}, where nobody listens")
    return Finding(
        "telemetry",
        NOTE,
        f"{where} under opentelemetry-instrument: no endpoint is set, and nobody listens there; `costspan run` sends nothing",
    )
