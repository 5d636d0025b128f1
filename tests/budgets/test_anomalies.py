"""`costspan anomalies`: hours, sessions and loops in ledgers of simulated weeks, and against definitions that count all anew."""

from __future__ import annotations

import json
import re
import shlex
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.budgets.anomalies import Anomalies, anomalies
from costspan.budgets.finding import Finding
from costspan.budgets.hours import hours
from costspan.budgets.policy import Anomaly
from costspan.cli.commands import costspan
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.ledger.compacting import roll_up
from costspan.ledger.store import Store
from ledger_calls import UNPRICED, call, write

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> int:
    """A moment by the clock on the wall, in nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * 10**9


def spent(usd: float | str | Decimal, ns: int, **more: Any) -> Call:
    """A call of so much, of a session of its own unless one is said."""
    price = Cost(int(Decimal(str(usd)) * 10**9), "exact")
    return call(**{"started_ns": ns, "price": price, "response_id": None, "session": None, "team": "search", **more})


def days(hour: str, amounts: Iterable[float | str], *, until: str, **more: Any) -> list[Call]:
    """A call on each of the days before one, at that time by the clock on the wall, the last day last."""
    listed = list(amounts)
    last = datetime.fromisoformat(until)
    return [
        spent(usd, at(f"{last - timedelta(days=len(listed) - number):%Y-%m-%d} {hour}"), **more)
        for number, usd in enumerate(listed)
        if Decimal(str(usd))
    ]


def found(
    folder: Path, calls: Sequence[Call], start: str, end: str, zone: ZoneInfo = BERLIN, **declared: Any
) -> Anomalies:
    """The anomalies of a stretch of time in a ledger of these calls."""
    path = folder / "ledger.db"
    path.unlink(missing_ok=True)
    write(path, *sorted(calls, key=lambda each: each.started_ns))
    with Store.read(path) as store:
        return anomalies(store, Anomaly(**declared), zone, at(start, zone), at(end, zone))


def told(found: Anomalies) -> list[tuple[Any, ...]]:
    """Kind, whose, amount and usual of each."""
    return [(each.kind, each.who[0][1], each.amount, each.usual) for each in found.findings]


USD = 10**9
FRIDAY = datetime.fromisoformat("2026-11-20")
FEW = [1, "0.9", "1.1", 1, 1, "1.05", "0.95"]
#: What was spent at 14:00 on the days before 2026-11-20, a Friday; what on that day; what is told of it (usual, how many, which).
HOURS = [
    ("three times is told only when it is more", FEW, "3.000000001", (USD, 7, "days before")),
    ("exactly three times is not", FEW, 3, None),
    ("one odd day moves nothing", [*FEW[:6], 500], "3.2", (USD, 7, "days before")),
    ("six days are too few", FEW[:6], 50, "not judged"),
    ("less than the floor is never unusual", ["0.1"] * 7, "0.99", None),
    ("where nothing is usual the floor counts", [0] * 20 + FEW[:1], 1, (0, 21, "days before")),
    ("amounts that differ by much have a wide usual", [1, 8] * 13, "25.5", None),
    ("and end somewhere", [1, 8] * 13, "25.500000001", (4_500_000_000, 26, "days before")),
    ("a job of every Friday", [9, 0, 0, 0, 0, 0, 0] * 4, 10, None),
    ("a Friday unlike other Fridays", [1, 9, 9, 9, 9, 9, 9] * 4, 9, (USD, 4, "Fridays before")),
    ("three Fridays are no usual of their own", [1, 9, 9, 9, 9, 9, 9] * 3, 9, None),
    ("eight weeks of Fridays and no more", [100, 0, 0, 0, 0, 0, 0] * 8 + [1, 0, 0, 0, 0, 0, 0] * 8, 9,
     (USD, 8, "Fridays before")),
]  # fmt: skip


@pytest.mark.parametrize(("before", "now", "is_told"), [row[1:] for row in HOURS], ids=[row[0] for row in HOURS])
def test_an_hour_is_compared_with_the_same_hour_of_other_days(
    before: list[float | str], now: float | str, is_told: object, tmp_path: Path
) -> None:
    """By the median and the distances from it; weekdays apart once there are four; other hours say nothing."""
    calls = days("14:10", before, until="2026-11-20")
    # The ledger knows the team from the first day on, whether it spent at 14:00 then or not.
    calls += [spent("0.000000001", at(f"{FRIDAY - timedelta(days=len(before)):%Y-%m-%d} 03:00"))]
    calls += [spent(70, at(f"2026-11-{day} 15:00"), team="ads") for day in range(10, 20)]
    calls += [spent(now, at("2026-11-20 14:59:59"))]
    # Where a week is asked for, more days are read than the last one is compared with.
    got = found(tmp_path, calls, f"2026-11-{14 if len(before) > 100 else 20} 00:00", "2026-11-21 00:00")
    of_hours = [(each.usual, each.compared, each.others) for each in got.findings]
    assert of_hours == ([is_told] if isinstance(is_told, tuple) else [])
    of_search = [each for each in got.unjudged if each.who == (("team", "search"),)]
    assert [(each.number, each.known, each.needed) for each in of_search] == (
        [(1, 6, 7)] if is_told == "not judged" else []
    )
    if of_hours:
        (one,) = got.findings
        assert (one.kind, one.who, one.amount) == ("hour", (("team", "search"),), int(Decimal(str(now)) * 10**9))
        assert (one.start_ns, one.end_ns) == (at("2026-11-20 14:00"), at("2026-11-20 15:00"))


def test_a_team_is_judged_by_its_own_days(tmp_path: Path) -> None:
    """One that has begun a day ago is not, however old the ledger is; calls without a team are a team."""
    calls = days("09:30", [2] * 20, until="2026-11-20") + days("09:30", [2] * 20, until="2026-11-20", team=None)
    calls += [spent(50, at(f"2026-11-{day} 09:00"), team="new") for day in (19, 20)]
    calls += [spent(7, at("2026-11-20 09:59"), team=None), spent(6, at("2026-11-20 09:59"))]
    got = found(tmp_path, calls, "2026-11-20 00:00", "2026-11-21 00:00")
    assert told(got) == [("hour", None, 7 * USD, 2 * USD)]
    assert [each.said for each in got.unjudged] == [
        "Not judged: 1 hour of team new, as the ledger has 1 day before, and 7 are needed."
    ]
    assert got.findings[0].said(BERLIN) == (
        "calls without a team spent 7.00 USD in the hour from 2026-11-20 09:00, 3.5 times the usual 2.00 USD (by 20 days before)"
    )


def test_hours_are_those_of_the_clock_on_the_wall(tmp_path: Path) -> None:
    """In the zone of the file, also where the clock changes: an hour that comes twice is two, one that does not come is none."""
    calls = days("02:30", [1] * 20, until="2026-10-25")
    calls += [spent(2, at("2026-10-25 02:10")), spent("3.5", at("2026-10-25 02:10", fold=1))]
    got = found(tmp_path, calls, "2026-10-25 00:00", "2026-10-26 00:00")
    (one,) = got.findings
    assert (one.amount, one.end_ns - one.start_ns, one.start_ns) == (
        3_500_000_000, 60 * MINUTE_NS, at("2026-10-25 02:00", fold=1),
    )  # fmt: skip
    assert one.look(BERLIN).endswith("--since 2026-10-25T02:00:00+01:00 --until 2026-10-25T03:00:00+01:00")
    # In winter the job still runs at half past two by the clock: its usual is that of the summer.
    calls += [spent(4, at("2026-10-26 02:30"))]
    assert told(found(tmp_path, calls, "2026-10-26 00:00", "2026-10-27 00:00")) == [("hour", "search", 4 * USD, USD)]
    utc = found(tmp_path, calls, "2026-10-26 00:00", "2026-10-27 00:00", ZoneInfo("UTC"))
    assert told(utc) == [("hour", "search", 4 * USD, 0)]
    # The night of spring has no half past two: that day says nothing of the hour.
    assert [each.hour for each in hours(BERLIN, at("2027-03-28 00:00"), at("2027-03-28 05:00"))] == [0, 1, 3, 4]
    assert len(hours(BERLIN, at("2027-03-28 00:00"), at("2027-03-29 00:00"))) == 23
    assert len(hours(ZoneInfo("Asia/Kolkata"), at("2026-11-01 00:00"), at("2026-11-01 12:00"))) == 13


def test_days_of_which_only_sums_are_kept_say_nothing_of_hours(tmp_path: Path) -> None:
    """An hour is compared with those that are known; the sum of a day, which stands at its noon, is none of them."""
    calls = days("13:30", [1] * 56, until="2026-11-20") + days("04:30", [1] * 56, until="2026-11-20")
    calls += [spent(20, at("2026-10-02 03:00")), spent(4, at("2026-11-20 13:00"))]
    assert [each.compared for each in found(tmp_path, calls, "2026-11-20 00:00", "2026-11-21 00:00").findings] == [8]
    path = tmp_path / "ledger.db"
    for before, compared in (("2026-10-22", (4, "Fridays before")), ("2026-10-25", (3 * 7 + 5, "days before"))):
        assert roll_up(path, at(before, ZoneInfo("UTC")))
        with Store.read(path) as store:
            got = anomalies(store, Anomaly(), BERLIN, at("2026-11-20 00:00"), at("2026-11-21 00:00"))
            assert [(each.compared, each.others, each.usual) for each in got.findings] == [(*compared, USD)]
            assert not anomalies(store, Anomaly(), BERLIN, at("2026-09-20 00:00"), at("2026-10-20 00:00")).findings


def by_definition(
    calls: list[Call], start_ns: int, end_ns: int, zone: ZoneInfo
) -> set[tuple[str, str | None, int, int]]:
    """Hours that are unlike others, each counted anew: team, its hour with offset, amount and usual."""
    spend: dict[tuple[str | None, str], int] = {}
    for each in calls:
        hour = datetime.fromtimestamp(each.started_ns // 10**9, zone).replace(minute=0, second=0)
        key = (each.attribution.team, hour.isoformat())
        spend[key] = spend.get(key, 0) + (each.price.nano_usd if isinstance(each.price, Cost) else 0)
    found: set[tuple[str, str | None, int, int]] = set()
    for (team, text), amount in spend.items():
        hour = datetime.fromisoformat(text).astimezone(zone)
        if amount < USD or not start_ns <= hour.timestamp() * 10**9 < end_ns:
            continue
        first = min(datetime.fromisoformat(other).timestamp() for whose, other in spend if whose == team)
        before = [
            (day, spend.get((team, one.isoformat()), 0))
            for back in range(1, 57)
            for day in [hour.date() - timedelta(days=back)]
            for one in _hours_of(day, hour.hour, zone)
            if one.timestamp() >= first
        ]
        same = [(day, nano) for day, nano in before if day.weekday() == hour.weekday()]
        used = same if len({day for day, _ in same}) >= 4 else before
        if used is not same and len({day for day, _ in used}) < 7:
            continue
        amounts = [nano for _, nano in used if nano]
        usual = int(statistics.median(amounts)) if len(amounts) > 1 else 0
        distance = int(statistics.median([abs(nano - usual) for nano in amounts])) if len(amounts) > 1 else 0
        if amount > 3 * usual and amount > usual + 6 * distance:
            found.add((text, team, amount, usual))
    return found


def _hours_of(day: Any, hour: int, zone: ZoneInfo) -> list[datetime]:
    """The moments at which that hour begins on a day: two, one or none."""
    begins = {datetime(day.year, day.month, day.day, hour, tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
    there = [datetime.fromtimestamp(moment, zone) for moment in sorted(begins)]
    return [one for one in there if (one.date(), one.hour) == (day, hour)]


SPENDS = st.lists(
    st.tuples(
        st.integers(0, 63 * 4), st.integers(0, 3), st.sampled_from([1, 10**8, 10**9, 2 * 10**9, 7 * 10**9]),
        st.sampled_from(["a", None]),
    ),
    min_size=40, max_size=160,
)  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(SPENDS)
def test_hours_are_judged_as_counting_by_definition_says(rows: list[tuple[int, int, int, str | None]]) -> None:
    """At four hours of 63 days around a change of the clock, those at which it changes among them."""
    calls = [
        spent(Decimal(nano) / 10**9, at("2026-09-20 01:15", ZoneInfo("UTC")) + day // 4 * DAY_NS + (day % 4) * 60 * MINUTE_NS
              + quarter * 15 * MINUTE_NS, team=team)
        for day, quarter, nano, team in rows
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        got = found(Path(folder), calls, "2026-10-18 00:00", "2026-11-30 00:00")
    told_of = {
        (datetime.fromtimestamp(each.start_ns // 10**9, BERLIN).isoformat(), each.who[0][1], each.amount, each.usual)
        for each in got.findings
    }
    assert told_of == by_definition(calls, at("2026-10-18 00:00"), at("2026-11-30 00:00"), BERLIN)


# --- sessions ---------------------------------------------------------------------------------------------------------


def sessions(costs: Sequence[float | str], *, task: str = "research", calls: int = 3) -> list[Call]:
    """Sessions of the weeks before 2026-11-20, each of so many calls that cost nothing more than the first."""
    return [
        spent(usd if part == 0 else 0, at("2026-11-05 10:00") + (number * 60 + part) * MINUTE_NS,
              session=f"s{number}", task_type=task, usage=Usage(input=900, output=5))
        for number, usd in enumerate(costs)
        for part in range(calls)
    ]  # fmt: skip


TEN = ["0.2", "0.25", "0.15", "0.2", "0.2", "0.3", "0.1", "0.2", "0.22", "0.18"]
SESSIONS = [
    ("more than ten times the usual", TEN, ["1.5", "0.500000001"], (200_000_000, 10)),
    ("exactly ten times is not", TEN, ["1.5", "0.5"], None),
    ("two that run away do not hide one another", [*TEN, "50"], ["3"], (200_000_000, 11)),
    ("nine others are too few", TEN[:9], ["9"], "not judged"),
    ("others that cost nothing are none", [*TEN[:9], 0], ["9"], "not judged"),
    ("less than the floor is never unusual", ["0.01"] * 10, ["0.9"], None),
    ("amounts that differ by much have a wide usual", ["0.1", "0.1", "0.1", "0.1", "9", "9", "9", "8", "7", "0.1"], ["20"], None),
]  # fmt: skip


@pytest.mark.parametrize(("others", "own", "is_told"), [row[1:] for row in SESSIONS], ids=[row[0] for row in SESSIONS])
def test_a_session_is_compared_with_others_of_its_task_type(
    others: list[float | str], own: list[str], is_told: object, tmp_path: Path
) -> None:
    """By all that it has cost, with the session itself left out; other task types say nothing."""
    calls = sessions(others) + sessions([90] * 12, task="report")
    calls += [
        spent(usd, at("2026-11-20 00:10") - number * 20 * MINUTE_NS, session="it's $x", task_type="research")
        for number, usd in enumerate(own)
    ]
    got = found(tmp_path, calls, "2026-11-20 00:00", "2026-11-21 00:00", floor_usd=Decimal("0.95"))
    of_sessions = [each for each in got.findings if each.kind == "session"]
    assert [(each.usual, each.compared) for each in of_sessions] == ([is_told] if isinstance(is_told, tuple) else [])
    not_judged = [(each.who, each.number, each.known) for each in got.unjudged if each.kind == "session"]
    assert not_judged == ([((("task_type", "research"),), 1, 9)] if is_told == "not judged" else [])
    for one in of_sessions:
        assert one.amount == sum(int(Decimal(usd) * 10**9) for usd in own)
        assert "--where 'session==it'\"'\"'s $x' --where task_type==research" in one.look(BERLIN)


# --- loops ------------------------------------------------------------------------------------------------------------


def conversation(prompts: Sequence[int | None], *, every_s: Sequence[int] | int = 20, **more: Any) -> list[Call]:
    """Calls of one session, one after another."""
    moment, made = at("2026-11-20 10:00"), list[Call]()
    for number, prompt in enumerate(prompts):
        usage = None if prompt is None else Usage(input=prompt, output=9)
        made.append(spent("0.01", moment, **{"session": "loop", "task_type": "research", "usage": usage, **more}))
        moment += (every_s if isinstance(every_s, int) else every_s[number]) * 10**9
    return made


GROWING = list(range(1_000, 25_000, 1_000))  # 24 calls
FASTER = [60] * 12 + [15] * 12
#: Calls of the session, how many calls each of ten others made, and what is told: calls in the row, usual, first and last prompt.
LOOPS = [
    ("many times the usual calls", conversation(GROWING), 7, (24, 7, 1_000, 24_000)),
    ("what is usual here is no loop", conversation(GROWING), 8, None),
    ("fewer than 20 are none", conversation(GROWING[:19]), 3, None),
    ("prompts that stay the same are none", conversation([5_000] * 60), 3, None),
    ("prompts that grow and shrink are none", conversation([1_000, 3_000, 2_000] * 30), 3, None),
    ("shorter prompts lie between",
     conversation([prompt for one in GROWING for prompt in (one, 700, 500)]), 7, (24, 7, 1_000, 24_000)),
    ("too many others lie between", conversation([p for one in GROWING for p in (one, *[700] * 6)]), 7, None),
    ("failed calls have no prompt", conversation([p for one in GROWING for p in (one, None)]), 7, (24, 7, 1_000, 24_000)),
    ("a pause ends it", conversation(GROWING, every_s=[20] * 11 + [601] + [20] * 12), 3, None),
    ("another model is another conversation",
     conversation(GROWING[:12]) + conversation(GROWING[12:], request_model="other"), 3, None),
    ("without ten others, calls that come faster and faster",
     conversation(GROWING, every_s=FASTER), None, (24, None, 1_000, 24_000)),
    ("without ten others, a steady pace is none", conversation(GROWING), None, None),
    ("all at one moment is no pace", conversation(GROWING, every_s=0), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("calls", "usual", "is_told"), [row[1:] for row in LOOPS], ids=[row[0] for row in LOOPS])
def test_a_loop_is_a_row_of_growing_prompts_that_is_unusually_long(
    calls: list[Call], usual: int | None, is_told: tuple[object, ...] | None, tmp_path: Path
) -> None:
    """Against the calls of other sessions of its task type."""
    others = sessions(["0.1"] * 10 if usual else ["0.1"] * 9, calls=usual or 2)
    got = found(tmp_path, calls + others, "2026-11-20 00:00", "2026-11-21 00:00")
    loops = [(each.amount, each.usual, *(each.prompts or ())) for each in got.findings if each.kind == "loop"]
    assert loops == ([is_told] if is_told else [])


# --- the command ------------------------------------------------------------------------------------------------------


def _run(*words: str) -> Any:
    return CliRunner().invoke(costspan, list(words), prog_name="costspan", env={"COLUMNS": None})


def test_the_command_tells_each_anomaly_and_how_to_look_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text and as JSON; the `costspan usage` that it names shows the same amount."""
    monkeypatch.setattr("time.time", lambda: at("2026-11-20 18:00") / 1e9)
    path, file = tmp_path / "ledger.db", tmp_path / "budgets.yaml"
    calls = days("14:10", [1] * 9, until="2026-11-20") + sessions(TEN)
    calls += [spent(8, at("2026-11-20 14:20"), session="it's", task_type="research"), *conversation(GROWING)]
    calls += [spent(0, at("2026-11-20 14:21"), price=UNPRICED)]
    write(path, *calls)
    file.write_text("time_zone: Europe/Berlin\nanomaly: {factor: 4, session_factor: 20}\n")
    asked = ("anomalies", "--budgets", str(file), "--ledger", str(path), "--period", "today")
    shown = _run(*asked)
    assert (shown.exit_code, shown.output.splitlines()) == (0, SHOWN.splitlines())
    data = json.loads(_run(*asked, "--json").output)
    assert [(each["kind"], each["unit"], each["amount"], each["usual"], each["times"]) for each in data["anomalies"]] == [
        ("loop", "calls", 24, 3, 8.0), ("hour", "usd", "8.000000000", "1.000000000", 8.0),
        ("session", "usd", "8.000000000", "0.200000000", 40.0),
    ]  # fmt: skip
    for each in data["anomalies"]:
        total = json.loads(_run(*shlex.split(each["look"])[1:], "--ledger", str(path), "--json").output)["total"]
        assert (total["cost_usd"], total["requests"]) == (each["cost_usd"], each["calls"])
    file.write_text("time_zone: Europe/Berlin\nanomaly: {factor: 20, session_factor: 50, loop_calls: 25}\n")
    assert _run(*asked).output.splitlines() == ["Anomalies: today, hours of Europe/Berlin", "Nothing is unusual."]
    file.write_text("anomaly: {loop_calls: 4}\n")
    refused = _run(*asked)
    assert (refused.exit_code, "budgets.yaml:1: anomaly.loop_calls: is 4: expected" in refused.output) == (1, True)


