"""Programs that are killed, through the real Collector and Prometheus; `python -m stack.chaos.kills` plays hundreds."""

from __future__ import annotations

from pathlib import Path

from stack.chaos.kills import play

from stack_clients import needing_programs


def test_what_killed_programs_spent_is_in_prometheus_once(tmp_path: Path) -> None:
    """With the Collector there and away: nothing is lost, and nothing doubled."""
    verdict = needing_programs(lambda: play(4, 20_261_129, tmp_path, tell=str))
    assert verdict.calls > 0
    assert verdict.wrong == ()
