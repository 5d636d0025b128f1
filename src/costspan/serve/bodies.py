"""The body of a request: read up to a limit, and understood as a value of a dataclass, every mistake with its place."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

from starlette.requests import Request

from costspan.report import forms
from costspan.serve.problems import RequestError, mistaken

_NOT_GZIP: Final = "a body of gzip, or none that says so"


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


def understood(of: Any, found: object) -> Any:
    """What was found in a body as a value of the type `of`. Raises RequestError with its place."""
    try:
        return forms.understood(of, found)
    except forms.MisreadError as fault:
        if fault.found is None:
            raise RequestError(400, f"{fault.place} is missing", field=fault.place, expected=fault.expected) from None
        raise mistaken(fault.place or "body", fault.found, fault.expected) from None
