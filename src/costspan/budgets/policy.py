"""budgets.yaml, the only place where a limit stands: read it, or say every mistake in it with its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import yaml

from costspan.budgets.periods import PERIODS
from costspan.facts import attribution_words as words
from costspan.facts.periods import zone
from costspan.names import PROVIDER, REQUEST_MODEL

if TYPE_CHECKING:
    from pathlib import Path

USD: Final = "usd"
TOKENS: Final = "tokens"

#: What a scope may name, and the attribute that carries it.
DIMENSIONS: Final[Mapping[str, str]] = {
    **{word: words.ATTRIBUTE_OF[word] for word in (words.TEAM, words.TASK_TYPE, words.SOURCE)},
    "provider": PROVIDER,
    "model": REQUEST_MODEL,
}
DEFAULT_THRESHOLDS: Final = (Decimal(50), Decimal(80), Decimal(100))

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER: Final = re.compile(r"(-)?(0|[1-9][0-9_]*)(\.[0-9]+)?")
_LONGEST_FILE_BYTES: Final = 1_000_000
_MOST_USD: Final = Decimal(1_000_000_000)
_MOST_TOKENS: Final = Decimal(10**15)
_MOST_PERCENT: Final = Decimal(1_000)
_MOST_CHARACTERS: Final = 200
_MOST_TOLD: Final = 60
# Prometheus reads labels and annotations as templates.
_TEMPLATE: Final = "{{"


@dataclass(frozen=True)
class Budget:
    """One limit. `limit` is in `unit`, thresholds are in percent of it, `each` names the dimension of which every
    value has this limit for itself. An empty scope is all spend.
    """

    name: str
    period: str
    unit: Literal["usd", "tokens"]
    limit: Decimal
    scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    each: str | None = None
    thresholds: tuple[Decimal, ...] = DEFAULT_THRESHOLDS
    owner: str = ""


@dataclass(frozen=True)
class Anomaly:
    """When an hour is unlike the same hour of other weeks: so many times the usual spend, and at least `floor_usd`."""

    factor: Decimal = Decimal(3)
    floor_usd: Decimal = Decimal(1)


@dataclass(frozen=True)
class Policy:
    """All of a budgets.yaml. `runbooks` is the address of the folder in which the runbook pages are published,
    `grafana` that of the dashboards: the links of the alerts begin with them.
    """

    budgets: tuple[Budget, ...]
    time_zone: str = "UTC"
    anomaly: Anomaly = Anomaly()
    runbooks: str = "https://github.com/costspan/costspan/blob/main/prometheus/runbooks"
    grafana: str = "http://localhost:3000"


class Mistake(NamedTuple):
    """One mistake: the line it stands in (0: the file as a whole), the key, and what was expected."""

    line: int
    key: str
    expected: str


class PolicyError(ValueError):
    """The file is refused; `mistakes` are all that was found, and the message has one line for each."""

    def __init__(self, path: str, mistakes: list[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(mistakes)
        super().__init__(
            "\n".join(
                f"{path}:{line}: {key}: {expected}" if line else f"{path}: {expected}"
                for line, key, expected in self.mistakes
            )
        )


def load(path: Path) -> Policy:
    """The policy of a file. Raises PolicyError."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE_BYTES + 1)
    except OSError as fault:
        raise PolicyError(str(path), [Mistake(0, "file", f"cannot be read: {fault.strerror}")]) from fault
    if len(content) > _LONGEST_FILE_BYTES:
        raise PolicyError(str(path), [Mistake(0, "file", "has more than 1,000,000 bytes: expected a list of budgets")])
    return parse(content, str(path))


def parse(content: bytes | str, path: str = "budgets.yaml") -> Policy:
    """The policy of a file's content; `path` is only for the messages. Raises PolicyError."""
    root = _composed(content, path)
    reader = _Reader()
    policy = reader.policy(root)
    if reader.mistakes or policy is None:
        raise PolicyError(path, reader.mistakes)
    return policy


def receivers(content: str, path: str) -> tuple[str, ...]:
    """The names of the receivers in a piece of Alertmanager configuration. Raises PolicyError."""
    root = _composed(content, path)
    values = dict(_pairs(root)) if isinstance(root, yaml.MappingNode) else {}
    if values:
        _continues(content, root, path)
    for word in ("route", "inhibit_rules"):
        if word in values:
            fault = Mistake(
                _line(values[word]), word, "is written by costspan: expected only receivers, global, templates"
            )
            raise PolicyError(path, [fault])
    listed = values.get("receivers")
    entries: list[Any] = listed.value if isinstance(listed, yaml.SequenceNode) else []
    names = [dict(_pairs(entry)).get("name") for entry in entries if isinstance(entry, yaml.MappingNode)]
    found = tuple(str(name.value) for name in names if isinstance(name, yaml.ScalarNode))
    if "default" not in found:
        raise PolicyError(path, [Mistake(1, "receivers", "expected a list of receivers with one named `default`")])
    return found


