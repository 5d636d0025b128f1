"""A provider that means harm: whatever its answers say, the caller is unharmed, one row is booked, all metrics live."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from answers import Reply, completion, message, response, whole
from costspan import names
from costspan.clients import anthropic_body, openai_body, openai_usage
from costspan.facts.call import Answer
from costspan.facts.money import MOST_USD, NANO_PER_USD, nano_from_usd
from costspan.facts.usage import MOST_COUNT, MOST_NAMES, count, milliseconds
from costspan.metrics import ratelimits
from costspan.pricing import Prices
from provider import Provider
from watching import Watched

ANSWERS: Final = 1_000
#: What a call may take longer than without costspan, in seconds of the caller's own processor time.
MOST_ADDED_S: Final = 0.05
_NAN: Final = float("nan")

HOSTILE: Final[tuple[Any, ...]] = (
    2**31, 2**53, 2**63 - 1, 2**63, 2**70, -1, -(2**63), 10**4_000, 1e15, 1e300, 1e308, -1e308, 0.1, 5e-324,
    _NAN, float("inf"), float("-inf"), "1e999980", "-1e999980", "1e-999980", "9" * 18, "9" * 50_000, "NaN", "Infinity",
    "", " ", "x" * 200_000, "\x1b[31m\r\n\x00", "\ud800", "\u202e", "=cmd|'/c calc'!A1", True, False, None,
    [], {}, [[[[[]]]]], {"a": {"b": {"c": {"d": 1}}}}, [1, "x", None, {}], {"total_cost": 1e308}, {"": -1},
)  # fmt: skip
USAGE_FIELDS: Final = (
    "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens", "num_cached_tokens", "reasoning_tokens", "seconds",
    "prompt_audio_seconds", "cost", "cost_in_usd_ticks", "cost_details", "is_byok", "num_search_queries", "service_tier",
    "inference_geo", "speed", "iterations", "cache_creation", "server_tool_use", "fallback_credit", "hologram_tokens",
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
)  # fmt: skip
PARTS: Final = (
    "cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens", "cache_creation_tokens", "thinking_tokens",
    "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens", "web_search_requests", "upstream_inference_cost", "odd",
)  # fmt: skip
BODY_FIELDS: Final = ("model", "id", "service_tier", "stop_reason", "tool_usage", "duration", "usage", "error")
QUOTA_FIELDS: Final = (
    "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "x-ratelimit-reset-requests",
    "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-input-tokens-remaining", "x-litellm-response-cost",
)  # fmt: skip
QUOTAS: Final = (
    "1e308", "9" * 4_000, "-1", "nan", "inf", "9" * 400 + "d", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "1e999980", "",
    "99999999999999999999h", "\xff",
)  # fmt: skip


def hostile_usage(chance: random.Random) -> dict[str, Any]:
    """A usage object in which any field may be anything, beside some that are sound."""
    usage: dict[str, Any] = {"prompt_tokens": 11, "completion_tokens": 7, "input_tokens": 11, "output_tokens": 7}
    for name in chance.sample(USAGE_FIELDS, chance.randint(1, 6)):
        is_nested = chance.random() < 0.3
        inner = {part: chance.choice(HOSTILE) for part in chance.sample(PARTS, 3)}
        usage[name] = inner if is_nested else chance.choice(HOSTILE)
    if chance.random() < 0.05:
        usage.update({f"field_{number}": number for number in range(5_000)})
    return usage


def hostile_body(chance: random.Random, whole_body: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """An answer in which any field may be anything."""
    body = whole_body(usage=hostile_usage(chance))
    if chance.random() < 0.5:
        body[chance.choice(BODY_FIELDS)] = chance.choice(HOSTILE)
    return body


def hostile_headers(chance: random.Random) -> dict[str, str]:
    """Headers about quotas and money, of any content that a header may have."""
    return {name: chance.choice(QUOTAS) for name in chance.sample(QUOTA_FIELDS, 2)}


def replies(number: int) -> Iterator[tuple[str, Reply]]:
    """So many answers, always the same, each with the API that gives it."""
    chance = random.Random(28)  # noqa: S311  # no secret
    kinds: dict[str, Callable[..., dict[str, Any]]] = {"chat": completion, "responses": response, "messages": message}
    for _ in range(number):
        kind = chance.choice(list(kinds))
        yield kind, whole(hostile_body(chance, kinds[kind]), **hostile_headers(chance))


class Asking:
    """Clients of the two libraries, and what a caller sees of an answer."""

    def __init__(self, url: str) -> None:
        self.openai = openai.OpenAI(api_key="local", base_url=url, max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="local", base_url=url, max_retries=0)

    def ask(self, kind: str) -> tuple[str, float]:
        """What the caller got, and the seconds of his thread that it took."""
        began = time.thread_time()
        try:
            seen = repr(self._ask(kind))
        except Exception as raised:  # noqa: BLE001  # the caller's own: compared
            seen = f"{type(raised)} {str(raised)[:200]}"
        return seen, time.thread_time() - began

    def _ask(self, kind: str) -> Any:
        if kind == "chat":
            return self.openai.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}])
        if kind == "responses":
            return self.openai.responses.create(model="gpt-4o-mini", input="x")
        return self.anthropic.messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        )


def test_a_thousand_hostile_answers_are_a_thousand_rows(provider: Provider, tmp_path: Path) -> None:
    """The caller sees what he would see without us, as soon; the user's instruments and ours are exported all the same."""
    given_ = list(replies(ANSWERS))
    asking = Asking(provider.url)
    bare = [(provider.replies.append(reply), asking.ask(kind))[1] for kind, reply in given_]
    path = tmp_path / "ledger.db"
    with Watched(ledger=str(path)) as watched:
        theirs = watched.meter_provider.get_meter("theirs").create_counter("their.counter")
        theirs.add(7)
        asking.ask("chat")  # loads the prices
        seen = [(provider.replies.append(reply), asking.ask(kind))[1] for kind, reply in given_]
        calls = watched.calls()
        data = watched.reader.get_metrics_data()
        assert data is not None
        encoded = encode_metrics(data).SerializeToString()
    assert [what for what, _ in seen] == [what for what, _ in bare]
    added_s = [with_us - without for (_, with_us), (_, without) in zip(seen, bare, strict=True)]
    assert max(added_s) < MOST_ADDED_S, f"answer {added_s.index(max(added_s))} took {max(added_s)} s longer"
    assert len(calls) == ANSWERS + 1
    assert all(name.encode() in encoded for name in ("their.counter", names.COST_USD.name, names.RATELIMIT_LIMIT.name))
    with sqlite3.connect(path) as ledger:
        assert ledger.execute("SELECT COUNT(*) FROM records").fetchall() == [(ANSWERS + 1,)]
        odd = "SELECT COUNT(*) FROM calls WHERE quality IS NOT NULL AND cost_nano_usd IS NULL"
        assert ledger.execute(odd).fetchall() == [(0,)]
        assert ledger.execute("SELECT COUNT(*) FROM calls WHERE unread IS NOT NULL").fetchone()[0] > ANSWERS / 2
    ledger.close()


