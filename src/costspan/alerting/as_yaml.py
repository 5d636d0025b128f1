"""Generated YAML: the same text for the same content on every machine, long expressions as blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Content: TypeAlias = "str | int | float | bool | Mapping[str, Content] | Sequence[Content] | None"

# A text that no YAML version reads as anything else: it starts with a letter, holds no space and no sign of YAML; or
# it is a length of time.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|[1-9][0-9]*[smhdw]")
# Texts that YAML 1.1 reads as a boolean or null.
_TAKEN: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Between single quotes everything stands for itself.
_SINGLE: Final = re.compile(r"[ !#-&(-~]*\"[ -&(-~]*")
_LAST_SHORT: Final = 0xFFFF
_BLOCK: Final = re.compile(r"[!-~][ -~]*(\n *[!-~][ -~]*)+")


def dump(content: Content, *, title: str) -> str:
    """The YAML text, with the title as comment above it."""
    comment = "".join(f"# {''.join(map(_escaped, line))}\n" for line in title.splitlines())
    return comment + "\n".join(_lines(content)) + "\n"


def _lines(content: Content) -> Iterator[str]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _entry(f"{_scalar(key)}:", value)
    elif isinstance(content, Sequence) and not isinstance(content, str) and content:
        for item in content:
            yield from _item(item)
    else:
        yield _scalar(content)


def _entry(start: str, value: Content) -> Iterator[str]:
    if isinstance(value, str) and _BLOCK.fullmatch(value):
        yield f"{start} |-"
        yield from (f"  {line}" for line in value.split("\n"))
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str) and value:
        yield start
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{start} {_scalar(value)}"


def _item(item: Content) -> Iterator[str]:
    lines = _lines(item)
    yield f"- {next(lines)}"
    yield from (f"  {line}" for line in lines)


def _scalar(value: Content) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _TAKEN:
            return value
        return f"'{value}'" if _SINGLE.fullmatch(value) else _quoted(value)
    return json.dumps(value)  # a number, true, false, null, [] or {}


def _quoted(text: str) -> str:
    """Between double quotes, with escapes for all that cannot be seen."""
    return "".join(_escaped(character) for character in json.dumps(text, ensure_ascii=False))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"
