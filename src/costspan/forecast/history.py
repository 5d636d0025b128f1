"""What the ledger knows of calls like one that is to be made: how much their answers came to, and who answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from costspan.facts.attribution_words import TASK_TYPE
from costspan.facts.call import OK
from costspan.ledger.columns import COLUMNS, IS_CALL
from costspan.ledger.store import Store

#: A median is worth telling from so many calls on.
FEWEST: Final = 5
#: Of so many calls the largest is above 95 % of the next ones: one of twenty is larger than all before.
BOUNDED_FROM: Final = 19
_SHARE: Final = 0.95
_MOST_CALLS: Final = 1_000
#: So many of the newest records are looked through, so that an answer takes a fraction of a second in any ledger.
_LOOKED_THROUGH: Final = 200_000


class Outputs(NamedTuple):
    """The output tokens of calls, in order, and whose they are; `provider` is who answered the newest."""

    counts: Sequence[int] = ()
    of: str = ""
    provider: str | None = None


class Spread(NamedTuple):
    """The median of numbers, and what the next one will be below with a likelihood of 95 %; None where they are too few."""

    median: float | None
    bound: float | None


def spread(numbers: Sequence[float]) -> Spread:
    """Of numbers in order."""
    count = len(numbers)
    rank = math.ceil((count + 1) * _SHARE)
    median = (numbers[(count - 1) // 2] + numbers[count // 2]) / 2 if count >= FEWEST else None
    return Spread(median, numbers[rank - 1] if rank <= count else None)


def outputs(store: Store, model: str, task_type: str | None) -> Outputs:
    """Of the calls of a model, with this task type where those are enough. Raises LedgerError."""
    if task_type is not None:
        found = _outputs(store, model, task_type)
        if len(found.counts) >= BOUNDED_FROM:
            return found
    return _outputs(store, model, None)


def _outputs(store: Store, model: str, task_type: str | None) -> Outputs:
    of_task = "" if task_type is None else f" AND {COLUMNS[TASK_TYPE]} = :task"
    rows = store.select(
        f"SELECT output_tokens, provider FROM calls WHERE n > (SELECT MAX(n) FROM records) - {_LOOKED_THROUGH}"  # noqa: S608 - own words
        f" AND {COLUMNS['model']} = :model AND {IS_CALL} AND outcome = '{OK}' AND is_complete = 1"
        f" AND output_tokens IS NOT NULL{of_task} ORDER BY n DESC LIMIT {_MOST_CALLS}",
        {"model": model, "task": task_type},
    )
    of = f"of {model}" if task_type is None else f"of {model} with task type {task_type}"
    return Outputs(sorted(count for count, _ in rows), of, rows[0][1] if rows else None)
