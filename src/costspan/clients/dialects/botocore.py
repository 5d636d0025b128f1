"""Watching AWS's library, whose every call of every service goes through one method (`BaseClient._make_api_call`).

Where the caller is still to read the answer, the object that he reads it from stays what it is (`botocore_answers`).
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls import streams
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, fields, text
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects.botocore_answers import MARK, Body, Events, closing, reading, reading_async

#: Of all that AWS sells, what models are called through.
_SERVICES: Final = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})
_ASYNC: Final = "aiobotocore.client"
_METHOD: Final = "_make_api_call"
_PARAMETERS: Final = ("operation_name", "api_params")
#: Where a request names the model, or the profile that stands for it; first, what may stand around that.
_AROUND_MODEL: Final = (
    "retrieveAndGenerateConfiguration",
    "knowledgeBaseConfiguration",
    "externalSourcesConfiguration",
)
_MODEL: Final = ("modelId", "modelArn", "foundationModel")


class BotocoreClient(PatchedClient):
    """AWS's library and its asynchronous twin, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The method of both classes of clients, also where others have wrapped it; where streams are closed, bodies read."""
        return (
            Point(
                self.client.module, f"BaseClient.{_METHOD}", self.whole(self._ask, _take), _PARAMETERS, is_inmost=True
            ),
            Point(_ASYNC, f"AioBaseClient.{_METHOD}", self.whole_async(self._ask, _take), _PARAMETERS, is_inmost=True),
            Point("botocore.eventstream", "EventStream.close", closing),
            Point("botocore.response", "StreamingBody.read", reading),
            Point("botocore.response", "StreamingBody.close", closing),
            Point("aiobotocore.response", "StreamingBody.read", reading_async),
            Point("aiobotocore.response", "HttpxStreamingBody.read", reading_async),
        )

    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """The library's errors keep status and code in a dictionary."""
        if error is not None:
            _note_response(observed, getattr(error, "response", None))
        super().left(observed, error)

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        service = instance.meta.service_model
        if service.service_name not in _SERVICES:
            return None
        asked = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        http, body = service.operation_model(asked["operation_name"]).http, asked["api_params"]
        model = _model(body)
        path = http["requestUri"].replace("{modelId}", (model or "").replace("/", "%2F"))
        endpoint = self.client.endpoint(path, http["method"])
        if endpoint is None:
            return self.passed_by(path, http["method"])
        server = self.servers.at(instance.meta.endpoint_url, self.client.provider)
        return Request(endpoint, server, body, text(model))


@guard.guarded_positional("calls.error")
def _note_response(observed: ObservedCall, response: Any) -> None:
    if isinstance(response, Mapping):
        observed.call.http_status = _status(response)
        observed.call.error_type = text(fields(response.get("Error")).get("Code"))


def _model(body: Mapping[str, Any]) -> str | None:
    for name in _AROUND_MODEL:
        body = fields(body.get(name)) or body
    return next((value for name in _MODEL if isinstance(value := body.get(name), str)), None)


def _status(response: Mapping[str, Any]) -> int | None:
    status = fields(response.get("ResponseMetadata")).get("HTTPStatusCode")
    return status if type(status) is int else None


def _take(observed: ObservedCall, result: Any) -> Any:
    """What came back: the answer, or an object in it that the caller reads it from."""
    observed.headers = fields(result.get("ResponseMetadata")).get("HTTPHeaders") or NOTHING
    observed.call.http_status = _status(result)
    stream = next((value for value in result.values() if hasattr(value, "_event_generator")), None)
    body = result.get("body")
    if stream is not None:
        _follow(Events.following(observed), stream)
    elif hasattr(body, "read"):
        expected: Any = Body.following(observed)
        expected.expect()
        setattr(body, MARK, expected)
    else:
        observed.answered(observed.endpoint.read(result))
    return result


def _follow(observed: Any, stream: Any) -> None:
    source = stream._event_generator
    follow: Any = streams.AsyncEvents if hasattr(source, "__anext__") else streams.events
    stream._event_generator = follow(observed, source)
    setattr(stream, MARK, observed)


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = BotocoreClient
