"""The benchmark judges others, so its own judgement is tested: bills, verdicts, readings, tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks import rows
from benchmarks.contenders import CONTENDERS, ENVIRONMENTS
from benchmarks.correctness.provider import Bill, Manner, Provider
from benchmarks.correctness.verdict import judge
from benchmarks.correctness.ways import PROMPT, WAYS

from places import ROOT

WHOLE = Bill("gpt-4o", 1_000, 600, 200)
CUT = Bill("gpt-4o", 1_000, 0, 50)
UNKNOWN = Bill("acme-large-9", 1_000, 600, 200)
RIGHT = {"input": 1_000, "output": 200}
TWICE = {"input": 2_000, "output": 400}


@pytest.mark.parametrize(
    ("bill", "nano_usd"),
    [(WHOLE, 3_750_000), (CUT, 3_000_000), (Bill("claude-sonnet-4-5", 1_000, 600, 200), 4_380_000), (UNKNOWN, None)],
)
def test_a_bill_is_the_list_price(bill: Bill, nano_usd: int | None) -> None:
    """What the stand-in bills is what the published price list says; an unlisted model has no bill."""
    assert bill.nano_usd == nano_usd


VERDICTS: list[tuple[str, str, dict[str, Any], dict[str, Any], Bill, str]] = [
    # contender, way, spans, metrics, bill, verdict
    ("costspan", "whole", {**RIGHT, "cost_usd": 0.00375}, {**RIGHT, "cost_usd": 0.00375}, WHOLE, "✓"),
    ("costspan", "whole", {**RIGHT, "cost_usd": 0.00375}, {**RIGHT, "cost_usd": 0.0045}, WHOLE, "$0.0045"),
    ("openlit", "whole", RIGHT, {}, WHOLE, "tokens, no cost"),
    ("genai", "whole", RIGHT, {}, WHOLE, "✓ tokens"),
    ("genai", "whole", TWICE, RIGHT, WHOLE, "2,000 in / 400 out"),
    ("genai", "break", {}, {}, CUT, "nothing"),
    ("openlit", "break", {"input": 33, "output": 15, "cost_usd": 0.00023}, {}, CUT, "33 in / 15 out, $0.00023"),
    ("costspan", "break", {"input": 1_000}, {"input": 1_060, "output": 55, "cost_usd": 0.0032, "quality": "estimated"},
     CUT, "✓ ≈ $0.0032"),
    ("costspan", "break", {}, {"input": 1_000, "output": 50, "cost_usd": 0.0046, "quality": "estimated"},
     CUT, "≈ $0.0046"),
    ("costspan", "whole", {**RIGHT, "cost_usd": 0.0038, "quality": "estimated"}, {}, WHOLE, "$0.0038"),
    ("openlit", "unknown model", {**RIGHT, "cost_usd": 0.0}, {}, UNKNOWN, "books $0"),
    ("costspan", "unknown model", RIGHT, {"quality": "unpriced"}, UNKNOWN, "✓ no cost, and says so"),
    ("logfire", "unknown model", RIGHT, {}, UNKNOWN, "✓ no cost"),
]  # fmt: skip


@pytest.mark.parametrize(("contender", "way", "spans", "metrics", "bill", "verdict"), VERDICTS)
def test_a_verdict_names_the_wrong_figure(
    contender: str, way: str, spans: dict[str, Any], metrics: dict[str, Any], bill: Bill, verdict: str
) -> None:
    """Right is what was billed, or an estimate near it that says so; anything else is quoted as it was found."""
    answer: dict[str, Any] = {"spans": _figures(**spans), "metrics": _figures(**metrics), "complaints": []}
    assert str(judge(CONTENDERS[contender], WAYS[way], answer, [bill])) == verdict


def _figures(**said: Any) -> dict[str, Any]:
    return {"input": None, "output": None, "cost_usd": None, "quality": None, **said}


def test_a_changed_stream_is_wrong_whatever_was_counted() -> None:
    """An instrumentation that changes what the caller gets is not right by having counted well."""
    answer = {"spans": _figures(**RIGHT), "metrics": _figures(), "complaints": ["an extra chunk without choices"]}
    cell = judge(CONTENDERS["genai"], WAYS["stream, not asked"], answer, [WHOLE])
    assert str(cell) == "✓ tokens; the caller gets an extra chunk without choices"
    assert not cell.right


def test_the_provider_bills_what_it_sent() -> None:
    """A stream that was cut is billed for what had been generated until then, and without a cache."""
    with Provider(Manner.CUT) as provider:
        provider.book("gpt-4o")
    assert provider.bills == [CUT]


def test_the_prompt_is_as_long_as_it_is_billed() -> None:
    """An estimator must be able to find about a thousand tokens in it, at four to five characters a token."""
    assert 4_000 < len(PROMPT) < 5_000


def test_every_contender_has_its_environments() -> None:
    """Whoever takes part in the correctness table can be made for each way of calling."""
    for contender in CONTENDERS.values():
        assert contender.environment in ENVIRONMENTS
        if "correctness" in contender.takes_part_in:
            assert f"{contender.environment}+litellm" in ENVIRONMENTS


def test_the_totals_of_many_sessions_are_found() -> None:
    """They leave in messages of their own, before those of the sessions."""
    command = [sys.executable, "-m", "benchmarks.overhead.sessions", "--worker", "costspan", "--sessions", "1200"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )  # a command of ours
    answer = json.loads(done.stdout.partition("RESULT ")[2])
    assert (answer["totals_right"], answer["input_tokens_found"]) == (True, 1.0)


def test_a_repeated_measurement_replaces_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are forgotten by their values and the others stay."""
    monkeypatch.setattr(rows, "ROOT", tmp_path)
    kept = rows.Rows("example")
    for contender in ("a", "b", "c"):
        kept.add(contender=contender, found=1)
    kept.forget(contender=["a", "b"])
    kept.add(contender="a", found=2)
    assert list(kept) == [{"contender": "c", "found": 1}, {"contender": "a", "found": 2}]
