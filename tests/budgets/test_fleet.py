"""Budgets on the servers of a fleet: crowds, kills and pauses of the real servers, and what is said where none can be asked."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import openai
import pytest
from click.testing import CliRunner

import crowd
from budgeted import ask, budgeted
from costspan import BudgetExceeded, instrumentor
from costspan.budgets.address import Address
from costspan.budgets.keeper import Keeper
from costspan.budgets.link import DeclinedError, LostError
from costspan.budgets.opening import server_at, server_store
from costspan.budgets.store import EXPIRY_S, ClockBehind, Granted, Hold, Refused, Spent, StoreUnavailableError
from costspan.budgets.unbooked import Unbooked
from costspan.cli import budget_store, doctor
from costspan.cli.commands import costspan as command
from costspan.cli.findings import NOTE, OK, WRONG
from costspan.facts.call import Call
from costspan.facts.money import EXACT, Cost
from costspan.facts.periods import Periods
from costspan.ledger.store import Store
from costspan.settings import Settings
from provider import Provider
from store_servers import SERVERS, PostgresHere, Server, free_port, running, until
from worlds import NS_PER_S, ServerWorld

_HOLD = Hold("a", 0, 0, 100, 40)
_SETTING = "OTEL_COSTSPAN_BUDGET_STORE"
_HARD = "budgets:\n  - {name: all, period: month, limit_usd: 1, hard: true, overage: false, on_failure: %s}\n"


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told once a process is told in each test."""


@pytest.fixture(scope="module", params=[*SERVERS])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server in turn."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def world(server: Server) -> ServerWorld:
    """The server, emptied."""
    return ServerWorld(server)


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    """A client of OpenAI's library."""
    with openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as made:
        yield made


def test_a_crowd_passes_no_limit_and_the_killed_let_go(world: ServerWorld) -> None:
    """Eight processes with 800 calls, of which about half fit; another that is killed in the middle."""
    url, limit, bound = world.server.url, 200_000, 500
    lost = [crowd.started(url, 8, calls=10**6, limit=10 * limit, bound=bound, pause_s=0.01)]
    with closing(world.process()) as store:
        until(lambda: len({each.pid for each in store.reservations()}) == len(lost))
        for process in lost:
            process.kill()
            process.communicate()
        before, left = store.standing(crowd.BUDGET, 0)
        assert 0 < left <= 4 * bound
        told = crowd.forked(url, 8, calls=100, limit=limit, bound=bound)
        spent, reserved = store.standing(crowd.BUDGET, 0)
        assert (spent, reserved) == (before + sum(each.spent for each in told), left)
        assert limit * 0.99 <= spent + left <= limit
        assert sum(each.refused for each in told) > 0
        rest = Hold(crowd.BUDGET, 0, 0, limit, limit - spent)
        assert isinstance(store.reserve("early", [rest], world.now_ns()), Refused)
        for _ in range(4):  # the server sees somebody alive all the time
            store.keep_alive()
            world.elapsed_ns += int(EXPIRY_S * NS_PER_S) // 3
        assert isinstance(store.reserve("late", [rest], world.now_ns()), Granted)
        assert [each.key for each in store.reservations()] == ["late"]


def test_nothing_expires_while_nobody_can_reach_the_server(world: ServerWorld) -> None:
    """A server that was away for an hour has heard no sign of life: that says nothing of the processes."""
    with closing(world.process()) as one, closing(world.process()) as other:
        one.reserve("k", [_HOLD], world.now_ns())
        world.elapsed_ns += 3_600 * NS_PER_S
        assert other.keep_alive() == 0
        assert isinstance(other.reserve("more", [_HOLD._replace(amount=70)], world.now_ns()), Refused)
        for released in (0, 0, 1):
            world.elapsed_ns += int(EXPIRY_S * NS_PER_S) // 3
            assert other.keep_alive() == released


