"""The sums of a dead process, made again from its outbox, are the ones that it would have told."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from costspan import names
from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger import kept_calls, outbox_lines
from costspan.metrics import restored
from costspan.metrics.label_points import LabelPoints
from costspan.metrics.session_points import SessionPoints
from costspan.metrics.sessions import Sessions
from costspan.metrics.totals import Totals
from ledger_calls import COST, UNPRICED, at_ns, call

_KEPT_NS: Final = at_ns("2026-11-21 06:00")
_BEGAN_NS: Final = at_ns("2026-11-19 23:00")
_Told = dict[tuple[str, str], Any]


class Process:
    """The sums of a living process, and the lines of its outbox."""

    def __init__(self, label_limit: int = 4) -> None:
        self.totals = Totals(label_limit, 20, with_account=True, clock=lambda: _BEGAN_NS)
        self.sessions = Sessions(100, label_limit)
        self.periods = Periods("Europe/Berlin")
        self.lines: list[bytes] = []

    def finish(self, each: Call) -> None:
        each.period = self.periods.month(each.started_ns)
        self.totals.add(each, each.period, self.periods.day(each.started_ns))
        self.sessions.add(each)
        self.lines.append(outbox_lines.line(kept_calls.packed(each, _KEPT_NS + len(self.lines))))

    def begin_anew(self) -> None:
        """Put the sums in the place of all lines but the last, which was not delivered as an event."""
        sums = restored.sums(self.totals, self.sessions, _KEPT_NS)
        self.lines = [outbox_lines.mark(outbox_lines.SUMS, sums), *self.lines[-1:]]

    def head(self) -> dict[str, Any]:
        settings = restored.settings(self.totals, self.sessions, "Europe/Berlin")
        return {"settings": settings, "logs": "here"}

    def kept(self) -> outbox_lines.Kept:
        return outbox_lines.read(io.BytesIO(outbox_lines.head(self.head()) + b"".join(self.lines)))

    def told(self) -> _Told:
        """What it tells on its last day."""
        found: list[Any] = []
        points = LabelPoints(self.totals, self.periods, is_delta=False, is_pulled=True)
        for piece in points.pieces(at_ns("2026-11-21 12:00")):
            found += piece.metrics(points.kind)
        sessions = SessionPoints(self.sessions, is_delta=False, since_ns=0)
        return _values([*found, *sessions.take(sessions.backlog(), 0)])


def _values(metrics: Iterable[Any]) -> _Told:
    found: _Told = {}
    for metric in metrics:
        for point in metric.data.data_points:
            key = (metric.name, str(sorted(point.attributes.items())))
            assert key not in found, "one series is told once in a message"
            found[key] = point.value
    return found


def _restored(kept: outbox_lines.Kept) -> restored.Restored:
    made = restored.Restored(kept.head["settings"], kept.sums)
    for kept_ns, each in kept.calls:
        made.add(kept_ns, each)
    return made


def _any_call(chance: random.Random) -> Call:
    units = Usage(input=chance.randrange(1000), output=chance.randrange(100), cache_read=chance.randrange(2))
    if chance.random() < 0.2:
        units.counts["input_audio"] = chance.randrange(50)
    return call(
        team=chance.choice([None, "search", "ads", "a", "b", "c", "d"]),  # more than are told apart
        session=chance.choice([None, "monday", "tuesday"]),
        model=chance.choice(["gpt-5.4-mini", "gpt-4o", "o3"]),
        usage=chance.choice([units, None]),
        price=chance.choice([COST, UNPRICED, None]),
        outcome=chance.choice(["ok", "error", "refused"]),
        started_ns=at_ns("2026-11-19 23:30") + chance.randrange(30 * 3600) * 10**9,
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("begins_anew", [False, True])
def test_what_is_told_late_is_what_would_have_been_told(seed: int, begins_anew: bool) -> None:  # noqa: FBT001
    """Series by series, above the limits of labels too, and where the file was begun anew from the sums."""
    chance = random.Random(seed)  # noqa: S311
    process = Process()
    for _ in range(60):
        process.finish(_any_call(chance))
    if begins_anew:
        process.begin_anew()
        for _ in range(20):
            process.finish(_any_call(chance))
    found: _Told = {}
    for message in _restored(process.kept()).messages():
        found |= _values(message)
    assert found == process.told()


def test_sums_of_version_2_have_no_requests_of_a_day() -> None:
    """Their process told none: cost and tokens of its days are all there, and what it calls after that counts."""
    process = Process()
    process.finish(call(started_ns=at_ns("2026-11-20 12:00")))
    sums = restored.sums(process.totals, process.sessions, _KEPT_NS)
    assert sums["days"] == [(*sums["days"][0][:-1], 1)]
    old = sums | {"days": [day[:-1] for day in sums["days"]]}
    process.finish(call(started_ns=at_ns("2026-11-20 13:00")))
    process.lines[:1] = [outbox_lines.mark(outbox_lines.SUMS, old)]
    found: _Told = {}
    for message in _restored(process.kept()).messages():
        found |= _values(message)
    told = process.told()
    assert {key: value - found[key] for key, value in told.items() if value != found[key]} == {
        key: 1 for key in told if key[0] == names.DAY_REQUESTS.name
    }


def test_every_point_has_the_time_of_its_last_call() -> None:
    """A day that was over keeps its time, so that no later day of the same weekday is told by it."""
    process = Process()
    process.finish(call(started_ns=at_ns("2026-11-10 12:00")))  # a call of eleven days ago
    process.finish(call(started_ns=at_ns("2026-11-20 12:00")))
    process.finish(call(started_ns=at_ns("2026-11-21 05:00")))
    times: dict[str, set[int]] = {}
    for message in _restored(process.kept()).messages():
        for metric in message:
            for point in metric.data.data_points:
                word = str((point.attributes or {}).get(names.WEEKDAY, metric.name))
                times.setdefault(word, set()).add(point.time_unix_nano)
    assert "2" not in times  # eleven days ago: its days are over
    assert times["5"] == {_KEPT_NS + 1 + 2_000_000}
    assert times["6"] == times[names.COST_USD.name] == {_KEPT_NS + 2 + 2_000_000}


def test_a_call_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every field of which a counter or a usage event is made."""
    del tmp_path
    one = call(
        is_stream=True, first_chunk_s=0.5, error_type="Timeout", http_status=504, port=8080, tier="flex", geo="eu",
        speed="fast", processing="batch", unread=("odd",), parts=(("gpt-4o", Usage(input=3)),), team='\udcff "\n',
        booked=7,
    )  # fmt: skip
    for each in (one, call(price=UNPRICED, usage=None), call(price=None)):
        (line,) = outbox_lines.read(
            [outbox_lines.head(Process().head()), outbox_lines.line(kept_calls.packed(each, 5))]
        ).calls
        assert line == (5, each)


def test_a_line_of_version_1_is_read() -> None:
    """JSON, and without the columns that came later."""
    one = call(booked=7)
    values = kept_calls.values_of(kept_calls.packed(one, 5))
    assert values is not None
    head = Process().head() | {"version": 1, "columns": [*kept_calls.COLUMNS[:-1]]}
    kept = outbox_lines.read([outbox_lines.head(head), json.dumps(values[:-1]).encode() + b"\n"])
    assert (kept.calls, kept.unread) == ([(5, one)], 0)
