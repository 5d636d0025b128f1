"""Watching Ollama's library: one function of its clients gets whole answers, another makes the generator of a stream.

A stream is asked for with its first item. A whole answer is read before the library makes an object of it.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, parsed, text
from costspan.calls.points import PatchedClient, Point, Request


class OllamaClient(PatchedClient):
    """Ollama's library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The two functions of both clients."""
        wrappers = {
            "Client._request_raw": self.whole(self._ask, _take),
            "Client._request": self._streamed,
            "AsyncClient._request_raw": self.whole_async(self._ask, _take),
            "AsyncClient._request": self._streamed_async,
        }
        return tuple(Point(self.client.module, name, wrapper) for name, wrapper in wrappers.items())

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """What is asked for: the method and the address come last, after the class of a stream's items."""
        method, url = args[-2:]
        endpoint = self.client.endpoint(url, method)
        if endpoint is None:
            return self.passed_by(url, method)
        body = kwargs.get("json") or NOTHING
        # Who speaks this protocol is Ollama, whatever the address.
        server = self.servers.at(str(instance._client.base_url), self.client.provider)
        return Request(endpoint, server, body, text(body.get("model")), is_stream=bool(kwargs.get("stream")))

    def _streamed(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        return self._generated(self._ask, result, instance, args, kwargs) if kwargs.get("stream") else result

    async def _streamed_async(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        result = await wrapped(*args, **kwargs)
        return self._async_events(self._ask, result, instance, args, kwargs) if kwargs.get("stream") else result


def _take(observed: ObservedCall, response: Any) -> Any:
    observed.headers = response.headers
    observed.answered(observed.endpoint.read(parsed(response.content)))
    return response


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = OllamaClient
