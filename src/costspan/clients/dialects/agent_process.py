"""Watching a library whose agent is another program: what it used is read off the messages that come from there.

There is no request to stand around. A call is each model's part in a result; it is begun and finished when the result has come, for
whom it is read, and lasted as long as the result says.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.engine import begin
from costspan.calls.messages import NOTHING, fields
from costspan.calls.points import PatchedClient, Point
from costspan.clients.claude_agent_body import Spent, Totals
from costspan.facts.usage import count

_HOSTS: Final = {"anthropic": "https://api.anthropic.com"}
_NS_PER_MS: Final = 1_000_000
_LONGEST_MS: Final = 7 * 24 * 3_600_000
#: By which a connection keeps its totals: it is read by one iterator after the other.
_TOTALS: Final = "_costspan_totals"


class AgentProcessClient(PatchedClient):
    """The library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Where messages come, and where the connection ends."""
        module = self.client.module
        return (
            Point(module, "Query.receive_messages", self._received),
            Point(module, "Query.close", Beside(before=self._closing).whole_async),
        )

    def _received(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
        return self._followed(wrapped(*args, **kwargs), instance)

    async def _followed(self, source: Any, connection: Any) -> AsyncIterator[Any]:
        try:
            async for message in source:
                self._take(connection, message)
                yield message
        finally:
            await source.aclose()

    @guard.guarded_positional("calls.message")
    def _take(self, connection: Any, message: Any) -> None:
        if self.is_active:
            lasted_ms = count(fields(message).get("duration_ms"), _LONGEST_MS) or 0
            for spent in _totals_of(connection).take(message):
                self._book(spent, lasted_ms)

    @guard.guarded_positional("calls.closed")
    def _closing(self, connection: Any, _: Any, __: Any) -> None:
        if self.is_active:
            for spent in _totals_of(connection).rest():
                self._book(spent, 0)

    def _book(self, spent: Spent, lasted_ms: int) -> None:
        server = self.servers.at(_HOSTS.get(spent.provider, ""), spent.provider)
        endpoint = self.client.endpoints[0]
        observed = begin(self.recorder, endpoint, self.client.name, server, NOTHING, model=spent.answer.model)
        observed.call.started_ns -= lasted_ms * _NS_PER_MS
        observed.start -= lasted_ms * _NS_PER_MS
        self.recorder.began(observed)
        self.recorder.left(observed)
        observed.answered(endpoint.read(spent.answer))


def _totals_of(connection: Any) -> Totals:
    found = fields(connection).get(_TOTALS)
    if found is None:
        found = Totals()
        setattr(connection, _TOTALS, found)
    return found


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = AgentProcessClient
