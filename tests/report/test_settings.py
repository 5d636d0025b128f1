"""settings.py: environment and keywords of `instrument` are read the same way, and a mistake costs nothing else."""

from __future__ import annotations

import logging
from datetime import timezone
from enum import Enum
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import ways
from caller import KINDS, Caller
from costspan.facts.money import Cost
from costspan.settings import SETTINGS, Settings
from provider import Provider
from watching import Watched

#: Any text is one: who calls are for; and a store, which the budgets refuse themselves, as they know what to do without it.
_ANY_TEXT: Final = ("session", "task_type", "source", "team", "account", "budget_store")
#: Every setting that can be mistaken, with values that are a mistake as text, in the environment as by keyword.
MISTAKEN: Final[dict[str, tuple[str, ...]]] = {
    "enabled": ("maybe", "2", "on off"),
    "ledger": ("~nosuch/x", "~nosuch"),
    "outbox": ("~nosuch/x",),
    "prices": ("~nosuch/prices.yaml",),
    "budgets": ("~nosuch/budgets.yaml",),
    "ask_usage": ("sometimes", "true"),
    "hosts": ("my.host", "a=b=c", "=openai", "a=", "a=b,c"),
    "http_clients": ("maybe", "httpx"),
    "time_zone": ("Mars/Olympus", "../../etc/passwd", "Europe", "x" * 10_000),
    "spans": ("maybe",),
    "events": ("never",),
    "session_metrics": ("-1",),
    "session_limit": ("0", "-1", "many", "1e3", "²", "9" * 10_000, "1.5"),
    "account_metrics": ("?",),
    "label_limit": ("0", "10001", "٣٣٣٣٣٣"),
    "label_set_limit": ("0", "1000001", "all"),
    "sigterm": ("SIGTERM",),
    "carry": ("threads",),
    "baggage": ("sesion", "session,everything"),
}
#: What is no value of any setting.
FOREIGN: Final[tuple[object, ...]] = (object(), 1.5, b"on", Settings, [object()], {"a": object()})


def field(name: str) -> str:
    return name.removeprefix("OTEL_COSTSPAN_").lower()


def test_every_setting_is_in_the_table_or_takes_any_text() -> None:
    """A new setting needs its mistakes here."""
    assert set(MISTAKEN) == {field(setting.name) for setting in SETTINGS} - set(_ANY_TEXT)


@pytest.mark.parametrize("how", ["environment", "keyword"])
@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in MISTAKEN.items() for value in values],
    ids=[f"{name}-{number}" for name, values in MISTAKEN.items() for number, _ in enumerate(values)],
)
def test_a_mistaken_value_is_told_once_and_every_other_setting_holds(name: str, value: str, how: str) -> None:
    """The sentence has the setting's name, the value, and what is used instead: the default."""
    others = {"OTEL_COSTSPAN_TEAM": "search", "OTEL_COSTSPAN_LABEL_LIMIT": "7", "OTEL_COSTSPAN_SPANS": "off"}
    others.pop(f"OTEL_COSTSPAN_{name.upper()}", None)
    if how == "environment":
        found = Settings.read({**others, f"OTEL_COSTSPAN_{name.upper()}": value})
    else:
        found = Settings.read(others, **{name: value})
    (mistake,) = found.mistakes
    assert name in mistake.lower()
    assert value[:40] in mistake
    assert len(mistake) < 400
    assert "is used instead" in mistake
    expected = {**vars(Settings.read(others)), "mistakes": found.mistakes}
    assert vars(found) == expected


@pytest.mark.parametrize("value", FOREIGN, ids=[str(number) for number, _ in enumerate(FOREIGN)])
@pytest.mark.parametrize("name", [field(setting.name) for setting in SETTINGS])
def test_a_keyword_of_a_foreign_type_is_told(name: str, value: object) -> None:
    """By the name of its type, never by its content."""
    found = Settings.read({}, **{name: value})
    (mistake,) = found.mistakes
    assert mistake.startswith(f"instrument({name}=...) was given an object of type {type(value).__name__}: expected ")
    assert vars(found) == {**vars(Settings.read({})), "mistakes": found.mistakes}


class _Team(Enum):
    SEARCH = "search"


