"""The nodes of a YAML file, read into plain values; every mistake is kept with its line, its key and what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import yaml

from costspan.budgets.policy import Mistake, PolicyError

_NUMBER: Final = re.compile(r"(-)?(0|[1-9][0-9_]*)(\.[0-9]+)?")
_MOST_CHARACTERS: Final = 200
_MOST_TOLD: Final = 60
# Prometheus reads labels and annotations as templates.
_TEMPLATE: Final = "{{"
_SWITCH: Final = {"true": True, "false": False}


def composed(content: bytes | str, path: str) -> Any:
    """The nodes of the one YAML document: they keep their lines, and keys that come twice. Raises PolicyError."""
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = mark.line + 1 if mark else 1
        raise PolicyError(
            path, [Mistake(line, "yaml", f"is not valid YAML: {fault.problem or fault.context}")]
        ) from fault
    except yaml.YAMLError as fault:
        said = " ".join(str(fault).split())
        raise PolicyError(path, [Mistake(1, "yaml", f"is not valid YAML: {said}")]) from fault
    except RecursionError as fault:
        raise PolicyError(path, [Mistake(1, "yaml", "is nested too deeply: expected a list of budgets")]) from fault


def starts_explicitly(content: str) -> bool:
    """Whether a document of the content begins with `---`."""
    events = yaml.parse(content, Loader=yaml.SafeLoader)
    return any(event.explicit for event in events if isinstance(event, yaml.DocumentStartEvent))


def line_of(node: Any) -> int:
    """The line in which a node begins."""
    return node.start_mark.line + 1


def is_mapping(node: Any) -> bool:
    """Whether a node is a mapping."""
    return isinstance(node, yaml.MappingNode)


def is_list(node: Any) -> bool:
    """Whether a node is a list."""
    return isinstance(node, yaml.SequenceNode)


def is_word(node: Any) -> bool:
    """Whether a node is a single value."""
    return isinstance(node, yaml.ScalarNode)


def pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Keys and nodes of a mapping."""
    for key, value in node.value:
        yield (key.value if is_word(key) else "?"), value


def told(node: Any) -> str:
    """The value of a node as a message shows it."""
    if is_mapping(node):
        return "a mapping"
    if is_list(node):
        return "a list"
    text = str(node.value)
    return "empty" if not text else repr(text if len(text) <= _MOST_TOLD else text[:_MOST_TOLD] + "...")


def _kind(node: Any) -> str:
    return node.tag.rpartition(":")[2]


#: Reads the node of one key; None where it was refused.
Read: TypeAlias = Callable[[str, Any], object]


class Reader:
    """Reads nodes into values and gathers the mistakes on the way."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def refuse(self, key: str, node: Any, expected: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(line_of(node), key, expected))

    def fields(self, path: str, node: Any, words: Mapping[str, Read], *, required: tuple[str, ...]) -> dict[str, Any]:
        """What the known keys of a mapping say. Unknown, repeated and missing keys are mistakes."""
        read: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value) if is_word(key_node) else ""
            if not key.isprintable() or not key:
                key = told(key_node)
            place = f"{path}.{key}" if path else key
            if key not in words:
                self.refuse(place, key_node, f"is no key here: expected one of {', '.join(words)}")
            elif key in seen:
                self.refuse(place, key_node, "comes twice: expected it once")
            else:
                read[key] = words[key](place, value)
            seen.add(key)
        for key in required:
            if key not in seen:
                self.refuse(f"{path}.{key}" if path else key, node, "is missing: expected it here")
        return read

    def words(self, key: str, node: Any) -> str | None:
        """A text. What YAML reads as something else (`on`, `2024-01-01`, `null`) has to be quoted."""
        if not is_word(node) or _kind(node) != "str":
            hint = f' (in quotes: "{node.value}")' if is_word(node) and node.value else ""
            return self.refuse(key, node, f"is {told(node)}: expected a text{hint}")
        text = str(node.value)
        if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or _TEMPLATE in text:
            return self.refuse(
                key, node, f"is {told(node)}: expected 1 to 200 printable characters without {_TEMPLATE}"
            )
        return text

    def values(self, key: str, node: Any) -> tuple[str, ...] | None:
        """One word, or a list of words."""
        if not is_list(node):
            word = self.words(key, node)
            return None if word is None else (word,)
        if not node.value:
            return self.refuse(key, node, "is an empty list: expected at least one value")
        read = [self.words(f"{key}[{index}]", each) for index, each in enumerate(node.value)]
        if len(set(read)) < len(read):
            return self.refuse(key, node, "has a value twice: expected each once")
        return tuple(word for word in read if word is not None)

    def one_of(self, key: str, node: Any, allowed: tuple[str, ...]) -> str | None:
        """One of these words."""
        if is_word(node) and _kind(node) == "str" and node.value in allowed:
            return str(node.value)
        return self.refuse(key, node, f"is {told(node)}: expected one of {', '.join(allowed)}")

    def switch(self, key: str, node: Any) -> bool | None:
        """`true` or `false`."""
        if is_word(node) and _kind(node) == "bool" and node.value.lower() in _SWITCH:
            return _SWITCH[node.value.lower()]
        return self.refuse(key, node, f"is {told(node)}: expected true or false, without quotes")

    def number(
        self, key: str, node: Any, least: Decimal, most: Decimal, expected: str, *, above: bool = False
    ) -> Decimal | None:
        """A number read from its text, so that 0.1 is 0.1. YAML's octal, hexadecimal and base-60 forms are refused."""
        match = _NUMBER.fullmatch(str(node.value)) if is_word(node) else None
        if match is None or _kind(node) not in {"int", "float"}:
            return self.refuse(key, node, f"is {told(node)}: expected {expected}, as digits without unit or quotes")
        read = Decimal(node.value.replace("_", ""))
        if read < least or read > most or (above and read == least):
            return self.refuse(key, node, f"is {node.value}: expected {expected}")
        return read

    def whole(self, key: str, node: Any, least: int, most: int, expected: str) -> Decimal | None:
        """A whole number."""
        read = self.number(key, node, Decimal(least), Decimal(most), expected)
        if read is not None and read % 1:
            return self.refuse(key, node, f"is {node.value}: expected {expected}")
        return read
