"""Tokens, and what each of them sees: two accounts never see each other, on any route."""

from __future__ import annotations

import base64
import hashlib
import io
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from costspan.facts.money import Cost
from costspan.ledger.store import Store
from costspan.serve.problems import RequestError
from costspan.serve.rates import RateLimit
from costspan.serve.routes import ROUTES
from costspan.serve.tokens import Tokens, TokensError, of_one, read
from ledger_calls import UNPRICED, call, write
from served import client, serving

NOW_NS: Final = int(datetime.now(timezone.utc).timestamp()) * 10**9
ADMIN, ACME, OTHER, WRITER = (
    "admin-token-0123456789",
    "acme-token-0123456789",
    "other-token-012345678",
    "writer-token-01234567",
)
FILE: Final = f"""
tokens:
  - {{name: finance, sha256: {hashlib.sha256(ADMIN.encode()).hexdigest()}, sees: all}}
  - {{name: acme, sha256: {hashlib.sha256(ACME.encode()).hexdigest()}, sees: {{account: acme}}}}
  - {{name: other, sha256: {hashlib.sha256(OTHER.encode()).hexdigest()}, sees: {{team: other-team}}}}
  - {{name: fleet, sha256: {hashlib.sha256(WRITER.encode()).hexdigest()}, sees: nothing, books: true}}
"""


@pytest.fixture
def asked(tmp_path: Path) -> TestClient:
    """Calls of two accounts, each with words that only its own calls have, and a loss that nobody owns."""
    ledger, tokens, budgets = tmp_path / "ledger.db", tmp_path / "tokens.yaml", tmp_path / "budgets.yaml"
    write(
        ledger,
        call(id="of-acme", started_ns=NOW_NS, account="acme", team="acme-team", session="acme-session", model="acme-model"),
        call(id="of-other", started_ns=NOW_NS - 10**9, account="other", team="other-team", session="other-session",
             model="other-model", price=UNPRICED, task_type="other-task", source="other-source"),
        call(id="of-other-2", started_ns=10**18, account="other", team="other-team", session="other-session",
             model="other-model-2", price=Cost(777_000_000_000, "exact")),
    )  # fmt: skip
    with Store.open(ledger) as store:
        store.take_in([], [(5, 123_000_000_000, "a reason")])
    tokens.write_text(FILE)
    budgets.write_text(
        "time_zone: UTC\nbudgets:\n  - {name: all, period: month, limit_usd: 5}\n"
        "  - {name: of-other, period: month, limit_usd: 5, scope: {team: other-team}}\n"
        "  - {name: each, period: month, limit_usd: 5, each: team}\n"
    )
    return client(ledger, tokens=Tokens(read(tokens)), budgets=budgets)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


BODIES: Final[Mapping[str, Any]] = {"/v1/cost": {"provider": "openai", "model": "gpt-5", "units": {"input": 1}}}
READING: Final = [route for route in ROUTES if route.path in BODIES or route.method == "GET"]


@pytest.mark.parametrize("route", READING, ids=lambda route: route.path)
def test_nobody_sees_what_is_anothers(asked: TestClient, route: Any) -> None:
    """By no route, word, filter or form; the other way round neither."""
    by = "session,team,account,model,task_type,source,quality,day"
    tries = [
        "",
        f"by={by}&period=all",
        "from=2020-01-01",
        "format=jsonl",
        "team=acme-team&team=other-team",
        "limit=1000",
        "where=account!%3Dacme&where=team!%3Dother-team",
        "where=account%3D*",
        "where=team%3D%3Dother-team&where=account%3D%3Dacme",
    ]
    known = {each.name for each in route.parameters}
    for token, foreign in ((ACME, "other"), (OTHER, "acme")):
        for query in tries:
            if not {pair.partition("=")[0] for pair in query.split("&") if pair} <= known:
                continue
            told = asked.request(
                route.method, f"{route.path}?{query}", headers=bearer(token), json=BODIES.get(route.path)
            )
            assert told.status_code in {200, 403}
            shown = told.text.replace("other-team", "") if told.status_code == 403 or token == OTHER else told.text
            assert foreign not in shown.replace('llm_team="other', ""), query
            assert "777" not in told.text if token == ACME else "0.0006954" not in told.text
            assert "123.0" not in told.text


