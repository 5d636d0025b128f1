"""What is left of a provider's quota, read off the headers of its answers, the same way for all providers.

A call only leaves its headers here; they are read when somebody asks for the quotas, which is once an export and not
once a call. Header families: reference in docs/telemetry.md.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from time import time
from typing import Any, Final, NamedTuple

from costspan import guard

_MOST_QUOTAS: Final = 500
#: So many providers and models wait to be read, each with the headers of its last answers: some tell no quota.
_MOST_UNREAD: Final = 256
_KEPT: Final = 2
_MOST_NAMES: Final = 1_000
_LONGEST_NAME: Final = 100

# x-ratelimit-remaining-tokens, x-ratelimit-limit-requests-day, anthropic-ratelimit-input-tokens-reset
_OPENAI: Final = re.compile(
    r"x-ratelimit-(?P<what>limit|remaining|reset)-(?P<dimension>req(?:uests)?|tokens|rpm|tpm)"
    r"(?:-(?P<window>second|minute|hour|day))?"
)
_ANTHROPIC: Final = re.compile(
    r"anthropic-ratelimit-(?P<dimension>requests|tokens|input-tokens|output-tokens)-(?P<what>limit|remaining|reset)"
)
_DIMENSIONS: Final = {"req": "requests", "rpm": "requests", "tpm": "tokens"}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h|d)?")
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH_FROM: Final = 1e9  # a larger number of seconds is a moment, not a span
_LONGEST: Final = 64  # characters of a header that are parsed: a moment has 35
_MOST: Final = 1e15  # the largest quota that is believed: sums and gauges stay finite
_LATEST: Final = 1e11  # seconds since the epoch: the year 5138


# Names of headers that were met, with what they tell.
_MEANINGS: Final[dict[str | bytes, tuple[str, str, str] | None]] = {}


class Quota(NamedTuple):
    """Which quota: whose, of what, over which window."""

    provider: str
    model: str
    dimension: str
    window: str


class RateLimits:
    """The latest quotas that were seen."""

    def __init__(self) -> None:
        self._limit: dict[Quota, float] = {}
        self._remaining: dict[Quota, float] = {}
        self._reset_at: dict[Quota, float] = {}  # seconds since the epoch
        self._unread: dict[tuple[str, str], deque[tuple[Any, float]]] = {}
        self._lock = threading.RLock()

    def take(self, provider: str, model: str | None, headers: Any) -> None:
        """Keep the headers of an answer, until somebody asks what quotas they tell."""
        key = (provider, model or "unknown")
        kept = self._unread.get(key)
        if kept is None:
            if len(self._unread) >= _MOST_UNREAD:
                self._unread.pop(next(iter(self._unread), key), None)
            kept = self._unread.setdefault(key, deque(maxlen=_KEPT))
        kept.append((headers, time()))

    def _read(self) -> None:
        with self._lock:
            for key in list(self._unread):
                for headers, at in self._unread.pop(key, ()):
                    self._read_one(key, headers, at)

    @guard.guarded("emit.ratelimits")
    def _read_one(self, key: tuple[str, str], headers: Any, at: float) -> None:
        for what, dimension, window, value in quotas(_pairs(headers), at):
            self._keep(what, Quota(*key, dimension, window), value)

    def _keep(self, what: str, quota: Quota, value: float) -> None:
        table = {"limit": self._limit, "remaining": self._remaining, "reset": self._reset_at}[what]
        if quota in table or len(table) < _MOST_QUOTAS:
            table[quota] = value

    def forget(self) -> None:
        """In a forked child: begin with no quotas and a lock that nobody holds."""
        self._lock = threading.RLock()
        for table in (self._limit, self._remaining, self._reset_at, self._unread):
            table.clear()

    def limit(self) -> list[tuple[Quota, float]]:
        """How much each window allows."""
        self._read()
        return list(self._limit.items())

    def remaining(self) -> list[tuple[Quota, float]]:
        """How much of each window is left."""
        self._read()
        return list(self._remaining.items())

    def seconds_to_reset(self) -> list[tuple[Quota, float]]:
        """Seconds until each quota is whole again, at least 0."""
        self._read()
        now = time()
        return [(quota, max(0.0, at - now)) for quota, at in list(self._reset_at.items())]


def _pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    """Names and values of headers; as bytes where httpx has them so, which saves decoding those that are passed over."""
    raw = getattr(headers, "raw", None)
    return raw if isinstance(raw, list) else headers.items()  # pyright: ignore[reportUnknownVariableType]


def quotas(headers: Iterable[tuple[Any, Any]], now: float) -> list[tuple[str, str, str, float]]:
    """(limit, remaining or reset; dimension; window; number) of each header that tells one; a reset is a moment."""
    found: list[tuple[str, str, str, float]] = []
    for name, value in headers:
        meaning = _MEANINGS[name] if name in _MEANINGS else _meaning(name)
        if meaning is not None:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            number = _moment(text, now) if meaning[0] == "reset" else _amount(text)
            if number is not None:
                found.append((*meaning, number))
    return found


def _meaning(name: str | bytes) -> tuple[str, str, str] | None:
    """What a header tells, by its name: (what, dimension, window), or None for one that tells no quota."""
    lower = (name.decode("latin-1") if isinstance(name, bytes) else name).lower()
    match = ("ratelimit" in lower or None) and (_OPENAI.fullmatch(lower) or _ANTHROPIC.fullmatch(lower))
    meaning = None
    if match is not None:
        said = match.groupdict()
        dimension = said["dimension"].replace("-", "_")
        meaning = (said["what"], _DIMENSIONS.get(dimension, dimension), said.get("window") or "unknown")
    if len(_MEANINGS) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
        _MEANINGS[name] = meaning
    return meaning


def _amount(text: str) -> float | None:
    if len(text) > _LONGEST:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= _MOST else None  # Azure sends -1 for "not said"


def _moment(text: str, now: float) -> float | None:
    """A reset as seconds since the epoch: `6m0s`, `12ms`, `59.5`, a moment in seconds, or RFC 3339."""
    if len(text) > _LONGEST:
        return None
    parts = _SPAN.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        moment = seconds if seconds > _EPOCH_FROM else now + seconds
    else:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return moment if 0 <= moment <= _LATEST else None
