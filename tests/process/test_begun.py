"""A vendor's span that is begun for a call and not made current: found where the vendor waits for the call to return."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, Final

import pytest
from opentelemetry.trace import Tracer

import ways
from caller import KINDS, Caller
from costspan import names
from provider import Provider
from watching import Watched

#: A function as Langfuse has it: its generation is a local variable while the function that it wraps is under way.
_WRAPPER: Final = """
async def wrapped(create, begin, is_open, **asked):
    generation = begin()
    if not is_open:
        generation._otel_span.end()
    return await create(**asked)
"""


class _Generation:
    def __init__(self, tracer: Tracer) -> None:
        self._otel_span = tracer.start_span("theirs")


def _run(module: str, is_open: bool, way: str, provider: Provider, mode: str) -> dict[str, dict[str, Any]]:  # noqa: FBT001
    """Calls made through the wrapper of a module of this name; the spans' attributes by name."""
    theirs: Any = types.ModuleType(module)
    exec(_WRAPPER, theirs.__dict__)  # noqa: S102  # a module of that name
    watched = Watched()
    begun: list[Any] = []

    def begin() -> Any:
        begun.append(_Generation(watched.tracer_provider.get_tracer("theirs")))
        return begun[-1]

    async def through_it(c: Caller) -> None:
        create: Callable[..., Any] = c.create

        async def wrapped(**asked: Any) -> Any:
            return await theirs.wrapped(create, begin, is_open, **asked)

        c.create = wrapped
        await ways.READ_TO_THE_END[way](c)

    with pytest.MonkeyPatch.context() as patch, watched:
        patch.setitem(sys.modules, module, theirs)
        Caller(KINDS["chat"], provider.url, mode).run(through_it)
        if is_open:
            begun[0]._otel_span.end()
        return {span.name: dict(span.attributes or {}) for span in watched.spans()}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize(
    ("module", "is_open", "expected"),
    [
        ("langfuse.openai", True, ["theirs"]),
        ("langfuse.openai", False, ["chat gpt-4o-mini", "theirs"]),
        ("anything.else", True, ["chat gpt-4o-mini", "theirs"]),
    ],
    ids=["open", "ended", "of another module"],
)
def test_a_span_that_was_begun_for_a_call_is_written_on(
    module: str, expected: list[str], way: str, provider: Provider, mode: str, *, is_open: bool
) -> None:
    """No second span for the same call; a span that is over, or that nobody is known to begin for calls, is left alone."""
    found = _run(module, is_open, way, provider, mode)
    assert sorted(found) == expected
    assert [name for name, said in found.items() if names.COST_AMOUNT in said] == expected[:1]