def test_a_foreign_filter_is_refused(asked: TestClient) -> None:
    """403 with the field, whether such calls exist or not; one's own word may be said."""
    for value in ("other", "none-such", "", "ACME"):
        told = asked.get("/v1/usage/summary", params={"account": value}, headers=bearer(ACME))
        assert (told.status_code, told.json()["field"]) == (403, "account")
    own = asked.get("/v1/usage/summary?account=acme", headers=bearer(ACME)).json()
    assert (own["total"]["calls"], own["total"]["lost_calls"], own["days"]) == (1, 0, 1)
    assert asked.get("/v1/usage/summary?account=acme&account=other", headers=bearer(ACME)).status_code == 403
    assert asked.get("/v1/usage/summary?team=other-team", headers=bearer(ACME)).json()["total"]["calls"] == 0
    for where, calls in (
        ("account=acme", 1),
        ("account==acme", 1),
        ("account!=acme", 0),
        ("account!=", 1),
        ("account=a*", None),
    ):
        told = asked.get("/v1/usage/summary", params={"where": where}, headers=bearer(ACME)).json()
        assert told.get("total", {}).get("calls") == calls, told


def test_the_admin_sees_all(asked: TestClient) -> None:
    """What was lost, the file, every account."""
    told = asked.get("/v1/usage/summary?by=account", headers=bearer(ADMIN)).json()
    assert (told["total"]["calls"], told["total"]["lost_calls"]) == (3, 5)
    assert asked.get("/v1/stats", headers=bearer(ADMIN)).json()["ledger"]["size_bytes"] > 0
    assert asked.get("/v1/stats", headers=bearer(ACME)).json()["ledger"] is None
    assert "costspan_ledger_lost_total 5" in asked.get("/metrics", headers=bearer(ADMIN)).text


def test_budgets_are_shown_to_whom_they_are_about(asked: TestClient) -> None:
    """A team sees its own, and not what everybody together spent."""

    def names(token: str) -> set[tuple[str, str | None]]:
        found = asked.get("/v1/budgets", headers=bearer(token)).json()["budgets"]
        return {(one["budget"], one["value"]) for one in found}

    assert names(OTHER) == {("of-other", None), ("each", "other-team")}
    assert names(ACME) == set()
    assert len(names(ADMIN)) == 4


@pytest.mark.parametrize("path", [*(route.path for route in ROUTES), "/", "/openapi.json", "/static/page.css", "/none"])
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong-token-0123456789", f"bearer {ADMIN}x", "Basic !!!", "Basic /w==", f"Token {ADMIN}",
     "Bearer \u00e9", "Basic " + "A" * 9_000],
    ids=["none", "empty", "blank", "wrong", "longer", "no base64", "no utf-8", "other scheme", "latin", "endless"],
)  # fmt: skip
def test_without_a_token_nothing_is_shown(asked: TestClient, path: str, header: str) -> None:
    """401, and how to say who one is."""
    said: Any = {"Authorization": header.encode("latin-1")} if header else {}
    told = asked.request("GET", path, headers=said)
    assert (told.status_code, told.json()["field"]) == (401, "Authorization")
    assert "Basic" in told.headers["www-authenticate"]


def test_a_token_may_come_as_a_password(asked: TestClient) -> None:
    """As browsers send it, under any name."""
    said = base64.b64encode(f"me:{ACME}".encode()).decode()
    assert asked.get("/v1/usage/tokens", headers={"Authorization": f"Basic {said}"}).json()["all_time"]["calls"] == 1


