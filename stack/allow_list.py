"""Writes the names of src/costspan/names.py into collector-config/allow-list.yaml, where a Collector can read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import yaml

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
    """Every metric that may pass: ours, and what a Collector before this one reports of refused points."""
    return sorted(metric.name for metric in (*names.METRICS, names.POINTS_REFUSED))


def labels() -> list[str]:
    """Every label that may stay on a metric. The account is one by opt-in (OTEL_COSTSPAN_ACCOUNT_METRICS)."""
    ours = {label for metric in names.METRICS for label in metric.labels}
    return sorted(ours | {names.ACCOUNT, names.PROCESS, names.REFUSED_REASON, _OVERFLOW})


def attributes() -> list[str]:
    """Every attribute that may stay on a span or usage event, or on their resource: redaction looks at both."""
    ours = (attribute.name for attribute in names.ATTRIBUTES if not attribute.name.startswith("costspan."))
    return sorted((*ours, *RESOURCE))


def written(text: str) -> str:
    """The file with its lists as they should be; a ValueError with the line where a list is not found."""
    lists = (
        (
            "not (",
            r'(?<=\n)(?: +metric\.name == "[^"]+"(?: or)?\n)+',
            _lines(metrics(), '{0}metric.name == "{1}" or', 12),
        ),
        *(
            (head, rf"(?<={re.escape(head)}\n)[^\]]+\n(?= +\])", _lines(words, '{0}"{1}",', 14))
            for head, words in (
                ("keep_keys(datapoint.attributes, [", labels()),
                ("keep_keys(resource.attributes, [", RESOURCE),
            )
        ),
        ("    allowed_keys:", r"(?<=    allowed_keys:\n)(?: +- \S+\n)+", _lines(attributes(), "{0}- {1}", 6)),
    )
    for head, pattern, lines in lists:
        text = _replace(text, head, pattern, lines)
    _check(text)
    return text


def _lines(words: Iterable[str], form: str, indent: int) -> str:
    """A line for each word; the last one without the comma or `or` that parts it from the next."""
    text = "".join(form.format(" " * indent, word) + "\n" for word in words)
    return re.sub(r"( or|,)\n$", "\n", text)


def _replace(text: str, head: str, pattern: str, by: str) -> str:
    replaced, count = re.subn(pattern, lambda _: by, text)
    if count != 1:
        at = [number for number, line in enumerate(text.splitlines(), 1) if head in line]
        raise ValueError(
            f"{FILE}:{(at or [1])[-1]}: {head.strip()}: {count} lists of names follow this: expected one, a name a line"
        )
    return replaced


def _check(text: str) -> None:
    """A ValueError with the line where it is no YAML."""
    try:
        yaml.safe_load(text)
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise ValueError(f"{FILE}:{line}: is not valid YAML: {fault.problem}") from fault