LIKE: Final[list[tuple[str, Any, str]]] = [
    # keyword            its value                              as the environment states it
    ("enabled", False, "false"),
    ("enabled", "false", "false"),
    ("spans", 0, "off"),
    ("ledger", Path("/somewhere/ledger.db"), "/somewhere/ledger.db"),
    ("ledger", False, "off"),
    ("ledger", True, "on"),
    ("prices", Path("/somewhere/prices.yaml"), "/somewhere/prices.yaml"),
    ("hosts", "llm.acme=openai, other=groq", "llm.acme=openai,other=groq"),
    ("hosts", {"llm.acme": "openai"}, "llm.acme=openai"),
    ("hosts", (("LLM.acme", "openai"), ("b", "c")), "llm.acme=openai,b=c"),
    ("hosts", ["llm.acme=openai"], "llm.acme=openai"),
    ("time_zone", ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
    ("time_zone", timezone.utc, "UTC"),
    ("session_limit", 12, "12"),
    ("session_limit", "12", "12"),
    ("baggage", ("session", "team"), "session,team"),
    ("baggage", "session, team", "session,team"),
    ("session", UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ("session", 4711, "4711"),
    ("team", _Team.SEARCH, "search"),
    ("ask_usage", "ALWAYS", "always"),
]


@pytest.mark.parametrize(("name", "value", "stated"), LIKE, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(LIKE)])
def test_a_keyword_is_read_as_the_environment_is(name: str, value: object, stated: str) -> None:
    """Text, or the Python object one would give: a path, a number, a mapping, a zone."""
    by_keyword = Settings.read({}, **{name: value})
    assert by_keyword.mistakes == ()
    assert vars(by_keyword) == vars(Settings.read({f"OTEL_COSTSPAN_{name.upper()}": stated}))


@pytest.mark.parametrize(("value", "word"), [
    ("false", "off"), ("0", "off"), ("NO", "off"), ("Off", "off"), ("true", "on"), ("1", "on"), ("AUTO", "auto"), ("", "auto"),
])  # fmt: skip
def test_the_ledger_is_switched_by_the_words_of_every_switch(value: str, word: str) -> None:
    """`false` is no file's name."""
    assert Settings.read({"OTEL_COSTSPAN_LEDGER": value}).ledger == word


def test_a_keyword_goes_before_the_environment_and_a_mistaken_one_does_not() -> None:
    """None says nothing; an empty text says the default."""
    environ = {"OTEL_COSTSPAN_TIME_ZONE": "Asia/Tokyo"}
    assert Settings.read(environ, time_zone="Europe/Berlin").time_zone == "Europe/Berlin"
    assert Settings.read(environ, time_zone=None).time_zone == "Asia/Tokyo"
    assert Settings.read(environ, time_zone="").time_zone == "UTC"
    mistaken = Settings.read(environ, time_zone="Mars/Olympus")
    assert mistaken.time_zone == "Asia/Tokyo"
    assert "Asia/Tokyo is used instead" in mistaken.mistakes[0]


@pytest.mark.parametrize(("name", "hint"), [("labels", "costspan docs settings"), ("sesion", "did you mean session?"),
                                            ("tracer_providers", "did you mean tracer_provider?")])  # fmt: skip
def test_an_unknown_keyword_is_told(name: str, hint: str) -> None:
    """With the one that was probably meant."""
    (mistake,) = Settings.read({}, **{name: "x", "meter_provider": object()}).mistakes
    assert mistake.startswith(f"instrument({name}=...) is no setting of costspan and is ignored: ")
    assert hint in mistake


@pytest.mark.parametrize("how", ["environment", "keyword"])
@pytest.mark.parametrize("name", [*MISTAKEN, "unknown"])
def test_whatever_is_mistaken_calls_are_counted(
    name: str,
    how: str,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """One warning, and the call is priced as ever."""
    value = MISTAKEN.get(name, ("x",))[0]
    options: dict[str, Any] = {"ledger": None if name == "ledger" else "off"}
    if how == "environment":
        monkeypatch.setenv(f"OTEL_COSTSPAN_{name.upper()}", value)
    else:
        options[name] = value
    if name == "ledger":
        monkeypatch.setenv("HOME", str(tmp_path))
    with Watched(**options) as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert isinstance(watched.call().price, Cost) or name == "hosts"  # whose prices count here is said by hosts
        assert len(watched.spans()) == len(watched.events()) == 1
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    # Where the hosts are mistaken, nobody has said whose prices count here, and that is told, too.
    of_setting = [sentence for sentence in told if name in sentence.lower() and "whose prices count" not in sentence]
    assert len(of_setting) == 1


def test_the_words_of_the_attribution_are_settings_too(provider: Provider) -> None:
    """`instrument(team=...)` says for whom calls are, as the environment does."""
    with Watched(team=_Team.SEARCH, session=4711) as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        who = watched.call().attribution
    assert (who.team, who.session) == ("search", "4711")