def test_a_token_that_only_books_sees_nothing(asked: TestClient) -> None:
    """403 on every route that reads."""
    for route in READING:
        told = asked.request(route.method, route.path, headers=bearer(WRITER), json=BODIES.get(route.path))
        assert told.status_code == 403
    assert asked.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("tokens: []", ["a list of tokens"]),
        ("- a", ["a list of tokens"]),
        ("tokens: {", ["is no YAML"]),
        ("tokens: [5]", ["tokens[0]: expected the keys"]),
        ("tokens: [{name: a b, sha256: xyz}]", [".name: expected", ".sha256: expected 64", ".sees: expected"]),
        ("tokens: [{name: a, sha256: '', seas: all}]", [".seas: is unknown", "did you mean sees?"]),
        (FILE.replace("account: acme", "accounts: acme"), [".sees: expected"]),
        (FILE.replace("account: acme", "account: 5"), [".sees: expected"]),
        (FILE.replace("{account: acme}", "{}"), [".sees: expected"]),
        (FILE.replace("name: acme", "name: finance"), [".name: comes twice"]),
        (FILE.replace("books: true", "books: 1.5"), [".books: expected"]),
    ],
    ids=str,
)
def test_a_mistaken_file_of_tokens_is_refused(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    """With every mistake: a scope that is misspelt would be none."""
    file = tmp_path / "tokens.yaml"
    file.write_text(text)
    with pytest.raises(TokensError) as told:
        read(file)
    assert all(mistake in str(told.value) for mistake in mistakes), told.value


def test_a_short_token_is_refused() -> None:
    """It can be guessed."""
    with pytest.raises(TokensError, match="16 characters"):
        of_one("secret")
    assert Tokens(of_one(ADMIN)).caller(f"Bearer {ADMIN}").sees_all


def test_too_many_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the rate at once; room comes back with time; whoever tries tokens slows nobody else down."""
    now_s = [0.0]
    monkeypatch.setattr("costspan.serve.rates.time.monotonic", lambda: now_s[0])
    limit = RateLimit(2)
    for _ in range(4):
        limit.take("a")
    with pytest.raises(RequestError) as refused:
        limit.take("a")
    assert refused.value.status == 429
    limit.take("b")
    now_s[0] = 0.5
    limit.take("a")
    with pytest.raises(RequestError):
        limit.take("a")
    asked = client(tmp_path / "none.db", tokens=Tokens(of_one(ADMIN)), per_s=2)
    told = [asked.get("/v1/usage/tokens", headers=bearer("wrong-0123456789abc")).status_code for _ in range(6)]
    assert told == [401] * 4 + [429] * 2
    assert asked.get("/v1/usage/tokens", headers=bearer(ADMIN)).status_code == 200


def _refused(*words: str, **environ: str) -> str:
    command = [sys.executable, "-m", "costspan", "serve", "--port", "0", "--ledger", "none.db", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ or None)
    assert ran.returncode in {1, 2}
    assert ran.stdout == ""
    return ran.stderr


def test_strangers_are_let_in_with_a_token_only(tmp_path: Path, certificate: Path) -> None:
    """And no token goes over the wire for all to read, unless it is said that something before the server sees to that."""
    file = tmp_path / "tokens.yaml"
    file.write_text(FILE)
    everybody = ("--host", "0.0.0.0")  # noqa: S104  # that is refused
    assert "expected --tokens FILE" in _refused(*everybody)
    assert "--plain-http where" in _refused(*everybody, "--tokens", str(file))
    assert "too short" in _refused(*everybody, COSTSPAN_SERVE_TOKEN="secret")
    assert "expected both" in _refused("--tls-cert", str(certificate))
    assert "cannot be used" in _refused("--tls-cert", str(certificate), "--tls-key", str(certificate))


def test_tls_and_tokens_of_the_command(tmp_path: Path, certificate: Path) -> None:
    """From the file and from the environment."""
    file, ledger = tmp_path / "tokens.yaml", tmp_path / "ledger.db"
    file.write_text(FILE)
    write(ledger, call(account="acme"), call(account="other"))
    trusting = ssl.create_default_context(cafile=certificate)
    words = (
        "--ledger",
        str(ledger),
        "--tokens",
        str(file),
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(certificate.with_name("key.pem")),
    )
    with serving(*words, COSTSPAN_SERVE_TOKEN="from-the-environment") as (url, _):
        assert url.startswith("https://127.0.0.1:")
        for token, calls in ((ACME, b'"calls": 1'), ("from-the-environment", b'"calls": 2')):
            request = urllib.request.Request(f"{url}v1/usage/summary", headers=bearer(token))
            with urllib.request.urlopen(request, context=trusting) as told:
                assert calls in io.BytesIO(told.read()).getvalue()
