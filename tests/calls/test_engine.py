"""Every way of calling: the caller sees what he would see without costspan, and the answer is booked once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

import ways
from caller import Caller
from comparing import ANTHROPIC, compared, usage_of
from costspan.facts.call import ABANDONED, OK
from costspan.facts.money import Cost
from provider import Provider

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@_MODES
@pytest.mark.parametrize("kind", ["chat", "completions", "responses", "azure", "messages", "beta messages"])
@pytest.mark.parametrize("way", ways.READ_TO_THE_END)
def test_what_is_read_to_its_end_is_booked_as_reported(
    way: str, kind: str, provider: Provider, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that came whole is exact, and the caller got the library's own objects."""
    call = compared(ways.READ_TO_THE_END[way], kind, provider, mode)
    assert call.outcome == OK
    assert call.usage is not None
    assert call.usage.complete
    assert call.usage.counts == usage_of(kind)
    assert isinstance(call.price, Cost)
    assert call.price.quality in {"exact", "alias"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@_MODES
@pytest.mark.parametrize("kind", ["chat", "responses", "azure", "messages", "beta messages"])
@pytest.mark.parametrize("way", {**ways.CUT_SHORT, **ways.UNREAD})
def test_what_is_cut_short_is_booked_as_an_estimate(way: str, kind: str, provider: Provider, mode: str) -> None:
    """Anthropic's input is exact from the first event on; the rest is estimated from what was asked and streamed."""
    call = compared({**ways.CUT_SHORT, **ways.UNREAD}[way], kind, provider, mode)
    is_read = way in ways.CUT_SHORT
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"
    if kind in ANTHROPIC and is_read:
        assert {unit: call.usage.get(unit) for unit in ("input", "cache_read", "cache_write")} == {
            "input": 11, "cache_read": 3, "cache_write": 2,
        }  # fmt: skip
    assert 6 <= call.usage.get("input") <= 22
    assert (call.first_chunk_s is not None) == is_read
    assert call.usage.get("output") in (range(1, 8) if is_read else [0])


@_MODES
@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
def test_a_body_that_nobody_reads_is_booked_as_an_estimate(kind: str, provider: Provider, mode: str) -> None:
    """The provider bills it all the same."""
    call = compared(ways.not_read, kind, provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert 6 <= call.usage.get("input") <= 22


HELPERS = [
    ("chat", ways.chat_manager, OK),
    ("chat", ways.chat_manager_left, ABANDONED),
    ("chat", ways.chat_parse, OK),
    ("responses", ways.responses_manager, OK),
    ("responses", ways.responses_manager_left, ABANDONED),
    ("responses", ways.responses_parse, OK),
    ("messages", ways.messages_manager, OK),
    ("messages", ways.messages_manager_left, ABANDONED),
    ("messages", ways.text_stream, OK),
    ("beta messages", ways.messages_manager, OK),
]


@_MODES
@pytest.mark.parametrize(("kind", "way", "outcome"), HELPERS, ids=[f"{k}-{w.__name__}" for k, w, _ in HELPERS])
def test_the_helpers_of_a_library_are_one_call(
    kind: str, way: Callable[[Caller], Any], outcome: str, provider: Provider, mode: str
) -> None:
    """`.stream()` and `.parse()` go through the same request as the plain call, and are booked once."""
    call = compared(way, kind, provider, mode)
    assert call.outcome == outcome
    assert call.usage is not None
    assert call.usage.complete == (outcome == OK)
    if outcome == OK:
        assert call.usage.counts == usage_of(kind)
