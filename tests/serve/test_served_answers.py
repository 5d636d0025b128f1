"""Each route of the API: the figures of the library and of the command line, page by page and as files."""

from __future__ import annotations

import csv
import importlib
import io
import json
import subprocess
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

import costspan
from costspan.cli.commands import costspan as command
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from costspan.serve import exposition
from costspan.serve.asked import ANYBODY, Asked, Served
from ledger_calls import COST, UNPRICED, at_ns, call, write
from places import ROOT
from promtools import program
from served import client

NOW: Final = datetime.now(timezone.utc)
NOW_NS: Final = int(NOW.timestamp()) * 10**9
parquet: Any = importlib.import_module("pyarrow.parquet")
HOSTILE: Final = '=cmd|"/c calc"!A1,\r\n\u202e<b>\\'


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Calls of now and of earlier, with names of strangers, one unpriced, one that failed."""
    path = tmp_path / "ledger.db"
    write(
        path,
        call(id="a", started_ns=NOW_NS, team="Search"),
        call(id="b", started_ns=NOW_NS, team="ads", session=HOSTILE, account=None),
        call(id="c", started_ns=NOW_NS, team="ads", model="own", price=UNPRICED),
        call(id="d", started_ns=NOW_NS, price=None, usage=None, outcome="error", error_type="timeout"),
        call(id="e", started_ns=at_ns("2025-01-05 10:00"), price=Cost(1_000_000_001, "estimated")),
    )
    return path


def test_records_come_in_pages(ledger: Path) -> None:
    """The newest first, each once; the place to go on at is refused where it is none."""
    asked = client(ledger)
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    for _ in range(9):
        page = asked.get("/v1/usage/records", params={"limit": "2", **after}).json()
        found += page["records"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert [one["id"] for one in found] == ["d", "c", "b", "a", "e"]
    assert found[2]["session"] == HOSTILE
    assert (found[3]["cost_usd"], found[3]["units"]["cache_read"], found[1]["cost_usd"]) == ("0.000695400", 512, None)
    assert found[3]["started_at"] == datetime.fromtimestamp(NOW_NS // 10**9, timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    refused = asked.get("/v1/usage/records?after=x").json()
    assert (refused["status"], refused["field"]) == (400, "after")
    for limit in ("0", "1001", "-1", "x"):
        assert asked.get(f"/v1/usage/records?limit={limit}").json()["field"] == "limit"


def test_calls_are_chosen_as_at_the_terminal(ledger: Path) -> None:
    """By `where`, with stars and either case; the first and the last of them, and sessions and accounts to choose from."""
    asked = client(ledger)
    for where, ids in (
        (["team=SEARCH"], "dae"),
        (["team==Search"], "a"),
        (["account="], "b"),
        (["team=a*", "model!=own"], "b"),
        (["team=ads", "team==Search"], "cba"),
    ):
        told = asked.get("/v1/usage/records", params={"where": where}).json()["records"]
        assert "".join(one["id"] for one in told) == ids, where
    assert asked.get("/v1/usage/records?where=teem=x").json()["field"] == "where"
    assert asked.get("/v1/usage/span?where=team!=ads").json() == {
        "first_used": "2025-01-05T10:00:00Z", "last_used": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    }  # fmt: skip
    assert asked.get("/v1/usage/span?team=none").json() == {"first_used": None, "last_used": None}
    assert asked.get("/v1/usage/newest?period=today&where=team=ads").json() == {
        "session": ["session-1", HOSTILE], "account": ["acme", None]
    }  # fmt: skip
    found = asked.get("/v1/usage/daily?time_zone=UTC%2B14:00&period=2025-01-06").json()
    assert (found["period"]["start"], found["days"][0]["totals"]["calls"]) == ("2025-01-06T00:00:00+14:00", 1)


def test_days_have_no_gaps_and_an_end(ledger: Path) -> None:
    """The last 30 by default; more than ten years are refused."""
    asked = client(ledger)
    days = asked.get("/v1/usage/daily").json()["days"]
    assert [day["day"] for day in days] == [str(NOW.date() - timedelta(days=back)) for back in range(29, -1, -1)]
    assert (days[-1]["totals"]["calls"], days[0]["totals"]["calls"]) == (4, 0)
    assert len(asked.get("/v1/usage/daily?from=2025-01-01&until=2025-12-31").json()["days"]) == 365
    assert asked.get("/v1/usage/daily?from=0001-01-01").json()["field"] == "from"
    assert asked.get("/v1/usage/daily?period=1000..9000").json()["field"] == "period"


def test_stats_say_how_sure_the_figures_are(ledger: Path) -> None:
    """Averages, how calls ended, where amounts come from, what is not attributed."""
    told = client(ledger).get("/v1/stats?period=today").json()
    assert (told["total"]["calls"], told["days"], told["calls_per_day"]) == (4, 1, 4)
    assert told["cost_usd_per_call"] == f"{2 * Decimal('0.000695400') / 4:.9f}"
    assert {row["words"]["outcome"]: row["totals"]["calls"] for row in told["outcomes"]} == {"ok": 3, "error": 1}
    assert {row["words"]["quality"]: row["totals"]["calls"] for row in told["qualities"]} == {
        "exact": 2, "unpriced": 1, None: 1,
    }  # fmt: skip
    assert told["unattributed"] == {"session": 0, "task_type": 0, "source": 0, "team": 0, "account": 1}
    assert told["ledger"]["size_bytes"] == ledger.stat().st_size
    empty = client(ledger).get("/v1/stats?team=none").json()
    assert (empty["total"]["calls"], empty["cost_usd_per_call"]) == (0, None)


def test_models_have_the_rates_of_the_price_table(ledger: Path) -> None:
    """As `costspan prices show` has them."""
    asked = client(ledger)
    at = {"at": "2026-11-20"}
    told = asked.get("/v1/models", params={"model": "gpt-5*", "provider": "openai", **at}).json()
    shown = CliRunner().invoke(
        command, ["prices", "show", "gpt-5*", "--provider", "openai", "--at", "2026-11-20", "--json"]
    )
    assert told == json.loads(shown.stdout)
    assert len(asked.get("/v1/models").json()["models"]) > 500
    assert asked.get("/v1/models?model=none-such").json()["models"] == []
    assert asked.get("/v1/models?at=soon").json()["field"] == "at"


def test_a_cost_is_told_before_anything_is_booked(ledger: Path) -> None:
    """Step by step, as `costspan prices explain`; the ledger stays as it is."""
    asked, before = client(ledger), ledger.read_bytes()
    body = {
        "provider": "openai",
        "model": "gpt-5",
        "units": {"input": 1000, "output": 200, "cache_read": 500},
        "at": "2026-11-20",
    }
    told = asked.post("/v1/cost", json=body).json()
    words = ["prices", "explain", "openai", "gpt-5", "--input", "1000", "--output", "200", "--unit", "cache_read=500"]
    shown = json.loads(CliRunner().invoke(command, [*words, "--at", "2026-11-20", "--json"]).stdout)
    assert told == shown
    assert sum(Decimal(step["usd"]) for step in told["steps"]) == Decimal(told["cost_usd"])
    unknown = asked.post("/v1/cost", json={**body, "model": "my-own"}).json()
    assert (unknown["cost_usd"], unknown["unpriced_reason"]) == (None, "unknown_model")
    batch = asked.post("/v1/cost", json={**body, "batch": True}).json()
    assert Decimal(batch["cost_usd"]) == Decimal(told["cost_usd"]) / 2
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, "body"),
        ("[" * 100_000, 400, "body"),
        ("[]", 400, "body"),
        ('{"provider": "openai", "model": "gpt-5"}', 400, "units"),
        ('{"provider": "openai", "model": "gpt-5", "units": {"inputs": 1}}', 400, "units"),
        ('{"provider": "openai", "model": "gpt-5", "units": {"input": -1}}', 400, "units.input"),
        ('{"provider": "openai", "model": "gpt-5", "units": {"input": 1e30}}', 400, "units.input"),
        ('{"provider": "openai", "model": "gpt-5", "units": {"input": true}}', 400, "units.input"),
        ('{"provider": 5, "model": "gpt-5", "units": {}}', 400, "provider"),
        ('{"provider": "openai", "model": "gpt-5", "units": {}, "modle": 1}', 400, "modle"),
        ('{"provider": "openai", "model": "gpt-5", "units": {}, "at": "soon"}', 400, "at"),
        (" " * 1_000_001, 413, "body"),
    ],
    ids=str,
)
def test_a_mistaken_body_is_told_with_its_place(ledger: Path, body: str, status: int, field: str) -> None:
    """The field, and what was expected of it."""
    told = client(ledger).post("/v1/cost", content=body, headers={"Content-Type": "application/json"})
    assert (told.status_code, told.json()["field"]) == (status, field)
    assert told.json()["expected"]


def test_a_body_is_to_be_json(ledger: Path) -> None:
    """What a form of a strange page can send is refused."""
    told = client(ledger).post("/v1/cost", data={"provider": "openai"})
    assert (told.status_code, told.json()["field"]) == (415, "Content-Type")


def test_budgets_stand_as_at_the_terminal(ledger: Path, tmp_path: Path) -> None:
    """Spent, limit, what the pace leads to."""
    file = tmp_path / "budgets.yaml"
    file.write_text((ROOT / "examples/budgets/budgets.yaml").read_text())
    told = client(ledger, budgets=file).get("/v1/budgets").json()
    shown = json.loads(
        CliRunner().invoke(command, ["budgets", "status", str(file), "--ledger", str(ledger), "--json"]).stdout
    )
    assert [(one["budget"], one["value"], one["calls"]) for one in told["budgets"]] == [
        (one["budget"], one["value"], one["calls"]) for one in shown
    ]
    assert [float(one["spent"]) for one in told["budgets"]] == [round(one["spent"], 9) for one in shown]
    assert client(ledger).get("/v1/budgets").status_code == 404
    file.write_text("budgets: 5")
    assert client(ledger, budgets=file).get("/v1/budgets").status_code == 503
    assert (
        client(tmp_path / "none.db", budgets=ROOT / "examples/budgets/budgets.yaml").get("/v1/budgets").status_code
        == 200
    )


def test_an_export_has_every_record_once(ledger: Path) -> None:
    """As CSV, as JSON lines and as Parquet: the same rows, and no name that a spreadsheet takes for a formula."""
    asked = client(ledger)
    lines = [json.loads(line) for line in asked.get("/v1/export?format=jsonl").text.splitlines()]
    records = costspan.usage(ledger=ledger).records().records
    assert [line["id"] for line in lines] == [one.id for one in records]
    assert sum(Decimal(line["cost_usd"] or 0) for line in lines) == costspan.usage(ledger=ledger).total().cost_usd
    told = asked.get("/v1/export")
    assert told.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(told.text, newline="")))
    assert [row["id"] for row in rows] == [one.id for one in records]
    assert rows[2]["session"] == "'" + HOSTILE
    assert (rows[3]["input_tokens"], json.loads(rows[3]["units"])["cache_read"], rows[1]["cost_usd"]) == (
        "812",
        512,
        "",
    )
    table = parquet.read_table(io.BytesIO(asked.get("/v1/export?format=parquet").content))
    assert table.column("id").to_pylist() == [one.id for one in records]
    assert table.column("session")[2].as_py() == HOSTILE
    assert table.column("cost_usd").to_pylist() == [one.cost_usd for one in records]
    assert table.column("started_at")[0].as_py() == records[0].started_at
    assert [
        line["id"] for line in map(json.loads, asked.get("/v1/export?format=jsonl&team=ads").text.splitlines())
    ] == ["c", "b"]
    assert asked.get("/v1/export?format=xml").json()["field"] == "format"
    none = client(ledger.with_name("none.db"))
    assert (len(none.get("/v1/export").text.splitlines()), none.get("/v1/export?format=jsonl").text) == (1, "")
    assert parquet.read_table(io.BytesIO(none.get("/v1/export?format=parquet").content)).num_rows == 0


def test_an_export_takes_pages_of_the_ledger(tmp_path: Path) -> None:
    """More records than one page has, each once, though others are booked while it goes on."""
    path = tmp_path / "ledger.db"
    write(
        path, *[call(id=f"{number:05}", response_id=None, started_ns=NOW_NS + number // 9) for number in range(2_500)]
    )
    with client(path).stream("GET", "/v1/export?format=jsonl") as told:
        ids = [json.loads(line)["id"] for line in told.iter_lines()]
    assert ids == [f"{number:05}" for number in range(2_499, -1, -1)]


def _families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_prometheus_reads_the_sums_of_the_ledger(ledger: Path) -> None:
    """Under the names that programs export them by; of this month and the one before."""
    told = client(ledger).get("/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = _families(told.text)
    cost = found["llm_cost_usd"].samples
    assert {(one.labels["llm_team"], one.labels["llm_cost_quality"]): one.value for one in cost} == {
        ("Search", "exact"): 0.0006954, ("ads", "exact"): 0.0006954,
    }  # fmt: skip
    assert sum(one.value for one in found["llm_requests"].samples) == 4
    assert {one.labels["llm_outcome"] for one in found["llm_requests"].samples} == {"ok", "error"}
    assert sum(one.value for one in found["llm_unpriced_tokens"].samples) == 908
    tokens = found["gen_ai_client_inference_usage_input_tokens"].samples
    assert sum(one.value for one in tokens) == 3 * 812
    assert {one.labels["llm_period"] for one in tokens} == {NOW.strftime("%Y%m")}
    assert found["costspan_ledger_lost"].samples[0].value == 0
    assert [family.name for family in _families(client(ledger.with_name("none.db")).get("/metrics").text).values()]


def test_prometheus_gets_names_of_strangers_as_text(tmp_path: Path) -> None:
    """Quotes, backslashes and ends of lines stay within their label."""
    path = tmp_path / "ledger.db"
    write(path, call(started_ns=NOW_NS, team='a"b\\c\nd{}'), call(started_ns=NOW_NS, team="\u202e\x00"))
    found = _families(client(path).get("/metrics").text)["llm_requests"].samples
    assert {one.labels["llm_team"] for one in found} == {'a"b\\c d{}', "unknown"}


def test_series_are_bounded_and_never_fall(tmp_path: Path) -> None:
    """Above the limit of a label everything is `other`; what has a series keeps it while the server runs."""
    path = tmp_path / "ledger.db"
    write(
        path, *[call(started_ns=NOW_NS, team=f"team {number}", price=Cost(10 - number, "exact")) for number in range(5)]
    )
    served = Served(path)
    served.limits.values = 3

    def teams() -> dict[str, float]:
        told = exposition.metrics(Asked(served, ANYBODY, [], ()))
        samples = _families(bytes(told.body).decode())["llm_requests"].samples
        return {one.labels["llm_team"]: one.value for one in samples}

    assert teams() == {"team 0": 1, "team 1": 1, "team 2": 1, "other": 2}
    write(path, *[call(started_ns=NOW_NS, team="team 9", price=COST) for _ in range(3)])
    assert teams() == {"team 0": 1, "team 1": 1, "team 2": 1, "other": 5}
    served.limits.values, served.limits.sets = 100, 3
    assert sum(teams().values()) == 8


def test_promtool_finds_nothing_to_say(ledger: Path) -> None:
    """The names, the help, the form of the text."""
    command = [program("promtool"), "check", "metrics"]
    told = client(ledger).get("/metrics").text
    ran = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_figure_adds_up_by_sql(ledger: Path) -> None:
    """Summary, days and records against the rows."""
    asked = client(ledger)
    with Store.read(ledger) as store:
        ((calls, nano_usd, tokens),) = store.select(
            "SELECT COUNT(*), SUM(cost_nano_usd), SUM(input_tokens) FROM records"
        )
    summary = asked.get("/v1/usage/summary?by=session").json()
    assert sum(row["totals"]["calls"] for row in summary["rows"]) == summary["total"]["calls"] == calls
    assert Decimal(summary["total"]["cost_usd"]) * 10**9 == nano_usd
    days = asked.get("/v1/usage/daily?from=2025-01-01").json()["days"]
    assert sum(day["totals"]["input_tokens"] for day in days) == tokens
    assert sum(Decimal(day["totals"]["cost_usd"]) for day in days) * 10**9 == nano_usd


def test_usage_is_what_the_provider_said(tmp_path: Path) -> None:
    """A unit that nobody mentioned is absent, not zero."""
    path = tmp_path / "ledger.db"
    write(path, call(usage=Usage(input=5)))
    (one,) = client(path).get("/v1/usage/records").json()["records"]
    assert one["units"] == {"input": 5}
