"""What the ledger knows of calls like one that is to be made: what their answers came to, and their input beside its estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from costspan.facts.attribution_words import TASK_TYPE
from costspan.facts.call import OK
from costspan.forecast import noted
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
#: So many calls, those whose input is most like the one to come, tell by how much their words are off.
_NEAREST: Final = 5
#: A request with tools and one without are as unlike as if one were so many times (e to the power of this) as long.
_FAR: Final = 3.0


class Told(NamedTuple):
    """An input as its words told it, and as the provider counted it."""

    words: int
    has_tools: bool
    came: int


class Known(NamedTuple):
    """Of the calls of a model: the output tokens, in order, and the inputs that were estimated; of which calls each are, and who
    answered the newest.
    """

    outputs: Sequence[int] = ()
    of_outputs: str = ""
    inputs: Sequence[Told] = ()
    of_inputs: str = ""
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


def learned_input(inputs: Sequence[Told], words: int, *, has_tools: bool) -> Spread:
    """What an input of so many words will come to, by how far off the words of others were: the nearest, and all."""
    ordered = sorted(inputs, key=lambda told: _distance(told, words, has_tools=has_tools))
    near = spread(sorted(told.came / told.words for told in ordered[:_NEAREST]))
    every = spread(sorted(told.came / told.words for told in inputs))
    return Spread(*(None if ratio is None else ratio * words for ratio in (near.median, every.bound)))


def _distance(told: Told, words: int, *, has_tools: bool) -> float:
    return abs(math.log(told.words / words)) + (_FAR if told.has_tools != has_tools else 0)


def known(store: Store, model: str, task_type: str | None) -> Known:
    """What the ledger knows of the calls of a model: those of this task type where they are enough. Raises LedgerError."""
    outputs = _rows(store, "output_tokens, provider", "output_tokens IS NOT NULL", model, task_type)
    inputs = _rows(store, "input_tokens, estimate", "estimate IS NOT NULL AND input_tokens > 0", model, task_type)
    told = [
        Told(note.words, note.has_tools, came) for came, text in inputs[1] if (note := noted.read(text)) is not None
    ]
    counts, of_outputs = outputs[1], outputs[0]
    return Known(
        sorted(count for count, _ in counts), of_outputs, told, inputs[0], counts[0][1] if counts else None
    )  # fmt: skip


def _rows(
    store: Store, columns: str, filled: str, model: str, task_type: str | None
) -> tuple[str, list[tuple[Any, ...]]]:
    """The newest calls with this task type, where those are enough for a bound, else all; and which they are."""
    for task in (task_type, None) if task_type is not None else (None,):
        of_task = "" if task is None else f" AND {COLUMNS[TASK_TYPE]} = :task"
        found = store.select(
            f"SELECT {columns} FROM calls WHERE n > (SELECT MAX(n) FROM records) - {_LOOKED_THROUGH}"  # noqa: S608 - own words
            f" AND {COLUMNS['model']} = :model AND {IS_CALL} AND outcome = '{OK}' AND is_complete = 1"
            f" AND {filled}{of_task} ORDER BY n DESC LIMIT {_MOST_CALLS}",
            {"model": model, "task": task},
        )
        if task is None or len(found) >= BOUNDED_FROM:
            return f"of {model}" if task is None else f"of {model} with task type {task}", found
    return "", []
