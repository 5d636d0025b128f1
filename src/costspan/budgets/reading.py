"""budgets.yaml, the only place where a limit stands: read it, or say every mistake in it with its line."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from costspan.budgets import contradictions, periods
from costspan.budgets.nodes import Reader, composed, is_list, is_mapping, is_word, line_of, pairs, told
from costspan.budgets.policy import (
    ACTIONS,
    CLOSED,
    DEFAULT_ACTIONS,
    DIMENSIONS,
    OPEN,
    REFUSE,
    REQUESTS,
    UNITS,
    USD,
    Anomaly,
    Budget,
    Mistake,
    Policy,
    PolicyError,
    Threshold,
    Unit,
)
from costspan.facts.attribution_words import SESSION
from costspan.facts.periods import zone

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LONGEST_FILE_BYTES: Final = 1_000_000
_MOST_USD: Final = Decimal(1_000_000_000)
_MOST_TOKENS: Final = 10**15
_MOST_REQUESTS: Final = 10**12
_MOST_PERCENT: Final = Decimal(1_000)
_MOST_FACTOR: Final = Decimal(1_000)
_FEWEST_IN_A_LOOP: Final = 5
_MOST_IN_A_LOOP: Final = 10_000
_LAST_DAY: Final = 31
_LIMITS: Final[dict[str, Unit]] = {f"limit_{unit}": unit for unit in UNITS}
_PERCENTAGES: Final = "percentages above 0, up to 1000, each once, the smallest first, e.g. [50, 80, 100]"
#: The two stops for a session that runs away, by the key of the file: what budget each of them is.
_STOPS: Final[dict[str, tuple[str, str, Unit]]] = {
    "max_usd_per_session": ("max-usd-per-session", periods.SESSION.name, USD),
    "max_calls_per_minute": ("max-calls-per-minute", "1m", REQUESTS),
}
_ANOMALY: Final = ("factor", "floor_usd", "session_factor", "loop_calls", "do")
#: What a file may be for that has no budgets.
_WATCHES: Final = {"anomaly", *_STOPS}


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
    root = composed(content, path)
    reader = _PolicyReader()
    policy = reader.policy(root)
    if reader.mistakes or policy is None:
        raise PolicyError(path, reader.mistakes)
    return policy


class _PolicyReader(Reader):
    """Reads nodes into the records of a policy."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, int] = {}

    # -- the file ------------------------------------------------------------------------------------------

    def policy(self, root: Any) -> Policy | None:
        if not is_mapping(root):
            self.mistakes.append(Mistake(1, "file", "is no mapping: expected the keys `time_zone` and `budgets`"))
            return None
        nodes = dict(pairs(root))
        read = self.fields("", root, {
            "time_zone": self.time_zone, "budgets": self.budgets, "anomaly": self.anomaly, "runbooks": self.words,
            "grafana": self.words, "max_usd_per_session": self.usd, "max_calls_per_minute": self.requests,
        }, required=() if nodes.keys() & _WATCHES else ("budgets",))  # fmt: skip
        if self.mistakes:
            return None
        stops = [self.stop(key, line_of(nodes[key]), read.pop(key)) for key in _STOPS if key in read]
        limits = [limit for budget in read.pop("budgets", ()) for limit in budget] + [stop for stop in stops if stop]
        self.mistakes += contradictions.found(limits)
        return None if self.mistakes else Policy(budgets=tuple(limits), **read)

    def stop(self, key: str, line: int, limit: Decimal) -> Budget | None:
        """The hard budget that a stop for sessions is."""
        name, period, unit = _STOPS[key]
        if name in self._names:
            self.mistakes.append(Mistake(
                line, key, f"is a budget {name!r}, and there is one in line {self._names[name]}: expected another name there"
            ))  # fmt: skip
            return None
        full = (Threshold(Decimal(100)),)
        return Budget(
            name, period, unit, limit, {}, SESSION, full, hard=True, overage=False, declared=name, place=(line, key)
        )  # fmt: skip

    def time_zone(self, key: str, node: Any) -> str | None:
        name = self.words(key, node)
        try:
            zone(name or "UTC")
        except ValueError as fault:
            self.refuse(key, node, str(fault))
        return name

    def anomaly(self, key: str, node: Any) -> Anomaly | None:
        if not is_mapping(node):
            return self.refuse(key, node, f"is {told(node)}: expected the keys {', '.join(_ANOMALY)}")
        readers = (self.factor, self.usd, self.factor, self.loop_calls, self.telling)
        read = self.fields(key, node, dict(zip(_ANOMALY, readers, strict=True)), required=())
        return Anomaly(actions=read.pop("do", DEFAULT_ACTIONS), is_declared=True, **read)

    def telling(self, key: str, node: Any) -> tuple[str, ...] | None:
        """What happens at an anomaly: it refuses nothing."""
        return self.actions(key, node, tuple(action for action in ACTIONS if action != REFUSE))

    def factor(self, key: str, node: Any) -> Decimal | None:
        return self.number(key, node, Decimal(1), _MOST_FACTOR, "a factor above 1, up to 1000", above=True)

    def loop_calls(self, key: str, node: Any) -> int | None:
        expected = f"a whole number of calls from {_FEWEST_IN_A_LOOP} to {_MOST_IN_A_LOOP:,}"
        read = self.whole(key, node, _FEWEST_IN_A_LOOP, _MOST_IN_A_LOOP, expected)
        return None if read is None else int(read)

    def budgets(self, key: str, node: Any) -> tuple[tuple[Budget, ...], ...]:
        if not is_list(node) or not node.value:
            self.refuse(key, node, f"is {told(node)}: expected a list with at least one budget")
            return ()
        return tuple(self.budget(f"{key}[{index}]", each) for index, each in enumerate(node.value))

    # -- one budget ----------------------------------------------------------------------------------------

    def budget(self, path: str, node: Any) -> tuple[Budget, ...]:
        """The limits of a budget, or none of them where something in it is refused."""
        if not is_mapping(node):
            self.refuse(path, node, f"is {told(node)}: expected a budget with name, period, limit_usd or limit_tokens")
            return ()
        before = len(self.mistakes)
        read = self.fields(path, node, {
            "name": self.name, "period": self.period, "rolling": self.rolling, "begins_on": self.begins_on,
            "limit_usd": self.usd, "limit_tokens": self.tokens, "limit_requests": self.requests,
            "scope": self.scope, "each": self.each, "thresholds": self.thresholds, "owner": self.words,
            "hard": self.switch, "overage": self.switch, "on_failure": self.on_failure,
        }, required=("name",))  # fmt: skip
        nodes = dict(pairs(node))
        if not nodes.keys() & _LIMITS.keys():
            self.refuse(path, node, f"has no limits: expected {', '.join(_LIMITS)}, or several of them")
        self._check_period(path, node, nodes, read)
        if len(self.mistakes) == before:
            self._check_refusals(path, nodes, read)
        return () if len(self.mistakes) > before else _limits(path, nodes, read)

    def _check_period(self, path: str, node: Any, nodes: dict[str, Any], read: dict[str, Any]) -> None:
        """One period, and nothing beside it that has no meaning with it."""
        if "period" not in nodes and "rolling" not in nodes:
            self.refuse(f"{path}.period", node, "is missing: expected period, or rolling")
        elif "period" in nodes and "rolling" in nodes:
            self.refuse(f"{path}.rolling", nodes["rolling"], "stands beside period: expected one of both")
        elif "begins_on" in nodes and read.get("period") != periods.MONTH.name:
            self.refuse(f"{path}.begins_on", nodes["begins_on"], "is for months: expected it beside `period: month`")
        elif "each" in nodes and read.get("period") == periods.SESSION.name:
            self.refuse(
                f"{path}.each", nodes["each"], "stands beside `period: session`, which is for each session: expected one of both"
            )  # fmt: skip

    def _check_refusals(self, path: str, nodes: dict[str, Any], read: dict[str, Any]) -> None:
        """What is said of refusing fits together."""
        for word, expected in contradictions.of_refusals(read):
            self.refuse(f"{path}.{word}", nodes[word], expected)

    def name(self, key: str, node: Any) -> str | None:
        name = self.words(key, node)
        if name is None:
            return None
        if not _NAME.fullmatch(name):
            return self.refuse(
                key, node, f"is {told(node)}: expected 1 to 63 small letters, digits, - and _, a letter or digit first"
            )
        if name in self._names:
            return self.refuse(
                key, node, f"{name!r} stands already in line {self._names[name]}: expected a name of its own"
            )
        self._names[name] = line_of(node)
        return name

    def period(self, key: str, node: Any) -> str | None:
        return self.one_of(key, node, tuple(periods.PERIODS))

    def rolling(self, key: str, node: Any) -> str | None:
        if is_word(node) and periods.window(str(node.value)):
            return str(node.value)
        return self.refuse(key, node, f"is {told(node)}: expected minutes, hours or days up to 31d, e.g. 90m, 24h, 7d")

    def begins_on(self, key: str, node: Any) -> int | None:
        expected = "a day of the month from 1 to 31 (a month without that day begins on its last)"
        read = self.whole(key, node, 1, _LAST_DAY, expected)
        return None if read is None else int(read)

    def each(self, key: str, node: Any) -> str | None:
        return self.one_of(key, node, tuple(DIMENSIONS))

    def on_failure(self, key: str, node: Any) -> str | None:
        return self.one_of(key, node, (OPEN, CLOSED))

    def usd(self, key: str, node: Any) -> Decimal | None:
        return self.number(
            key, node, Decimal(0), _MOST_USD, "an amount of USD from 0 (which allows none) to 1,000,000,000"
        )

    def tokens(self, key: str, node: Any) -> Decimal | None:
        return self.whole(key, node, 0, _MOST_TOKENS, "a whole number of tokens from 0 (which allows none) to 10^15")

    def requests(self, key: str, node: Any) -> Decimal | None:
        return self.whole(key, node, 0, _MOST_REQUESTS, "a whole number of calls from 0 (which allows none) to 10^12")

    def scope(self, key: str, node: Any) -> dict[str, tuple[str, ...]] | None:
        if not is_mapping(node) or not node.value:
            return self.refuse(
                key, node, f"is {told(node)}: expected one or more of {', '.join(DIMENSIONS)} with its value"
            )
        return self.fields(key, node, dict.fromkeys(DIMENSIONS, self.values), required=())

    # -- thresholds ----------------------------------------------------------------------------------------

    def thresholds(self, key: str, node: Any) -> tuple[Threshold, ...] | None:
        if not is_list(node) or not node.value:
            return self.refuse(key, node, f"is {told(node)}: expected a list of {_PERCENTAGES}")
        each = [self.threshold(f"{key}[{index}]", item) for index, item in enumerate(node.value)]
        read = [threshold for threshold in each if threshold is not None]
        if any(one.percent >= other.percent for one, other in itertools.pairwise(read)):
            return self.refuse(key, node, f"are not in order: expected {_PERCENTAGES}")
        return tuple(read)

    def threshold(self, key: str, node: Any) -> Threshold | None:
        """A percentage, or what happens at one: `{at: 80, do: [alert, callback]}`."""
        if not is_mapping(node):
            percent = self.percent(key, node)
            return None if percent is None else Threshold(percent)
        read = self.fields(key, node, {"at": self.percent, "do": self.actions}, required=("at",))
        if read.get("at") is None or ("do" in read and read["do"] is None):
            return None
        return Threshold(read["at"], **({"actions": read["do"]} if "do" in read else {}))

    def percent(self, key: str, node: Any) -> Decimal | None:
        return self.number(key, node, Decimal(0), _MOST_PERCENT, "a percentage above 0, up to 1000", above=True)

    def actions(self, key: str, node: Any, known: tuple[str, ...] = ACTIONS) -> tuple[str, ...] | None:
        """One action, or a list of them, in the order of those that are known."""
        if not is_list(node):
            one = self.one_of(key, node, known)
            return None if one is None else (one,)
        read = [self.one_of(f"{key}[{index}]", each, known) for index, each in enumerate(node.value)]
        if not read or len(set(read)) < len(read):
            return self.refuse(key, node, f"has none or one twice: expected one or more of {', '.join(known)}")
        return None if None in read else tuple(sorted(map(str, read), key=known.index))


def _limits(path: str, nodes: dict[str, Any], read: dict[str, Any]) -> tuple[Budget, ...]:
    """One record for each limit of a budget."""
    amounts: dict[Unit, Decimal] = {unit: read.pop(key) for key, unit in _LIMITS.items() if key in read}
    name, day, rolling = read.pop("name"), read.pop("begins_on", 1), read.pop("rolling", None)
    period = rolling or read.pop("period")
    if period == periods.MONTH.name:
        period = periods.month_from(day).name
    if period == periods.SESSION.name:
        read["each"] = SESSION
    read["hard"] = read.get("hard", not read.get("overage", True))
    read["overage"] = not read["hard"]
    return tuple(
        Budget(
            name=name if len(amounts) == 1 else f"{name}:{unit}",
            period=period,
            unit=unit,
            limit=amount,
            declared=name,
            place=(line_of(nodes[f"limit_{unit}"]), f"{path}.limit_{unit}"),
            **read,
        )
        for unit, amount in amounts.items()
    )
