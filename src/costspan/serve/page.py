"""The usage page at `/`: HTML made on the server, whole without script, from the figures that the API has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from costspan.budgets.policy import PolicyError
from costspan.ledger.faults import LedgerError
from costspan.report import amounts, bill, explained, record
from costspan.serve import chart, exports, page_choice, page_words, standing
from costspan.serve.asked import Asked
from costspan.serve.door import log
from costspan.serve.page_charts import charts, written_span
from costspan.serve.page_choice import Choice
from costspan.serve.page_figures import MOST_ROWS, Figures, bars, figures
from costspan.serve.parameters import CHOICE, TIME_ZONE, Parameter
from costspan.serve.problems import RequestError

_FOUND: Final = 303
_ID: Final = Parameter("id", "The id of a call.")
_UNREADABLE: Final = "The ledger cannot be read at the moment. The log of the server says why."
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
#: What templates call. `form` is what can be chosen, `words` how figures are written.
_KNOWN: Final[Mapping[str, Any]] = {
    "words": page_words, "amounts": amounts, "form": page_choice, "chart": chart, "span_of": written_span,
}  # fmt: skip


async def page(request: Request) -> Response:
    """The page of the calls that the query chooses."""
    return await run_in_threadpool(_shown, request, _usage)


def _shown(request: Request, work: Callable[[Request], Response]) -> Response:
    """What `work` answers; mistakes and a ledger that cannot be read as a page too."""
    try:
        return work(request)
    except RequestError as refused:
        return _html("mistake.html", {"said": refused.detail}, refused.status, refused.headers)
    except (LedgerError, PolicyError) as fault:
        log.warning("%s", fault)
        return _html("mistake.html", {"said": _UNREADABLE}, 503, {"Retry-After": "1"})


def _usage(request: Request) -> Response:
    choice, is_link = page_choice.read(request.query_params.multi_items())
    if not is_link:
        return RedirectResponse(choice.link(), _FOUND)
    asked = Asked.of(request, CHOICE, given=choice.asked())
    with asked.moment as moment:
        everything = Asked.of(request, CHOICE, given=choice.asked(is_of_all=True), moment=moment)
        found = figures(choice, asked, everything)
        context = _context(choice, asked, found)
    return _html("usage.html", {**context, **charts(choice, found)})


async def table(request: Request) -> Response:
    """The rows of the table on the page, as CSV."""
    return await run_in_threadpool(_shown, request, _table)


def _table(request: Request) -> Response:
    choice, _ = page_choice.read(request.query_params.multi_items())
    asked = Asked.of(request, CHOICE, given=choice.asked())
    by = page_choice.GROUPS[choice.by] or page_choice.GROUPS[page_choice.MODEL]
    with asked.moment:
        found = asked.query.summary(*by, period=asked.period(), top=MOST_ROWS)
    return _csv("usage", by, ((row.words.values(), row.totals) for row in found.rows), found.notices)


async def days(request: Request) -> Response:
    """The rows of the table of days on the page, as CSV."""
    return await run_in_threadpool(_shown, request, _days)


def _days(request: Request) -> Response:
    choice, _ = page_choice.read(request.query_params.multi_items())
    asked = Asked.of(request, CHOICE, given=choice.asked())
    with asked.moment as moment:
        everything = Asked.of(request, CHOICE, given=choice.asked(is_of_all=True), moment=moment)
        step, spans = bars(asked, everything.query.first_used())
        said = asked.query.notices(asked.period())
    rows = (((str(one.first),), one.totals) for one in spans if one.totals.calls or one.totals.items)
    return _csv(f"{step}s", (step,), rows, said)


def _csv(name: str, by: Sequence[str], rows: Iterable[page_words.Row], said: Sequence[str]) -> Response:
    return Response(page_words.csv_of(by, rows), 200, exports.headers(f"{name}.csv", said), exports.CSV)


async def call(request: Request) -> Response:
    """One call, and its price step by step."""
    return await run_in_threadpool(_shown, request, _call)


def _call(request: Request) -> Response:
    asked = Asked.of(request, (TIME_ZONE, _ID))
    sought = asked.values.get(_ID.name, "")
    with asked.moment as moment:
        found = [one for one in moment.ask(lambda store: record.find(store, sought)) or () if one["id"] == sought]
        said = asked.query.notices()
    # Whoever may not see it learns no more than that it is not there.
    seen = [one for one in found if all(one[word] == own for word, own in asked.caller.bounds.items())]
    if not seen:
        told = ". ".join((f"id={sought[:80]!r}: there is no such call", *said))
        raise RequestError(404, told, field=_ID.name)
    again = record.price_again(seen[0], asked.served.prices)
    return _html("call.html", {
        "lines": [line.partition(" ") for line in explained.lines(seen[0], asked.time_zone)],
        "bill": bill.table(again.explanation),
        "verdict": explained.verdict(seen[0], again, asked.served.prices),
    })  # fmt: skip


def _context(choice: Choice, asked: Asked, found: Figures) -> dict[str, Any]:
    budgets, nearest = standing.on_page(asked)
    return {
        "choice": choice,
        "found": found,
        "total": found.total,
        "zone": str(asked.time_zone),
        "dates": written_span(found.spans[0].first, found.spans[-1].last) if found.spans else "",
        "decimals": amounts.decimals_for(amounts.nano(found.total.cost_usd)),
        "budgets": budgets,
        "nearest": nearest,
        "ledger": str(asked.served.ledger) if asked.caller.sees_all else "",
    }


def _html(
    template: str, context: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return HTMLResponse(_TEMPLATES.get_template(template).render({**_KNOWN, **context}), status, headers)


#: Every page by its path.
PAGES: Final[Mapping[str, Callable[[Request], Awaitable[Response]]]] = {
    "/": page,
    "/usage.csv": table,
    "/days.csv": days,
    "/call": call,
}