SHOWN = """\
Anomalies: today, hours of Europe/Berlin
session loop of task type research is in a loop: 24 calls in 8 min, prompts growing from 1,000 to 24,000 tokens, for 0.24 USD, 8.0 times the usual 3 calls a session (by 11 other sessions)
    costspan usage --by model,hour --where session==loop --where task_type==research --where model==gpt-5.4-mini --since 2026-11-20T10:00:00+01:00 --until 2026-11-20T10:07:41+01:00
team search spent at least 8.00 USD in the hour from 2026-11-20 14:00, 8.0 times the usual 1.00 USD (by 15 days before)
    costspan usage --by task_type,model --where team==search --since 2026-11-20T14:00:00+01:00 --until 2026-11-20T15:00:00+01:00
session it's of task type research has cost 8.00 USD by 1 call, 40 times the usual 0.20 USD (by 11 other sessions)
    costspan usage --by model,hour --where 'session==it'"'"'s' --where task_type==research --since 2026-11-20T14:20:00+01:00 --until 2026-11-20T14:20:01+01:00
"""


def test_a_finding_says_amounts_below_a_cent_in_full() -> None:
    """A zero is only what is zero."""
    one = Finding(
        "hour",
        at("2026-11-20 14:00"),
        at("2026-11-20 15:00"),
        (("team", "a"),),
        4_000,
        1,
        9,
        "days before",
        4_000,
        0,
        2,
    )
    assert re.search(r"spent 0\.000004 USD .* 4,000 times the usual 0\.000000001 USD", one.said(BERLIN))
