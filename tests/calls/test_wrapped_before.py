"""Other software has wrapped `request` before costspan came: it sees each call all the same, as if it had come first."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

import ways
from answers import error
from caller import KINDS, Caller
from comparing import OPENAI_USAGE
from provider import Provider
from watching import Watched

_BASE: Final = "openai._base_client"


def _on_the_class(kind: Any, client: Any) -> Callable[[], None]:  # noqa: ARG001
    """On the class of the client, as Logfire and OpenInference do."""
    method = kind.request

    @functools.wraps(method)
    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **kwargs)

    kind.request = theirs
    return lambda: delattr(kind, "request")


def _on_the_instance(kind: Any, client: Any) -> Callable[[], None]:  # noqa: ARG001
    """On one client, as Logfire does with clients that it is given."""
    method = client.request
    client.request = functools.partial(method)
    return lambda: delattr(client, "request")


CASES: Final[dict[str, tuple[Callable[[Caller], Awaitable[None]], str, bool]]] = {
    "whole": (ways.whole, "ok", True),
    "stream": (ways.READ_TO_THE_END["stream"], "ok", True),
    "raw stream": (ways.READ_TO_THE_END["raw stream"], "ok", True),
    "a failed call": (ways.whole, "error", False),
    "a refused question": (ways.READ_TO_THE_END["stream"], "ok", False),
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("wrap", [_on_the_class, _on_the_instance], ids=["class", "instance"])
@pytest.mark.parametrize("case", CASES)
def test_a_call_is_seen_whoever_wrapped_it_before(
    case: str, wrap: Callable[[Any, Any], Callable[[], None]], provider: Provider, mode: str
) -> None:
    """Streams are asked for their usage, errors are booked, a refused question goes out again as it was written."""
    way, outcome, is_exact = CASES[case]
    if case == "a failed call":
        provider.replies.append(error(429))
    provider.refuses_stream_options = 400 if case == "a refused question" else 0
    watched = Watched()

    async def within(c: Caller) -> None:
        undo = wrap(type(c.client), c.client)
        try:
            with watched:
                await way(c)
                watched.calls()
        finally:
            undo()

    Caller(KINDS["chat"], provider.url, mode).run(within)
    call = watched.call()
    assert call.outcome == outcome
    assert (call.usage is not None and call.usage.counts == OPENAI_USAGE) == is_exact
    assert len(watched.exporter.get_finished_spans()) == 1
    assert ["stream_options" in asked.body for asked in provider.asked] == {
        "stream": [True], "raw stream": [True], "a refused question": [True, False],
    }.get(case, [False])  # fmt: skip


@pytest.mark.parametrize("kind", ["SyncAPIClient", "AsyncAPIClient"])
def test_a_function_whose_place_is_taken_looks_as_it_did(kind: str) -> None:
    """Its identity, name, signature and kind, while costspan is installed and afterwards."""
    holder = getattr(importlib.import_module(_BASE), kind)

    def look() -> list[Any]:
        method = holder.request
        return [
            method, method.__name__, method.__qualname__, method.__doc__, inspect.signature(method),
            inspect.iscoroutinefunction(method), inspect.getsource(method),
        ]  # fmt: skip

    before, code = look(), holder.request.__code__
    with Watched():
        assert look() == before
    assert look() == before
    assert holder.request.__code__ is code
    assert not hasattr(holder.request, "__wrapped__")


def test_a_coroutine_that_begins_after_costspan_has_gone_runs(provider: Provider) -> None:
    """It was made while costspan was installed, and is awaited when it is not."""

    async def late(c: Caller) -> None:
        with Watched():
            waiting = c.methods.create(**c.arguments)
        c.look(await waiting)

    seen = Caller(KINDS["chat"], provider.url, "async").run(late)
    assert [kind.rpartition(".")[2] for kind, _ in seen] == ["ChatCompletion"]
