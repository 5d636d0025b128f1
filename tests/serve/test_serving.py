"""`costspan serve`: the same figures as `costspan.usage()`, mistakes named, and a door that lets no stranger in."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import costspan
from costspan.ledger import notes
from costspan.ledger.store import Store
from costspan.serve.page import PAGES
from costspan.serve.routes import ROUTES
from ledger_calls import call, two_teams, write
from served import client, serving


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The calls of two teams."""
    return two_teams(tmp_path / "ledger.db")


def test_a_summary_has_the_figures_of_the_library(ledger: Path) -> None:
    """By every word, with the total of the same moment; amounts are exact text."""
    asked = client(ledger)
    for word in ("team", "account", "model", "quality", "day", "session"):
        told = asked.get("/v1/usage/summary", params={"by": word}).json()
        found = costspan.usage(ledger=ledger).by(word)
        assert [row["words"][word] for row in told["rows"]] == [row.words[word] for row in found]
        assert [row["totals"]["cost_usd"] for row in told["rows"]] == [f"{row.totals.cost_usd:f}" for row in found]
        assert (told["groups"], told["by"]) == (len(found), [word])
    total = costspan.usage(ledger=ledger).total()
    assert told["total"]["cost_usd"] == f"{total.cost_usd:f}"
    assert (told["total"]["calls"], told["total"]["is_lower_bound"]) == (4, True)
    assert told["unpriced"] == [
        {"provider": "openai", "model": "own", "reason": "unknown_model", "calls": 1, "tokens": 908}
    ]


def test_filters_and_times_choose_the_calls(ledger: Path) -> None:
    """Values of one word are alternatives, an empty one is not set; days are those of the zone."""
    asked = client(ledger)

    def calls(query: str) -> int:
        return asked.get(f"/v1/usage/summary?by=total&{query}").json()["total"]["calls"]

    assert [calls(f"team={team}") for team in ("Search", "search", "ads", "Search&team=ads")] == [1, 1, 2, 3]
    assert (calls("account="), calls("account=acme&team=ads"), calls("model=own")) == (1, 2, 1)
    assert (calls("from=2026-11-05"), calls("until=2026-11-03"), calls("from=2026-11-03&until=2026-11-04")) == (3, 1, 1)
    assert calls("until=2026-11-03&time_zone=Europe/Berlin") == 0
    assert (calls("period=2026-11-05"), calls("from=0001-01-01&until=9998-12-31"), calls("from=2027")) == (3, 4, 0)


def test_tokens_tell_month_and_all_time(ledger: Path) -> None:
    """And when the last call began."""
    told = client(ledger).get("/v1/usage/tokens", params={"team": "ads"}).json()
    assert told["all_time"]["input_tokens"] == 2 * 812
    assert Decimal(told["all_time"]["cost_usd"]) == Decimal("1.000000001")
    assert (told["last_used"], told["time_zone"]) == ("2026-11-05T10:00:00Z", "UTC")
    empty = client(ledger.with_name("none.db")).get("/v1/usage/tokens").json()
    assert (empty["all_time"]["calls"], empty["last_used"]) == (0, None)


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("teem=ads", "teem", "did you mean team?"),
        ("top=0", "top", "a whole number from 1 to 10000"),
        ("top=1e3", "top", "a whole number from 1 to 10000"),
        ("top=5&top=6", "top", "once"),
        ("by=colour", "by", "one of session"),
        ("by=total,team", "by", "alone"),
        ("time_zone=Mars/Base", "time_zone", "Europe/Berlin"),
        ("time_zone=../../etc/passwd", "time_zone", "Europe/Berlin"),
        ("from=yesteryear", "from", "2026-11-03"),
        ("until=2026-13-01", "until", "2026-11-03"),
        ("from=2026-11-05&until=2026-11-03", "until", "not before"),
        ("period=soon", "period", "this-month"),
        ("period=7d&from=2026-11-05", "period", "either"),
    ],
)
def test_a_mistake_is_told_with_its_field(ledger: Path, query: str, field: str, expected: str) -> None:
    """400, in the form of RFC 9457, with what was expected."""
    told = client(ledger).get(f"/v1/usage/summary?{query}")
    assert (told.status_code, told.headers["content-type"]) == (400, "application/problem+json")
    problem = told.json()
    assert problem["field"] == field
    assert expected in problem["expected"]


HOSTILE = "'; DROP TABLE records; --<script>alert(1)</script>\u202e\x00\x1b[31m=1+1"


def test_names_of_strangers_stay_text(tmp_path: Path) -> None:
    """SQL, markup, signs that turn the direction or steer a terminal: in a stored name and in a parameter."""
    path = tmp_path / "ledger.db"
    write(path, call(session=HOSTILE), call(session="plain"))
    asked = client(path)
    told = asked.get("/v1/usage/summary", params={"by": "session", "session": HOSTILE})
    assert told.json()["rows"][0]["words"]["session"] == HOSTILE
    assert told.json()["total"]["calls"] == 1
    assert told.content.isascii()
    refused = asked.get("/v1/usage/summary", params={HOSTILE: HOSTILE})
    assert (refused.status_code, refused.json()["field"], refused.content.isascii()) == (400, HOSTILE, True)
    with Store.read(path) as store:
        assert store.select("SELECT COUNT(*) FROM records") == [(2,)]


