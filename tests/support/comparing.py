"""The same call with costspan and without: what the caller sees must not differ, and it is booked once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from caller import KINDS, Caller
from costspan import names
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.metrics.numbers import integer
from provider import Provider
from watching import Watched

OPENAI_USAGE = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
ANTHROPIC_USAGE = {"input": 11, "output": 7, "cache_read": 3, "cache_write": 2}
ANTHROPIC = {"messages", "beta messages", "bedrock", "vertex"}


def booked(watched: Watched) -> Call:
    """The one call, after a look at everything that is told of it."""
    call = watched.call()
    spans = watched.spans()
    assert len(spans) == 1
    assert len(watched.events()) == 1
    assert watched.total(names.REQUESTS) == watched.total(names.REQUESTS, llm__outcome=call.outcome) == 1
    usage = call.usage.counts if call.usage is not None else {}
    assert watched.total(names.INPUT_TOKENS) == integer(usage.get("input", 0))
    assert watched.total(names.OUTPUT_TOKENS) == integer(usage.get("output", 0))
    said = dict(spans[0].attributes or {})
    assert said.get(names.USAGE_INPUT) == usage.get("input")
    if isinstance(call.price, Cost):
        assert watched.total(names.COST_USD, llm__cost__quality=call.price.quality) == call.price.usd
        assert said[names.COST_AMOUNT] == call.price.usd
    return call


def compared(
    way: Callable[[Caller], Any], kind: str, provider: Provider, mode: str, *, prepare: Any = None, **options: Any
) -> Call:
    """The call that costspan booked, where the caller saw the same with and without it."""
    seen: list[list[Any]] = []
    for is_watched in (False, True):
        provider.reset()
        if prepare is not None:
            prepare(provider)
        caller = Caller(KINDS[kind], provider.url, mode, **options)
        if not is_watched:
            seen.append(caller.run(way))
            continue
        with Watched() as watched:
            seen.append(caller.run(way))
            del caller
            assert seen[0] == seen[1], f"seen without costspan: {seen[0]}\nseen with it: {seen[1]}"
            assert seen[0]
            return booked(watched)
    raise AssertionError


def usage_of(kind: str) -> dict[str, int]:
    """The usage that the provider reports for one kind of call."""
    return ANTHROPIC_USAGE if kind in ANTHROPIC else OPENAI_USAGE
