"""Texts as PromQL, Alertmanager's matchers and templates read them: the one place where a value is put between quotes.

Whatever a text holds, it is read back as it was, or it is refused. (YAML has a writer of its own: as_yaml.py.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The escapes that PromQL and both of Alertmanager's parsers of matchers have in common.
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
# https://pkg.go.dev/regexp/syntax; Python's re.escape also escapes what RE2 takes for a mistake in other versions.
_REGEX: Final = str.maketrans({sign: f"\\{sign}" for sign in r"\.+*?()|[]{}^$"})


def quoted(text: str) -> str:
    """A string literal. Raises ValueError for what some reader of it cannot write."""
    if not text.replace("\n", "").isprintable():
        raise ValueError(f"{text!r} has signs that cannot be printed: no label of a rule has them")
    return f'"{text.translate(_ESCAPES)}"'


def equals(label: str, value: str) -> str:
    """The matcher of one value."""
    return f"{label}={quoted(value)}"


def matches(label: str, regex: str) -> str:
    """The matcher of a regular expression."""
    return f"{label}=~{quoted(regex)}"


def differs(label: str, regex: str) -> str:
    """The matcher of all that a regular expression does not match."""
    return f"{label}!~{quoted(regex)}"


def regex(values: Iterable[str]) -> str:
    """The regular expression (RE2) that matches these values and nothing else."""
    return "|".join(value.translate(_REGEX) for value in values)


def one_of(label: str, values: Iterable[str]) -> str:
    """The matcher of these values."""
    first, *rest = values
    return matches(label, regex((first, *rest))) if rest else equals(label, first)


def selector(name: str, *matchers: str, **values: str) -> str:
    """A metric with matchers and with labels that have these values; the bare name where there are none."""
    chosen = ", ".join([*(equals(label, value) for label, value in values.items()), *matchers])
    return f"{name}{{{chosen}}}" if chosen else name


def labels(values: Mapping[str, str]) -> str:
    """Labels as promtool's tests want to see them."""
    return selector("", **values) or "{}"


def as_template(text: str) -> str:
    """A text as Prometheus' templates of labels and annotations print it, also beside another one."""
    return text.replace("{", '{{"{"}}')