def _continues(content: str, root: Any, path: str) -> None:
    """Refuse what would be another document, or none, below the routes that are written above it."""
    starts = [
        event for event in yaml.parse(content, Loader=yaml.SafeLoader) if isinstance(event, yaml.DocumentStartEvent)
    ]
    if root.flow_style or root.start_mark.column or any(start.explicit for start in starts):
        expected = "has to stand below the routes: expected `receivers:` in the first column, without `---` and braces"
        raise PolicyError(path, [Mistake(1, "receivers", expected)])


def _composed(content: bytes | str, path: str) -> Any:
    """The nodes of the one YAML document: they keep their lines, and keys that come twice."""
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = mark.line + 1 if mark else 1
        raise PolicyError(
            path, [Mistake(line, "yaml", f"is not valid YAML: {fault.problem or fault.context}")]
        ) from fault
    except yaml.YAMLError as fault:
        told = " ".join(str(fault).split())
        raise PolicyError(path, [Mistake(1, "yaml", f"is not valid YAML: {told}")]) from fault
    except RecursionError as fault:
        raise PolicyError(path, [Mistake(1, "yaml", "is nested too deeply: expected a list of budgets")]) from fault


def _line(node: Any) -> int:
    return node.start_mark.line + 1


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    for key, value in node.value:
        yield (key.value if isinstance(key, yaml.ScalarNode) else "?"), value


