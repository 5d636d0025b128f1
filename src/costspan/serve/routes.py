"""Every route of the API in one table: what answers it, its parameters, the form of its answer. The document is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from costspan.report import values
from costspan.report.answers import Daily, NewestWords, Stats, Summary, Tokens, UsageSpan
from costspan.serve import answers, arrivals, exports, exposition, intake, prices, standing, stats
from costspan.serve.asked import Asked
from costspan.serve.parameters import BY, CHOICE, FILTERS, TIME_ZONE, TOP, Parameter

JSON: Final = "application/json"


class Route(NamedTuple):
    """One route. `work` answers a request in a thread of its own: with a value of the class `answer`, or where there is none with
    a response of one of the types `media`. `body` is the class of what a request has to bring.
    """

    path: str
    summary: str
    work: Callable[[Asked], Any]
    answer: type | None = None
    parameters: tuple[Parameter, ...] = ()
    method: str = "GET"
    body: type | None = None
    media: tuple[str, ...] = (JSON,)
    #: Whether usage is booked: only where the server accepts it, from whoever may.
    books: bool = False
    #: The types of a body that is taken as it is; it may be compressed.
    takes: tuple[str, ...] = ()


ROUTES: Final = (
    Route("/v1/usage/tokens", "Tokens and cost this month and in all time, and the last use.", answers.tokens, Tokens,
          (*FILTERS, TIME_ZONE)),
    Route("/v1/usage/summary", "The sums of each group (by default of each model), and of all.", answers.summary,
          Summary, (BY, TOP, *CHOICE)),
    Route("/v1/usage/daily", "The sums of each calendar day, by default of the last 30.", answers.daily, Daily, CHOICE),
    Route("/v1/usage/span", "When the first of the calls began, and the last.", answers.span, UsageSpan, FILTERS),
    Route("/v1/usage/newest", "The sessions and accounts of the last 1,000 calls.", answers.newest, NewestWords, CHOICE),
    Route("/v1/usage/records", "Calls, the newest first, in pages.", answers.records, values.UsagePage,
          (answers.LIMIT, answers.AFTER, *CHOICE)),
    Route("/v1/usage/records", "Book usage that a program writes down itself: priced here, each id once.", intake.records,
          intake.BookedAnswer, method="POST", body=intake.BookedUsages, books=True),
    Route("/v1/logs", "OTLP/HTTP: book the usage events of other processes, each once.", intake.otlp, None, method="POST",
          media=(arrivals.PROTOBUF, arrivals.JSON), books=True, takes=(arrivals.PROTOBUF, arrivals.JSON)),
    Route("/v1/stats", "Averages, how calls ended, how sure the amounts are, what has no attribution.", stats.stats, Stats,
          CHOICE),
    Route("/v1/models", "Models of the price table and their rates.", prices.models, prices.ModelPrices, prices.CHOICE),
    Route("/v1/cost", "What a call would cost, and why; nothing is booked.", prices.cost, prices.CostAnswer, method="POST",
          body=prices.CostQuestion),
    Route("/v1/budgets", "How the budgets of the server's budgets.yaml stand.", standing.budgets, standing.Budgets),
    Route("/v1/export", "All calls that were chosen, as a file.", exports.export, None, (exports.FORM, *CHOICE),
          media=(exports.CSV, exports.LINES, exports.PARQUET)),
    Route("/metrics", "The sums of this month and the one before, for Prometheus.", exposition.metrics, None, (*FILTERS, TIME_ZONE),
          media=(exposition.MEDIA_TYPE,)),
)  # fmt: skip
