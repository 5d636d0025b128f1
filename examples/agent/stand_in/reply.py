"""The answer to one request, before it becomes HTTP: a whole body, or the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass
class Event:
    """One server-sent event; OpenAI's chat streams do not name theirs."""

    body: dict[str, Any] | str
    name: str = ""

    def encoded(self) -> bytes:
        """The event as it goes over the wire."""
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return (f"event: {self.name}\n" if self.name else "").encode() + f"data: {body}\n\n".encode()


@dataclass
class Reply:
    """A body, or events where the caller asked for a stream."""

    body: dict[str, Any] | None = None
    events: Iterable[Event] = ()
    status: int = HTTPStatus.OK
