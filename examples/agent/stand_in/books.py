"""What the stand-in has served: one entry per request, with its true usage."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from http import HTTPStatus


@dataclass
class Served:
    """One request. `input` includes the cached tokens, `output` the reasoning, whatever the API reports apart."""

    api: str
    model: str
    id: str = ""
    status: int = HTTPStatus.OK
    stream: bool = False
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass
class Books:
    """All that was served since the start, and which prompts are in the prompt cache."""

    entries: list[Served] = field(default_factory=list[Served])
    _cached: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, served: Served) -> int:
        """Write down one request; its number, from 1."""
        with self._lock:
            self.entries.append(served)
            number = len(self.entries)
            served.id = f"{_ID_PREFIXES.get(served.api, 'req_')}standin{number:04d}"
            return number

    def is_cached(self, prompt: str) -> bool:
        """True if this prompt was asked before; from now on it was."""
        with self._lock:
            known = prompt in self._cached
            self._cached.add(prompt)
            return known

    def as_json(self) -> dict[str, object]:
        """Every entry, and the sums over those that were answered."""
        with self._lock:
            entries = list(self.entries)
        answered = [entry for entry in entries if entry.status == HTTPStatus.OK]
        counts = ("input", "cache_read", "cache_write", "output", "reasoning")
        totals = {count: sum(getattr(entry, count) for entry in answered) for count in counts}
        return {"totals": {"requests": len(answered), **totals}, "requests": [asdict(entry) for entry in entries]}


_ID_PREFIXES = {"chat": "chatcmpl-", "responses": "resp_", "messages": "msg_"}