def _told(node: Any) -> str:
    """The value of a node as a message shows it."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    text = str(node.value)
    return "empty" if not text else repr(text if len(text) <= _MOST_TOLD else text[:_MOST_TOLD] + "...")


def _kind(node: Any) -> str:
    return node.tag.rpartition(":")[2]


# Reads the node of one key; None where it was refused.
_Read: TypeAlias = Callable[[str, Any], object]


class _Reader:
    """Reads nodes into records and gathers the mistakes on the way."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._names: dict[str, int] = {}

    def refuse(self, key: str, node: Any, expected: str) -> None:
        self.mistakes.append(Mistake(_line(node), key, expected))

    # -- the file ------------------------------------------------------------------------------------------

    def policy(self, root: Any) -> Policy | None:
        if not isinstance(root, yaml.MappingNode):
            self.mistakes.append(Mistake(1, "file", "is no mapping: expected the keys `time_zone` and `budgets`"))
            return None
        read = self.fields("", root, {
            "time_zone": self.time_zone, "budgets": self.budgets, "anomaly": self.anomaly, "runbooks": self.words,
            "grafana": self.words,
        }, required=("budgets",))  # fmt: skip
        return None if self.mistakes else Policy(**read)

    def fields(self, path: str, node: Any, words: Mapping[str, _Read], *, required: tuple[str, ...]) -> dict[str, Any]:
        """What the known keys of a mapping say. Unknown, repeated and missing keys are mistakes."""
        read: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if not key.isprintable() or not key:
                key = _told(key_node)
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

    def time_zone(self, key: str, node: Any) -> str | None:
        name = self.words(key, node)
        try:
            zone(name or "UTC")
        except ValueError as fault:
            self.refuse(key, node, str(fault))
        return name

    def anomaly(self, key: str, node: Any) -> Anomaly | None:
        if not isinstance(node, yaml.MappingNode):
            return self.refuse(key, node, f"is {_told(node)}: expected the keys factor, floor_usd")
        read = self.fields(key, node, {
            "factor": lambda place, value: self.number(place, value, Decimal(1), _MOST_PERCENT, "a factor above 1", above=True),
            "floor_usd": self.usd,
        }, required=())  # fmt: skip
        return Anomaly(**read)

    def budgets(self, key: str, node: Any) -> tuple[Budget | None, ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.refuse(key, node, f"is {_told(node)}: expected a list with at least one budget")
            return ()
        return tuple(self.budget(f"{key}[{index}]", each) for index, each in enumerate(node.value))

    # -- one budget ----------------------------------------------------------------------------------------

    def budget(self, path: str, node: Any) -> Budget | None:
        if not isinstance(node, yaml.MappingNode):
            return self.refuse(
                path, node, f"is {_told(node)}: expected a budget with name, period, limit_usd or limit_tokens"
            )
        before = len(self.mistakes)
        read = self.fields(path, node, {
            "name": self.name, "period": self.period, "limit_usd": self.usd, "limit_tokens": self.tokens,
            "scope": self.scope, "each": self.each, "thresholds": self.thresholds, "owner": self.words,
        }, required=("name", "period"))  # fmt: skip
        limits = [word for word in ("limit_usd", "limit_tokens") if word in read]
        if len(limits) != 1:
            self.refuse(path, node, f"has {len(limits) or 'no'} limits: expected either limit_usd or limit_tokens")
        if len(self.mistakes) > before:
            return None
        limit = read.pop(limits[0])
        return Budget(unit=USD if limits[0] == "limit_usd" else TOKENS, limit=limit, **read)

    def name(self, key: str, node: Any) -> str | None:
        name = self.words(key, node)
        if name is None:
            return None
        if not _NAME.fullmatch(name):
            return self.refuse(
                key, node, f"is {_told(node)}: expected 1 to 63 small letters, digits, - and _, a letter or digit first"
            )
        if name in self._names:
            return self.refuse(
                key, node, f"{name!r} stands already in line {self._names[name]}: expected a name of its own"
            )
        self._names[name] = _line(node)
        return name

    def period(self, key: str, node: Any) -> str | None:
        return self.one_of(key, node, tuple(PERIODS))

    def each(self, key: str, node: Any) -> str | None:
        return self.one_of(key, node, tuple(DIMENSIONS))

    def usd(self, key: str, node: Any) -> Decimal | None:
        return self.number(
            key, node, Decimal(0), _MOST_USD, "an amount of USD from 0 (which allows none) to 1,000,000,000"
        )

    def tokens(self, key: str, node: Any) -> Decimal | None:
        expected = "a whole number of tokens from 0 (which allows none) to 10^15"
        read = self.number(key, node, Decimal(0), _MOST_TOKENS, expected)
        if read is not None and read % 1:
            return self.refuse(key, node, f"is {node.value}: expected {expected}")
        return read

    def scope(self, key: str, node: Any) -> dict[str, tuple[str, ...]] | None:
        if not isinstance(node, yaml.MappingNode) or not node.value:
            return self.refuse(
                key, node, f"is {_told(node)}: expected one or more of {', '.join(DIMENSIONS)} with its value"
            )
        return self.fields(key, node, dict.fromkeys(DIMENSIONS, self.values), required=())

    def values(self, key: str, node: Any) -> tuple[str, ...] | None:
        """One word, or a list of words."""
        if not isinstance(node, yaml.SequenceNode):
            word = self.words(key, node)
            return None if word is None else (word,)
        if not node.value:
            return self.refuse(key, node, "is an empty list: expected at least one value")
        read = [self.words(f"{key}[{index}]", each) for index, each in enumerate(node.value)]
        if len(set(read)) < len(read):
            return self.refuse(key, node, "has a value twice: expected each once")
        return tuple(word for word in read if word is not None)

    def thresholds(self, key: str, node: Any) -> tuple[Decimal, ...] | None:
        expected = "percentages above 0, up to 1000, each once, the smallest first, e.g. [50, 80, 100]"
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            return self.refuse(key, node, f"is {_told(node)}: expected a list of {expected}")
        numbers = [
            self.number(
                f"{key}[{index}]", each, Decimal(0), _MOST_PERCENT, "a percentage above 0, up to 1000", above=True
            )
            for index, each in enumerate(node.value)
        ]
        read = [number for number in numbers if number is not None]
        if any(one >= next_one for one, next_one in itertools.pairwise(read)):
            return self.refuse(key, node, f"are not in order: expected {expected}")
        return tuple(read)

    # -- single values -------------------------------------------------------------------------------------

    def words(self, key: str, node: Any) -> str | None:
        """A text. What YAML reads as something else (`on`, `2024-01-01`, `null`) has to be quoted."""
        if not isinstance(node, yaml.ScalarNode) or _kind(node) != "str":
            hint = f' (in quotes: "{node.value}")' if isinstance(node, yaml.ScalarNode) and node.value else ""
            return self.refuse(key, node, f"is {_told(node)}: expected a text{hint}")
        text = str(node.value)
        if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or _TEMPLATE in text:
            return self.refuse(
                key, node, f"is {_told(node)}: expected 1 to 200 printable characters without {_TEMPLATE}"
            )
        return text

    def one_of(self, key: str, node: Any, allowed: tuple[str, ...]) -> str | None:
        if isinstance(node, yaml.ScalarNode) and _kind(node) == "str" and node.value in allowed:
            return str(node.value)
        return self.refuse(key, node, f"is {_told(node)}: expected one of {', '.join(allowed)}")

    def number(
        self, key: str, node: Any, least: Decimal, most: Decimal, expected: str, *, above: bool = False
    ) -> Decimal | None:
        """A number read from its text, so that 0.1 is 0.1. YAML's octal, hexadecimal and base-60 forms are refused."""
        match = _NUMBER.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
        if match is None or _kind(node) not in {"int", "float"}:
            return self.refuse(key, node, f"is {_told(node)}: expected {expected}, as digits without unit or quotes")
        read = Decimal(node.value.replace("_", ""))
        if read < least or read > most or (above and read == least):
            return self.refuse(key, node, f"is {node.value}: expected {expected}")
        return read
