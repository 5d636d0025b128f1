"""What every panel shows, asked of a real Prometheus that a known fleet has filled, is what was truly spent."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from grafana.source.__main__ import dashboards

from costspan import names
from costspan.names import DURATION_BUCKETS_S
from fleet import moment_s
from panel_fleet import SAID_BY_OTHERS, Call, Fleet, Process, known_fleet
from panel_queries import Query, ask, filled, filters, queries
from promtools import Server, prometheus

ZONE = "Europe/Berlin"
DAY_S, HOUR_S = 86_400, 3_600
#: Two months with the end of summer time in them, and both ends of a month.
START_S, END_S = moment_s(ZONE, 2026, 9, 20), moment_s(ZONE, 2026, 11, 21, 15)
#: When the first call of the fleet arrived.
FIRST_SEEN_S = START_S + 4 * HOUR_S
BOARDS = {name.removesuffix(".json"): json.loads(text) for name, text in dashboards().items()}
Values = dict[tuple[str, ...], float]


class View(NamedTuple):
    """What somebody looks at: a time range, and the values that filters are set to."""

    start_s: int
    end_s: int
    chosen: Mapping[str, str] = {}

    def calls(self, fleet: Fleet) -> list[Call]:
        """The calls that arrived in the time range and pass the filters."""
        return [call for seen_s, call in fleet.seen if self.start_s < seen_s <= self.end_s and self.passes(call)]

    def passes(self, call: Call) -> bool:
        """True if every filter lets the call through."""
        return all(re.fullmatch(values, call.word(word)) for word, values in self.chosen.items())

    @property
    def days(self) -> float:
        """What an average a day goes by: from the hour on in which the fleet was first heard, and at least a day."""
        heard_s = (FIRST_SEEN_S - 1) // HOUR_S * HOUR_S
        return max(1.0, (self.end_s - max(self.start_s, heard_s)) / DAY_S)

    def days_s(self) -> range:
        """Where Grafana puts the bars: midnights by today's difference to UTC, from the first day to the last."""
        ahead_s = 3_600  # Berlin at the end of the time range
        first_s = (self.start_s + ahead_s) // DAY_S * DAY_S - ahead_s
        return range(first_s, self.end_s + 1, DAY_S)


VIEWS = {
    "all": View(END_S - 30 * DAY_S, END_S),
    "whole history": View(START_S - DAY_S, END_S),
    "yesterday": View(moment_s(ZONE, 2026, 11, 20), moment_s(ZONE, 2026, 11, 21)),
    "seven hours": View(END_S - 7 * 3_600, END_S),
    "this month": View(moment_s(ZONE, 2026, 11, 1), END_S),
    "over the change of clock": View(moment_s(ZONE, 2026, 10, 19), moment_s(ZONE, 2026, 11, 2)),
    "one model": View(END_S - 20 * DAY_S, END_S, {"model": "gpt-5"}),
    "two models, one source": View(END_S - 20 * DAY_S, END_S, {"model": "gpt-5|claude-opus-5", "source": "heartbeat"}),
    "no price": View(END_S - 20 * DAY_S, END_S, {"model": "llama-9"}),
    "nobody": View(END_S - 20 * DAY_S, END_S, {"model": "gpt-2"}),
}
ONLY_USAGE = {"provider": "openai", "team": "search|support"}


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """The fleet whose calls are known."""
    known = known_fleet(ZONE, START_S, END_S)
    assert min(known.seen)[0] == FIRST_SEEN_S
    return known


