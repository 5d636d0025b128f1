"""The usage page at `/`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


async def page(request: Request) -> Response:
    """The page of the calls that the query chooses."""
    del request
    return PlainTextResponse("costspan: GET /openapi.json says what can be asked here.\n")
