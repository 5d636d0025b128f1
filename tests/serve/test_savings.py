"""What the cache saved: by the rates of each model, less what writing to it cost, and of what that is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from costspan.facts.usage import Usage
from ledger_calls import at_ns, call, write
from read_page import ReadPage
from served import client

# Opus 4.8: 5 USD a million of input, 0.5 read from cache, 6.25 written to it. gpt-5.4-mini: 0.75 of input, 0.075 read.
OPUS: dict[str, Any] = {"provider": "anthropic", "host": "api.anthropic.com", "model": "claude-opus-4-8"}
READ = call(usage=Usage(input=20_000_000, output=1, cache_read=10_000_000))
TOLD = [
    ("read", [READ], "the cache saved 6.75 USD at list prices"),
    ("two models", [READ, call(**OPUS, usage=Usage(input=1_000_000, output=1, cache_read=1_000_000))], "the cache saved 11.25 USD at list prices"),
    (
        "written",
        [call(**OPUS, usage=Usage(input=10_000_000, output=1, cache_write=9_000_000, cache_read=1_000_000))],
        "writing to the cache cost 6.75 USD more than reading saved at list prices",
    ),
    (
        "unknown beside it",
        [READ, call(model="own", usage=Usage(input=10, output=1, cache_read=7))],
        "the cache saved 6.75 USD at list prices, not known of 7 cached tokens",
    ),
    ("unknown alone", [call(model="own", usage=Usage(input=10, output=1, cache_read=7))], "what the cache saved is not known of 7 cached tokens"),
    (
        "written at an unknown rate",
        [call(model="own", usage=Usage(input=10, output=1, cache_write=9))],
        "what the cache saved is not known of 9 cached tokens",
    ),
    ("long prompt", [call(model="gpt-5.4", usage=Usage(input=20_000_000, output=1, cache_read=10_000_000))], "the cache saved 22.50 USD at list prices"),
    ("no such rate", [call(model="gpt-4", usage=Usage(input=10, output=1, cache_read=7))], "the cache saved 0.00 USD at list prices"),
    ("none", [call(usage=Usage(input=10, output=1))], None),
]  # fmt: skip


@pytest.mark.parametrize(("calls", "sentence"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_the_page_says_what_the_cache_saved(calls: list[Any], sentence: str | None, tmp_path: Path) -> None:
    """Long prompts, too, are compared at the base rates."""
    write(tmp_path / "ledger.db", *calls)
    page = ReadPage(client(tmp_path / "ledger.db").get("/?period=2026-11").text)
    assert page.texts.get("saved") == sentence


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
