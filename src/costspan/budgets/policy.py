"""What a budgets.yaml says: its limits, and what happens at which part of them. `reading.py` reads it, or says every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeAlias

from costspan.budgets import periods
from costspan.facts import attribution_words as words
from costspan.facts.money import NANO_PER_USD
from costspan.names import PROVIDER, REQUEST_MODEL

Unit: TypeAlias = Literal["usd", "tokens", "requests"]
USD: Final = "usd"
TOKENS: Final = "tokens"
REQUESTS: Final = "requests"
#: What a limit may count, in the order in which the limits of one budget are told. The key is `limit_` and the word.
UNITS: Final[tuple[Unit, ...]] = (USD, TOKENS, REQUESTS)

#: What counters carry, and the attribute that carries it: what rules can choose by.
COUNTED_DIMENSIONS: Final[Mapping[str, str]] = {
    **{word: words.ATTRIBUTE_OF[word] for word in (words.TEAM, words.TASK_TYPE, words.SOURCE)},
    "provider": PROVIDER,
    "model": REQUEST_MODEL,
}
#: What a scope may name: these, and what only the ledger knows of every call.
DIMENSIONS: Final[Mapping[str, str]] = {
    **COUNTED_DIMENSIONS,
    **{word: words.ATTRIBUTE_OF[word] for word in (words.ACCOUNT, words.SESSION)},
}

LOG: Final = "log"
ALERT: Final = "alert"
CALLBACK: Final = "callback"
REFUSE: Final = "refuse"
#: What may happen at a threshold.
ACTIONS: Final = (LOG, ALERT, CALLBACK, REFUSE)
DEFAULT_ACTIONS: Final = (LOG, ALERT)

#: What a hard budget does where it cannot be known what is spent: let the call pass, or refuse it.
OPEN: Final = "open"
CLOSED: Final = "closed"

_FULL_PERCENT: Final = Decimal(100)


class Threshold(NamedTuple):
    """A part of the limit, in percent, and what happens when it is reached."""

    percent: Decimal
    actions: tuple[str, ...] = DEFAULT_ACTIONS


DEFAULT_THRESHOLDS: Final = tuple(Threshold(Decimal(percent)) for percent in (50, 80, 100))


@dataclass(frozen=True)
class Budget:
    """One limit. `limit` is in `unit`, thresholds are in percent of it, `each` names the dimension of which every
    value has this limit for itself. An empty scope is all spend. `period` is the name of a `budgets.periods.Span`.

    A budget of the file that has several limits is several of these. `declared` is then its name in the file, and `name`
    is that and the unit: `plan:tokens`.

    `hard`: a call that may pass the limit is refused. `overage`: what passes the limit is wanted, and billed on.
    `on_failure`: what a hard limit does where nobody can say what is spent. `place`: the line and key of the limit.
    """

    name: str
    period: str
    unit: Unit
    limit: Decimal
    scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    each: str | None = None
    thresholds: tuple[Threshold, ...] = DEFAULT_THRESHOLDS
    owner: str = ""
    hard: bool = False
    overage: bool = True
    on_failure: Literal["open", "closed"] = OPEN
    declared: str = field(default="", compare=False)
    place: tuple[int, str] = field(default=(0, ""), compare=False)

    @property
    def span(self) -> periods.Span:
        """The period that the limit is for."""
        return periods.of(self.period)

    @property
    def percents(self) -> tuple[Decimal, ...]:
        """The thresholds in percent of the limit, the smallest first."""
        return tuple(threshold.percent for threshold in self.thresholds)

    @property
    def alerting(self) -> tuple[Decimal, ...]:
        """The thresholds at which an alert tells somebody, in percent."""
        return tuple(threshold.percent for threshold in self.thresholds if ALERT in threshold.actions)

    @property
    def refuses_from(self) -> Decimal | None:
        """The amount, in the unit, that no call may pass: of a soft limit, none. A threshold that refuses lowers it."""
        if not self.hard:
            return None
        percents = [each.percent for each in self.thresholds if REFUSE in each.actions]
        return self.limit * min([*percents, _FULL_PERCENT]) / 100

    def counted(self, amount: Decimal) -> Decimal:
        """An amount of the unit as the ledger counts it: USD in nano-USD, which need not be a whole number of them."""
        return amount * NANO_PER_USD if self.unit == USD else amount

    def reached(self, amount: int) -> tuple[Threshold, ...]:
        """The thresholds that an amount, as the ledger counts it, has reached. Of a limit of nothing, the least thing does."""
        at = (self.counted(self.limit * each.percent / 100) for each in self.thresholds)
        return tuple(each for each, least in zip(self.thresholds, at, strict=True) if amount >= least and amount)


@dataclass(frozen=True)
class Anomaly:
    """What is unusual: an hour with `factor` times the spend of that hour on other days, a session with `session_factor` times
    that of other sessions of its task type, both from `floor_usd` on; and a loop, from `loop_calls` calls with growing prompts on.

    `actions` are what happens then: of a file that says nothing of anomalies, the alert alone. Programs look for them where the file
    says something (`is_declared`).
    """

    factor: Decimal = Decimal(3)
    floor_usd: Decimal = Decimal(1)
    session_factor: Decimal = Decimal(10)
    loop_calls: int = 20
    actions: tuple[str, ...] = (ALERT,)
    is_declared: bool = field(default=False, compare=False)


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
