"""The OpenAPI document, made of the table of routes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from costspan.serve import arrivals, exports, problems, shapes
from costspan.serve.door import ALIVE
from costspan.serve.parameters import Parameter
from costspan.serve.routes import JSON, ROUTES, Route

PATH: Final = "/openapi.json"
_TEXT: Final = {"type": "string"}
_BYTES: Final = {"type": "string", "format": "binary"}
_BINARY: Final = frozenset({arrivals.PROTOBUF, exports.PARQUET})
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_SECONDS: Final = {"description": "So many seconds later.", "schema": {"type": "integer"}}
#: What every route may answer instead.
_REFUSALS: Final[Mapping[int, str]] = {
    400: "A parameter is mistaken: `field` names it.",
    401: "The server wants a token.",
    403: "The token does not reach that far.",
    404: "Nothing is there: an unknown path, or a server without budgets.",
    421: "The name by which the server was called is none of its own.",
    429: "Too many requests.",
    500: "A fault of the server.",
    503: "The ledger cannot be read now.",
}
#: What a file may be answered with.
_OF_FILES: Final[Mapping[int, str]] = {501: "A form that needs an extra of the server."}
#: What `Retry-After` comes with.
_LATER: Final = frozenset({429, 503})
#: What a route may answer that takes a body.
_OF_BODIES: Final[Mapping[int, str]] = {413: "The body is too long.", 415: "The body is not what it should be."}


def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    named: dict[str, Any] = {"Problem": problems.SCHEMA}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named)
    paths[ALIVE] = {"get": _alive()}
    paths[PATH] = {"get": _plain("openapi", "This document.", {"type": "object"}, _REFUSALS)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Costspan",
            "version": version("costspan"),
            "description": "What LLM calls used and cost, from the ledger. Amounts are exact decimal text in USD.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": named,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "For browsers: the password is the token."},
            },
        },
    }


def _operation(route: Route, named: dict[str, Any]) -> dict[str, Any]:
    schema = shapes.schema(route.answer, named) if route.answer else _TEXT
    refusals = {**_REFUSALS, **(_OF_FILES if len(route.media) > 1 and not route.takes else {})}
    told: dict[str, Any] = {
        **_plain(_id(route), route.summary, schema, refusals, route.media),
        "parameters": [_parameter(each) for each in route.parameters],
    }
    if route.takes:
        told["requestBody"] = {"required": True, "content": {kind: {"schema": {}} for kind in route.takes}}
        told["responses"] |= _refused(_OF_BODIES)
    if route.body is not None:
        content = {JSON: {"schema": shapes.schema(route.body, named, is_told=False)}}
        told["requestBody"] = {"required": True, "content": content}
        told["responses"] |= _refused(_OF_BODIES)
    return told


def _id(route: Route) -> str:
    return "_".join([route.method.lower(), *route.path.removeprefix("/v1").strip("/").split("/")])


def _alive() -> dict[str, Any]:
    """Asked by whoever looks after the server: no token, no rate."""
    schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    refusals = {421: _REFUSALS[421]}
    return {**_plain("healthz", "Whether the server runs; no token is asked for.", schema, refusals), "security": [{}]}


def _plain(
    name: str, summary: str, schema: dict[str, Any], refusals: Mapping[int, str], media: tuple[str, ...] = (JSON,)
) -> dict[str, Any]:
    content = {kind: {"schema": _BYTES if kind in _BINARY else schema} for kind in media}
    answers = {"200": {"description": "The answer.", "content": content}, **_refused(refusals)}
    return {"operationId": name, "summary": summary, "responses": answers}


def _refused(refusals: Mapping[int, str]) -> dict[str, Any]:
    return {
        str(status): {
            "description": said,
            "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}},
            **({"headers": {"Retry-After": _SECONDS}} if status in _LATER else {}),
        }
        for status, said in refusals.items()
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": dict(one.schema)} if one.is_many else dict(one.schema)
    if one.default is not None:
        schema["default"] = one.read(one.default)
    told = {"name": one.name, "in": "query", "description": one.description, "schema": schema}
    return {**told, "style": "form", "explode": True} if one.is_many else told
