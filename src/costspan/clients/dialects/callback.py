"""Watching LiteLLM: the functions within its decorator `client`, and the object by which it calls callbacks.

Whoever imported a decorated function has it, so what the decorator keeps is watched: the request itself, without answers
from LiteLLM's caches. What is asked by its Rust core passes no such function, and is booked when it is logged. A call in
which another call was begun asked through another library, or another function of this one: it is counted there.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import contextvars
import inspect
import weakref
from time import perf_counter_ns, time_ns
from typing import Any, Final

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.description import Endpoint
from costspan.calls.engine import begin
from costspan.calls.messages import text
from costspan.calls.points import Ask, PatchedClient, Point, Request
from costspan.clients.dialects import callback_streams
from costspan.clients.dialects.callback_call import LayerCall, expected
from costspan.clients.dialects.callback_streams import OURS

_LOGGING: Final = "litellm.litellm_core_utils.litellm_logging"
#: Functions by their modules; each has a twin with an `a` before its name.
_FUNCTIONS: Final = {
    "litellm.main": ("completion", "text_completion", "embedding", "transcription", "speech"),
    "litellm.responses.main": ("responses",),
    "litellm.images.main": ("image_generation", "image_edit"),
    "litellm.rerank_api.main": ("rerank",),
}
_NEEDED: Final = ("completion", "acompletion")
_CELL: Final = "original_function"
#: Functions that are charged for and not counted, by the names by which callbacks are told of them, without an `a` before.
_UNCOUNTED: Final = frozenset({
    "create_batch", "create_fine_tuning_job", "create_interaction", "create_video", "decisions", "extraction", "generate_content",
    "generate_content_stream", "image_variation", "ingest", "query", "realtime", "responses_websocket", "run_thread",
    "run_thread_stream", "search", "systemone", "video_edit", "video_extension", "video_generation", "video_remix",
})  # fmt: skip
_MOCKS: Final = ("mock_response", "mock_tool_calls", "mock_timeout")
_LOGGED: Final = "litellm_logging_obj"


class LiteLlm(PatchedClient):
    """LiteLLM, watched on behalf of a recorder."""

    #: The callers of LiteLLM's records. Beside them: LiteLLM copies its records, and no context can be copied deeply.
    _contexts: Final[weakref.WeakKeyDictionary[Any, contextvars.Context]] = weakref.WeakKeyDictionary()

    def points(self) -> tuple[Point, ...]:
        """Its functions, the streams that they give, and the logging of calls."""
        logged, made = Beside(before=self._logged), Beside(before=self._made)
        of_logging = {
            "__init__": made.whole, "success_handler": logged.whole, "async_success_handler": logged.whole_async,
        }  # fmt: skip
        return (
            *(point for module, names in _FUNCTIONS.items() for name in names for point in self._twins(module, name)),
            *callback_streams.points(),
            *(Point(_LOGGING, f"Logging.{name}", wrapper, is_optional=True) for name, wrapper in of_logging.items()),
        )

    def _twins(self, module: str, name: str) -> tuple[Point, Point]:
        ask = self._asking(name)
        return (
            Point(module, name, self.whole(ask, _take), is_optional=name not in _NEEDED, cell=_CELL),
            Point(module, f"a{name}", self.whole_async(ask, _take), is_optional=f"a{name}" not in _NEEDED, cell=_CELL),
        )

    def _asking(self, name: str) -> Ask:
        endpoint = self._named(name)

        def ask(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
            logged, outer = kwargs.get(_LOGGED), self.recorder.current()
            if logged is not None:
                setattr(logged, OURS, True)
            is_twin = isinstance(outer, LayerCall) and outer.logged is logged is not None
            if endpoint is None or is_twin or any(kwargs.get(mock) is not None for mock in _MOCKS):
                return None
            model = kwargs.get("model") or next(iter(args), None)
            return Request(endpoint, self.servers.at(""), kwargs, text(model))

        return ask

    def _named(self, name: str) -> Endpoint | None:
        """The endpoint by the name of a function."""
        return self.client.endpoint(f"/{name}", "post")

    def begin(self, request: Request) -> LayerCall:
        """A call begins. Its span does when it is over, and nobody else has one for it."""
        observed = self._begun(request, request.body.get(_LOGGED))
        self.recorder.began(observed)
        if self.recorder.is_strict:
            provider, model = expected(request.model)
            call = observed.call  # what is known when it is over replaces this
            call.provider, call.request_model = provider or call.provider, model
            self.recorder.admit(observed)
        return observed

    def _begun(self, request: Request, logged: Any) -> LayerCall:
        observed: Any = begin(
            self.recorder, request.endpoint, self.client.name, request.server, request.body, LayerCall, request.model
        )
        observed.native, observed.logged, observed.servers = True, logged, self.servers
        observed.context = contextvars.copy_context()
        return observed

    @guard.guarded_positional("calls.logged")
    def _made(self, logged: Any, _: Any, __: Any) -> None:
        """LiteLLM's record of a call is made where the call is; its success may be told elsewhere, and later."""
        self._contexts[logged] = contextvars.copy_context()

    @guard.guarded_positional("calls.logged")
    def _logged(self, logged: Any, args: Any, kwargs: Any) -> None:
        """A success is told to callbacks: one that passed no function of ours was asked for by the Rust core."""
        given = {**dict(zip(("result", "start_time", "end_time", "cache_hit"), args, strict=False)), **kwargs}
        if not self.is_active or given.get("cache_hit") or hasattr(logged, OURS) or given.get("result") is None:
            return
        name = str(logged.call_type).strip("_")
        plain = name.removeprefix("a")
        endpoint = self._named(name) or self._named(plain)
        setattr(logged, OURS, True)
        if endpoint is None:
            if self.missed is not None and not _UNCOUNTED.isdisjoint((name, plain)):
                self.missed(self.client.name, name if name in _UNCOUNTED else plain)
            return
        observed = self._begun(Request(endpoint, self.servers.at("")), logged)
        observed.context = self._contexts.get(logged, observed.context)
        took_ns = time_ns() - int(logged.start_time.timestamp() * 1e9)
        observed.call.started_ns -= took_ns
        observed.start = perf_counter_ns() - took_ns
        observed.answered(observed.said(given["result"]))


def _take(observed: Any, result: Any) -> Any:
    if observed.passed_on or inspect.isawaitable(result):
        observed.claim()
    elif hasattr(result, "__next__") or hasattr(result, "__anext__"):
        callback_streams.follow(observed, result)
    else:
        observed.answered(observed.said(result))
    return result


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = LiteLlm
