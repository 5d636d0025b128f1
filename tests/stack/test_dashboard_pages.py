"""What a reader sees of each panel, by Grafana's own code over a real Prometheus that holds a few known calls.

`python -m pytest tests/stack/test_dashboard_pages.py` compares with tests/golden/dashboards; COSTSPAN_WRITE_GOLDEN=1 writes
them, and whoever does reads the difference against `few_calls.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import few_calls
from dashboard_page import Answers, Json, answers, grafanas_code, settings, shown
from pictures import dashboards
from promtools import ROOT, Server, prometheus

GOLDEN = ROOT / "tests" / "golden" / "dashboards"
BOARDS: dict[str, Json] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
}


@pytest.fixture(scope="module")
def code() -> Path:
    """Grafana's code."""
    return grafanas_code()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that holds the few calls."""
    with prometheus(tmp_path_factory.mktemp("pages"), few_calls.samples()) as running:
        yield running


def asked(server: Server, panel: Json) -> Answers:
    """The answers to a panel's queries."""
    return answers(server.address, panel, few_calls.END_S, few_calls.RANGE_S)


@pytest.fixture(scope="module")
def answered(server: Server) -> dict[str, list[tuple[Json, Answers]]]:
    """Every panel of every dashboard with its answers."""
    return {name: [(panel, asked(server, panel)) for panel in board["panels"]] for name, board in BOARDS.items()}


