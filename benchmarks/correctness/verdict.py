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
    sources = [figures for name in ("spans", "metrics") if (figures := Figures(**answer[name]))]
    cell = _compare(contender, way, sources, bills[0])
    if answer["complaints"]:
        return Cell(right=False, text=f"{cell}; the caller gets {'; '.join(answer['complaints'])}")
    return cell


def _compare(contender: Contender, way: Way, sources: list[Figures], bill: Bill) -> Cell:
    """What any source says wrongly is wrong; what one leaves out, another may say."""
    wrong = [fault for found in sources if (fault := _fault(way, found, bill))]
    if wrong:
        return Cell(right=False, text=max(wrong, key=len))
    whole = [found for found in sources if None not in (found.input, found.output)]
    if not whole:
        return Cell(right=False, text=_tokens(sources[0]) if sources else "nothing")
    if not contender.has_cost:
        return Cell(right=True, text="tokens")
    costs = [found.cost_usd for found in sources if found.cost_usd is not None]
    if bill.nano_usd is None:
        is_said = any(found.quality == UNPRICED for found in sources)
        return Cell(right=True, text="no cost, and says so" if is_said else "no cost")
    if not costs:
        return Cell(right=False, text="tokens, no cost")
    is_estimate = any(found.quality == ESTIMATED for found in sources)
    return Cell(right=True, text=f"≈ {_usd(costs[0])}" if is_estimate else "")


def _fault(way: Way, found: Figures, bill: Bill) -> str | None:
    """The figures, if one of them is wrong."""
    if found.quality == ESTIMATED and way.may_be_estimated:
        return None if _is_near(found, bill) else f"≈ {_usd(found.cost_usd or 0)}"
    if found.input not in (None, bill.input) or found.output not in (None, bill.output):
        return _tokens(found)
    if found.cost_usd is None:
        return None
    if bill.nano_usd is None:
        return f"books {_usd(found.cost_usd)}"
    return None if abs(found.cost_usd * 1e9 - bill.nano_usd) < 1 else _usd(found.cost_usd)


def _is_near(found: Figures, bill: Bill) -> bool:
    truth = (bill.nano_usd or 0) / 1e9
    return found.cost_usd is not None and truth / ESTIMATE_WITHIN <= found.cost_usd <= truth * ESTIMATE_WITHIN


def _tokens(found: Figures) -> str:
    words = f"{found.input or 0:,.0f} in / {found.output or 0:,.0f} out"
    return words if found.cost_usd is None else f"{words}, {_usd(found.cost_usd)}"


def _usd(amount: float) -> str:
    return f"${amount:.5f}".rstrip("0") if amount else "$0"
