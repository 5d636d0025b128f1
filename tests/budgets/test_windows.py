"""What a window of time answers, asked of a real Prometheus: our growth is exact, Prometheus' own words are not always."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from costspan.alerting.spend import growth
from panel_queries import ask
from promtools import prometheus

_WINDOW_S: Final = 6 * 3_600
_END_S: Final = 1_795_000_000
_START_S: Final = _END_S - _WINDOW_S
_SERIES: Final = "llm_cost_usd_total"

_KINDS: Final = ("long", "new series", "short job", "gap", "export every 70 min")
#: The error in percent of each way of asking, by the kind of series (docs/decisions/0053-windows.md).
#: `with zero`: each series begins with a zero at its start, as `created-timestamp-zero-ingestion` writes it.
EXPECTED: Final = {
    ("growth", "without zero"): (0, 0, 0, 0, 0),
    ("growth", "with zero"): (0, 0, 0, 0, 0),
    ("anchored", "without zero"): (0, -2, -60, -16, -9),
    ("anchored", "with zero"): (0, 0, 0, -16, -9),
    ("smoothed", "without zero"): (0, -2, -60, -16, -9),
    ("smoothed", "with zero"): (0, 0, 0, -16, -9),
    ("increase", "without zero"): (0, -2, -44, -16, 17),
    ("increase", "with zero"): (0, 0, 18, -16, 17),
}
_WAYS: Final = {
    "growth": growth(_SERIES, "6h"),
    "anchored": f"increase({_SERIES}[6h] anchored)",
    "smoothed": f"increase({_SERIES}[6h] smoothed)",
    "increase": f"increase({_SERIES}[6h])",
}


class Process(NamedTuple):
    """A process: from when on it calls, how often it exports, when it is silent."""

    kind: str
    name: str
    start_s: int
    end_s: int
    every_s: int = 60
    first_s: int = 0
    silent: range = range(0)

    def samples(self, dice: random.Random, *, with_zero: bool) -> Iterator[tuple[int, float]]:
        """The moments and values of its counter."""
        if with_zero:
            yield self.first_s or self.start_s, 0.0
        spent, moment_s, has_spent = 0.0, self.start_s, False
        while moment_s < self.end_s:
            moment_s = min(moment_s + self.every_s, self.end_s)
            if moment_s <= self.first_s:
                continue
            if not has_spent or dice.random() < 0.3:
                spent, has_spent = round(spent + dice.randint(1, 2_000) / 1_000, 3), True
            if moment_s not in self.silent:
                yield moment_s, spent


def _processes(dice: random.Random) -> Iterator[Process]:
    before_s, after_s = _START_S - 20 * 3_600, _END_S + 3_600
    for number in range(5):
        yield Process("long", f"long-{number}", before_s, after_s)
    for number in range(20):
        yield Process("new series", f"new-{number}", _START_S, after_s, first_s=_START_S + 1_800 + number * 600)
    for number in range(200):
        start_s = _START_S + dice.randint(-3_600, _WINDOW_S)
        yield Process("short job", f"job-{number}", start_s, start_s + dice.randint(20, 300))
    for number in range(5):
        yield Process("gap", f"gap-{number}", before_s, after_s, silent=range(_START_S - 1_800, _START_S + 1_800))
    for number in range(5):
        yield Process("export every 70 min", f"slow-{number}", before_s + 100 * number, after_s, every_s=4_200)


def _asked(folder: Path, *, with_zero: bool) -> dict[str, tuple[int, ...]]:
    """The error of each way of asking, in whole percent, by the kind of series."""
    dice = random.Random(7)  # noqa: S311  # a fixed seed
    spent: dict[str, float] = defaultdict(float)
    lines = [f"# TYPE {_SERIES.removesuffix('_total')} counter\n"]
    for process in _processes(dice):
        samples = list(process.samples(dice, with_zero=with_zero))
        lines += [f'{_SERIES}{{kind="{process.kind}",instance="{process.name}"}} {spent_usd!r} {moment_s}\n'
                  for moment_s, spent_usd in samples]  # fmt: skip
        at_start = [spent_usd for moment_s, spent_usd in samples if moment_s <= _START_S]
        within = [spent_usd for moment_s, spent_usd in samples if _START_S < moment_s <= _END_S]
        spent[process.kind] += within[-1] - (at_start[-1] if at_start else 0.0) if within else 0.0
    found: dict[str, tuple[int, ...]] = {}
    with prometheus(folder, "".join(lines)) as server:
        for way, expression in _WAYS.items():
            told, remarks = ask(server.address, "query", query=f"sum by (kind) ({expression})", time=str(_END_S))
            assert remarks == []
            values = {each["metric"]["kind"]: float(each["value"][1]) for each in told}
            found[way] = tuple(round((values.get(kind, 0.0) / spent[kind] - 1) * 100) for kind in _KINDS)
            if way == "growth":
                assert values == pytest.approx(dict(spent), rel=1e-12)
    return found


@pytest.mark.parametrize("with_zero", [False, True], ids=["without zero", "with zero"])
def test_a_window_is_exact_by_our_growth_alone(tmp_path: Path, *, with_zero: bool) -> None:
    """Whatever begins, ends, is silent or exports seldom. Prometheus' own words miss what a series began with, and gaps."""
    zero = "with zero" if with_zero else "without zero"
    assert _asked(tmp_path, with_zero=with_zero) == {way: EXPECTED[way, zero] for way in _WAYS}