def test_periods_begin_by_the_clock_of_the_server(world: ServerWorld) -> None:
    """A machine whose clock goes before opens no period before the others."""
    with closing(world.process()) as store:
        found = store.reserve("k", [_HOLD], world.now_ns() + 3_600 * NS_PER_S)
        assert isinstance(found, ClockBehind)
        assert abs(found.now_ns - world.now_ns()) < 60 * NS_PER_S
        assert isinstance(store.reserve("k", [_HOLD], world.now_ns()), Granted)


def test_a_question_whose_answer_was_lost_counts_once(world: ServerWorld) -> None:
    """What reserves, settles and books may be asked again."""
    with closing(world.process()) as store:
        store.reserve("k", [_HOLD], world.now_ns())
        assert isinstance(store.reserve("k", [_HOLD], world.now_ns()), Granted)
        assert store.standing("a", 0) == (0, 40)
        store.settle("k", [Spent("a", 0, 30)], is_recorded=False)
        store.ask_again()
        store.book([("c1", [Spent("a", 0, 2)]), ("c2", [Spent("a", 0, 3)])], is_recorded=False)
        store.ask_again()
        assert store.standing("a", 0) == (35, 0)
        assert store.crossed("a", 0, "80")
        assert store.ask_again()[1] == "1"
        store.settle(
            "k2", [Spent("a", 0, 1)], is_recorded=False
        )  # it says that the answers have come: no marks are left
        store.settle("k3", [Spent("a", 0, 1)], is_recorded=False)
        assert world.server.marks() == ["k3"]


def test_what_a_newer_costspan_keeps_is_left_alone(world: ServerWorld) -> None:
    """Nothing is changed there; what stood there is there again once both are of one version."""
    with closing(world.process()) as store:
        store.reserve("k", [_HOLD], world.now_ns())
        world.server.is_of(2)
        with pytest.raises(StoreUnavailableError, match="was made by a newer costspan: update this one"):
            store.reserve("l", [_HOLD], world.now_ns())
        world.server.is_of(1)
        assert [each.key for each in store.reservations()] == ["k"]


def test_what_the_server_may_have_is_told_as_it_was(world: ServerWorld) -> None:
    """So that it can see that it has it; what it surely has not may be added up."""
    spent = [("k", [Spent("a", 0, 30)])]
    unbooked = Unbooked()
    with closing(world.process()) as store:
        store.book(spent, is_recorded=False)
        store._answered.clear()  # the answer was lost
        unbooked.keep(spent, is_unsure=True)
        for key in ("l", "m"):
            unbooked.keep([(key, [Spent("a", 0, 5)])], is_unsure=False)
        assert unbooked.deliver(store) == {"a"}
        assert store.standing("a", 0) == (40, 0)
    assert unbooked.is_empty


def test_a_question_ends_when_nobody_waits_for_it_any_more(world: ServerWorld) -> None:
    """At the server, too: those of a crowd would stand in line there long after their calls have gone on."""
    server = world.server
    if not isinstance(server, PostgresHere):
        pytest.skip("Redis takes one question after another: none waits for a lock")
    with closing(world.process()) as store:
        store.standing("a", 0)
    with closing(server_at(server.url).connect(0.3)) as connection, server.locked():
        with pytest.raises((DeclinedError, LostError)):
            connection.ask("standing", "{}")
        until(lambda: not server.waiting())


def test_a_server_that_began_anew_keeps_what_it_was_told(world: ServerWorld) -> None:
    """A killed server has it on its disk, and the next question makes a new connection, without a fault."""
    with closing(world.process()) as store:
        store.reserve("k", [_HOLD], world.now_ns())
        store.reserve("open", [_HOLD], world.now_ns())
        store.settle("k", [Spent("a", 0, 30)], is_recorded=False)
        world.server.kill()
        world.server.start()
        assert store.standing("a", 0) == (30, 40)
        store.release("open")


