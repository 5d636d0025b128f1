"""The messages in a body, however they are framed: server-sent events, AWS event streams, JSON lines, JSON arrays, one JSON.

Incremental and bounded: a piece is looked at once, and no more than the largest message is held.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from typing import Any, Final, Protocol

from costspan.calls.messages import fields

#: What is held of one message at most; a larger one is passed on unread.
LARGEST: Final = 32 * 1024 * 1024
_DONE: Final = b"[DONE]"
_PRELUDE: Final = 12
_CHECKSUM: Final = 4
_BETWEEN_VALUES: Final = " \t\r\n,"


class Framing(Protocol):
    """Takes a body piece by piece, and gives the messages that are complete by then."""

    #: Whether the messages are events of a stream rather than an answer each.
    is_stream: bool

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The messages that this piece completes."""
        ...

    def rest(self) -> Iterator[bytes]:
        """The messages in what is left, once the body is over."""
        ...


def of(content_type: str, first: bytes) -> Framing:
    """The framing of a body, by its content type and its first bytes, which are right where the two differ."""
    if first.startswith((b"data:", b"event:", b":", b"id:", b"retry:")) or "text/event-stream" in content_type:
        return Events()
    if "amazon.eventstream" in content_type:
        return Frames()
    return Values()


class _Lines:
    """Whole lines out of pieces. A line that comes in many pieces is joined once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are complete by now, without their ends."""
        end = piece.rfind(b"\n") + 1
        if not end:
            self._hold(piece)
            return []
        self._parts.append(piece[:end])
        lines = b"".join(self._parts).splitlines() if self._size <= LARGEST else []
        self._parts, self._size = [], 0
        if end < len(piece):
            self._hold(piece[end:])
        return lines

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= LARGEST:
            self._parts.append(piece)
        else:
            self._parts.clear()

    def rest(self) -> bytes:
        """What is left without an end of line."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest


class Events:
    """Server-sent events: the data of each, of several lines or one."""

    is_stream = True

    def __init__(self) -> None:
        self._lines = _Lines()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that this piece completes."""
        for line in self._lines.feed(piece):
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
                if self._data[0] == _DONE:
                    yield from self._take()
            elif not line:
                yield from self._take()

    def _take(self) -> Iterator[bytes]:
        data, self._data = self._data, []
        if data:
            yield data[0] if len(data) == 1 else b"\n".join(data)

    def rest(self) -> Iterator[bytes]:
        """The data of an event that no blank line ends."""
        yield from self.feed(self._lines.rest() + b"\n\n")


class Frames:
    """AWS event streams: binary frames, whose payload is a JSON message or holds one in base64."""

    is_stream = True

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_broken = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The messages of the frames that this piece completes."""
        if self._is_broken:
            return
        held = self._held
        held += piece
        while len(held) >= _PRELUDE:
            size, headers = struct.unpack_from(">II", held)
            if not _PRELUDE + headers + _CHECKSUM <= size <= LARGEST:
                self._is_broken = True
                held.clear()
                return
            if len(held) < size:
                return
            payload = bytes(held[_PRELUDE + headers : size - _CHECKSUM])
            del held[:size]
            yield _unwrapped(payload)

    def rest(self) -> Iterator[bytes]:
        """Nothing: half a frame says nothing."""
        yield from ()


def _unwrapped(payload: bytes) -> bytes:
    """The message in a payload such as {"bytes": "eyJ0..."}; the payload itself where it is one."""
    if not payload.startswith(b'{"bytes"'):
        return payload
    try:
        return base64.b64decode(fields(json.loads(payload)).get("bytes", ""))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return b""


class Values:
    """JSON: one value; one a line; or an array, whose items are messages, as far as it has come."""

    is_stream = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._lines: _Lines | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that this piece completes, where each is a value of its own."""
        if self._lines is not None:
            yield from filter(None, self._lines.feed(piece))
            return
        if not self._size and _is_value_a_line(piece):
            self._lines = _Lines()
            yield from self.feed(piece)
            return
        self._size += len(piece)
        if self._size <= LARGEST:
            self._parts.append(piece)
            if b"\n" in piece and len(self._parts) > 1 and self._is_first_line_whole():
                body, self._parts = b"".join(self._parts), []
                self._lines = _Lines()
                yield from filter(None, self._lines.feed(body))
        else:
            self._parts.clear()

    def _is_first_line_whole(self) -> bool:
        """Asked with the first end of line, never again: a body of one value may have many lines."""
        return not any(b"\n" in part for part in self._parts[:-1]) and _is_value_a_line(b"".join(self._parts))

    def rest(self) -> Iterator[bytes]:
        """What no line ended: a whole body, or the items of an array."""
        body = self._lines.rest() if self._lines is not None else b"".join(self._parts)
        self._parts = []
        if body.lstrip()[:1] == b"[":
            yield from _items(body)
        elif body:
            yield body


def _is_value_a_line(body: bytes) -> bool:
    """Whether the first line is an object of its own, and something follows it."""
    line, end, _ = body.partition(b"\n")
    line = line.strip()
    return bool(end) and line.startswith(b"{") and line.endswith(b"}")


def _items(body: bytes) -> Iterator[bytes]:
    """The items of an array, up to where it was cut."""
    text = body.decode("utf-8", "replace")
    decode = json.JSONDecoder().raw_decode
    at = text.index("[") + 1
    while True:
        while at < len(text) and text[at] in _BETWEEN_VALUES:
            at += 1
        try:
            value: Any
            value, end = decode(text, at)
        except (ValueError, RecursionError):
            return
        if fields(value):
            yield text[at:end].encode()
        at = end
