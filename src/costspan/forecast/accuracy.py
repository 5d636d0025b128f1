"""How far estimates were from what came, by model: of the calls whose records carry one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from costspan.facts.call import OK
from costspan.forecast import noted
from costspan.forecast.noted import FIGURES
from costspan.ledger.columns import COLUMNS
from costspan.ledger.store import Store

_TENTHS: Final = 10
_MOST_TENTHS: Final = 9


class Accuracy(NamedTuple):
    """Of one figure (`input`, `output`, `cost_nano_usd`) and model. `calls` had an expected number: half of them are off by at most
    `median_error`, nine of ten by `p90_error`, as a share of what came. `bounded` had a bound, `held` came to no more than it.
    """

    model: str
    figure: str
    calls: int
    median_error: float | None
    p90_error: float | None
    bounded: int
    held: int


class Compared(NamedTuple):
    """All there are, and how many records carry an estimate that cannot be compared: failed calls, streams cut short."""

    rows: tuple[Accuracy, ...]
    left_out: int


class _Sum:
    def __init__(self) -> None:
        self.errors: list[float] = []
        self.bounded = self.held = 0

    def add(self, expected: int | None, bound: int | None, came: int) -> None:
        if expected is not None:
            self.errors.append(noted.error(expected, came))
        if bound is not None:
            self.bounded += 1
            self.held += came <= bound

    def told(self, model: str, figure: str) -> Accuracy:
        errors = sorted(self.errors)
        count = len(errors)
        median = errors[count // 2] if count else None
        most = errors[count * _MOST_TENTHS // _TENTHS] if count else None
        return Accuracy(model, figure, count, median, most, self.bounded, self.held)


def compared(store: Store) -> Compared:
    """Every estimate of the ledger beside what came. Raises LedgerError."""
    sums: dict[tuple[str, str], _Sum] = {}
    left_out = 0
    question = (
        f"SELECT {COLUMNS['model']}, outcome = '{OK}' AND is_complete = 1, input_tokens, output_tokens, cost_nano_usd, estimate"  # noqa: S608 - own words
        " FROM calls WHERE estimate IS NOT NULL"
    )
    for model, is_whole, *came, text in store.each(question):
        note = noted.read(text)
        if not is_whole or note is None:
            left_out += 1
        else:
            _add(sums, str(model), note, came)
    rows = (
        total.told(model, figure) for (model, figure), total in sorted(sums.items(), key=lambda item: _order(*item[0]))
    )
    return Compared(tuple(rows), left_out)


def _order(model: str, figure: str) -> tuple[str, int]:
    return model, FIGURES.index(figure)


def _add(sums: dict[tuple[str, str], _Sum], model: str, note: noted.Noted, came: list[Any]) -> None:
    for figure, number in zip(FIGURES, came, strict=True):
        if isinstance(number, int):
            sums.setdefault((model, figure), _Sum()).add(note.expected.get(figure), note.bound.get(figure), number)
