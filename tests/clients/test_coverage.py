"""How much of the recorded traffic a watched library can send, by its path."""

from __future__ import annotations

from collections import Counter

import measure_coverage
import replaying


@replaying.needs_recordings
def test_less_than_a_twentieth_is_left_over() -> None:
    """Each API of it with a reason."""
    found = list(measure_coverage.with_usage())
    left = Counter(each["api"] for each in found if not measure_coverage.senders(each))
    assert left.keys() == measure_coverage.REASONS.keys()
    assert left.total() * 20 < len(found)
