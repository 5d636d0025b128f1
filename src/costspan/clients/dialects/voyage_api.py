"""Watching Voyage's library, which sends every request by one method of one class, below its own retries.

A call of the library may be several requests, for as many batches as its texts make: each is a call.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, fields, text
from costspan.calls.points import PatchedClient, Point, Request

_PARAMETERS: Final = ("method", "url", "params")


class VoyageApiClient(PatchedClient):
    """Voyage's library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The method and its asynchronous twin."""
        wrappers = {"request": self.whole(self._ask, _take_data), "arequest": self.whole_async(self._ask, _take_data)}
        return tuple(
            Point(self.client.module, f"APIRequestor.{name}", wrapper, _PARAMETERS)
            for name, wrapper in wrappers.items()
        )

    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """The library's errors have a name of their own for the status."""
        if error is not None:
            _note_status(observed, error)
        super().left(observed, error)

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        asked = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        endpoint = self.client.endpoint(asked["url"], asked["method"])
        if endpoint is None:
            return self.passed_by(asked["url"], asked["method"])
        body = asked.get("params")
        body = body if isinstance(body, Mapping) else NOTHING
        return Request(endpoint, self.servers.at(str(_base_url(instance))), body, text(body.get("model")))


@guard.guarded_positional("calls.error")
def _note_status(observed: ObservedCall, error: BaseException) -> None:
    status = fields(error).get("http_status")
    observed.call.http_status = status if type(status) is int else None


def _base_url(instance: Any) -> Any:
    said = fields(instance)
    return said.get("base_url") or said.get("api_base") or ""


def _take_data(observed: ObservedCall, response: Any) -> Any:
    said = fields(response)
    observed.headers = said.get("_headers")
    observed.answered(observed.endpoint.read(said.get("data")))
    return response


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = VoyageApiClient
