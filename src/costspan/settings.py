"""Every environment variable of costspan: name, default, one sentence. The launcher turns each into a flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from costspan.facts.attribution_words import WORDS

OTEL_COSTSPAN_ENABLED: Final = "OTEL_COSTSPAN_ENABLED"
OTEL_COSTSPAN_LEDGER: Final = "OTEL_COSTSPAN_LEDGER"
OTEL_COSTSPAN_OUTBOX: Final = "OTEL_COSTSPAN_OUTBOX"
OTEL_COSTSPAN_PRICES: Final = "OTEL_COSTSPAN_PRICES"
OTEL_COSTSPAN_BUDGETS: Final = "OTEL_COSTSPAN_BUDGETS"
OTEL_COSTSPAN_BUDGET_STORE: Final = "OTEL_COSTSPAN_BUDGET_STORE"
OTEL_COSTSPAN_ASK_USAGE: Final = "OTEL_COSTSPAN_ASK_USAGE"
OTEL_COSTSPAN_HOSTS: Final = "OTEL_COSTSPAN_HOSTS"
OTEL_COSTSPAN_HTTP_CLIENTS: Final = "OTEL_COSTSPAN_HTTP_CLIENTS"
OTEL_COSTSPAN_TIME_ZONE: Final = "OTEL_COSTSPAN_TIME_ZONE"
OTEL_COSTSPAN_SPANS: Final = "OTEL_COSTSPAN_SPANS"
OTEL_COSTSPAN_EVENTS: Final = "OTEL_COSTSPAN_EVENTS"
OTEL_COSTSPAN_SESSION_METRICS: Final = "OTEL_COSTSPAN_SESSION_METRICS"
OTEL_COSTSPAN_SESSION_LIMIT: Final = "OTEL_COSTSPAN_SESSION_LIMIT"
OTEL_COSTSPAN_ACCOUNT_METRICS: Final = "OTEL_COSTSPAN_ACCOUNT_METRICS"
OTEL_COSTSPAN_LABEL_LIMIT: Final = "OTEL_COSTSPAN_LABEL_LIMIT"
OTEL_COSTSPAN_LABEL_SET_LIMIT: Final = "OTEL_COSTSPAN_LABEL_SET_LIMIT"
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
        is_number = value.isdecimal() and len(value) <= len(str(most))
        if not is_number or not least <= int(value) <= most:
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


def _baggage(value: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in value.split(",") if word.strip())
    if not set(words) <= set(WORDS):
        raise ValueError(f"words out of {', '.join(WORDS)}, with commas between")
    return words


def _path(value: str) -> str:
    if "\0" in value:
        raise ValueError("a path")
    if not value.startswith("~"):
        return value
    from pathlib import Path

    try:
        return str(Path(value).expanduser())
    except RuntimeError:
        raise ValueError("a path, and there is no home directory for its ~") from None


AUTO: Final = "auto"
ON: Final = "on"
OFF: Final = "off"


def _ledger(value: str) -> str:
    """One of the three words, or a path."""
    if value.lower() == AUTO:
        return AUTO
    try:
        return ON if _switch(value) else OFF
    except ValueError:
        return _path(value)


_PREFIX: Final = "OTEL_COSTSPAN_"


class Setting(NamedTuple):
    """One environment variable: its name, how its text is read, its default as text, what it does."""

    name: str
    read: Callable[[str], Any]
    default: str
    sentence: str


SETTINGS: Final = (
    Setting(OTEL_COSTSPAN_ENABLED, _switch, "true", "Whether anything is watched at all."),
    Setting(OTEL_COSTSPAN_LEDGER, _ledger, "auto", "The SQLite ledger: a path, `on` (the default path), `off`, or `auto`: on where no OTLP endpoint is configured."),
    Setting(OTEL_COSTSPAN_OUTBOX, _ledger, "auto", "Where calls that leave by OTLP are kept until they are delivered: the path of a directory, `on` (the default one), `off`, or `auto`: on, unless the ledger is `off`."),
    Setting(OTEL_COSTSPAN_PRICES, _path, "", "A YAML file with your own prices (`costspan docs pricing`)."),
    Setting(OTEL_COSTSPAN_BUDGETS, _path, "", "A budgets.yaml that is obeyed: thresholds are told, hard budgets refuse calls (`costspan docs enforcement`)."),
    Setting(OTEL_COSTSPAN_BUDGET_STORE, str, "", "The server at which a fleet keeps its budgets, as `redis://host:6379/0`, `rediss://...` or `postgresql://user@host/database` (`costspan docs enforcement`); without it, a file beside the ledger."),
    Setting(
        OTEL_COSTSPAN_ASK_USAGE, _one_of("known", "always", "never"), "known",
        "Whether a chat stream is asked for its usage where the caller did not: on hosts known to need it (on this machine, "
        "from the second stream on), always, never.",
    ),
    Setting(OTEL_COSTSPAN_HOSTS, _hosts, "", "Who answers at a host, as `host=provider` with commas between; the provider `vendor` is each client library's own."),
    Setting(OTEL_COSTSPAN_HTTP_CLIENTS, _switch, "false", "Whether calls are counted that are made by an HTTP library, with no client library that costspan watches (`costspan docs clients`)."),
    Setting(OTEL_COSTSPAN_TIME_ZONE, _zone, "UTC", "The time zone in which days and months of spend begin."),
    Setting(OTEL_COSTSPAN_SPANS, _switch, "true", "Whether each call becomes a span."),
    Setting(OTEL_COSTSPAN_EVENTS, _switch, "true", "Whether each call becomes a usage event (an OTLP log record)."),
    Setting(OTEL_COSTSPAN_SESSION_METRICS, _switch, "true", "Whether session counters are exported."),
    Setting(
        OTEL_COSTSPAN_SESSION_LIMIT, _whole(1, 1_000_000), "4096",
        "How many sessions' counters a process holds at a time; the longest idle one goes first.",
    ),
    Setting(OTEL_COSTSPAN_ACCOUNT_METRICS, _switch, "false", "Whether counters carry the account, within the label limit."),
    Setting(OTEL_COSTSPAN_LABEL_LIMIT, _whole(1, 10_000), "250", "How many values a label may have before `other` takes the rest."),
    Setting(
        OTEL_COSTSPAN_LABEL_SET_LIMIT, _whole(1, 1_000_000), "20000",
        "How many sets of labels (team, task type, model, source, ... that occur together) the counters of a process keep apart in "
        "a month before `other` takes the rest.",
    ),
    Setting(OTEL_COSTSPAN_SIGTERM, _switch, "true", "Whether SIGTERM delivers what is held, where the program does not handle it."),
    Setting(OTEL_COSTSPAN_CARRY, _switch, "true", "Whether attribution follows into threads, executors and child processes."),
    Setting(OTEL_COSTSPAN_BAGGAGE, _baggage, "", "Which parts of the attribution are read from and written to W3C baggage."),
    *(
        Setting(_PREFIX + word.upper(), str, "", f"The {word.replace('_', ' ')} of calls for which nobody said one.")
        for word in WORDS
    ),
)  # fmt: skip


class Settings:
    """What is set, with every mistake that was found in it as a sentence; a mistaken setting keeps its default.

    A plain class: every process that starts under the launcher makes it twice, and a named tuple takes half a millisecond.
    """

    enabled: bool
    ledger: str
    outbox: str
    prices: str
    budgets: str
    budget_store: str
    ask_usage: str
    hosts: tuple[tuple[str, str], ...]
    http_clients: bool
    time_zone: str
    spans: bool
    events: bool
    session_metrics: bool
    session_limit: int
    account_metrics: bool
    label_limit: int
    label_set_limit: int
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
        """Whether the settings say for whom the calls of this process are."""
        return any(self.attribution().values())

    def attribution(self) -> dict[str, str]:
        """For whom the calls of this process are where nobody says otherwise, by word; empty where nothing is set."""
        return {word: getattr(self, word) for word in WORDS}

    @classmethod
    def read(cls, environ: Mapping[str, str], **options: object) -> Settings:
        """The settings of an environment; `options` (keywords of `instrument`, by field name) go before it.

        Both go through the same reading; an option that is mistaken leaves what the environment says.
        """
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for setting in SETTINGS:
            field = setting.name.removeprefix(_PREFIX).lower()
            given = environ.get(setting.name, "").strip()
            instead = setting.default
            try:
                values[field] = setting.read(given or setting.default)
                instead = given or setting.default
            except ValueError as expected:
                mistakes.append(_mistake(f"{setting.name} is", given, expected, instead))
                values[field] = setting.read(setting.default)
            option = options.pop(field, None)
            if option is not None:
                _take(setting, option, values, mistakes, instead)
        mistakes += _unknown(environ)
        mistakes += [_unknown_option(name, values) for name in options if name not in PROVIDERS]
        return cls(values, tuple(mistakes))


def _take(setting: Setting, option: object, values: dict[str, Any], mistakes: list[str], instead: str) -> None:
    from costspan.facts.stated import stated

    field = setting.name.removeprefix(_PREFIX).lower()
    try:
        values[field] = setting.read(stated(option).strip() or setting.default)
    except ValueError as expected:
        mistakes.append(_mistake(f"instrument({field}=...) was given", option, expected, instead))
    except TypeError:
        like = ValueError(f"what {setting.name} takes, as text or as the like of it")
        mistakes.append(_mistake(f"instrument({field}=...) was given", option, like, instead))


#: Keywords of `instrument` that are no settings: OpenTelemetry's providers.
PROVIDERS: Final = ("tracer_provider", "meter_provider", "logger_provider")
_LONGEST_SHOWN: Final = 80


def _mistake(what: str, given: object, expected: ValueError, instead: str) -> str:
    text = given if isinstance(given, str) else type(given).__name__
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[:_LONGEST_SHOWN])
    shown = f'"{shown}"' if isinstance(given, str) else f"an object of type {shown}"
    return f"{what} {shown}: expected {expected}; {instead or 'nothing'} is used instead"


def _unknown(environ: Mapping[str, str]) -> list[str]:
    names = [setting.name for setting in SETTINGS]
    return [
        f"{name} is no setting of costspan: {_near(name, names) or 'see `costspan docs settings` for their names'}"
        for name in sorted(environ)
        if name.startswith(_PREFIX) and name not in names
    ]


def _unknown_option(name: str, fields: Mapping[str, object]) -> str:
    hint = _near(name, [*fields, *PROVIDERS]) or "`costspan docs settings` has their names, here in lower case"
    return f"instrument({name}=...) is no setting of costspan and is ignored: {hint}"


def _near(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    start = _PREFIX if name.startswith(_PREFIX) else ""  # what all have in common makes no two alike
    near = get_close_matches(name[len(start) :], [each[len(start) :] for each in known], 1)
    return f"did you mean {start}{near[0]}?" if near else ""


def has_otlp_endpoint(environ: Mapping[str, str]) -> bool:
    """Whether the environment says where OTLP goes: an endpoint for all signals or for one."""
    return bool(otlp_endpoint(environ))


def otlp_endpoint(environ: Mapping[str, str]) -> str:
    """Where OTLP goes, by the first endpoint that the environment says; empty without any."""
    signals = ("", "METRICS_", "LOGS_", "TRACES_")
    said = (environ.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", "").strip() for signal in signals)
    return next((endpoint for endpoint in said if endpoint), "")
