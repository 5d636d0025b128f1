"""`costspan budgets reservations` lists what is held, by whom, and lets go of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from click.testing import CliRunner

from budgeted import store_of
from costspan.budgets.store import Hold
from costspan.cli.commands import costspan as command


def _said(folder: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["budgets", "reservations", "--ledger", str(folder / "ledger.db"), *words])
    return result.exit_code, result.output


def test_what_is_held_is_listed_and_cleared(tmp_path: Path) -> None:
    """Each with its budget and amount."""
    store = store_of(tmp_path)
    holds = [Hold("plan#usd.1/acme", 0, 0, 10**9, 400_000_000), Hold("calls#requests.2", 0, 0, 10, 1)]
    store.reserve("order-17", holds, time.time_ns(), label="openai gpt-4o")
    code, said = _said(tmp_path)
    assert code == 0
    lines = [line.split("  ") for line in said.splitlines() if "order-17" in line]
    assert [[word.strip() for word in line if word.strip()][:3] for line in lines] == [
        ["order-17", "calls", "1 requests"],
        ["order-17", "plan of acme", "0.40 USD"],
    ]
    (found,) = json.loads(_said(tmp_path, "--json")[1])
    assert found["holds"][1] == {"budget": "plan", "unit": "usd", "value": "acme", "amount": 400_000_000}
    assert found["is_alive"]
    assert _said(tmp_path, "--clear", "order-17")[0] == 0
    assert _said(tmp_path) == (0, "nothing is reserved\n")
    code, said = _said(tmp_path, "--clear", "order-17")
    assert code == 1
    assert "there is no open reservation 'order-17'" in said
    assert store.standing("plan#usd.1/acme", 0) == (0, 0)
    store.close()


def test_without_a_file_it_says_what_makes_one(tmp_path: Path) -> None:
    """It makes none itself."""
    code, said = _said(tmp_path)
    assert code == 1
    assert "OTEL_COSTSPAN_BUDGETS" in said
    assert list(tmp_path.iterdir()) == []
