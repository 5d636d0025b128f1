"""The body of a request: read up to a limit, and understood as a value of a dataclass, every mistake with its place."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
import zlib
from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.requests import Request

from costspan.report.words import nearest
from costspan.serve.problems import RequestError, mistaken
from costspan.serve.shapes import members, required

_NOT_GZIP: Final = "a body of gzip, or none that says so"
_KINDS: Final[dict[Any, tuple[type | tuple[type, ...], str]]] = {
    str: (str, "a text"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    bool: (bool, "true or false"),
    type(None): (type(None), "null"),
}


async def read(request: Request, most_bytes: int) -> bytes:
    """The body. Raises RequestError for one that is longer; no more of it than that is kept."""
    kept = bytearray()
    async for piece in request.stream():
        kept += piece
        if len(kept) > most_bytes:
            raise too_large(most_bytes)
    return bytes(kept)


async def read_json(request: Request, most_bytes: int) -> bytes:
    """The same of a body that is said to be JSON: a form of a strange page can say no such thing."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        expected = "application/json"
        raise RequestError(415, f"Content-Type {kind!r}: expected {expected}", field="Content-Type", expected=expected)
    return await read(request, most_bytes)


async def taken(request: Request, most_bytes: int) -> tuple[bytes, str]:
    """A body as it is, unpacked where it says that it is packed, and its type."""
    said = request.headers
    kind = said.get("content-type", "").partition(";")[0].strip().lower()
    content = await read(request, most_bytes)
    return unpacked(content, said.get("content-encoding", "").strip().lower(), most_bytes), kind


def unpacked(content: bytes, encoding: str, most_bytes: int) -> bytes:
    """The body as it was before it was compressed, up to a limit. Raises RequestError."""
    if encoding in {"", "identity"}:
        return content
    if encoding != "gzip":
        raise RequestError(
            415, f"Content-Encoding {encoding!r}: expected gzip", field="Content-Encoding", expected="gzip"
        )
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        whole = reader.decompress(content, most_bytes + 1)
    except zlib.error as fault:
        raise RequestError(400, f"the body is no gzip ({fault})", field="body", expected=_NOT_GZIP) from None
    if len(whole) > most_bytes:
        raise too_large(most_bytes)
    if not reader.eof:
        raise RequestError(400, "the body is cut short", field="body", expected=_NOT_GZIP)
    return whole


def too_large(most_bytes: int) -> RequestError:
    """What is said of a body beyond the limit."""
    expected = f"at most {most_bytes:,} bytes"
    return RequestError(413, f"the body is too long: expected {expected}", field="body", expected=expected)


def parsed(content: bytes) -> object:
    """The body as JSON. Raises RequestError."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as fault:
        expected = "one JSON text in UTF-8"
        raise RequestError(
            400, f"the body is no JSON ({fault}): expected {expected}", field="body", expected=expected
        ) from None


def understood(of: Any, found: object, place: str = "") -> Any:
    """What was found in a body as a value of the type `of`. Raises RequestError with its place."""
    if dataclasses.is_dataclass(of):
        return _record(cast("type[Any]", of), found, place)
    origin, parts = typing.get_origin(of), typing.get_args(of)
    if origin in {typing.Union, types.UnionType}:
        return None if found is None else understood(parts[0], found, place)
    if origin is tuple:
        if not isinstance(found, list):
            raise _wrong(place, found, "a list")
        each = enumerate(cast("list[object]", found))
        return tuple(understood(parts[0], one, f"{place}[{number}]") for number, one in each)
    if origin is not None:  # a mapping of texts
        return {name: understood(parts[1], one, f"{place}.{name}") for name, one in _entries(found, place).items()}
    kinds, expected = _KINDS[of]
    if not isinstance(found, kinds) or (isinstance(found, bool) and of is not bool):
        raise _wrong(place, found, expected)
    return found


def _record(of: type[Any], found: object, place: str) -> Any:
    known = members(of)
    entries = _entries(found, place)
    prefix = f"{place}." if place else ""
    for name in entries:
        if name not in known:
            raise _wrong(prefix + name, entries[name], f"one of {', '.join(known)}{nearest(name, known)}")
    for name in required(of):
        if name not in entries:
            raise RequestError(400, f"{prefix}{name} is missing", field=prefix + name, expected="the field")
    return of(**{name: understood(known[name], one, prefix + name) for name, one in entries.items()})


def _entries(found: object, place: str) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise _wrong(place, found, "an object")
    return cast("Mapping[str, object]", found)


def _wrong(place: str, found: object, expected: str) -> RequestError:
    return mistaken(place or "body", json.dumps(found), expected)
