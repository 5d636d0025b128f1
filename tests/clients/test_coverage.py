"""How much of the recorded traffic a watched library can send, by its path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import measure_coverage
import recordings
import replaying
from places import ROOT


@replaying.needs_recordings
def test_less_than_a_twentieth_is_left_over() -> None:
    """Each API of it with a reason."""
    found = [each for api in recordings.apis() for each in recordings.with_usage(api)]
    left = Counter(each["api"] for each in found if not measure_coverage.senders(each))
    assert left.keys() == measure_coverage.REASONS.keys()
    assert left.total() * 20 < len(found)


@pytest.mark.parametrize("script", ["measure_coverage", "measure_estimates"])
def test_without_recordings_the_scripts_say_where_they_looked(script: str, tmp_path: Path) -> None:
    """No figure of nothing, and no traceback."""
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{script}.py"], env={**os.environ, "COSTSPAN_CORPUS": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 1
    assert made.stdout == ""
    assert made.stderr == f"{script}: no recorded traffic at {tmp_path}: say where it lies by COSTSPAN_CORPUS\n"
