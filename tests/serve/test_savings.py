"""What the cache saved: by the rates of each model, less what writing to it cost, and of what that is not known. One answer on the
page, in the API, on the command line and in a program.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import costspan
from costspan.cli.commands import costspan as command
from costspan.facts.usage import Usage
from ledger_calls import at_ns, call, write
from read_page import ReadPage
from served import client

# Opus 4.8: 5 USD a million of input, 0.5 read from cache, 6.25 written to it. gpt-5.4-mini: 0.75 of input, 0.075 read.
OPUS: dict[str, Any] = {"provider": "anthropic", "host": "api.anthropic.com", "model": "claude-opus-4-8"}
READ = call(usage=Usage(input=20_000_000, output=1, cache_read=10_000_000))
# The calls, the sentence, and in figures: USD, tokens at unknown rates, tokens at the rate of the usual lifetime.
TOLD = [
    ("read", [READ], "the cache saved 6.75 USD at list prices", ("6.75", 0, 0)),
    (
        "two models",
        [READ, call(**OPUS, usage=Usage(input=1_000_000, output=1, cache_read=1_000_000))],
        "the cache saved 11.25 USD at list prices",
        ("11.25", 0, 0),
    ),
    (
        "written",
        [call(**OPUS, usage=Usage(input=10_000_000, output=1, cache_write=9_000_000, cache_read=1_000_000))],
        "writing to the cache cost 6.75 USD more than reading saved at list prices, with 9,000,000 written tokens at the rate of the usual lifetime",
        ("-6.75", 0, 9_000_000),
    ),
    (
        "unknown beside it",
        [READ, call(model="own", usage=Usage(input=10, output=1, cache_read=7))],
        "the cache saved 6.75 USD at list prices, not known of 7 cached tokens",
        ("6.75", 7, 0),
    ),
    (
        "unknown alone",
        [call(model="own", usage=Usage(input=10, output=1, cache_read=7))],
        "what the cache saved is not known of 7 cached tokens",
        (None, 7, 0),
    ),
    (
        "written at an unknown rate",
        [call(model="own", usage=Usage(input=10, output=1, cache_write=9))],
        "what the cache saved is not known of 9 cached tokens",
        (None, 9, 0),
    ),
    (
        "long prompt",
        [call(model="gpt-5.4", usage=Usage(input=20_000_000, output=1, cache_read=10_000_000))],
        "the cache saved 22.50 USD at list prices",
        ("22.5", 0, 0),
    ),
    (
        "nothing saved, beside the unknown",
        [call(model=model, usage=Usage(input=10, output=1, cache_read=7)) for model in ("gpt-4", "own")],
        "the cache saved 0.00 USD at list prices, not known of 7 cached tokens",
        ("0", 7, 0),
    ),
    ("none", [call(usage=Usage(input=10, output=1))], None, ("0", 0, 0)),
]


@pytest.mark.parametrize(("calls", "sentence", "figures"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_every_answer_says_what_the_cache_saved(
    calls: list[Any], sentence: str | None, figures: tuple[str | None, int, int], tmp_path: Path
) -> None:
    """Long prompts, too, are compared at the base rates. Where no cache was used, only a program that asks for it hears of none."""
    path = tmp_path / "ledger.db"
    write(path, *calls)
    asked = client(path)
    assert ReadPage(asked.get("/?period=2026-11").text).texts.get("saved") == sentence
    found = costspan.usage(ledger=path).cache_savings("2026-11")
    assert (found.saved_usd, found.unknown_tokens, found.assumed_tokens) == (
        None if figures[0] is None else Decimal(figures[0]),
        *figures[1:],
    )
    told = {
        "saved_usd": None if figures[0] is None else f"{Decimal(figures[0]):.9f}",
        "unknown_tokens": figures[1],
        "assumed_tokens": figures[2],
        "rates": "known" if not figures[1] else "unknown" if figures[0] is None else "known_in_part",
    }
    assert asked.get("/v1/usage/summary?by=total&period=2026-11").json()["cache"] == told
    assert json.loads(_usage(path, "--json"))["cache"] == (told if sentence else None)
    text = " ".join(_usage(path).split())
    assert not sentence or f"{sentence[0].upper()}{sentence[1:]}." in text
    assert ("the cache" in text.lower()) == bool(sentence)


def _usage(path: Path, *words: str) -> str:
    result = CliRunner().invoke(command, ["usage", "--ledger", str(path), "--period", "2026-11", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_mistake_in_the_prices_file_takes_no_figure_but_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used is answered as ever; prices of their own are those of the setting."""
    write(tmp_path / "ledger.db", READ)
    own = tmp_path / "prices.yaml"
    monkeypatch.setenv("OTEL_COSTSPAN_PRICES", str(own))
    own.write_text("models: 7\n")
    assert "What the cache saved is not known of 10,000,000 cached tokens." in _usage(tmp_path / "ledger.db")
    assert costspan.usage(ledger=tmp_path / "ledger.db").cache_savings().rates == "unknown"


def test_it_is_of_the_calls_that_were_chosen(tmp_path: Path) -> None:
    """Of their time, and by their filters."""
    before = call(team="ads", started_ns=at_ns("2026-10-20 10:00"), usage=READ.answer.usage)
    write(tmp_path / "ledger.db", READ, before, call(team="ads", usage=Usage(input=200, output=1, cache_read=100)))
    asked = client(tmp_path / "ledger.db")
    assert (
        ReadPage(asked.get("/?period=2026-11&team=ads").text).texts["saved"]
        == "the cache saved 0.000068 USD at list prices"
    )
    assert "saved" not in ReadPage(asked.get("/?period=2026-09").text).texts
