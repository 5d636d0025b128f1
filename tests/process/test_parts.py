"""Each part of costspan fails alone: the others count the call, and the one that is off is named."""

from __future__ import annotations

import os
import pwd
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

import ways
from caller import KINDS, Caller
from costspan import assembly, attribution, guard, instrumentor, names, scope
from costspan.cli.commands import costspan
from costspan.emit import estimates, events, pipeline, recorder, spans
from costspan.facts.money import FAULT, Cost, Unpriced
from costspan.ledger import writer
from costspan.metrics import duration_points, durations, label_points, session_points, sessions, totals
from costspan.metrics.ratelimits import RateLimits
from costspan.pricing import Prices, opener
from costspan.sdk import export_extra
from provider import Provider
from watching import Watched


@pytest.fixture(autouse=True)
def faults_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a user's program."""
    monkeypatch.setattr(guard, "raise_again", False)
    monkeypatch.setattr(guard, "degraded", {})
    monkeypatch.setattr(guard, "faults", {})


def fails(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this part is broken")


def shown(provider: Provider, ledger: Path, **settings: Any) -> dict[str, bool]:
    """Where one call is seen, with everything switched on."""
    with Watched(ledger=ledger, baggage="session", **settings) as watched:
        with attribution(session="4711", team="search"):
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        call = watched.call()
        found = {
            "sessions": watched.total(names.SESSION_TOKENS) > 0,  # first: only what changed since is told again
            "price": isinstance(call.price, Cost),
            "attribution": call.attribution.session == "4711",
            "spans": len(watched.spans()) == 1,
            "events": len(watched.events()) == 1,
            "metrics": watched.total(names.REQUESTS) == 1 and watched.total(names.INPUT_TOKENS) > 0,
            "durations": len(watched.points(names.DURATION_S)) == 1,
            "rate limits": len(watched.points(names.RATELIMIT_LIMIT)) > 0,
        }
    return {**found, "ledger": booked(ledger) == 1}


def booked(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    with sqlite3.connect(ledger) as connection:
        return connection.execute("SELECT COUNT(*) FROM records").fetchone()[0]


def test_with_nothing_broken_all_is_shown(provider: Provider, tmp_path: Path) -> None:
    """What the table below is measured against."""
    assert all(shown(provider, tmp_path / "ledger.db").values())
    assert guard.degraded == {}


#: Broken when it is set up: whose name, under which part it is told, and what is lost with it.
SET_UP: Final[list[tuple[Any, str, str, set[str]]]] = [
    (pipeline, "Sessions", "sessions", {"sessions"}),
    (pipeline, "Durations", "durations", {"durations"}),
    (pipeline, "Events", "events", {"events"}),
    (pipeline, "Spans", "spans", {"spans"}),
    (pipeline, "EstimateErrors", "estimates", set()),
    (pipeline, "observe_totals", "metrics", set()),  # the totals leave by themselves
    (pipeline, "observe_health", "health", set()),
    (pipeline, "observe_rate_limits", "rate limits", {"rate limits"}),
    (assembly, "LazyLedger", "ledger", {"ledger"}),
    (instrumentor, "watch_exits", "exits", set()),
    (instrumentor, "_prices_file", "prices", set()),
    (scope, "defaults", "attribution", set()),
    (scope, "install_carry", "carry", set()),
    (scope, "install_baggage", "baggage", set()),
    (Prices, "load", "prices", {"price"}),
]


@pytest.mark.parametrize(
    ("where", "what", "part", "lost"), SET_UP, ids=[f"{part}, {what}" for _, what, part, _ in SET_UP]
)
def test_a_part_that_cannot_be_set_up_is_off_alone(
    where: Any, what: str, part: str, lost: set[str], provider: Provider, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It is named once in the log and by `costspan.degraded`; the call stands everywhere else."""
    monkeypatch.setattr(where, what, fails)
    found = shown(provider, tmp_path / "ledger.db")
    assert {name for name, is_shown in found.items() if not is_shown} == lost
    assert list(guard.degraded) == [part]
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([sentence for sentence in told if sentence.startswith(f"costspan: {part}: off in this process")]) == 1
    if what != "observe_health":
        assert degraded_points() == {part}


def degraded_points() -> set[str]:
    with Watched(ledger="off") as watched:
        return {point.attributes[names.PLACE] for point in watched.points(names.DEGRADED)}


#: Broken at each call: whose method, and what is lost with it.
AT_WORK: Final[list[tuple[Any, str, set[str]]]] = [
    (sessions.Sessions, "add", {"sessions"}),
    (totals.Totals, "add", {"metrics"}),
    (durations.Durations, "take", {"durations"}),
    (events.Events, "take", {"events"}),
    (estimates.EstimateErrors, "take", set()),
    (spans.Spans, "began", {"spans"}),
    (spans.Spans, "ended", {"spans"}),
    (recorder.scope, "current", {"attribution", "sessions"}),
    (RateLimits, "take", {"rate limits"}),
    (opener.LazyPrices, "price", {"price"}),
    (session_points.SessionPoints, "backlog", {"sessions"}),
    (duration_points.DurationPoints, "metrics", {"durations"}),
    (label_points.LabelPoints, "_due", {"metrics"}),
    (export_extra.Identity, "__init__", {"durations", "sessions"}),
    (writer.LedgerWriter, "take", {"ledger"}),
    (writer.LedgerWriter, "__init__", {"ledger"}),
]


@pytest.mark.parametrize(
    ("where", "what", "lost"), AT_WORK, ids=[f"{where.__name__}.{what}" for where, what, _ in AT_WORK]
)
def test_a_part_that_fails_at_work_takes_no_other_with_it(
    where: Any, what: str, lost: set[str], provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is counted; the call stands everywhere else."""
    monkeypatch.setattr(where, what, fails)
    found = shown(provider, tmp_path / "ledger.db")
    assert {name for name, is_shown in found.items() if not is_shown} == lost
    assert sum(guard.faults.values()) >= 1


@pytest.mark.parametrize("kind", ["meter_provider", "tracer_provider", "logger_provider"])
def test_a_provider_that_is_none_takes_no_other_signal_with_it(kind: str, provider: Provider, tmp_path: Path) -> None:
    """`instrument(meter_provider="x")`: the ledger has the call all the same."""
    options: dict[str, Any] = {kind: "no provider"}
    instrumentor.CostspanInstrumentor().instrument(ledger=tmp_path / "ledger.db", **options)
    try:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        instrumentor.flush()
        assert booked(tmp_path / "ledger.db") == 1
    finally:
        instrumentor.CostspanInstrumentor().uninstrument()
    assert len(guard.degraded) >= 1


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that runs under a user id of its own."""

    def nobody(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.parametrize("ledger", ["auto", "on", "~/mine.db"])
def test_without_a_home_there_is_no_ledger_and_all_else(
    ledger: str, provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Said by name, with the way out."""
    homeless(monkeypatch)
    with Watched(ledger=ledger) as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert isinstance(watched.call().price, Cost)
        assert watched.total(names.REQUESTS) == 1
        assert {point.attributes[names.PLACE] for point in watched.points(names.DEGRADED)} == {"ledger", "outbox"}
    assert "costspan: ledger: off in this process" in caplog.text
    assert "set OTEL_COSTSPAN_LEDGER to a path" in caplog.text


@pytest.mark.parametrize("command", ["usage", "explain --last", "doctor", "demo"])
def test_without_a_home_every_command_says_what_to_do(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, no traceback."""
    homeless(monkeypatch)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    ended = CliRunner().invoke(costspan, command.split())
    assert ended.exit_code == 1
    assert isinstance(ended.exception, SystemExit)
    assert "set OTEL_COSTSPAN_LEDGER to a path" in ended.output


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


#: What stands where the ledger is to be, and what it is called.
NO_FILES: Final[dict[str, Callable[[Path], object]]] = {
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a device": lambda path: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_no_ledger(
    kind: str, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said by name; nothing is put beside it; who asks it gets a sentence, at once, and everything else is counted."""
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    path = Path("ledger.db")
    NO_FILES[kind](path)
    with Watched(ledger=str(path.absolute())) as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert watched.total(names.REQUESTS) == 1
        assert {point.attributes[names.PLACE] for point in watched.points(names.DEGRADED)} == {"ledger"}
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.db"]
    sentence = f"{path.absolute()} is {kind}, and no ledger: name a file"
    assert f"costspan: ledger: off in this process, everything else goes on: {sentence}" in caplog.text
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(path.absolute()))
    for command in ("usage", "doctor"):
        ended = CliRunner().invoke(costspan, [command])
        assert ended.exit_code == 1
        assert sentence in " ".join(ended.output.split())


OWN_PRICES: Final = [
    # what stands in the file                                                             whether it can be used
    ("prices:\n- {match: {model: gpt-4*}, multiplier: 2, valid_from: 0001-01-01, valid_to: 9999-12-31}\n", True),
    ("prices:\n- {match: {model: gpt-4*}, multiplier: 1e999999}\n", False),
    ("prices:\n- {match: {model: gpt-4*}, usd_per_million: {input: 1e300}}\n", False),
    ("prices:\n- {match: {model: gpt-4*}, multiplier: 1e-999999}\n", False),
    ("[" * 50_000, False),
    ("", False),
    ("\x00", False),
]


@pytest.mark.parametrize(("written", "is_used"), OWN_PRICES, ids=[str(number) for number, _ in enumerate(OWN_PRICES)])
def test_prices_of_the_users_own_cost_no_call_its_price(
    written: str, provider: Provider, tmp_path: Path, *, is_used: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be used is told, and the bundled table holds."""
    path = tmp_path / "pri:ces.yaml"
    path.write_text(written)
    with Watched(prices=path) as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        price = watched.call().price
    assert isinstance(price, Cost)
    assert (price.quality == "override") is is_used
    assert ("your own prices: off in this process" in caplog.text) is not is_used


def test_prices_that_change_after_the_start_cost_no_call_its_price(provider: Provider, tmp_path: Path) -> None:
    """The file is read again with the first call: by then it may be broken."""
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n- {match: {model: gpt-4*}, multiplier: 2}\n")
    with Watched(prices=path) as watched:
        path.write_text("prices: 5")
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert isinstance(watched.call().price, Cost)
    assert list(guard.degraded) == ["your own prices"]


def test_without_any_price_table_calls_are_unpriced(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown is not zero, and the table is tried once, not with each call."""
    tried: list[object] = []

    def load(overrides: object) -> Any:
        tried.append(overrides)
        raise RuntimeError("the table is broken")

    monkeypatch.setattr(Prices, "load", load)
    with Watched() as watched:
        for _ in range(3):
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert [
            call.price for call in watched.calls() if isinstance(call.price, Unpriced) and call.price.reason == FAULT
        ]
        assert watched.total(names.UNPRICED_REQUESTS) == 3
    assert tried == [None]
