"""ledger/sums.py: the sums are those of the records, whoever wrote them and whatever became of the transaction."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.facts.call import Call
from costspan.facts.money import ESTIMATED, EXACT, INCOMPLETE, UNKNOWN_SELLER, Cost, Unpriced
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger import checking, cover, intake, migrations, rows, sums
from costspan.ledger.columns import COLUMNS
from costspan.ledger.store import Store
from costspan.report import record
from costspan.report.glances import first_used_ns, last_used_ns
from costspan.report.period import Period
from costspan.report.usage import Question, ask
from costspan.report.words import TIMES, Filter
from ledger_calls import UNPRICED, at_ns, booked, call

# The clock of Berlin goes back on the 25th of October 2026.
START_NS = at_ns("2026-10-24 00:00")
HOUR_NS = 3_600 * 10**9
PERIODS = Periods()


@contextmanager
def small() -> Generator[None]:
    """Sums that are moved on after every few records, and slots that are crowded soon."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(sums, "_DUE", 4))
        stack.enter_context(mock.patch.object(sums, "_AT_ONCE", 7))
        stack.enter_context(mock.patch.object(sums, "_MANY", dict.fromkeys(sums.SLOT_NS, 4)))
        stack.enter_context(mock.patch.object(sums, "_CALLS_EACH", dict.fromkeys(sums.SLOT_NS, 2)))
        yield


PRICES = [
    Cost(695_400, EXACT), Cost(0, EXACT), Cost(7, ESTIMATED), Cost(9, INCOMPLETE), Cost(2**41, EXACT), UNPRICED, None,
    Unpriced(UNKNOWN_SELLER, "say whose prices count at a"), Unpriced(UNKNOWN_SELLER, "say whose prices count at b"),
]  # fmt: skip
ODD = st.sampled_from([2**41, 2**62])
#: Few, on both sides of midnight in UTC and in Berlin, so that label sets meet again in their slots.
HOURS = [0, 1, 21, 22, 23, 24, 25, 44, 45, 46, 47, 48, 49]


@st.composite
def made(draw: st.DrawFn) -> Call:
    """A call of one of few label sets, at a moment within three days, at times with the id of another."""
    is_odd = draw(st.integers(0, 15)) == 0
    counts = {unit: draw(ODD if is_odd else st.sampled_from([0, 1, 812])) for unit in ("input", "output", "cache_read")}
    of = draw(st.integers(0, 2))
    moment = START_NS + draw(st.sampled_from(HOURS)) * HOUR_NS + draw(st.integers(0, 3)) * HOUR_NS // 4
    return call(
        id=f"call-{draw(st.integers(0, 300))}",
        started_ns=draw(st.sampled_from([-1, 0, 1])) if is_odd else moment,
        session=draw(st.sampled_from([None, "one", "ONE", "two", "*"])),
        account=draw(st.sampled_from([None, "acme", "Acme"])),
        team=None if of == 2 else "team-1",
        source="heartbeat" if of == 1 else "main_agent",
        model=f"model-{of % 2}",
        host=f"host-{of % 2}",
        usage=Usage(counts),
        response_id=None,
        price=draw(st.sampled_from(PRICES)) if draw(st.integers(0, 9)) == 0 else PRICES[of * 2],
    )


ZONES: list[tzinfo] = [
    timezone.utc, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), timezone(-timedelta(hours=9, minutes=30)),
]  # fmt: skip
WORDS = [word for word in (*COLUMNS, *TIMES) if word != "answered_model"]
FILTERS = st.builds(
    Filter,
    st.sampled_from(["team", "account", "session", "model", "quality", "source"]),
    st.sampled_from(["=", "!=", "==", "!=="]),
    st.sampled_from(["", "acme", "Acme", "one", "team-1", "model-*", "*", "heartbeat", "unpriced"]),
)