def test_a_paused_server_is_waited_for_once(world: ServerWorld) -> None:
    """Half a second; whoever asks after that is told at once, until the background has had an answer."""
    with closing(server_store(world.server.url)) as store:
        store.reserve("k", [_HOLD], world.now_ns())
        world.server.pause()
        try:
            begun_s = time.monotonic()
            with pytest.raises(StoreUnavailableError, match=_SETTING) as fault:
                store.settle("k", [Spent("a", 0, 30)], is_recorded=False)
            assert fault.value.is_unsure
            first_s, begun_s = time.monotonic() - begun_s, time.monotonic()
            for number in range(1_000):
                with pytest.raises(StoreUnavailableError):
                    store.reserve(f"k{number}", [_HOLD], world.now_ns())
            assert 0.4 < first_s < 5
            assert time.monotonic() - begun_s < 5  # not 1,000 times half a second
        finally:
            world.server.go_on()
        with pytest.raises(StoreUnavailableError):
            store.standing("a", 0)

        def is_back() -> bool:
            try:
                with store.looking():
                    return True
            except StoreUnavailableError:
                return False

        until(is_back)
        store.settle("k", [Spent("a", 0, 30)], is_recorded=False)  # the server did it already, when it went on
        assert store.standing("a", 0) == (30, 0)


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_a_program_goes_on_without_the_server(
    world: ServerWorld, mode: str, client: openai.OpenAI, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    """As the budget declares, told once; what it spent meanwhile is counted once when the server is back."""
    with budgeted(tmp_path, _HARD % mode, ledger="off", budget_store=world.server.url) as watched:
        ask(client)
        until(lambda: _spent(world) == _nano_usd(watched.calls()) > 0)
        world.server.kill()
        for _ in range(3):
            if mode == "open":
                ask(client)
            else:
                with pytest.raises(BudgetExceeded, match=f"{_SETTING}.*on_failure: closed") as refused:
                    ask(client)
                assert refused.value.reason == "unavailable"
        watched.calls()
        assert len(provider.asked) == (4 if mode == "open" else 1)
        lines = [record.getMessage() for record in caplog.records if "calls pass" in record.getMessage()]
        assert len(lines) == (mode == "open")
        world.server.start()
        until(lambda: _keeper()._look() or "answers again" in caplog.text)
        ask(client)
        calls = watched.calls()
        _keeper()._look()
        assert _spent(world) == _nano_usd(calls)
    assert sum(call.outcome != "refused" for call in calls) == len(provider.asked)


def _spent(world: ServerWorld) -> int:
    with closing(world.process()) as store:
        return sum(store.standing(key, 0)[0] for key in world.server.budgets())


def _nano_usd(calls: Sequence[Call]) -> int:
    return sum(call.price.nano_usd for call in calls if isinstance(call.price, Cost))


def _keeper() -> Keeper:
    assert instrumentor.pipeline is not None
    assert instrumentor.pipeline.keeper is not None
    return instrumentor.pipeline.keeper


def test_ledgers_of_all_machines_count_once(world: ServerWorld, client: openai.OpenAI, tmp_path: Path) -> None:
    """What each has from before, what its programs call now, and rows of others; whoever starts again adds nothing."""
    expected = 0
    for _ in range(2):
        for machine in ("one", "two"):
            folder = tmp_path / machine
            folder.mkdir(exist_ok=True)
            is_first = not (folder / "ledger.db").exists()
            with Store.open(folder / "ledger.db") as ledger:
                ledger.append([_call(f"{machine}{time.time_ns()}", 100_000_000)], Periods())
            expected += 100_000_000
            with budgeted(folder, _HARD % "closed", budget_store=world.server.url) as watched:
                assert _spent(world) == expected or not is_first
                _until_spent(world, expected)
                ask(client)
                expected += _nano_usd(watched.calls())
                _until_spent(world, expected)
    with budgeted(tmp_path / "one", _HARD % "closed", budget_store=world.server.url):
        _keeper()._look()
        assert _spent(world) == expected


def _until_spent(world: ServerWorld, expected: int) -> None:
    until(lambda: _keeper()._look() or _spent(world) == expected)


def _call(key: str, nano_usd: int) -> Call:
    call = Call(key, "openai", "openai", "chat", time.time_ns(), "gpt-4o-mini")
    call.price = Cost(nano_usd, EXACT)
    return call


def test_what_is_held_is_listed_and_cleared(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the machine that holds it, wherever one asks; and the doctor says that the server answers."""
    monkeypatch.setenv(_SETTING, world.server.url)
    with closing(world.process()) as store:
        store.reserve("order-17", [Hold("plan#usd.1/acme", 0, 0, 10**9, 400_000_000)], world.now_ns())
        said = CliRunner().invoke(command, ["budgets", "reservations"], env={"COLUMNS": "200"}).output
        assert "order-17" in said
        assert "0.40 USD" in said
        assert f"{os.getpid()} on " in said
        assert CliRunner().invoke(command, ["budgets", "reservations", "--clear", "order-17"]).exit_code == 0
        assert store.reservations() == []
    found = list(budget_store.doctor(Settings.read({_SETTING: world.server.url}), {}))
    assert [each.level for each in found if world.server.address in each.sentence][:1] == [OK]
    assert found[-1].level == NOTE


_WRONG = {
    "mysql://me:hunter2@db/costs": "has the scheme 'mysql': expected redis://",
    "redis:///0": "has no host",
    "localhost:6379": "has the scheme 'localhost'",
    "/var/run/redis": "has no scheme",
    "redis://me:hunter2@[::1": "is no URL",
    "redis://me:hunter2@127.0.0.1:port/0": "is no URL",
    "redis://me:hunter2@127.0.0.1:{port}/0": "does not answer",
    "redis://me:hunter2@127.0.0.1:{port}/0?nonsense=hunter2": "not understand",
    "{scheme}://me:hunter2@{server}/0": "does not answer",
}


@pytest.mark.parametrize("url", _WRONG, ids=[str(number) for number, _ in enumerate(_WRONG)])
def test_a_wrong_url_is_told_and_replaced_by_nothing(
    url: str, client: openai.OpenAI, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture, server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By the name of the setting, without the password; hard budgets do as they say of failures."""
    expected = _WRONG[url]
    url = url.replace("{port}", str(free_port())).replace("{server}", f"127.0.0.1:{server.port}")
    url = url.replace("{scheme}", server.url.partition(":")[0])
    with (
        budgeted(tmp_path, _HARD % "closed", budget_store=url),
        pytest.raises(BudgetExceeded, match=_SETTING) as refused,
    ):
        ask(client)
    monkeypatch.setenv(_SETTING, url)
    listed = CliRunner().invoke(command, ["budgets", "reservations"])
    assert (listed.exit_code, provider.asked) == (1, [])
    set_ = Settings.read({_SETTING: url, "OTEL_COSTSPAN_BUDGETS": "budgets.yaml"})
    (found,) = budget_store.doctor(set_, {})
    assert found.level == WRONG
    for said in (str(refused.value), caplog.text, listed.output, found.sentence):
        assert _SETTING in said
        assert expected in said.replace("\n", "")
        assert "hunter2" not in said
    (told,) = doctor.settings(set_, {_SETTING: url})
    assert _SETTING in told.sentence
    assert "hunter2" not in told.sentence


def test_what_a_library_says_is_told_without_the_password() -> None:
    """As it is written in the URL, and as it is meant."""
    address = Address.of("redis://me:hunter%32@h:1/0?x=hunter3", ("redis", "rediss"))
    said = address.told(ValueError("bad\nme:hunter%32@h, hunter2, x=hunter3"))
    assert (said, address.shown) == ("bad ***@h, ***, ***", "redis://h:1/0")


def test_a_missing_library_is_told(
    client: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """With what installs it."""
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == server.library or name == server.module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, server.library, None)
    with (
        budgeted(tmp_path, _HARD % "closed", budget_store=server.url),
        pytest.raises(BudgetExceeded, match=rf"{_SETTING}.*pip install 'costspan\[{server.extra}\]'"),
    ):
        ask(client)
