"""What is left of a quota: read off the headers of every provider in the same way, on success and on refusal."""

from __future__ import annotations

from typing import Any

import pytest

import ways
from answers import completion, error, whole
from caller import KINDS, Caller
from costspan import guard, names
from costspan.metrics.ratelimits import RateLimits, quotas
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
    assert found == quotas([(name.encode(), value.encode())], _NOW)
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


def test_the_last_answers_count_and_a_refusal_is_one(provider: Provider) -> None:
    """The gauges tell of the latest answer, whenever it came."""
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


def test_headers_are_read_when_somebody_asks_for_the_quotas() -> None:
    """Once an export, and not once a call."""
    reads: list[int] = []

    class Headers(dict[str, str]):
        def items(self) -> Any:
            reads.append(1)
            return super().items()

    limits = RateLimits()
    for left in range(1_000):
        limits.take("openai", "gpt", Headers({"x-ratelimit-remaining-tokens": str(left)}))
    assert reads == []
    for _ in range(3):
        assert [value for _, value in limits.remaining()] == [999]
    assert len(reads) == 2


def test_headers_that_cannot_be_read_cost_nobody_elses_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of other models nor those that come later."""
    monkeypatch.setattr(guard, "raise_again", False)
    limits = RateLimits()
    limits.take("openai", "broken", object())
    limits.take("openai", "whole", {"x-ratelimit-limit-tokens": "1"})
    assert [quota.model for quota, _ in limits.limit()] == ["whole"]
    assert guard.faults.pop("emit.ratelimits") == 1


def test_the_number_of_quotas_is_bounded() -> None:
    """However many models are asked."""
    limits = RateLimits()
    for number in range(2_000):
        limits.take("openai", f"model-{number}", {"x-ratelimit-limit-tokens": "1"})
        if number % 100 == 0:
            limits.limit()
    assert len(limits.limit()) == 500