@pytest.mark.parametrize("name", BOARDS)
def test_a_page_shows_what_the_calls_were(
    name: str, code: Path, answered: dict[str, list[tuple[Json, Answers]]]
) -> None:
    """Every figure, colour, order, total, word and link of every panel."""
    told = "\n\n".join([settings(BOARDS[name]), *shown(code, answered[name])]) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("COSTSPAN_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(told)
    assert told == golden.read_text()


def written(content: Any) -> Iterator[str]:
    """Every word and every bar that is drawn of a panel; the marks of an axis aside, which the page does not tell."""
    if isinstance(content, dict):
        said = cast("dict[str, Any]", content)
        yield from (said[word] for word in ("name", "text") if word in said)
        yield from said.get("calcs", []) + said.get("totals", [])
        yield from [f"[bar {100 * said['part']:.1f}%]"] if said.get("part") is not None else []
        for word in said.keys() - {"calcs", "totals", "ticks"}:
            yield from written(said[word])
    elif isinstance(content, list):
        for each in cast("list[Any]", content):
            yield from written(each)


def test_a_picture_shows_what_the_page_shows(code: Path, answered: dict[str, list[tuple[Json, Answers]]]) -> None:
    """What scripts/pictures draws of each panel is what is told of it here, and no row or series is left out."""
    panels = [each for of_board in answered.values() for each in of_board]
    drawn = dashboards.contents(code, panels, "light")
    count = 0
    for (panel, given), content, told in zip(panels, drawn, shown(code, panels), strict=True):
        words = [*written(content)]
        assert [word for word in words if word not in told] == [], panel["title"]
        count += len(words)
        if panel["type"] == "timeseries":
            assert len(content["series"]) == sum(map(len, given.values())), panel["title"]
        if panel["type"] == "table":
            lines = 1 + len(content["rows"]) + any(content["totals"])
            assert sum(" | " in line for line in told.splitlines()) == lines, panel["title"]
    assert count > 300


# -- what would not be seen is not proved ----------------------------------------------------------------------

#: What is of no meaning to a reader, or of how Grafana edits a panel. All else that a panel says is changed below.
_COSMETIC = {
    "id", "refId", "datasource", "editorMode", "format", "exemplar", "gridPos", "orientation", "justifyMode", "wideLayout",
    "showPercentChange", "percentChangeColorMode", "graphMode", "displayMode", "valueMode", "namePlacement", "showUnfilled",
    "sizing", "minVizWidth", "minVizHeight", "maxVizHeight", "showHeader", "cellHeight", "tooltip", "group", "index",
    "calcs", "fields", "values", "indexByName", "expr", "instant", "range",
}  # fmt: skip
_OTHER = {
    "locale": "currency:financial:$", "currency:financial:$": "locale", "percentunit": "locale", "green": "red", "red": "green",
    "yellow": "green", "orange": "green", "blue": "red", "text": "red", "transparent": "red", "right": "left",
    "left": "right", "basic": "lcd", "gauge": "auto", "color-background": "auto", "sum": "max", "value": "none",
    "background": "none", "none": "value", "auto": "value_and_name", "value_and_name": "value", "absolute": "percentage",
    "thresholds": "palette-classic", "stat": "bargauge", "bargauge": "stat", "s": "locale",
}  # fmt: skip
Way = tuple[str | int, ...]


def leaves(said: object, path: Way = ()) -> Iterator[tuple[Way, object]]:
    """Every single value of a panel with the way to it."""
    if isinstance(said, dict):
        for word, value in cast("dict[str, object]", said).items():
            yield from leaves(value, (*path, word)) if word not in _COSMETIC else ()
    elif isinstance(said, list):
        for number, value in enumerate(cast("list[object]", said)):
            yield from leaves(value, (*path, number))
    else:
        yield path, said


def is_read(panel: Json, path: Way) -> bool:
    """Whether Grafana reads a value in this kind of panel: a table's queries have no legend, nor has a bar gauge of figures."""
    is_legend_of_table = "legendFormat" in path and panel["type"] == "table"
    return not is_legend_of_table and not ("legend" in path and panel["type"] == "bargauge")


def otherwise(value: object) -> object:
    """Another value in place of one: a threshold of 50 % for 5 %, a count as an amount, the smallest first."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value * 10 or 7
    return _OTHER.get(value, f"{value}x") if isinstance(value, str) else "x"


def changed(panel: Json, path: Way, value: object) -> Json:
    """The panel with one value changed."""
    copy: Any = json.loads(json.dumps(panel))
    place = copy
    for word in path[:-1]:
        place = place[word]
    place[path[-1]] = value
    return copy


def items(said: object, path: Way = ()) -> Iterator[Way]:
    """The way to every item of every list in a panel: an override, a property, a step, a column's total."""
    if isinstance(said, dict):
        for word, value in cast("dict[str, object]", said).items():
            yield from items(value, (*path, word)) if word not in _COSMETIC - {"values"} else ()
    elif isinstance(said, list):
        for number, value in enumerate(cast("list[object]", said)):
            yield (*path, number)
            yield from items(value, (*path, number))


def without(panel: Json, path: Way) -> Json:
    """The panel without one item."""
    copy: Any = json.loads(json.dumps(panel))
    place = copy
    for word in path[:-1]:
        place = place[word]
    del place[path[-1]]
    return copy


def unseen(
    code: Path, answered: list[tuple[Json, Answers]], others: list[tuple[Json, str, Json, Answers]]
) -> list[str]:
    """What was changed without a reader seeing it: panel, what was changed in it, the changed panel, its answers."""
    before = dict(zip([panel["id"] for panel, _ in answered], shown(code, answered), strict=True))
    after = shown(code, [(other, each) for _, _, other, each in others])
    return [
        f"{panel['title']}: {what}"
        for (panel, what, _, _), text in zip(others, after, strict=True)
        if text == before[panel["id"]]
    ]


@pytest.mark.parametrize("name", BOARDS)
def test_no_value_of_a_panel_can_change_unseen(
    name: str, code: Path, answered: dict[str, list[tuple[Json, Answers]]]
) -> None:
    """Each value of each panel is changed by itself, each item taken away, and what a reader is shown is another thing."""
    values = [
        (panel, f"{path} = {value!r}", changed(panel, path, otherwise(value)), each)
        for panel, each in answered[name]
        for path, value in leaves(panel)
        if is_read(panel, path)
    ]
    taken = [
        (panel, f"{path} taken away", without(panel, path), each)
        for panel, each in answered[name]
        for path in items(panel)
        if path[0] != "targets"
    ]
    assert unseen(code, answered[name], values + taken) == []
    assert len(values) > 100
    assert len(taken) > 20


# A panel, what stands in its queries, and what a mistake would make of it.
MISTAKES = [
    ("usage", "State", " + 3", " + 1"),
    ("usage", "Requests", "sum (", "max ("),
    ("usage", "Requests", "max_over_time", "min_over_time"),
    ("usage", "Tokens", "input_tokens", "output_tokens"),
    ("usage", "Cost", "llm_cost_usd_total", "llm_requests_total"),
    ("usage", "Cost", "offset $__range", "offset 1d"),
    ("usage", "Tokens by day", "[5d] offset -4d", "[5d]"),
    ("usage", "Cost by day", "46800", "90000"),
    ("usage", "Cost by day and source", ") > 1", ") > 2"),
    ("usage", "Cost by day and source", "by (llm_source)", "by (llm_team)"),
    ("usage", "Providers and models", "+ sum by", "- sum by"),
    ("usage", "Providers and models", "cache_read", "cache_write"),
    ("usage", "Providers and models", "(gen_ai_provider_name, gen_ai_request_model)", "(gen_ai_request_model)"),
    ("usage", "Providers and models", "llm_unpriced_requests_total", "llm_unpriced_tokens_total"),
    ("sessions", "Sessions", "> 0", "> 100"),
    ("sessions", "Cost in sessions", "offset $__range", "offset 2d"),
    ("sessions", "Share of cost in sessions", "llm_session_cost_usd_total", "llm_session_tokens_total"),
    ("sessions", "Dearest sessions", "topk(50", "topk(2"),
    ("sessions", "Dearest sessions", '"input"', '"output"'),
    ("sessions", "Task types", "llm_requests_total", "llm_cost_usd_total"),
    ("sessions", "Duration", "0.95", "0.5"),
    ("sessions", "Duration", " offset -$__interval", ""),
    ("sessions", "Time to the first event", "time_to_first_chunk", "time_to_last_chunk"),
    ("sessions", "Cost by day and task type", "by (llm_task_type)", "by (llm_source)"),
    ("sessions", "Calls that did not end well", " offset -$__interval", ""),
    ("sessions", "Calls that did not end well", "error|", "ok|"),
    ("sessions", "Failed calls", 'error_type!=""', 'error_type=""'),
    ("health", "Where the amounts come from", "by (llm_cost_quality)", "by (llm_source)"),
    ("health", "Estimated or incomplete", "estimated|incomplete", "estimated"),
    ("health", "Unpriced calls", "llm_unpriced_requests_total", "llm_unpriced_tokens_total"),
    ("health", "Attribution: known of the cost", "llm_team!~", "llm_team=~"),
    ("health", "Unpriced models", "llm_unpriced_tokens_total", "llm_unpriced_requests_total"),
    ("health", "Rate limits", "min by", "max by"),
    ("health", "Age of the last sample", "time() -", "60 + time() -"),
    ("health", "Lost on the way", "round(sum", "round(0.1 * sum"),
    ("health", "Collector's queue", "otelcol_exporter_queue_size /", "1 - otelcol_exporter_queue_size /"),
    ("health", "Counters that fell", "resets", "changes"),
    ("health", "Folded into other", "costspan_labels_folded_total", "costspan_errors_total"),
    ("health", "Faults of costspan", "> 0", "> 5"),
    ("health", "Not watched as intended", "costspan_client, ", ""),
    ("health", "Estimates before calls", "10%|20%", "10%"),
    ("health", "Estimates before calls", 'held="true"', 'held="false"'),
    ("health", "Estimates before calls", "* 0", "* 1"),
    ("health", "Ledger and counters", "costspan_ledger_written_usd_total", "costspan_ledger_lost_usd_total"),
    ("budgets", "Month to date", "llm:spend_usd:month", "llm:spend_usd:day"),
    ("budgets", "Day to date", "llm:spend_usd:day", "llm:spend_usd:month"),
    ("budgets", "Last hour", '"1h"', '"6h"'),
    ("budgets", "How much of the period is over", "ratio", 'ratio{llm_budget_period="day"}'),
    ("budgets", "Budgets", ">= 1)", ">= 0.5)"),
    ("budgets", "Budgets", "or max by", "or min by"),
    ("budgets", "Budgets", "> bool 0)", "> bool 0.6)"),
    ("budgets", "Budgets", 'llm_window="1h"', 'llm_window="6h"'),
    ("budgets", "Budgets", "unless on", "and on"),
    ("budgets", "Budgets", "group_left (owner)", "group_left ()"),
    ("budgets", "Budgets", '"", "llm_team"', '"", "owner"'),
    ("budgets", "Budgets", "llm:budget_projected:ratio", "llm:budget_used:ratio"),
    ("budgets", "Budgets", "} * 0", "} * 1"),
    ("budgets", "Used in the time range", "llm:budget_used:ratio", "llm:budget_crossed:ratio"),
    ("budgets", "Pace in the time range", '"1h"', '"6h"'),
    ("budgets", "Anomalies", "llm_anomaly_kind, ", ""),
    ("budgets", "Told by programs", ", llm_budget_threshold", ""),
    ("budgets", "What burns", "topk(20", "topk(1"),
    ("budgets", "What burns", '"1h"', '"6h"'),
]  # fmt: skip


def test_no_mistake_in_a_query_stays_unseen(
    code: Path, server: Server, answered: dict[str, list[tuple[Json, Answers]]]
) -> None:
    """Sums of the wrong thing, of the wrong time, by the wrong label: at least one for every panel."""
    for name, panels in answered.items():
        others: list[tuple[Json, str, Json, Answers]] = []
        for panel, _ in panels:
            for _, _, old, new in (each for each in MISTAKES if each[:2] == (name, panel["title"])):
                other = json.loads(json.dumps(panel))
                for target in other["targets"]:
                    target["expr"] = target["expr"].replace(old, new)
                assert other != panel, (panel["title"], old)
                others.append((panel, f"{new} for {old}", other, asked(server, other)))
        assert unseen(code, panels, others) == []
        assert {panel["title"] for panel, *_ in others} == {panel["title"] for panel, _ in panels}
