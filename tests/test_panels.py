"""What every panel shows, asked of a real Prometheus that a known fleet has filled, is what was truly spent."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest
from grafana.source.__main__ import dashboards

from costspan import names
from fleet import moment_s
from panel_fleet import Call, Fleet, known_fleet
from panel_queries import Query, ask, filled, filters, queries
from promtools import Server, prometheus

ZONE = "Europe/Berlin"
DAY_S = 86_400
#: Two months with the end of summer time in them, and both ends of a month.
START_S, END_S = moment_s(ZONE, 2026, 9, 20), moment_s(ZONE, 2026, 11, 21, 15)
BOARDS = {
    name.removesuffix(".json"): json.loads(text)
    for name, text in dashboards({"time_zone": ZONE, "budgets": []}).items()
}
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
    return known_fleet(ZONE, START_S, END_S)


@pytest.fixture(scope="module")
def server(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that holds what the fleet exported."""
    with prometheus(tmp_path_factory.mktemp("panels"), fleet.samples()) as running:
        yield running


def asked(server: Server, query: Query, view: View, at_s: int | None = None, step_s: int = DAY_S) -> Values:
    """What a query answers for a view, by the values of its labels in the order of their names. Zeros aside."""
    text = filled(query.expression, view.end_s - view.start_s, view.chosen, step_s)
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
        sums(calls, count), {(): (view.end_s - view.start_s) / DAY_S}
    ),
    ("usage", "Tokens", "Tokens"): lambda calls, _: sums(calls, tokens),
    ("usage", "Tokens", "Input"): lambda calls, _: sums(calls, lambda call: call.tokens_in),
    ("usage", "Tokens", "Output"): lambda calls, _: sums(calls, lambda call: call.tokens_out),
    ("usage", "Cost", "Cost"): lambda calls, _: sums(calls, usd),
    ("usage", "Cost", "Average a request"): lambda calls, _: each(sums(calls, usd), sums(calls, count)),
    ("usage", "Providers and models", "Requests"): lambda calls, _: sums(calls, count, "model", "provider"),
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
        sums(calls, usd, "task_type"), sums(calls, count, "task_type")
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


@pytest.mark.parametrize("view", ["all", "over the change of clock", "two models, one source"])
@pytest.mark.parametrize(
    ("board", "panel", "amount", "by"),
    [
        ("usage", "Cost by day and source", usd, "source"),
        ("usage", "Tokens by day", tokens, ""),
        ("sessions", "Cost by day and task type", usd, "task_type"),
    ],
)
def test_a_bar_is_the_day_on_which_the_calls_began(
    board: str, panel: str, amount: Amount, by: str, view: str, fleet: Fleet, server: Server
) -> None:
    """Every bar, also on days of 23 and 25 hours, and whatever was exported after midnight."""
    seen = VIEWS[view]
    (query,) = [each for each in queries(BOARDS[board]) if each.panel == panel]
    assert query.step == "1d"
    for step_s in seen.days_s():
        day = fleet.periods.day((step_s + 12 * 3_600) * 10**9)
        calls = [call for _, call in fleet.seen if fleet.day(call) == day and seen.passes(call)]
        told = asked(server, query, seen, step_s)
        if by:
            true = sums(calls, amount, by)
        else:
            ways = {"input": lambda call: call.tokens_in, "output": lambda call: call.tokens_out}
            true = {(way,): sum(map(part, calls)) for way, part in ways.items() if sum(map(part, calls))}
        assert told == pytest.approx(true, rel=1e-9, abs=1e-9), day
