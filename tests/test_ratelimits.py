"""What is left of a quota: read off the headers of every provider in the same way, on success and on refusal."""

from __future__ import annotations

import pytest

import ways
from answers import completion, error, whole
from caller import KINDS, Caller
from costspan import names
from costspan.calls import ratelimits
from costspan.calls.ratelimits import RateLimits, quotas
from provider import Provider
from watching import Watched

_NOW = 1_780_000_000.0

# header, its value, (what, dimension, window, number)
HEADERS = [
    ("x-ratelimit-limit-requests", "5000", ("limit", "requests", "unknown", 5000)),
    ("x-ratelimit-remaining-tokens", "149984", ("remaining", "tokens", "unknown", 149_984)),
    ("X-RateLimit-Remaining-Tokens", "0", ("remaining", "tokens", "unknown", 0)),
    ("x-ratelimit-reset-requests", "12ms", ("reset", "requests", "unknown", _NOW + 0.012)),
    ("x-ratelimit-reset-tokens", "6m0s", ("reset", "tokens", "unknown", _NOW + 360)),
    ("x-ratelimit-reset-tokens", "1h2m3.5s", ("reset", "tokens", "unknown", _NOW + 3723.5)),
    ("x-ratelimit-reset-tokens", "59.5", ("reset", "tokens", "unknown", _NOW + 59.5)),
    ("x-ratelimit-reset-requests", "1780000060", ("reset", "requests", "unknown", _NOW + 60)),
    ("x-ratelimit-limit-requests-day", "14400", ("limit", "requests", "day", 14_400)),
    ("x-ratelimit-remaining-tokens-minute", "7", ("remaining", "tokens", "minute", 7)),
    ("x-ratelimit-limit-req-minute", "60", ("limit", "requests", "minute", 60)),
    ("anthropic-ratelimit-requests-limit", "4000", ("limit", "requests", "unknown", 4000)),
    ("anthropic-ratelimit-input-tokens-remaining", "1000", ("remaining", "input_tokens", "unknown", 1000)),
    (
        "anthropic-ratelimit-output-tokens-reset",
        "2026-05-28T20:27:40Z",
        ("reset", "output_tokens", "unknown", _NOW + 1260),
    ),
    ("x-ratelimit-limit-tokens", "-1", None),  # Azure: not said
    ("x-ratelimit-limit-tokens", "many", None),
    ("x-ratelimit-limit-tokens", "inf", None),
    ("x-ratelimit-limit-tokens", "", None),
    ("x-ratelimit-reset-tokens", "soon", None),
    ("x-ratelimit-reset-tokens", "", None),
    ("anthropic-ratelimit-requests-reset", "tomorrow", None),
    ("x-ratelimit-surprise", "5", None),
    ("retry-after", "5", None),
]


@pytest.mark.parametrize(("name", "value", "quota"), HEADERS)
def test_a_header_is_a_quota(name: str, value: str, quota: tuple[str, str, str, float] | None) -> None:
    """Limit and remainder are numbers, a reset is a moment; what is neither is passed over."""
    found = quotas([(name, value)], _NOW)
    assert len(found) == (quota is not None)
    if quota is not None:
        assert found[0][:3] == quota[:3]
        assert found[0][3] == pytest.approx(quota[3])


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", ["whole", "stream", "raw", "read along by read"])
@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_the_headers_of_every_answer_are_gauges(kind: str, way: str, provider: Provider, mode: str) -> None:
    """However the call was made."""
    with Watched() as watched:
        Caller(KINDS[kind], provider.url, mode).run(ways.READ_TO_THE_END[way])
        (limit,) = watched.points(names.RATELIMIT_LIMIT)
        (remaining,) = watched.points(names.RATELIMIT_REMAINING)
        (reset,) = watched.points(names.RATELIMIT_RESET)
    assert (limit.value, remaining.value) == (5000, 4999)
    assert 0 <= reset.value <= 0.012
    assert dict(limit.attributes) == {
        "gen_ai.provider.name": "openai" if kind == "chat" else "anthropic",
        "gen_ai.request.model": KINDS[kind].arguments["model"],
        "llm.ratelimit.dimension": "requests",
        "llm.ratelimit.window": "unknown",
    }


def test_a_refusal_is_always_read(provider: Provider) -> None:
    """Answers are read once a second at most; a 429 at once, for that is when it matters."""
    header = "x-ratelimit-remaining-requests"
    with Watched() as watched:
        for reply in (
            whole(completion(), **{header: "9"}),
            whole(completion(), **{header: "8"}),
            error(429, **{header: "0"}),
        ):
            provider.replies.append(reply)
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        (remaining,) = watched.points(names.RATELIMIT_REMAINING)
    assert remaining.value == 0


def test_answers_are_read_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that cannot go back."""
    clock = iter([100.0, 100.9, 101.1])
    monkeypatch.setattr(ratelimits, "monotonic", lambda: next(clock))
    limits = RateLimits()
    seen: list[float] = []
    for left in ("3", "2", "1"):
        limits.read("openai", "gpt", {"x-ratelimit-remaining-tokens": left})
        seen.append(*limits.remaining.values())
    assert seen == [3, 3, 1]


def test_the_number_of_quotas_is_bounded() -> None:
    """However many models are asked."""
    limits = RateLimits()
    for number in range(2_000):
        limits.read("openai", f"model-{number}", {"x-ratelimit-limit-tokens": "1"})
    assert len(limits.limit) == 500
