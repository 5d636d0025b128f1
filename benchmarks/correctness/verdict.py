"""What one contender's record of one call is worth: right, or the figure found in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.contenders import Contender
from benchmarks.correctness.provider import Bill
from benchmarks.correctness.reading import UNPRICED, Figures
from benchmarks.correctness.ways import Way

#: An estimate is right if it says that it is one and is within this factor of the truth.
ESTIMATE_WITHIN: Final = 1.5
ESTIMATED: Final = "estimated"


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    right: bool
    text: str

    def __str__(self) -> str:
        return f"✓ {self.text}".rstrip() if self.right else self.text


def judge(contender: Contender, way: Way, answer: dict[str, Any], bills: list[Bill]) -> Cell:
    """The cell for what a worker answered, against what the provider billed."""
    if "fault" in answer:
        return Cell(right=False, text="does not run")
    spans, metrics = Figures(**answer["spans"]), Figures(**answer["metrics"])
    cells = [_compare(contender, way, source, bills[0]) for source in (spans, metrics) if source]
    cell = _worst(cells) if cells else Cell(right=False, text="nothing")
    if answer["complaints"]:
        return Cell(right=False, text=f"{cell}; the caller gets {'; '.join(answer['complaints'])}")
    return cell


def _worst(cells: list[Cell]) -> Cell:
    """A figure that is wrong anywhere is wrong; of those that are right, the one that says most."""
    wrong = [cell for cell in cells if not cell.right]
    return max(wrong or cells, key=lambda cell: len(cell.text))


def _compare(contender: Contender, way: Way, found: Figures, bill: Bill) -> Cell:
    if found.quality == ESTIMATED and way.may_be_estimated:
        return _estimate(found, bill)
    if (found.input, found.output) != (bill.input, bill.output):
        return Cell(right=False, text=_tokens(found))
    if bill.nano_usd is None:
        return _unpriced(contender, found)
    if not contender.has_cost:
        return Cell(right=True, text="tokens")
    if found.cost_usd is None:
        return Cell(right=False, text="tokens, no cost")
    right = abs(found.cost_usd * 1e9 - bill.nano_usd) < 1
    return Cell(right=right, text="" if right else _usd(found.cost_usd))


def _unpriced(contender: Contender, found: Figures) -> Cell:
    if found.cost_usd is None:
        said = "no cost, and says so" if found.quality == UNPRICED else "no cost"
        return Cell(right=True, text=said if contender.has_cost else "tokens")
    return Cell(right=False, text=f"books {_usd(found.cost_usd)}")


def _estimate(found: Figures, bill: Bill) -> Cell:
    truth = (bill.nano_usd or 0) / 1e9
    near = found.cost_usd is not None and truth / ESTIMATE_WITHIN <= found.cost_usd <= truth * ESTIMATE_WITHIN
    return Cell(right=near, text=f"≈ {_usd(found.cost_usd or 0)}")


def _tokens(found: Figures) -> str:
    words = f"{found.input or 0:,.0f} in / {found.output or 0:,.0f} out"
    return words if found.cost_usd is None else f"{words}, {_usd(found.cost_usd)}"


def _usd(amount: float) -> str:
    return f"${amount:.5f}".rstrip("0") if amount else "$0"