@pytest.fixture(scope="module")
def server(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that holds what the fleet exported."""
    with prometheus(tmp_path_factory.mktemp("panels"), fleet.samples()) as running:
        yield running


def asked(server: Server, query: Query, view: View, at_s: int | None = None, step_s: int = DAY_S) -> Values:
    """What a query answers for a view, by the values of its labels in the order of their names. Zeros aside."""
    text = filled(query.expression, view.end_s - view.start_s, view.chosen, step_s, view.end_s)
    result, remarks = ask(server.address, "query", query=text, time=str(at_s or view.end_s))
    assert remarks == []
    found = {
        tuple(each["metric"][label] for label in sorted(each["metric"])): float(each["value"][1]) for each in result
    }
    return {labels: value for labels, value in found.items() if value}


def one(board: str, panel: str, name: str) -> Query:
    """The query of a figure."""
    (found,) = [each for each in queries(BOARDS[board]) if (each.panel, each.name) == (panel, name)]
    return found


# -- what is true ----------------------------------------------------------------------------------------------

Amount = Callable[[Call], float]


def usd(call: Call) -> float:
    return call.usd or 0.0


def count(_: Call) -> float:
    return 1.0


def unpriced(call: Call) -> float:
    return float(call.usd is None)


def priced(call: Call) -> float:
    return float(call.usd is not None)


def tokens(call: Call) -> float:
    return call.tokens_in + call.tokens_out


def sums(calls: list[Call], amount: Amount, *by: str) -> Values:
    """The sum of an amount by fields of the calls. Zeros aside."""
    found: Values = defaultdict(float)
    for call in calls:
        found[tuple(call.word(each) for each in by)] += amount(call)
    return {labels: value for labels, value in found.items() if value}


def shares(calls: list[Call], *by: str, only: Callable[[Call], bool] = lambda _: True) -> Values:
    whole = sum(map(usd, calls))
    return {labels: value / whole for labels, value in sums([call for call in calls if only(call)], usd, *by).items()}


def each(part: Values, whole: Values) -> Values:
    return {labels: value / whole[labels] for labels, value in part.items()}


def in_sessions(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.session]


def sessions(calls: list[Call]) -> Values:
    return sums(in_sessions(calls), usd, "session")


def dearest(calls: list[Call], amount: Amount) -> Values:
    top = sorted(sessions(calls).items(), key=lambda item: -item[1])[:50]
    return sums([call for call in in_sessions(calls) if (call.session,) in dict(top)], amount, "session")


MODEL = ("provider", "model")
TRUE: dict[tuple[str, str, str], Callable[[list[Call], View], Values]] = {
    ("usage", "Requests", "Requests"): lambda calls, _: sums(calls, count),
    ("usage", "Requests", "Average a day"): lambda calls, view: each(
        sums(calls, count), {(): view.days}
    ),
    ("usage", "Tokens", "Tokens"): lambda calls, _: sums(calls, tokens),
    ("usage", "Tokens", "Input"): lambda calls, _: sums(calls, lambda call: call.tokens_in),
    ("usage", "Tokens", "Output"): lambda calls, _: sums(calls, lambda call: call.tokens_out),
    ("usage", "Cost", "Cost"): lambda calls, _: sums(calls, usd),
    ("usage", "Cost", "Average a request"): lambda calls, _: each(sums(calls, usd), sums(calls, priced)),
    ("usage", "Providers and models", "Requests"): lambda calls, _: sums(calls, count, "model", "provider"),
    ("usage", "Providers and models", "Input"): lambda calls, _: sums(calls, lambda call: call.tokens_in, *MODEL),
    ("usage", "Providers and models", "Cached"): lambda calls, _: sums(calls, lambda call: call.tokens_cached, *MODEL),
    ("usage", "Providers and models", "Output"): lambda calls, _: sums(calls, lambda call: call.tokens_out, *MODEL),
    ("usage", "Providers and models", "Tokens"): lambda calls, _: sums(calls, tokens, *MODEL),
    ("usage", "Providers and models", "Cost"): lambda calls, _: sums(calls, usd, *MODEL),
    ("usage", "Providers and models", "Share of cost"): lambda calls, _: shares(calls, *MODEL),
    ("usage", "Providers and models", "Unpriced"): lambda calls, _: sums(calls, unpriced, *MODEL),
    ("sessions", "Sessions", "Sessions"): lambda calls, _: {(): len(sessions(calls))} if sessions(calls) else {},
    ("sessions", "Cost in sessions", "Cost in sessions"): lambda calls, _: sums(in_sessions(calls), usd),
    ("sessions", "Cost in sessions", "Average"): lambda calls, _: each(
        sums(in_sessions(calls), usd), {(): len(sessions(calls))}
    ),
    ("sessions", "Share of cost in sessions", "Share of cost in sessions"): lambda calls, _: shares(
        calls, only=lambda call: bool(call.session)
    ),
    ("sessions", "Dearest sessions", "Cost"): lambda calls, _: dearest(calls, usd),
    ("sessions", "Dearest sessions", "Input tokens"): lambda calls, _: dearest(calls, lambda call: call.tokens_in),
    ("sessions", "Dearest sessions", "Output tokens"): lambda calls, _: dearest(calls, lambda call: call.tokens_out),
    ("sessions", "Task types", "Requests"): lambda calls, _: sums(calls, count, "task_type"),
    ("sessions", "Task types", "Cost"): lambda calls, _: sums(calls, usd, "task_type"),
    ("sessions", "Task types", "Cost a request"): lambda calls, _: each(
        sums(calls, usd, "task_type"), sums(calls, priced, "task_type")
    ),
    ("sessions", "Task types", "Share of cost"): lambda calls, _: shares(calls, "task_type"),
    ("sessions", "Failed calls", "Failed calls"): lambda calls, _: sums(
        [call for call in calls if call.error], count, "error", *MODEL
    ),
    ("health", "Where the amounts come from", "{{llm_cost_quality}}"): lambda calls, _: shares(calls, "quality"),
    ("health", "Estimated or incomplete", "Estimated or incomplete"): lambda calls, _: shares(
        calls, only=lambda call: call.quality in {"estimated", "incomplete"}
    ),
    ("health", "Unpriced calls", "Unpriced calls"): lambda calls, _: each(sums(calls, unpriced), sums(calls, count)),
    ("health", "Unpriced models", "Requests"): lambda calls, _: reasons(sums(calls, unpriced, *MODEL)),
    ("health", "Unpriced models", "Tokens"): lambda calls, _: reasons(
        sums([call for call in calls if call.usd is None], tokens, *MODEL)
    ),
    ("health", "Attribution: known of the cost", "Team"): lambda calls, _: shares(
        calls, only=lambda call: call.team != names.UNKNOWN
    ),
    ("health", "Attribution: known of the cost", "Task type"): lambda calls, _: shares(
        calls, only=lambda call: call.task_type != names.UNKNOWN
    ),
    ("health", "Attribution: known of the cost", "Source"): lambda calls, _: shares(calls),
    ("health", "Attribution: known of the cost", "Session"): lambda calls, _: shares(
        calls, only=lambda call: bool(call.session)
    ),
    ("health", "Ledger and counters", "Counted"): lambda calls, _: {("agents",): sum(map(usd, calls))} if sum(
        map(usd, calls)
    ) else {},
}  # fmt: skip


def reasons(found: Values) -> Values:
    return {(*labels, "unknown_model"): value for labels, value in found.items()}


TRUE["usage", "Providers and models", "Requests"] = lambda calls, _: sums(calls, count, *MODEL)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("which", TRUE, ids=", ".join)
def test_a_figure_is_what_was_spent(which: tuple[str, str, str], view: View, fleet: Fleet, server: Server) -> None:
    """In any time range, under any filters, over restarts, short jobs, months and the change of the clock."""
    board = which[0]
    known = {**view.chosen, **(ONLY_USAGE if board == "usage" and view.chosen else {})}
    view = view._replace(chosen={word: values for word, values in known.items() if word in filters(BOARDS[board])})
    told, true = asked(server, one(*which), view), TRUE[which](view.calls(fleet), view)
    assert told == pytest.approx(true, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("view", "ahead_h"),
    [
        ("all", 0),
        ("over the change of clock", 0),
        ("over the change of clock", 12),
        ("over the change of clock", -11),
        ("two models, one source", 0),
    ],
)
@pytest.mark.parametrize(
    ("board", "panel", "amount", "by"),
    [
        ("usage", "Cost by day and source", usd, "source"),
        ("usage", "Cost by day", usd, ""),
        ("usage", "Tokens by day", tokens, ""),
        ("sessions", "Cost by day and task type", usd, "task_type"),
    ],
)
def test_a_bar_is_the_day_on_which_the_calls_began(
    board: str, panel: str, amount: Amount, by: str, view: str, ahead_h: int, fleet: Fleet, server: Server
) -> None:
    """Every bar, also on days of 25 hours, whatever was exported after midnight, and for readers from UTC-10 to UTC+13.

    Bars by source are for several sources only.
    """
    seen = VIEWS[view]
    (query,) = [each for each in queries(BOARDS[board]) if each.panel == panel]
    assert query.step == "1d"
    for midnight_s in seen.days_s():
        day = fleet.periods.day((midnight_s + 12 * 3_600) * 10**9)
        step_s = midnight_s - ahead_h * 3_600
        calls = [call for _, call in fleet.seen if fleet.day(call) == day and seen.passes(call)]
        told = asked(server, query, seen, step_s)
        if amount is usd:
            is_shown = by != "source" or len(sums(seen.calls(fleet), count, by)) > 1
            true = sums(calls, usd, *by.split()) if is_shown else {}
        else:
            ways: dict[str, Amount] = {"input": lambda call: call.tokens_in, "output": lambda call: call.tokens_out}
            true = {(way,): sum(map(part, calls)) for way, part in ways.items() if sum(map(part, calls))}
        assert told == pytest.approx(true, rel=1e-9, abs=1e-9), day


# -- latency and failures by step ------------------------------------------------------------------------------


def quantile(part: float, durations_s: list[float]) -> float:
    """What Prometheus makes of a histogram: the place in the bucket where this part of the calls is reached."""
    bounds = (*DURATION_BUCKETS_S, float("inf"))
    below = [sum(each <= bound for each in durations_s) for bound in bounds]
    rank = part * len(durations_s)
    at = next(index for index, reached in enumerate(below) if reached >= rank)
    if at == len(bounds) - 1:
        return bounds[-2]
    start, before = (bounds[at - 1], below[at - 1]) if at else (0.0, 0)
    return start + (bounds[at] - start) * (rank - before) / (below[at] - before)


@pytest.mark.parametrize("name", ["median", "95 %"])
@pytest.mark.parametrize("panel", ["Duration", "Time to the first event"])
def test_latency_is_that_of_the_calls_of_each_step(panel: str, name: str, fleet: Fleet, server: Server) -> None:
    """By model; the quantile of exactly the calls that arrived in the step."""
    query = one("sessions", panel, f"{{{{gen_ai_request_model}}}} {name}")
    part = {"median": 0.5, "95 %": 0.95}[name]
    for days in (1, 9, 23):
        view = View(END_S - days * DAY_S, END_S)
        lasted: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for call in view.calls(fleet):
            lasted[call.model,].append(call.duration_s)
        true = {model: quantile(part, each) for model, each in lasted.items()}
        told = asked(server, query, view, view.start_s, days * DAY_S)  # a point stands where its step begins
        assert told == pytest.approx(true, rel=1e-9)


def test_calls_that_did_not_end_well_are_counted_by_step(fleet: Fleet, server: Server) -> None:
    """Each failure once, in the step in which it arrived."""
    query = one("sessions", "Calls that did not end well", "{{llm_outcome}}")
    told = [asked(server, query, VIEWS["all"], at_s, DAY_S) for at_s in range(END_S - 30 * DAY_S, END_S, DAY_S)]
    true = sum(bool(call.error) for call in VIEWS["all"].calls(fleet))
    assert sum(each.get(("error",), 0.0) for each in told) == true > 0


# -- states ----------------------------------------------------------------------------------------------------

NOW_S = END_S
CALL = Call(NOW_S - 5_000, NOW_S - 4_999, "openai", "gpt-5", usd=0.5, tokens_in=10)


def fleet_of(*calls: Call, age_s: int = 0) -> Fleet:
    """One process with these calls that sent its last word some time ago."""
    process = Process("one", NOW_S - 40 * DAY_S, NOW_S - age_s, 3_600)
    process.calls = [*calls]
    return Fleet("UTC", [process])


OLD = replace(CALL, began_s=NOW_S - 35 * DAY_S, counted_s=NOW_S - 35 * DAY_S)
STATES: list[tuple[str, Fleet | None, dict[str, str], int | None]] = [
    # story                                   what there is                                     filter    state
    ("nothing was ever sent",                 None,                                             {},       None),
    ("calls, all with a price",               fleet_of(CALL),                                   {},       1),
    ("calls, of another model",               fleet_of(CALL),                                   {"model": "gpt-4"}, 0),
    ("calls, but before the time range",      fleet_of(OLD),                                    {},       0),
    ("one call has no price",                 fleet_of(CALL, replace(CALL, usd=None)),          {},       3),
    ("only calls without a price",            fleet_of(replace(CALL, usd=None)),                {},       3),
    ("no price, but of another model",        fleet_of(CALL, replace(CALL, usd=None, model="x")), {"model": "gpt-5"}, 1),
    ("one call is priced in part",            fleet_of(CALL, replace(CALL, quality="incomplete")), {},    2),
    ("a call without a price before",         fleet_of(CALL, replace(OLD, usd=None)),           {},       1),
    ("silent since four days",                fleet_of(OLD, age_s=4 * DAY_S),                   {},       0),
    ("silent since nine days",                fleet_of(OLD, age_s=9 * DAY_S),                   {},       None),
]  # fmt: skip


@pytest.mark.parametrize(("story", "there", "chosen", "state"), STATES, ids=[row[0] for row in STATES])
def test_no_telemetry_no_calls_and_no_price_are_told_apart(
    story: str, there: Fleet | None, chosen: dict[str, str], state: int | None, tmp_path: Path
) -> None:
    """The line over the page says what its figures are worth, and an unknown cost is never shown as zero."""
    view = View(NOW_S - DAY_S, NOW_S, chosen)
    with prometheus(tmp_path, there.samples() if there else "") as server:
        text = filled(one("usage", "State", "State").expression, DAY_S, chosen)
        result, _ = ask(server.address, "query", query=text, time=str(NOW_S))
        cost = filled(one("usage", "Cost", "Cost").expression, DAY_S, chosen)
        priced, _ = ask(server.address, "query", query=cost, time=str(NOW_S))
    assert [float(each["value"][1]) for each in result] == ([] if state is None else [state]), story
    (panel,) = [each for each in BOARDS["usage"]["panels"] if each["title"] == "State"]
    shown = panel["fieldConfig"]["defaults"]
    assert (
        (str(state) in shown["mappings"][0]["options"]) if state is not None else ("No telemetry" in shown["noValue"])
    )
    if there is None or not any(call.usd is not None and view.passes(call) for call in there.processes[0].calls):
        assert priced == []


def test_a_session_that_was_dropped_and_came_back_is_a_lower_bound(tmp_path: Path) -> None:
    """Its counter starts again from zero: never negative, never more than it cost."""
    name = names.SESSION_COST_USD.prometheus
    labels = 'session_id="s-1",gen_ai_request_model="m",llm_task_type="t",llm_source="x",job="j",instance="i"'
    points = [(50, 3.0), (30, 5.0), (20, 0.5), (10, 2.0)]  # hours ago; dropped between the second and the third
    samples = "".join(f"{name}{{{labels}}} {value} {NOW_S - hours * 3_600}\n" for hours, value in points)
    query = one("sessions", "Dearest sessions", "Cost")
    with prometheus(tmp_path, samples) as server:
        told = {hours: asked(server, query, View(NOW_S - hours * 3_600, NOW_S)) for hours in (15, 25, 35, 60)}
    assert told == {15: {("s-1",): 1.5}, 25: {("s-1",): 2.0}, 35: {("s-1",): 2.0}, 60: {("s-1",): 2.0}}


# -- the whole -------------------------------------------------------------------------------------------------

HEALTH = [
    ("Rate limits", "Left", 40), ("Rate limits", "Quota", 100), ("Rate limits", "Whole again in", 12),
    ("Collector's queue", "{{exporter}}", 0.25), ("Lost on the way", "points that the Collector could not send ({{job}})", 5),
    ("Lost on the way", "samples that came too late ({{job}})", 2), ("Faults of costspan", "Faults of costspan", 3),
    ("Not watched as intended", "Not watched as intended", 1), ("Folded into other", "Folded", 4),
    ("Ledger and counters", "Counted", 7.75), ("Ledger and counters", "Written", 7.5),
    ("Ledger and counters", "Lost, USD", 0.25), ("Ledger and counters", "Lost, records", 6),
    ("Ledger and counters", "Waiting", 8), ("Age of the last sample", "{{job}}", 90),
]  # fmt: skip


def test_the_health_of_the_meter_is_shown_as_it_arrives(tmp_path: Path) -> None:
    """Gauges as they stand, counters by how much they grew; the newest sample is 90 seconds old."""
    counted = ('llm_requests_total{job="agents",instance="a"} 1', 'llm_cost_usd_total{job="agents",instance="a"} 7.75')
    samples = "".join(f"{line} {NOW_S - 90}\n" for line in (*SAID_BY_OTHERS.splitlines(), *counted))
    with prometheus(tmp_path, samples) as server:
        for panel, name, true in HEALTH:
            found = [each for each in queries(BOARDS["health"]) if (each.panel, each.name) == (panel, name)]
            told = [asked(server, query, View(NOW_S - DAY_S, NOW_S)) for query in found]
            assert [value for each in told for value in each.values()] == [true], (panel, name)
        later = asked(
            server, one("health", "Age of the last sample", "{{job}}"), View(NOW_S, NOW_S + 7_000), NOW_S + 7_000
        )
        assert later == {("agents",): 7_090}
        falls = one("health", "Counters that fell", "Counters that fell")
        assert asked(server, falls, View(NOW_S - DAY_S, NOW_S)) == {}


def test_prometheus_has_nothing_to_remark_on_any_query(server: Server) -> None:
    """Every query and every filter parses, runs over the range and at a moment, without warning or hint."""
    form = {"start": str(END_S - 7 * DAY_S), "end": str(END_S), "step": str(DAY_S)}
    for board in BOARDS.values():
        for query in queries(board):
            text = filled(query.expression, 7 * DAY_S, end_s=END_S)
            for way, more in (("query", {"time": str(END_S)}), ("query_range", form)):
                _, remarks = ask(server.address, way, query=text, **more)
                assert remarks == [], query
        for asked_for in (
            filters(board).values() if board is not BOARDS["budgets"] else ()
        ):  # of the rules: their own test
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", asked_for)
            assert match is not None
            found, _ = ask(
                server.address, "query", query=f"group by ({match[2]}) ({filled(match[1], 0)})", time=str(END_S)
            )
            assert found
