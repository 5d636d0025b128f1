"""The application: routes of the table, the page, what is shipped with it, and the door in front of all."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import timezone, tzinfo
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as Way
from starlette.staticfiles import StaticFiles

from costspan.budgets.policy import PolicyError
from costspan.ledger.faults import LedgerError
from costspan.report.plain import plain
from costspan.serve import bodies, openapi
from costspan.serve.asked import Asked, Served
from costspan.serve.door import ALIVE, Door, log
from costspan.serve.page import PAGES
from costspan.serve.problems import RequestError
from costspan.serve.routes import JSON, ROUTES, Route
from costspan.serve.tokens import Tokens

STATIC: Final = Path(__file__).with_name("static")
_MOST_BYTES: Final = 1_000_000
#: Of usage that is sent, compressed and not.
_MOST_SENT_BYTES: Final = 16_000_000
_BUSY: Final = "what the answer is made of cannot be read at the moment; the log of the server says why"


def build(
    ledger: Path,
    *,
    time_zone: tzinfo = timezone.utc,
    overrides: Path | None = None,
    budgets: Path | None = None,
    names: Collection[str] = (),
    tokens: Tokens | None = None,
    per_s: float = 0,
    accepts: bool = False,
    is_own: bool = False,
) -> Starlette:
    """The application over a ledger. `overrides` are the user's own prices, `names` those by which the server may be
    called besides `localhost` and addresses, `tokens` who may ask (None: everybody), `per_s` how many requests a second each of
    them (0: no limit), `accepts` whether usage may be booked, `is_own` whether this user's programs
    write to that ledger.
    """
    routes: list[BaseRoute] = [Way(route.path, _endpoint(route), methods=[route.method]) for route in ROUTES]
    routes += [
        Way(openapi.PATH, _document),
        Way(ALIVE, _alive),
        *(Way(path, work) for path, work in PAGES.items()),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            RequestError: _refused, HTTPException: _not_found, LedgerError: _unreadable, PolicyError: _unreadable,
            Exception: _fault,
        },
    )  # fmt: skip
    app.state.served = Served(ledger, time_zone, overrides, budgets, accepts, is_own)
    app.add_middleware(Door, names=names, tokens=tokens, per_s=per_s)
    return app


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON. Every sign beyond ASCII is escaped: names that strangers chose stay text."""
    return Response(json.dumps(plain(value)), status, headers, JSON)


def _endpoint(route: Route) -> Any:
    async def endpoint(request: Request) -> Response:
        asked = Asked.of(request, route.parameters, books=route.books)
        if route.takes:
            asked.body = await bodies.taken(request, _MOST_SENT_BYTES)
        if route.body is not None:
            asked.body = bodies.understood(
                route.body,
                bodies.parsed(await bodies.read_json(request, _MOST_SENT_BYTES if route.books else _MOST_BYTES)),
            )
        # Reading a file takes time: in a thread, with a connection of its own.
        answer = await run_in_threadpool(_answered, route, asked)
        return answer if isinstance(answer, Response) else as_json(answer)

    return endpoint


def _answered(route: Route, asked: Asked) -> Any:
    with asked.moment:
        return route.work(asked)


async def _alive(request: Request) -> Response:
    del request
    return as_json({"status": "ok"})


async def _document(request: Request) -> Response:
    del request
    return as_json(openapi.document())


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, RequestError)  # noqa: S101 - it is registered for that
    return refused.response()


async def _not_found(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)  # noqa: S101 - the same
    del request
    return RequestError(fault.status_code, str(fault.detail), headers=fault.headers).response()


async def _unreadable(_: Request, fault: Exception) -> Response:
    log.warning("%s", fault)
    return RequestError(503, _BUSY, headers={"Retry-After": "1"}).response()


async def _fault(_: Request, fault: Exception) -> Response:
    del fault  # the server logs it
    return RequestError(500, "a fault of costspan; the log of the server has it").response()
