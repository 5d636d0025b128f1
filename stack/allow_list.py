"""Writes the names of src/costspan/names.py into collector-config/allow-list.yaml, where a Collector can read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from costspan import names
from stack.compose import ROOT

FILE: Final = ROOT / "collector-config" / "allow-list.yaml"

#: The SDK's own mark of a counter that had too many sets of labels: an alert watches it.
_OVERFLOW: Final = "otel.metric.overflow"

#: Attributes of a resource that may stay: enough to tell processes apart, no command line, no environment.
RESOURCE: Final = (
    "deployment.environment.name", "host.name", "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "process.pid",
    "service.instance.id", "service.name", "service.namespace", "service.version", "telemetry.sdk.language",
    "telemetry.sdk.name", "telemetry.sdk.version",
)  # fmt: skip


def metrics() -> list[str]:
    """Every metric that may pass."""
    return sorted(metric.name for metric in names.METRICS)


def labels() -> list[str]:
    """Every label that may stay on a metric. The account is one by opt-in (OTEL_COSTSPAN_ACCOUNT_METRICS)."""
    return sorted({label for metric in names.METRICS for label in metric.labels} | {names.ACCOUNT, _OVERFLOW})


def attributes() -> list[str]:
    """Every attribute that may stay on a span or usage event, or on their resource: redaction looks at both."""
    ours = (attribute.name for attribute in names.ATTRIBUTES if not attribute.name.startswith("costspan."))
    return sorted((*ours, *RESOURCE))


def written(text: str) -> str:
    """The file with its lists as they should be."""
    text = _replace(
        text, r'(?: +metric\.name == "[^"]+"(?: or)?\n)+', _lines(metrics(), '{0}metric.name == "{1}" or', 12)
    )
    text = _replace(
        text, r"(?<=keep_keys\(datapoint\.attributes, \[\n)[^\]]+\n(?= +\])", _lines(labels(), '{0}"{1}",', 14)
    )
    text = _replace(
        text, r"(?<=keep_keys\(resource\.attributes, \[\n)[^\]]+\n(?= +\])", _lines(RESOURCE, '{0}"{1}",', 14)
    )
    return _replace(text, r"(?<=    allowed_keys:\n)(?: +- \S+\n)+", _lines(attributes(), "{0}- {1}", 6))


def _lines(words: Iterable[str], form: str, indent: int) -> str:
    """A line for each word; the last one without the comma or `or` that parts it from the next."""
    text = "".join(form.format(" " * indent, word) + "\n" for word in words)
    return re.sub(r"( or|,)\n$", "\n", text)


def _replace(text: str, pattern: str, by: str) -> str:
    replaced, count = re.subn(pattern, lambda _: by, text)
    if count != 1:
        raise ValueError(f"{FILE.name}: expected one place like {pattern!r}, found {count}: do not reshape its lists")
    return replaced


def write(file: Path = FILE) -> None:
    """Bring the file up to date."""
    file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