# --- one door ---------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=80), st.sampled_from(HOSTILE)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PARTS) | st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)
usages = st.dictionaries(st.sampled_from(USAGE_FIELDS), anything, max_size=8)
PRICES = Prices.load()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(usages, st.sampled_from(["gpt-4o-mini", "gemini-3-flash", None, 7]), anything)
def test_whatever_a_usage_says_is_within_bounds(usage: Any, model: Any, other: Any) -> None:
    """Every reader: counts from 0 to a billion, amounts to a million dollars, a few plain names, and a price of it all."""
    said = {"usage": usage, "model": model, "id": other, "choices": [other], "output": [other], "tool_usage": other}
    readers = (
        openai_body.chat, openai_body.responses, openai_body.embeddings, openai_body.images, openai_body.sound,
        anthropic_body.message,
    )  # fmt: skip
    for read in readers:
        answer = read({"type": "message", "stop_reason": other, **said})
        if answer is not None:
            is_within_bounds(answer)
    is_within_bounds(anthropic_body.merge(Answer(), anthropic_body.message({"type": "message", **said}) or Answer()))


FORMS: Final = [("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")]


TWICE: Final = {"cached_tokens": 3, "cache_read_tokens": 4}
KNOWN_PARTS: Final = (
    "cached_tokens",
    "cache_creation_tokens",
    "audio_tokens",
    "reasoning_tokens",
    "text_tokens",
    "odd",
)


