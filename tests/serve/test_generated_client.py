"""A client that a generator writes from the server's document: it calls every route, and gets typed values."""
# What is generated has no types here:
# pyright: basic

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

import costspan
from costspan.serve import openapi
from costspan.serve.routes import ROUTES
from ledger_calls import two_teams
from places import ROOT
from served import serving

ADMIN, ADS = "admin-token-0123456789", "ads-token-0123456789ab"
TOKENS: Final = f"""
tokens:
  - {{name: finance, sha256: {hashlib.sha256(ADMIN.encode()).hexdigest()}, sees: all, books: true}}
  - {{name: ads, sha256: {hashlib.sha256(ADS.encode()).hexdigest()}, sees: {{team: ads}}}}
"""
PACKAGE: Final = "client_of_the_document"


class Generated:
    """The generated package, asking a server."""

    def __init__(self, url: str) -> None:
        self.models = importlib.import_module(f"{PACKAGE}.models")
        self._client = importlib.import_module(f"{PACKAGE}.client").AuthenticatedClient
        self._url = url

    def ask(self, name: str, token: str = ADMIN, **words: Any) -> Any:
        """The answer of the operation of this name."""
        operation = importlib.import_module(f"{PACKAGE}.api.default.{name}")
        with self._client(base_url=self._url, token=token, raise_on_unexpected_status=True) as client:
            return operation.sync_detailed(client=client, **words)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Generated, Path]]:
    """A client written from the document, and the server over a ledger of two teams."""
    generator = pytest.importorskip("openapi_python_client", reason="the generator needs Python 3.11")
    config: Any = importlib.import_module("openapi_python_client.config")
    folder = tmp_path_factory.mktemp("generated")
    document, ledger, tokens = folder / "openapi.json", folder / "ledger.db", folder / "tokens.yaml"
    document.write_text(json.dumps(openapi.document()))
    told = generator.generate(
        config=config.Config.from_sources(
            config_file=config.ConfigFile(package_name_override=PACKAGE, post_hooks=[]),
            meta_type=config.MetaType.NONE,
            document_source=document,
            file_encoding="utf-8",
            overwrite=True,
            output_path=folder / PACKAGE,
        )
    )
    assert [each.detail for each in told] == ["Unsupported content type application/x-protobuf"]
    two_teams(ledger)
    tokens.write_text(TOKENS)
    sys.path.insert(0, str(folder))
    words = ["--ledger", str(ledger), "--tokens", str(tokens), "--accept"]
    budgets = ROOT / "examples" / "budgets" / "budgets.yaml"
    try:
        with serving(*words, "--budgets", str(budgets)) as (url, _):
            yield Generated(url), ledger
    finally:
        sys.path.remove(str(folder))


def test_a_generated_client_calls_every_route(asked: tuple[Generated, Path]) -> None:
    """Each answer is a value of the class that the document names, or text; none is left unread."""
    client, _ = asked
    models = client.models
    bodies = {
        "post_cost": models.CostQuestion("openai", "gpt-5", models.CostQuestionUnits.from_dict({"input": 5})),
        "post_usage_records": models.BookedUsages(
            [models.BookedUsage("tx", "openai", "gpt-5", models.BookedUsageType.TEXT, input_tokens=3)]
        ),
        "post_logs": {"resourceLogs": []},
    }
    operations = {
        operation["operationId"]: operation
        for path, ways in openapi.document()["paths"].items()
        for operation in ways.values()
    }
    assert len(operations) == len(ROUTES) + 2
    for name, operation in operations.items():
        told = client.ask(name, **({"body": bodies[name]} if name in bodies else {}))
        assert told.status_code == 200, (name, told.content)
        answer = next(iter(operation["responses"]["200"]["content"].values()))["schema"]
        expected = answer.get("$ref", "").rpartition("/")[2]
        assert type(told.parsed).__name__ == expected or not expected, name
        assert told.parsed is not None or name == "post_logs", name
    assert client.ask("healthz").parsed.status == "ok"


def test_a_client_written_today_understands_later_answers() -> None:
    """A field more is no mistake in an answer, and is one in what is sent; amounts say that they are decimals."""
    forms = openapi.document()["components"]["schemas"]
    strict = {name for name, form in forms.items() if form.get("additionalProperties") is False}
    assert strict == {"BookedUsages", "BookedUsage", "CostQuestion"}
    assert forms["UsageTotals"]["properties"]["cost_usd"]["format"] == "decimal"


def test_its_values_are_those_of_the_library(asked: tuple[Generated, Path]) -> None:
    """Words with several values, enums and names that Python keeps for itself; pages, moments, amounts, what is null."""
    client, ledger = asked
    day, team = (client.models.GetUsageSummaryByItem(word) for word in ("day", "team"))
    told = client.ask(
        "get_usage_summary",
        by=[team, day],
        team=["ads", "Search"],
        where=["model!=own"],
        from_="2026-11-03",
        time_zone="Europe/Berlin",
    ).parsed
    usage = costspan.usage(ledger=ledger, team=["ads", "Search"], where="model!=own", time_zone="Europe/Berlin")
    rows = usage.by("team", "day", period="2026-11-03..")
    assert [(row.words["team"], row.words["day"], row.totals.cost_usd) for row in told.rows] == [
        (row.words["team"], row.words["day"], f"{row.totals.cost_usd:f}") for row in rows
    ]
    found: list[Any] = []
    page = client.ask("get_usage_records", limit=2, where=["client=openai"], until="2026-11-30").parsed
    while True:
        found += page.records
        if page.next_ is None:
            break
        page = client.ask(
            "get_usage_records", limit=2, where=["client=openai"], until="2026-11-30", after=page.next_
        ).parsed
    records = costspan.usage(ledger=ledger, client="openai").records("..2026-11-30").records
    assert [(one.id, one.started_at, one.account, dict(one.units.additional_properties)) for one in found] == [
        (one.id, one.started_at, one.account, dict(one.units)) for one in records
    ]
    assert isinstance(found[0].started_at, datetime)


def test_its_mistakes_are_typed(asked: tuple[Generated, Path]) -> None:
    """Each is a problem that names the field, whatever the status."""
    client, _ = asked
    wrong = "wrong-token-0123456789"
    for name, token, words, status, field in (
        ("get_usage_daily", ADMIN, {"period": "soon"}, 400, "period"),
        ("get_usage_records", ADMIN, {"where": ["teem=x"]}, 400, "where"),
        ("get_stats", wrong, {}, 401, "Authorization"),
        ("get_usage_tokens", ADS, {"team": ["Search"]}, 403, "team"),
        ("post_logs", ADS, {"body": {}}, 403, "Authorization"),
    ):
        told = client.ask(name, token, **words)
        assert (told.status_code, type(told.parsed).__name__, told.parsed.field) == (status, "Problem", field)