def test_only_what_is_there_answers(ledger: Path) -> None:
    """Other paths and methods are refused in the same form; nothing outside the shipped folder is shown."""
    asked = client(ledger)
    for method, path, status in (
        ("GET", "/v2", 404), ("POST", "/v1/usage/summary", 405), ("OPTIONS", "/v1/usage/tokens", 405),
        ("GET", "/static/../app.py", 404), ("GET", "/static/%2e%2e/app.py", 404), ("GET", "/static/", 404),
    ):  # fmt: skip
        told = asked.request(method, path)
        assert (told.status_code, told.json()["status"]) == (status, status), path
    assert asked.get("/static/page.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("path", ["/", "/v1/usage/tokens", "/v1/none", "/openapi.json", "/static/page.css"])
def test_every_answer_has_the_headers_of_safety(ledger: Path, path: str) -> None:
    """Nothing from elsewhere is loaded, nothing is framed, no other origin may read."""
    told = client(ledger).get(path, headers={"Origin": "http://evil.example"})
    policy = told.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not any(source for source in policy.replace(";", " ").split() if ":" in source)
    assert (told.headers["x-content-type-options"], told.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert not any(name.startswith("access-control") for name in told.headers)


@pytest.mark.parametrize(
    ("host", "is_let_in"),
    [
        ("127.0.0.1:8321", True), ("localhost", True), ("LOCALHOST:1", True), ("[::1]:8321", True), ("192.0.2.7", True),
        ("costs.example", True), ("evil.example", False), ("evil.example:8321", False), ("", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
    ],
)  # fmt: skip
def test_a_name_that_is_not_the_servers_is_refused(ledger: Path, host: str, is_let_in: bool) -> None:  # noqa: FBT001  # a column
    """A page of a stranger that leads its own name to loopback (DNS rebinding) reads nothing."""
    told = client(ledger, names=["costs.example"]).get("/v1/usage/tokens", headers={"Host": host})
    assert told.status_code == (200 if is_let_in else 421)


def test_a_page_of_another_origin_sends_nothing(ledger: Path) -> None:
    """Browsers tell where a request comes from."""
    told = client(ledger).post("/v1/usage/tokens", headers={"Sec-Fetch-Site": "cross-site"})
    assert told.status_code == 403


def test_the_log_has_no_value_of_a_query(ledger: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of a known parameter nor of a mistaken one; a path from outside steers no terminal."""
    caplog.set_level(logging.INFO, "costspan.serve")
    asked = client(ledger)
    asked.get("/v1/usage/summary?session=secret-1&by=team")
    asked.get("/v1/usage/summary?secret-2=1")
    asked.get("/%1b[31mred")
    assert len(caplog.records) == 3
    assert "GET /v1/usage/summary 200" in caplog.text
    assert "secret" not in caplog.text
    assert "\x1b" not in caplog.text


def test_a_ledger_that_cannot_be_read_is_told_without_its_innards(tmp_path: Path) -> None:
    """503; the log says which file and why."""
    path = tmp_path / "ledger.db"
    path.write_text("no database " * 100)
    told = client(path).get("/v1/usage/summary")
    assert (told.status_code, told.headers["retry-after"]) == (503, "1")
    assert str(tmp_path) not in told.text


def test_the_document_has_every_route_and_every_parameter(ledger: Path) -> None:
    """And no more: it is made of the table that the application is made of."""
    asked = client(ledger)
    document: dict[str, Any] = asked.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    shipped = {*PAGES, "/static"}
    assert document["paths"].keys() == {getattr(route, "path", "") for route in asked.app.routes} - shipped  # type: ignore[union-attr]
    for route in ROUTES:
        told = document["paths"][route.path][route.method.lower()]
        assert [each["name"] for each in told["parameters"]] == [each.name for each in route.parameters]


def test_the_command_serves_until_it_is_ended(ledger: Path) -> None:
    """On loopback, on a port of its own, with a line for each request on standard error."""
    with serving("--ledger", str(ledger)) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}v1/usage/summary?team=ads") as told:
            assert json.load(told)["total"]["calls"] == 2
            assert "server" not in told.headers
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert "GET /v1/usage/summary 200" in log
    assert "ads" not in log


@pytest.mark.parametrize("is_own", [True, False], ids=["own", "given"])
def test_what_programs_of_this_user_do_not_count_stands_beside_their_own_ledger(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, *, is_own: bool
) -> None:
    """A ledger that is given may be of another machine."""
    monkeypatch.setenv("XDG_DATA_HOME", str(ledger.parent))
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(ledger))
    notes.leave(notes.UNWATCHED, "replicate", library="replicate", version="1.0.7")
    with serving(*(() if is_own else ("--ledger", str(ledger)))) as (url, _), urllib.request.urlopen(url) as page:
        assert (b"calls made with replicate 1.0.7, which is not watched" in page.read()) == is_own


def _refused(*words: str) -> str:
    command = [sys.executable, "-m", "costspan", "serve", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    return ran.stderr


def test_what_cannot_be_served_is_told(ledger: Path) -> None:
    """A port that is taken; an address that others reach."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port} cannot be listened at" in _refused("--ledger", str(ledger), "--port", port)
    assert "reached from other machines" in _refused("--ledger", str(ledger), "--host", "0.0.0.0")  # noqa: S104  # refused
