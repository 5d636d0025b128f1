"""Plays every fault, compares what everyone says, and prints the table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from stack.chaos.faults import FAULTS, Fault, month_begin
from stack.chaos.stage import Figures, Stage, stage

_AGREE_S: Final = 60.0
_TOLD_S: Final = 120.0
_LAST: Final = "100"
#: The case that plays around the beginning of this month.
_OTHER_MONTH: Final = "month-over"
_SOON_S: Final = 3_600


class Verdict(NamedTuple):
    """How a case ended."""

    fault: Fault
    took_s: float
    figures: Figures
    told: list[str]
    mistakes: list[str]


def prove(folder: Path, faults: Sequence[Fault] = FAULTS) -> list[Verdict]:
    """Play the faults, one after the other, on one stack."""
    folder.mkdir(parents=True, exist_ok=True)
    with stage(folder) as on:
        played = [(fault, *_play(on, fault)) for fault in faults]
        return [_verdict(on, fault, took_s, figures) for fault, took_s, figures in played]


def _play(on: Stage, fault: Fault) -> tuple[float, Figures]:
    started = time.monotonic()
    fault.play(on, fault.name)
    figures = _settled(on, fault.name)
    took_s = time.monotonic() - started
    print(f"{fault.name:24} {took_s:5.1f} s  {fault.story}", flush=True)
    return took_s, figures


def _settled(on: Stage, case: str) -> Figures:
    """The figures once they agree, or those of the moment when the patience ended."""
    # The clocks of one case are in another month: its panels are looked at as of then.
    end_s = month_begin() + _SOON_S if case == _OTHER_MONTH else None
    with contextlib.suppress(TimeoutError):
        on.stack.until(lambda: on.figures(case, end_s).agree(), "the figures are to agree", _AGREE_S)
    return on.figures(case, end_s)


def _verdict(on: Stage, fault: Fault, took_s: float, figures: Figures) -> Verdict:
    told = _told(on, fault.name)
    mistakes = [] if figures.agree() else ["the figures differ"]
    if fault.name != _OTHER_MONTH:
        mistakes += [f"told {told.count(each)} times of {each} %" for each in sorted({*told}) if told.count(each) > 1]
        mistakes += [] if _LAST in told else ["not told that the budget is spent"]
    return Verdict(fault, took_s, figures, told, mistakes)


def _told(on: Stage, case: str) -> list[str]:
    def percents() -> list[str]:
        return [told.percent for told in on.told(case)]

    with contextlib.suppress(TimeoutError):
        on.stack.until(lambda: case == _OTHER_MONTH or _LAST in percents(), "100 % is to be told", _TOLD_S)
    return percents()


def main(folder: Path) -> bool:
    """Prove, print the table, and say whether all is well."""
    started = time.monotonic()
    verdicts = prove(folder)
    wrong = [verdict.fault.name for verdict in verdicts if verdict.mistakes]
    print(f"\n{table(verdicts)}\n")
    print(f"{len(verdicts)} cases in {time.monotonic() - started:.0f} s; ", end="")
    print(f"WRONG: {', '.join(wrong)}; see {folder}" if wrong else "no cent lost, no crossing told twice")
    return not wrong


def table(verdicts: Sequence[Verdict]) -> str:
    """The proof, a line for each case."""
    columns = ("served USD", "ledger", "Prometheus", "sessions", "panel", "days", "budget")
    head = f"{'case':24} {' '.join(f'{column:>12}' for column in columns)}  told"
    rows = [
        f"{verdict.fault.name:24} {' '.join(_amount(each) for each in verdict.figures[: len(columns)])}  "
        f"{','.join(verdict.told) or '-'}{'  WRONG: ' + '; '.join(verdict.mistakes) if verdict.mistakes else ''}"
        for verdict in verdicts
    ]
    return "\n".join([head, *rows])


def _amount(usd: float | None) -> str:
    return f"{'-':>12}" if usd is None else f"{usd:12.9f}"
