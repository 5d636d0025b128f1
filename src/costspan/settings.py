"""Every environment variable of costspan: name, default, one sentence. The launcher turns each into a flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

OTEL_COSTSPAN_ENABLED: Final = "OTEL_COSTSPAN_ENABLED"
OTEL_COSTSPAN_LEDGER: Final = "OTEL_COSTSPAN_LEDGER"
OTEL_COSTSPAN_PRICES: Final = "OTEL_COSTSPAN_PRICES"
OTEL_COSTSPAN_ASK_USAGE: Final = "OTEL_COSTSPAN_ASK_USAGE"
OTEL_COSTSPAN_HOSTS: Final = "OTEL_COSTSPAN_HOSTS"
OTEL_COSTSPAN_TIME_ZONE: Final = "OTEL_COSTSPAN_TIME_ZONE"
OTEL_COSTSPAN_SPANS: Final = "OTEL_COSTSPAN_SPANS"
OTEL_COSTSPAN_EVENTS: Final = "OTEL_COSTSPAN_EVENTS"
OTEL_COSTSPAN_SESSION_METRICS: Final = "OTEL_COSTSPAN_SESSION_METRICS"
OTEL_COSTSPAN_SESSION_LIMIT: Final = "OTEL_COSTSPAN_SESSION_LIMIT"
OTEL_COSTSPAN_ACCOUNT_METRICS: Final = "OTEL_COSTSPAN_ACCOUNT_METRICS"
OTEL_COSTSPAN_LABEL_LIMIT: Final = "OTEL_COSTSPAN_LABEL_LIMIT"
OTEL_COSTSPAN_SIGTERM: Final = "OTEL_COSTSPAN_SIGTERM"
OTEL_COSTSPAN_CARRY: Final = "OTEL_COSTSPAN_CARRY"
OTEL_COSTSPAN_BAGGAGE: Final = "OTEL_COSTSPAN_BAGGAGE"
OTEL_COSTSPAN_SESSION: Final = "OTEL_COSTSPAN_SESSION"
OTEL_COSTSPAN_TASK_TYPE: Final = "OTEL_COSTSPAN_TASK_TYPE"
OTEL_COSTSPAN_SOURCE: Final = "OTEL_COSTSPAN_SOURCE"
OTEL_COSTSPAN_TEAM: Final = "OTEL_COSTSPAN_TEAM"
OTEL_COSTSPAN_ACCOUNT: Final = "OTEL_COSTSPAN_ACCOUNT"


def _switch(value: str) -> bool:
    words = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(" or ".join(words))
        return value.lower()

    return read


def _hosts(value: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(word.strip() for word in pair.split("=")) for pair in value.split(",") if pair.strip()]
    if any(len(pair) != len(("host", "provider")) or not all(pair) for pair in pairs):
        raise ValueError("host=provider, with commas between pairs")
    return tuple((pair[0].lower(), pair[1]) for pair in pairs)


_UTC: Final = "UTC"


def _zone(value: str) -> str:
    if value == _UTC:  # the default, and it needs no table of zones
        return value
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("a time zone such as UTC or Europe/Berlin") from None
    return value


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


class Setting(NamedTuple):
    """One environment variable: its name, how its text is read, its default as text, what it does."""

    name: str
    read: Callable[[str], Any]
    default: str
    sentence: str


SETTINGS: Final = (
    Setting(OTEL_COSTSPAN_ENABLED, _switch, "true", "Whether anything is watched at all."),
    Setting(
        OTEL_COSTSPAN_LEDGER, str, "auto",
        "The SQLite ledger: a path, `on` (the default path), `off`, or `auto`: on where no OTLP endpoint is configured.",
    ),
    Setting(OTEL_COSTSPAN_PRICES, str, "", "A YAML file with your own prices (docs/pricing.md)."),
    Setting(
        OTEL_COSTSPAN_ASK_USAGE, _one_of("known", "always", "never"), "known",
        "Whether a chat stream is asked for its usage where the caller did not: on hosts known to accept it, always, never.",
    ),
    Setting(OTEL_COSTSPAN_HOSTS, _hosts, "", "Who answers at a host, as `host=provider` with commas between."),
    Setting(OTEL_COSTSPAN_TIME_ZONE, _zone, "UTC", "The time zone in which days and months of spend begin."),
    Setting(OTEL_COSTSPAN_SPANS, _switch, "true", "Whether each call becomes a span."),
    Setting(OTEL_COSTSPAN_EVENTS, _switch, "true", "Whether each call becomes a usage event (an OTLP log record)."),
    Setting(OTEL_COSTSPAN_SESSION_METRICS, _switch, "true", "Whether session counters are exported."),
    Setting(
        OTEL_COSTSPAN_SESSION_LIMIT, _whole(1, 1_000_000), "4096",
        "How many sessions' counters a process holds at a time; the longest idle one goes first.",
    ),
    Setting(OTEL_COSTSPAN_ACCOUNT_METRICS, _switch, "false", "Whether counters carry the account, within the label limit."),
    Setting(OTEL_COSTSPAN_LABEL_LIMIT, _whole(1, 500), "50", "How many values a label may have before `other` takes the rest."),
    Setting(OTEL_COSTSPAN_SIGTERM, _switch, "true", "Whether SIGTERM delivers what is held, where the program does not handle it."),
    Setting(OTEL_COSTSPAN_CARRY, _switch, "true", "Whether attribution follows into threads, executors and child processes."),
    Setting(OTEL_COSTSPAN_BAGGAGE, _words, "", "Which parts of the attribution are read from and written to W3C baggage."),
    Setting(OTEL_COSTSPAN_SESSION, str, "", "The session of calls for which nobody said one."),
    Setting(OTEL_COSTSPAN_TASK_TYPE, str, "", "The task type of calls for which nobody said one."),
    Setting(OTEL_COSTSPAN_SOURCE, str, "", "The source of calls for which nobody said one."),
    Setting(OTEL_COSTSPAN_TEAM, str, "", "The team of calls for which nobody said one."),
    Setting(OTEL_COSTSPAN_ACCOUNT, str, "", "The account of calls for which nobody said one."),
)  # fmt: skip

_PREFIX: Final = "OTEL_COSTSPAN_"


class Settings:
    """What is set, with every mistake that was found in it as a sentence; a mistaken setting keeps its default.

    A plain class: every process that starts under the launcher makes it twice, and a named tuple takes half a millisecond.
    """

    enabled: bool
    ledger: str
    prices: str
    ask_usage: str
    hosts: tuple[tuple[str, str], ...]
    time_zone: str
    spans: bool
    events: bool
    session_metrics: bool
    session_limit: int
    account_metrics: bool
    label_limit: int
    sigterm: bool
    carry: bool
    baggage: tuple[str, ...]
    session: str
    task_type: str
    source: str
    team: str
    account: str
    mistakes: tuple[str, ...]

    def __init__(self, values: Mapping[str, Any], mistakes: tuple[str, ...]) -> None:
        vars(self).update(values, mistakes=mistakes)

    @property
    def says_who(self) -> bool:
        """Whether the environment says for whom the calls of this process are."""
        return any((self.session, self.task_type, self.source, self.team, self.account))

    @classmethod
    def read(cls, environ: Mapping[str, str], **options: Any) -> Settings:
        """The settings of an environment; `options` (by field name) go before it."""
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for setting in SETTINGS:
            given = environ.get(setting.name, "").strip()
            values[setting.name.removeprefix(_PREFIX).lower()] = _value(setting, given, mistakes)
        values |= {name: option for name, option in options.items() if name in values and option is not None}
        mistakes += _unknown(environ)
        return cls(values, tuple(mistakes))


def _value(setting: Setting, given: str, mistakes: list[str]) -> Any:
    try:
        return setting.read(given or setting.default)
    except ValueError as expected:
        mistakes.append(
            f'{setting.name} is "{given}": expected {expected}; {setting.default or "nothing"} is used instead'
        )
        return setting.read(setting.default)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    names = {setting.name for setting in SETTINGS}
    return [
        f"{name} is no setting of costspan: see docs/settings.md for their names"
        for name in sorted(environ)
        if name.startswith(_PREFIX) and name not in names
    ]


def has_otlp_endpoint(environ: Mapping[str, str]) -> bool:
    """Whether the environment says where OTLP goes: an endpoint for all signals or for one."""
    signals = ("", "TRACES_", "METRICS_", "LOGS_")
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", "").strip() for signal in signals)
