"""What is left of a provider's quota, read off the headers of its answers, the same way for all providers.

At most once a second for each provider and model: it costs as much as the rest of the watch. A refusal (429) is
always read. Header families: reference in docs/telemetry.md.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from datetime import datetime
from time import monotonic, time
from typing import Any, Final, NamedTuple

_EVERY_S: Final = 1.0
_MOST_QUOTAS: Final = 500

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


class Quota(NamedTuple):
    """Which quota: whose, of what, over which window."""

    provider: str
    model: str
    dimension: str
    window: str


class RateLimits:
    """The latest quotas that were seen."""

    def __init__(self) -> None:
        self.limit: dict[Quota, float] = {}
        self.remaining: dict[Quota, float] = {}
        self.reset_at: dict[Quota, float] = {}  # seconds since the epoch
        self._next: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def read(self, provider: str, model: str | None, headers: Any, *, is_refusal: bool = False) -> None:
        """Take the quotas from an answer's headers."""
        key = (provider, model or "unknown")
        now = monotonic()
        if not is_refusal and now < self._next.get(key, 0.0):
            return
        with self._lock:
            if len(self._next) >= _MOST_QUOTAS:
                self._next.clear()
            self._next[key] = now + _EVERY_S
            for what, dimension, window, value in quotas(headers.items(), time()):
                self._keep(what, Quota(*key, dimension, window), value)

    def _keep(self, what: str, quota: Quota, value: float) -> None:
        table = {"limit": self.limit, "remaining": self.remaining, "reset": self.reset_at}[what]
        if quota in table or len(table) < _MOST_QUOTAS:
            table[quota] = value

    def forget(self) -> None:
        """In a forked child: begin with no quotas and a lock that nobody holds."""
        self._lock = threading.Lock()
        for table in (self.limit, self.remaining, self.reset_at, self._next):
            table.clear()

    def seconds_to_reset(self) -> list[tuple[Quota, float]]:
        """Seconds until each quota is whole again, at least 0."""
        now = time()
        return [(quota, max(0.0, at - now)) for quota, at in list(self.reset_at.items())]


def quotas(headers: Iterable[tuple[str, str]], now: float) -> list[tuple[str, str, str, float]]:
    """(limit, remaining or reset; dimension; window; number) of each header that tells one; a reset is a moment."""
    found: list[tuple[str, str, str, float]] = []
    for name, text in headers:
        lower = name.lower()
        if "ratelimit" not in lower:
            continue
        match = _OPENAI.fullmatch(lower) or _ANTHROPIC.fullmatch(lower)
        if match is None:
            continue
        said = match.groupdict()
        value = _moment(text, now) if said["what"] == "reset" else _amount(text)
        if value is not None:
            dimension = said["dimension"].replace("-", "_")
            found.append((said["what"], _DIMENSIONS.get(dimension, dimension), said.get("window") or "unknown", value))
    return found


def _amount(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None  # Azure sends -1 for "not said"


def _moment(text: str, now: float) -> float | None:
    """A reset as seconds since the epoch: `6m0s`, `12ms`, `59.5`, a moment in seconds, or RFC 3339."""
    parts = _SPAN.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        return seconds if seconds > _EPOCH_FROM else now + seconds
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
