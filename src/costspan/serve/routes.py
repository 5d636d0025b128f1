"""Every route of the API in one table: what answers it, its parameters, the form of its answer. The document is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from costspan.serve import answers
from costspan.serve.asked import Asked
from costspan.serve.parameters import BY, CHOICE, FILTERS, TIME_ZONE, TOP, Parameter

JSON: Final = "application/json"


class Route(NamedTuple):
    """One route. `work` answers a request in a thread of its own, with a value of the class `answer`."""

    path: str
    summary: str
    work: Callable[[Asked], Any]
    answer: type
    parameters: tuple[Parameter, ...] = ()
    method: str = "GET"


ROUTES: Final = (
    Route("/v1/usage/tokens", "Tokens and cost this month and in all time, and the last use.", answers.tokens, answers.Tokens,
          (*FILTERS, TIME_ZONE)),
    Route("/v1/usage/summary", "The sums of each group (by default of each model), and of all.", answers.summary,
          answers.Summary, (BY, TOP, *CHOICE)),
)  # fmt: skip
