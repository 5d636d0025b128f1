"""The stores of reservations against a simple model: whatever is asked in whatever order, a limit is never passed.

One suite for the file of a machine and for each server of a fleet.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from test_watch import weeks

from costspan.budgets import store as stores
from costspan.budgets.policy import Anomaly
from costspan.budgets.sqlite_file import SharedFile
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Granted, Hold, Refused, ReservationError, Spent, StoreUnavailableError
from costspan.budgets.watch import Watch
from ledger_calls import at_ns, write
from store_servers import SERVERS, PostgresHere, Server, running
from worlds import NS_PER_S, FileWorld, Process, ServerWorld, World

_PERIOD_NS = 3_600 * NS_PER_S
#: Amounts are so many times larger in the model: 100 million USD in nano-USD, more than a floating-point number has digits for.
_SCALE = 10**15 + 7
_LIMITS = {"a": 100 * _SCALE + 1, "b": 60 * _SCALE}


@pytest.fixture(scope="module", params=["file", *SERVERS])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | None]:
    """The server of this kind of store; None for the file."""
    if request.param == "file":
        yield None
    else:
        with running(request.param, tmp_path_factory.mktemp(request.param)) as found:
            yield found


@pytest.fixture
def world(server: Server | None, tmp_path: Path) -> World:
    """An empty store of this kind."""
    return FileWorld(tmp_path) if server is None else ServerWorld(server)


@pytest.fixture
def store(world: World) -> Iterator[Process]:
    """One process in it."""
    with closing(world.process()) as process:
        yield process


def _amount(many: int, few: int) -> int:
    return many * _SCALE + few


class Reservations(RuleBasedStateMachine):
    """Two processes, two budgets, calls and reservations by hand, time that goes on."""

    keys = st.sampled_from([f"k{n}" for n in range(6)])
    processes = st.sampled_from([0, 1])
    amounts = st.dictionaries(
        st.sampled_from(["a", "b"]), st.builds(_amount, st.integers(0, 70), st.integers(0, 2)), min_size=1
    )

    def __init__(self, world: Callable[[], World]) -> None:
        super().__init__()
        self.new_world = world

    @initialize()
    def begin(self) -> None:
        self.world = self.new_world()
        self.period = 0
        self.stores = [self.world.process(), self.world.process()]
        for store in self.stores:
            store.keep_alive()
        self.spent: dict[tuple[str, int], int] = {}
        self.state: dict[str, str] = {}
        self.owner: dict[str, int] = {}
        self.parent: dict[str, str] = {}
        self.slot: dict[str, int] = {}
        self.held: dict[str, dict[tuple[str, int], int]] = {}
        self.used: dict[str, dict[tuple[str, int], int]] = {}

    def teardown(self) -> None:
        for store in getattr(self, "stores", []):
            store.close()

    # -- the model -----------------------------------------------------------------------------------------

    def now_slot(self) -> int:
        return self.period * _PERIOD_NS

    def reserved(self, budget: str, slot: int) -> int:
        return sum(held.get((budget, slot), 0) for held in self.held.values())

    def holds(self, amounts: dict[str, int]) -> list[Hold]:
        slot = self.now_slot()
        return [Hold(budget, slot, slot, _LIMITS[budget], amount) for budget, amount in sorted(amounts.items())]

    def first_that_does_not_fit(self, holds: list[Hold], parent: str | None = None) -> Hold | None:
        parts = self.held.get(parent, {}) if parent else {}
        for hold in holds:
            place = (hold.budget, hold.slot)
            free = hold.limit - self.spent.get(place, 0) - self.reserved(*place)
            if hold.amount - min(parts.get(place, 0), hold.amount) > free:
                return hold
        return None

    def is_open(self, key: str) -> bool:
        return self.state.get(key) == stores.HELD

    def is_mine(self, key: str, process: int) -> bool:
        return self.is_open(key) and self.owner[key] == process

    def end(self, key: str, state: str) -> None:
        self.state[key] = state
        self.held[key] = {}

    # -- what is asked -------------------------------------------------------------------------------------

    @rule(process=processes, key=keys, amounts=amounts, parent=st.none() | keys)
    def reserve(self, process: int, key: str, amounts: dict[str, int], parent: str | None) -> None:
        parent = None if parent == key or parent in self.parent else parent
        holds, store = self.holds(amounts), self.stores[process]
        if key in self.state:
            if self.is_open(key) and self.owner[key] != process:
                with pytest.raises(ReservationError, match="another process"):
                    store.reserve(key, holds, self.world.now_ns(), parent=parent)
            else:
                found = store.reserve(key, holds, self.world.now_ns(), parent=parent)
                assert found == Granted(key, key, self.state[key])
            return
        found = store.reserve(key, holds, self.world.now_ns(), parent=parent)
        expected = self.first_that_does_not_fit(holds, parent)
        if expected is not None:
            assert isinstance(found, Refused)
            assert found.hold == expected
            return
        assert found == Granted(key, key)
        self.state[key], self.owner[key], self.held[key], self.used[key] = stores.HELD, process, {}, {}
        if parent is not None:
            self.parent[key] = parent
        for hold in holds:
            place = (hold.budget, hold.slot)
            self.held[key][place] = hold.amount
            if parent is not None and place in self.held.get(parent, {}):
                self.held[parent][place] -= min(self.held[parent][place], hold.amount)

    @rule(process=processes, key=keys, amounts=amounts)
    def settle(self, process: int, key: str, amounts: dict[str, int]) -> None:
        if not self.is_open(key) or self.used[key]:
            return
        held = self.held[key]
        spent = [Spent(budget, slot, min(amounts.get(budget, 0), amount)) for (budget, slot), amount in held.items()]
        self.stores[process].settle(key, spent, is_recorded=False)
        parent = self.parent.get(key)
        for budget, slot, amount in spent:
            place = (budget, slot)
            self.spent[place] = self.spent.get(place, 0) + amount
            if parent is not None and self.is_open(parent) and place in self.held[parent]:
                self.held[parent][place] += held[place] - amount
                self.used[parent][place] = self.used[parent].get(place, 0) + amount
        for table in (self.state, self.owner, self.held, self.used, self.parent):
            table.pop(key, None)  # type: ignore[attr-defined]

    @rule(process=processes, key=keys, amounts=amounts)
    def commit(self, process: int, key: str, amounts: dict[str, int]) -> None:
        store = self.stores[process]
        if not self.is_mine(key, process):
            with pytest.raises(ReservationError, match=key):
                store.commit(key, amounts)
            return
        budgets = {budget for budget, _ in self.held[key]}
        amounts = {budget: amount for budget, amount in amounts.items() if budget in budgets}
        for budget, amount in amounts.items():
            used = sum(self.used[key].get(place, 0) for place in self.held[key] if place[0] == budget)
            held = sum(amount for place, amount in self.held[key].items() if place[0] == budget)
            if not used <= amount <= used + held:
                with pytest.raises(ReservationError, match="cannot come to"):
                    store.commit(key, amounts)
                return
        store.commit(key, amounts)
        for budget, amount in amounts.items():
            rest = amount - sum(self.used[key].get(place, 0) for place in self.held[key] if place[0] == budget)
            for place in sorted(self.held[key]):
                if place[0] == budget:
                    part = min(rest, self.held[key][place])
                    self.spent[place] = self.spent.get(place, 0) + part
                    rest -= part
        self.end(key, stores.COMMITTED)

    @rule(process=processes, key=keys, amounts=amounts)
    def extend(self, process: int, key: str, amounts: dict[str, int]) -> None:
        holds, store = self.holds(amounts), self.stores[process]
        if not self.is_mine(key, process):
            with pytest.raises(ReservationError, match=key):
                store.extend(key, holds, self.world.now_ns())
            return
        found = store.extend(key, holds, self.world.now_ns())
        expected = self.first_that_does_not_fit(holds)
        assert isinstance(found, Granted if expected is None else Refused)
        if expected is None:
            for hold in holds:
                place = (hold.budget, hold.slot)
                self.held[key][place] = self.held[key].get(place, 0) + hold.amount

    @rule(process=processes, key=keys)
    def release(self, process: int, key: str) -> None:
        if not self.is_mine(key, process):
            with pytest.raises(ReservationError, match=key):
                self.stores[process].release(key)
            return
        self.stores[process].release(key)
        self.end(key, stores.RELEASED)

    @rule(process=processes, key=keys)
    def clear(self, process: int, key: str) -> None:
        assert self.stores[process].clear(key) == self.is_open(key)
        if self.is_open(key):
            self.end(key, stores.RELEASED)

    @rule()
    def let_a_period_pass(self) -> None:
        self.period += 1

    @rule(process=processes)
    def kill(self, process: int) -> None:
        """What the process held stays held until the expiry, and not longer."""
        self.stores[process].keep_alive()
        self.stores[process].end()
        expected = [key for key, owner in self.owner.items() if owner == process and self.is_open(key)]
        for _ in range(3):
            assert self.stores[1 - process].keep_alive() == 0
            self.check()
            self.world.elapsed_ns += int(stores.EXPIRY_S * NS_PER_S) // 3
        assert self.stores[1 - process].keep_alive() == len(expected)
        for key in expected:
            self.end(key, "expired")
        self.stores[process].keep_alive()
        for key in [key for key, owner in self.owner.items() if owner == process]:
            self.owner[key] = -1

    # -- what is true --------------------------------------------------------------------------------------

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "stores"):
            return
        slot = self.now_slot()
        for budget, limit in _LIMITS.items():
            spent, reserved = self.stores[0].standing(budget, slot)
            assert (spent, reserved) == (self.spent.get((budget, slot), 0), self.reserved(budget, slot))
            assert spent + reserved <= limit
        listed = {each.key: each.holds for each in self.stores[1].reservations()}
        assert set(listed) == {key for key in self.state if self.is_open(key)}


def test_whatever_is_asked_no_limit_is_passed(server: Server | None) -> None:
    """By amounts that floating-point numbers would not tell apart."""
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(10**6))

        def world() -> World:
            return FileWorld(Path(folder) / f"{next(number)}") if server is None else ServerWorld(server)

        examples = 6 if isinstance(server, PostgresHere) else 20  # a commit takes its time
        machine: Any = functools.partial(Reservations, world)
        run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30))


_HOLD = Hold("a", 0, 0, 100, 40)


def test_amounts_are_exact_at_any_size(world: World, store: Process) -> None:
    """Floating-point numbers take 100,000,000.000000001 USD in nano-USD, and one more or less, for the same."""
    limit = 10**17 + 1
    whole = Hold("a", 0, 0, limit, limit)
    assert isinstance(store.reserve("more", [whole._replace(amount=limit + 1)], world.now_ns()), Refused)
    assert isinstance(store.reserve("all", [whole], world.now_ns()), Granted)
    assert isinstance(store.reserve("one", [whole._replace(amount=1)], world.now_ns()), Refused)
    with pytest.raises(ReservationError, match=f"come to {limit + 1} in a: it reserved {limit};"):
        store.commit("all", {"a": limit + 1})
    store.commit("all", {"a": limit - 1})
    assert store.standing("a", 0) == (limit - 1, 0)
    refused = store.reserve("two", [whole._replace(amount=2)], world.now_ns())
    assert isinstance(refused, Refused)
    assert (refused.spent, refused.would_fit) == (limit - 1, 1)


def test_a_clock_that_steps_back_opens_no_second_budget(world: World, store: Process) -> None:
    """Whoever comes with an earlier moment than one that was seen is told that one."""
    assert isinstance(store.reserve("k1", [_HOLD], world.now_ns()), Granted)
    for process in (store, world.process()):
        latest = world.now_ns()
        for found in (
            process.reserve("k2", [_HOLD], latest - _PERIOD_NS),
            store.extend("k1", [_HOLD], latest - _PERIOD_NS),
        ):
            assert isinstance(found, stores.ClockBehind)
            assert abs(found.now_ns - latest) < 60 * NS_PER_S
        assert store.standing("a", 0) == (0, 40)
        world.elapsed_ns -= _PERIOD_NS  # that of the server, too
        process.close()
        assert isinstance(store.reserve("k2", [_HOLD], world.now_ns()), stores.ClockBehind)
        world.elapsed_ns += _PERIOD_NS
    assert isinstance(store.reserve("k3", [_HOLD], world.now_ns() - NS_PER_S // 4), Granted)  # clocks may differ


def test_a_row_of_a_ledger_counts_once(world: World, store: Process) -> None:
    """A call is booked when it finishes, and not again when its row is read; a call of another program then."""
    store.reserve("call", [_HOLD], world.now_ns())
    store.settle("call", [Spent("a", 0, 30)], is_recorded=True)
    assert store.standing("a", 0) == (30, 0)
    rows = [("call", Spent("a", 0, 30)), ("other", Spent("a", 0, 5))]
    assert store.place("a") is None
    assert store.take_in("a", None, (2, "other"), rows)
    assert store.standing("a", 0) == (35, 0)
    assert store.place("a") == (2, "other")
    assert not store.take_in("a", None, (2, "other"), rows)  # another process was first
    assert not store.take_in("a", (1, "another"), (2, "other"), rows)
    assert store.take_in("a", (2, "other"), (3, ""), [("", Spent("a", 0, 7)), ("", Spent("a/x", 5, 7))])
    assert (store.standing("a", 0), store.standing("a/x", 5), store.place("a")) == ((42, 0), (7, 0), (3, ""))


def test_what_a_call_spends_is_booked_even_above_its_hold(world: World, store: Process) -> None:
    """What was charged is a fact; from then on nothing more is granted."""
    store.reserve("call", [_HOLD], world.now_ns())
    store.settle("call", [Spent("a", 0, 130)], is_recorded=False)
    assert store.standing("a", 0) == (130, 0)
    refused = store.reserve("next", [_HOLD], world.now_ns())
    assert isinstance(refused, Refused)
    assert refused.would_fit == 0
    store.book([("c1", [Spent("a", 0, 1)]), ("c2", [Spent("a", 0, 1), Spent("b", 3, 1)])], is_recorded=False)
    assert (store.standing("a", 0), store.standing("b", 0)) == ((132, 0), (1, 0))


def test_a_settled_call_that_expired_is_booked(world: World, store: Process) -> None:
    """Its hold is gone, and its cost is not."""
    store.reserve("call", [_HOLD], world.now_ns())
    assert store.clear("call")
    store.settle("call", [Spent("a", 0, 30)], is_recorded=False)
    assert store.standing("a", 0) == (30, 0)


def test_a_crossing_is_told_once(world: World) -> None:
    """By one process, and again in the next period."""
    stores = [world.process() for _ in range(2)]
    assert [store.crossed("a", 1, "80") for store in (*stores, stores[0])] == [True, False, False]
    assert stores[1].crossed("a", 2, "80")
    assert stores[1].crossed("a", 1, "100")
    for store in stores:
        store.close()


def test_crossings_of_periods_long_over_are_forgotten(world: World, server: Server | None) -> None:
    """A hundred days after their beginning, but never the last of a budget and threshold, and of no session. (Redis forgets each
    a hundred days after it was told.)
    """
    day_ns = 86_400 * NS_PER_S
    old, last = (world.now_ns() - days * day_ns for days in (98, 97))
    told = [
        ("a", old, "80"),
        ("a", last, "80"),
        ("a", old, "100"),
        ("a/x", old, "80"),
        ("s/1", 0, "100"),
        ("s/1", old, "100"),
    ]
    with closing(world.process()) as one, closing(world.process()) as other:
        assert all(one.crossed(*each) for each in told)
        one.keep_alive()
        assert not any(other.crossed(*each) for each in told)
        world.elapsed_ns += 4 * day_ns
        one.keep_alive()
        by_time = server is None or isinstance(server, PostgresHere)
        assert [other.crossed(*each) for each in told] == [by_time, *[False] * 5]


def test_an_anomaly_is_told_once(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One process takes the turn to look, another one the next; each machine of a fleet has a ledger and a turn of its own."""
    now_ns = at_ns("2026-11-20 14:50")
    write(tmp_path / "ledger.db", *weeks(now_ns))
    with closing(world.process()) as one, closing(world.process()) as other:
        for seconds, process, machine in (
            (0, one, "a:"),
            (1, other, "a:"),
            (61, other, "a:"),
            (61, one, "a:"),
            (0, one, "b:"),
        ):
            moment = now_ns + seconds * NS_PER_S
            Watch(
                tmp_path / "ledger.db", Anomaly(actions=("log",)), timezone.utc, process, lambda name=machine: name,
                now_ns=lambda moment=moment: moment,
            ).look()  # fmt: skip
        assert one.place("a:anomalies") == (now_ns // NS_PER_S + 61 + 60, "")
        assert one.place("b:anomalies") == (now_ns // NS_PER_S + 60, "")
    assert [record.getMessage()[:21] for record in caplog.records] == ["Anomaly: team search "] * 2


def test_a_rolling_window_counts_its_slots(world: World, store: Process) -> None:
    """What has left it counts no more, and what is older than twice its length may be forgotten."""
    for at in range(0, 60, 10):
        hold = Hold("w", max(0, at - 20), at, 100, 30)
        found = store.reserve(f"k{at}", [hold], world.now_ns())
        assert isinstance(found, Granted)
        store.settle(f"k{at}", [Spent("w", at, 30)], is_recorded=False)
    refused = store.reserve("next", [Hold("w", 30, 50, 100, 11)], world.now_ns())
    assert isinstance(refused, Refused)
    assert (refused.spent, refused.would_fit) == (90, 10)


def test_what_is_held_is_listed(world: World, store: Process) -> None:
    """With what it is for, by whom, the oldest first."""
    store.reserve("one", [_HOLD, Hold("b", 0, 5, 100, 7)], world.now_ns(), label="openai gpt-4o", transaction="t1")
    store.reserve("two", [], world.now_ns() + 1)
    one, two = store.reservations()
    assert (one.key, one.transaction, one.label, one.holds) == ("one", "t1", "openai gpt-4o", {"a": 40, "b": 7})
    assert (one.pid, one.is_alive, two.key, two.holds) == (os.getpid(), True, "two", {})
    assert store.reserve("one", [_HOLD], world.now_ns()) == Granted("one", "t1")


def test_a_forked_child_holds_nothing_of_its_parents(world: World, store: Process) -> None:
    """What the parent reserved is the parent's to commit; the child makes a connection of its own."""
    store.reserve("parents", [_HOLD], world.now_ns())
    child = os.fork()
    if not child:
        status = 1
        try:
            store.release("parents")
        except ReservationError as fault:
            status = 0 if f"number {os.getppid()}" in str(fault) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.release("parents")
    assert store.standing("a", 0) == (0, 0)


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """It is named, and so is what it is."""
    path = tmp_path / "reservations"
    path.write_bytes(b"no database, " * 100)
    with pytest.raises(StoreUnavailableError, match="reservations"):
        SqliteStore(path).reserve("k", [_HOLD], 1)
    assert path.read_bytes().startswith(b"no database")


def test_a_locked_file_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    """A caller may be an event loop."""
    store = SqliteStore(tmp_path / "reservations", patience_s=0.05)
    other = SharedFile(tmp_path / "reservations", 1)
    with other.writing(), pytest.raises(StoreUnavailableError, match="locked"):
        store.reserve("k", [_HOLD], 1)
    assert isinstance(store.reserve("k", [_HOLD], 1), Granted)