@st.composite
def usual_usages(draw: st.DrawFn) -> dict[str, Any]:
    """What nearly all servers send: two totals, their sum, and their parts; with a fault in it here and there."""
    usage: dict[str, Any] = {}
    for name in draw(st.sampled_from(FORMS)):
        usage[name] = draw(st.integers(0, MOST_COUNT))
        part = st.integers(0, usage[name]) | st.sampled_from([usage[name] + 1, -1, 0.5, True, None])
        parts = st.dictionaries(st.sampled_from(KNOWN_PARTS), part, min_size=1, max_size=2)
        usage[f"{name}_details"] = draw(parts | parts | parts | st.sampled_from([[], [7], 7, None]))
    total = sum(number for name, number in usage.items() if name in FORMS[0] + FORMS[1])
    return {**usage, "total_tokens": draw(st.sampled_from([total, total, total, total + 1, 1, None]))}


@settings(max_examples=500, deadline=None)
@example({"input_tokens": 9, "output_tokens": 9, "total_tokens": 18, "input_tokens_details": TWICE}, {})
@given(usual_usages(), st.dictionaries(st.sampled_from(USAGE_FIELDS), anything, max_size=2))
def test_the_quick_reader_of_usage_says_what_the_careful_one_says(usage: dict[str, Any], more: dict[str, Any]) -> None:
    """Where the quick way has an answer, the careful one has the same, and nothing to name."""
    for said in (usage, {**usage, **more}):
        unread: list[str] = []
        counts = openai_usage.quick(said)
        if counts is not None:
            found = openai_usage.careful(said, unread, {}, "gemini-3-flash")
            assert (found and found.counts, unread) == (counts, [])


@pytest.mark.parametrize(("of_input", "of_output"), FORMS)
@given(st.integers(0, MOST_COUNT), st.integers(0, MOST_COUNT))
def test_usage_of_the_usual_form_is_read_the_quick_way(of_input: str, of_output: str, sent: int, got: int) -> None:
    """A slow path that is taken too often is a fault as well."""
    usage = {
        of_input: sent, f"{of_input}_details": {"cached_tokens": sent, "audio_tokens": 0, "text_tokens": None},
        of_output: got, f"{of_output}_details": {"reasoning_tokens": got, "accepted_prediction_tokens": 0},
        "total_tokens": sent + got,
    }  # fmt: skip
    assert openai_usage.quick(usage) == {
        "input": sent, "output": got, "cache_read": sent, "input_audio": 0, "reasoning": got,
    }  # fmt: skip


def is_within_bounds(answer: Answer) -> None:
    most = 8 * MOST_COUNT  # a total of parts that stand beside it
    for usage in (answer.usage, *(part for _, part in answer.parts)):
        assert usage is None or all(type(number) is int and 0 <= number <= most for _, number in usage), usage
    reported = answer.reported_nano_usd
    assert reported is None or 0 <= reported <= 2 * MOST_USD * NANO_PER_USD
    assert len(answer.unread) <= MOST_NAMES
    assert all(len(name) <= 64 and name.isascii() and name.isprintable() for name in answer.unread)
    assert PRICES.price("openai", None, "gpt-4o-mini", answer, 1_790_000_000) is not None


@given(anything)
def test_one_number_is_a_count_an_amount_or_nothing(value: Any) -> None:
    """Type, range, finite, and no long text is parsed."""
    found = (count(value), milliseconds(value), nano_from_usd(value))
    assert all(number is None or type(number) is int for number in found)
    assert found[0] is None or 0 <= found[0] <= MOST_COUNT
    assert found[2] is None or 0 <= found[2] <= MOST_USD * NANO_PER_USD


@pytest.mark.parametrize(
    "amount", ["1e999980", "1" * 100_000, "1e-999980", 10**4_000, 1e300, "1e5000000000000", "0e999999"]
)
def test_an_amount_is_read_at_once(amount: Any) -> None:
    """A cost of `1e999980` once took 36 seconds of the caller's time to become a whole number."""
    began = time.thread_time()
    nano_from_usd(amount)
    assert time.thread_time() - began < MOST_ADDED_S


@given(st.lists(st.tuples(st.sampled_from(QUOTA_FIELDS), st.sampled_from(QUOTAS) | st.text(max_size=70)), max_size=5))
def test_quotas_are_finite(headers: list[tuple[str, str]]) -> None:
    """A quota that is read can be exported: a finite number of at least 0."""
    for _, _, _, value in ratelimits.quotas(headers, 1_790_000_000.0):
        assert 0 <= value <= 1e15, json.dumps(headers)
