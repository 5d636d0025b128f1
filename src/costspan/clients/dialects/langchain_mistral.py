"""Watching LangChain's package for Mistral: a method asks, and a function is its asynchronous twin, with retries within.

For a stream each gives a generator of events, which sends its request with the first one.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from costspan.calls.engine import ObservedCall
from costspan.calls.messages import text
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects import http_bodies


class LangchainMistral(PatchedClient):
    """LangChain's package for Mistral, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Whatever asks passes one of the two."""
        self._whole = self.whole(self._ask, _take)
        self._whole_async = self.whole_async(self._ask_async, _take)
        return (
            Point(self.client.module, "ChatMistralAI.completion_with_retry", self._asked),
            Point(self.client.module, "acompletion_with_retry", self._asked_async, ("llm",)),
        )

    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """An error of httpx has the status in its response."""
        if error is not None:
            http_bodies.note_status(observed, error)
        super().left(observed, error)

    def _ask(self, model: Any, _: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        return self._request(model.client, kwargs)

    def _ask_async(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        model = args[0] if args else kwargs["llm"]
        return self._request(model.async_client, kwargs)

    def _request(self, http: Any, asked: dict[str, Any]) -> Request:
        (chat,) = self.client.endpoints
        is_stream = bool(asked.get("stream"))
        return Request(chat, self.servers.at(str(http.base_url)), asked, text(asked.get("model")), is_stream)

    def _asked(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("stream"):
            return self._generated(self._ask, wrapped(*args, **kwargs), instance, args, kwargs)
        return self._whole(wrapped, instance, args, kwargs)

    async def _asked_async(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("stream"):
            return self._async_events(self._ask_async, await wrapped(*args, **kwargs), instance, args, kwargs)
        return await self._whole_async(wrapped, instance, args, kwargs)


def _take(observed: ObservedCall, answer: Any) -> Any:
    observed.answered(observed.endpoint.read(answer))
    return answer


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = LangchainMistral
