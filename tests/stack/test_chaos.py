"""The proof by faults, a part of it: `make chaos` plays all."""

from __future__ import annotations

from pathlib import Path

from stack.chaos.faults import FAULTS
from stack.chaos.proof import prove, table

from stack_clients import needing_programs

PLAYED = ("thresholds-crossed", "both-killed", "sampled", "month-over")


def test_served_is_ledger_is_prometheus_is_panel_is_alert(tmp_path: Path) -> None:
    """Real clients, the real pipeline, and things that break: everyone says what the provider served, once."""
    verdicts = needing_programs(lambda: prove(tmp_path, [fault for fault in FAULTS if fault.name in PLAYED]))
    assert len(verdicts) == len(PLAYED)
    assert [verdict.mistakes for verdict in verdicts] == [[] for _ in PLAYED], table(verdicts)
    assert verdicts[0].told == ["50", "80", "100"]