@st.composite
def asked(draw: st.DrawFn) -> Question:
    """Groups, filters and a period of any kind, in a zone of whole hours or not."""
    edges = st.none() | st.integers(-5, 80 * 4).map(lambda quarters: START_NS + quarters * HOUR_NS // 4)
    start_ns, end_ns = draw(edges), draw(edges)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        start_ns, end_ns = end_ns, start_ns + 1
    groups = draw(st.lists(st.sampled_from(WORDS) | st.sampled_from(TIMES), max_size=2, unique=True))
    filters = draw(st.lists(FILTERS, max_size=2)) if draw(st.booleans()) else []
    return Question(tuple(groups), tuple(filters), Period("some", start_ns, end_ns), draw(st.sampled_from(ZONES)))


def answer(store: Store, question: Question) -> tuple[Any, ...]:
    """All that a report says but for its paths and texts."""
    found = ask(store, question, (START_NS + 72 * HOUR_NS) / 1e9)
    filters = question.filters
    return (
        found.state, sorted(found.rows, key=repr), found.total, found.start_ns, sorted(found.unpriced, key=repr),
        sorted(found.unknown_sellers), last_used_ns(store, filters),
        first_used_ns(store, filters),
        [one["id"] for one in record.page(store, filters, question.period, 100)[0]],
    )  # fmt: skip


def from_records(store: Store, question: Question) -> tuple[Any, ...]:
    """The same where the ledger has no sums."""
    with mock.patch.object(Store, "has_sums", new=False):
        return answer(store, question)


@contextmanager
def ledger(parts: Sequence[Sequence[Call]]) -> Generator[Store]:
    """The calls written in parts, each by a connection of its own, and the last ones by two in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        with Store.open(path) as first:
            for part in parts:
                with Store.open(path) as second:
                    second.append(part[::2], PERIODS)
                first.append(part[1::2], PERIODS, mend=True)
        with Store.read(path) as store:
            yield store


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=80)
@given(
    parts=st.lists(st.lists(made(), min_size=10, max_size=40), min_size=1, max_size=4),
    questions=st.lists(asked(), min_size=1, max_size=4),
)
def test_sums_and_records_answer_alike(parts: list[list[Call]], questions: list[Question]) -> None:
    """Random calls, several writers, duplicates, numbers beyond all bounds: a question has one answer, from sums or records."""
    with small(), ledger(parts) as store:
        assert checking.differences(store) == []
        for question in questions:
            assert answer(store, question) == from_records(store, question), question


def of_ten(**changed: Any) -> list[Call]:
    """Ten calls of one label set, in one hour."""
    return [call(**changed) for _ in range(10)]


def totals(store: Store) -> list[tuple[int, int, int]]:
    """By grain: calls and cost."""
    return store.select("SELECT grain, SUM(calls), SUM(cost_nano_usd) FROM sums GROUP BY grain ORDER BY grain")


def test_sums_stand_in_the_transaction_of_the_records(tmp_path: Path) -> None:
    """What another process sees has sums for all records up to the mark; what a duplicate would add is in none."""
    calls = of_ten()
    with small(), Store.open(tmp_path / "ledger.db") as store, Store.read(tmp_path / "ledger.db") as other:
        store.append([*calls[:5], *calls[:5]], PERIODS)
        assert (other.summed, totals(other)) == (5, [(grain, 5, 5 * 695_400) for grain in range(3)])
        store.append(calls, PERIODS)
        assert (other.summed, totals(other)) == (10, [(grain, 10, 10 * 695_400) for grain in range(3)])


def test_a_transaction_that_is_rolled_back_leaves_no_sums(tmp_path: Path) -> None:
    """Nor does the process take labels for written that were rolled back with it."""
    keep_up = sums.Sums.keep_up

    def crash(self: sums.Sums, written: int) -> None:
        keep_up(self, written)
        raise sqlite3.OperationalError("disk I/O error")

    with small(), Store.open(tmp_path / "ledger.db") as store:
        with mock.patch.object(sums.Sums, "keep_up", crash), pytest.raises(sqlite3.OperationalError):
            store.append(of_ten(team="lost"), PERIODS)
        assert (store.summed, totals(store), store.select("SELECT * FROM labels")) == (0, [], [])
        store.append(of_ten(team="lost"), PERIODS)
        assert store.select("SELECT DISTINCT team FROM labels") == [("lost",)]
        assert checking.differences(store) == []


def test_a_fault_of_the_sums_costs_no_record(tmp_path: Path) -> None:
    """The records are written, the sums stay as they were, and the answer is right."""
    with small(), Store.open(tmp_path / "ledger.db") as store:
        with mock.patch.object(sums, "set_mark", side_effect=sqlite3.IntegrityError("a fault")):
            assert store.append(of_ten(), PERIODS) == 10
        assert (store.summed, totals(store)) == (0, [])
    assert len(booked(tmp_path / "ledger.db")) == 10
    with Store.read(tmp_path / "ledger.db") as reader:
        assert ask(reader, Question(), 0).total.requests == 10


def test_a_sum_that_would_leave_64_bits_is_not_made(tmp_path: Path) -> None:
    """SQLite would go on with a float: the sums stop before that, and the records answer to the nano-USD."""
    with small(), mock.patch.object(sums, "_LARGEST", 2**62), Store.open(tmp_path / "ledger.db") as store:
        for _ in range(4):
            store.append([call(price=Cost(2**60 + 1, EXACT)) for _ in range(4)], PERIODS)
        assert totals(store)[0][1:] == (4, 4 * (2**60 + 1))
    with Store.read(tmp_path / "ledger.db") as reader:
        assert ask(reader, Question(), 0).total.nano_usd == 16 * (2**60 + 1)


def test_a_total_beyond_64_bits_of_a_part_of_a_day_is_exact(tmp_path: Path) -> None:
    """It is added up one by one: the hours of that day are not read as the day less its first hour."""
    costs = [*range(96), 2**62, 2**62]
    with small(), Store.open(tmp_path / "ledger.db") as store:
        store.append(
            [call(started_ns=START_NS + n // 4 * HOUR_NS, price=Cost(cost, EXACT)) for n, cost in enumerate(costs)],
            PERIODS,
        )
        while store.sum_up(10):
            pass
    later = Period("later", START_NS + HOUR_NS)
    with Store.read(tmp_path / "ledger.db") as reader:
        total = ask(reader, Question(period=later), 0).total
        assert (total.requests, total.nano_usd) == (94, sum(costs[4:]))


def test_each_moment_is_answered_anew(tmp_path: Path) -> None:
    """What was read of a ledger for one question is kept for that moment only, whoever writes in between."""
    path = tmp_path / "ledger.db"
    question = Question(("team",), (Filter("session", "=", "one"), Filter("account", "=", "acme")))
    with small(), Store.open(path) as writer, Store.read(path) as reader:
        for count in (20, 40):
            writer.append([call(session="one", account="acme") for _ in range(20)], PERIODS)
            while writer.sum_up(10):
                pass
            assert ask(reader, question, 0).total.requests == count
            assert ask(reader, Question(("team",)), 0).total.requests == count


def written_by_an_older_costspan(path: Path, count: int, *, migrated: bool) -> None:
    """Records as a costspan writes them that knows no sums, into a file of its own time or a newer one."""
    steps = migrations.STEPS if migrated else migrations.STEPS[: migrations.SUMS_STEP - 1]
    later = {column for columns in migrations.ADDED[migrations.SUMS_STEP - 1 :] for column in columns}
    names = [name for name in rows.RECORD_COLUMNS if name not in later]
    insert = f"INSERT INTO records ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - own names

    def older(call: Call, kind: int) -> rows.Row:
        return rows.record(call, kind)[: len(names)]

    with (
        mock.patch.object(migrations, "STEPS", steps),
        mock.patch("costspan.ledger.store._INSERT_RECORD", insert),
        mock.patch("costspan.ledger.store.record", older),
        Store.open(path) as opened,
        mock.patch.object(sums.Sums, "keep_up"),
    ):
        opened.append([call(started_ns=START_NS + number * HOUR_NS) for number in range(count)], PERIODS)


@pytest.mark.parametrize("migrated", [True, False])
def test_what_an_older_costspan_writes_is_answered_and_summed_up(tmp_path: Path, *, migrated: bool) -> None:
    """At once from the records; from sums when a newer one has written, some at a time, or has asked."""
    path = tmp_path / "ledger.db"
    written_by_an_older_costspan(path, 30, migrated=migrated)
    with Store.read(path) as reader:
        assert ask(reader, Question(("day",)), 0).total.requests == 30
    with small(), Store.open(path) as store:
        assert (store.summed, store.beyond) == (0, 30)
        store.append([call()], PERIODS)
        assert (store.summed, store.beyond) == (7, 24)
        store.append([call()], PERIODS)
        assert (store.summed, store.beyond) == (14, 18)
        assert checking.differences(store) == []
        with Store.read(path) as reader:
            assert ask(reader, Question(("day",)), 0).total.requests == 32


def test_who_asks_a_large_ledger_of_an_older_costspan_sums_it_up(tmp_path: Path) -> None:
    """Then the next question reads sums, and the answer is the same."""
    path = tmp_path / "ledger.db"
    written_by_an_older_costspan(path, 30, migrated=False)
    with mock.patch.object(intake, "_LEFT_UNSUMMED", 20), intake.read(path) as reader:
        assert reader.beyond == 0
        assert ask(reader, Question(("day",)), 0).total.requests == 30
        assert len(cover.source(reader, cover.Wanted(frozenset())).cells) == 1


def test_a_ledger_that_may_not_be_written_is_read_from_its_records(tmp_path: Path) -> None:
    """Nobody can make its sums: the answer is the same."""
    path = tmp_path / "ledger.db"
    written_by_an_older_costspan(path, 30, migrated=False)
    with (
        mock.patch.object(intake, "_LEFT_UNSUMMED", 20),
        mock.patch.object(Store, "open", side_effect=sqlite3.OperationalError("attempt to write a readonly database")),
        intake.read(path) as reader,
    ):
        assert ask(reader, Question(), 0).total.requests == 30


def test_a_crowded_slot_is_read_from_its_records(tmp_path: Path) -> None:
    """Where each call has a label set of its own sums save nothing: they are given up, and labels are not made on and on."""
    path = tmp_path / "ledger.db"
    with small(), Store.open(path) as store:
        for hour in range(40):
            store.append(
                [call(started_ns=START_NS + hour * HOUR_NS + n, team=f"{hour}-{n}") for n in range(6)], PERIODS
            )
        assert store.select("SELECT COUNT(*) FROM crowded WHERE grain = ?", (sums.HOURS,))[0][0] >= 38
        assert store.select("SELECT COUNT(*) FROM labels")[0][0] < 120
        assert checking.differences(store) == []
    with Store.read(path) as reader:
        assert ask(reader, Question(("team",)), 0).total.requests == 240


def test_a_question_reads_sums_and_not_records(tmp_path: Path) -> None:
    """Of a period that sums cover no record is touched: the answer stays when the records are gone."""
    path = tmp_path / "ledger.db"
    with small(), Store.open(path) as store:
        store.append(
            [call(started_ns=START_NS + n // 8 * HOUR_NS, model=f"model-{n % 2}") for n in range(384)], PERIODS
        )
        while store.sum_up(100):
            pass
        store.connection.execute("DELETE FROM records WHERE n < 384")
    with Store.read(path) as reader:
        for zone in ZONES[:2]:
            found = ask(reader, Question(("day", "model"), zone=zone), 0)
            assert (found.total.requests, len(found.rows)) == (384, 4 if zone is timezone.utc else 6)


def test_sums_made_anew_are_the_same(tmp_path: Path) -> None:
    """Whatever was in them: the records say what is right, and what differs is named by its slot."""
    path = tmp_path / "ledger.db"
    with small(), Store.open(path) as store:
        store.append([call(started_ns=START_NS + n // 4 * HOUR_NS) for n in range(120)], PERIODS)
        while store.sum_up(7):
            pass
        before = store.select("SELECT * FROM sums")
        store.connection.execute("UPDATE sums SET calls = calls + 1 WHERE grain = 1 AND slot % 24 = 3")
        found = checking.differences(store)
        assert [(one.grain, one.calls, one.calls_by_sums) for one in found] == [(sums.HOURS, 4, 5)] * 2
        assert found[0].start_ns == START_NS + 3 * HOUR_NS
        store.begin_sums_anew()
        while store.sum_up(7):
            pass
        assert (checking.differences(store), store.select("SELECT * FROM sums")) == ([], before)


def test_every_word_is_answered_by_sums_or_known_to_need_records() -> None:
    """A new word of reports must not be answered from sums that know nothing of it."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE labels ({', '.join(sums.LABELS)})")
    for word, column in COLUMNS.items():
        if word not in cover.BY_RECORDS:
            connection.execute(f"SELECT {column} FROM labels")  # noqa: S608 - own names
    connection.close()
