"""A program that asks models through xAI's library, sync or async, and a gRPC server of the library's own protocol."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import asker

xai_sdk = pytest.importorskip("xai_sdk")
grpc: Any = importlib.import_module("grpc")
proto: Any = importlib.import_module("xai_sdk.proto")


class Asker(asker.Asker):
    """A program that uses one client of the library."""

    def __init__(self, place: str, mode: str) -> None:
        super().__init__(mode)
        self.place = place

    def open(self) -> Any:
        """The client: that of asyncio is made within the event loop which it is for."""
        kind = xai_sdk.AsyncClient if self.is_async else xai_sdk.Client
        options = [("grpc.enable_retries", 0)]
        self.of = kind(api_key="local", api_host=self.place, use_insecure_channel=True, channel_options=options)
        return self.of

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), str(value)))

    def told(self, error: Any) -> str:
        """The code of an error of gRPC: the rest of it has times in it."""
        return str(error.code()) if isinstance(error, grpc.RpcError) else str(error)

    async def close(self) -> None:
        """The connection."""
        if self.of is not None:
            await self.of.close() if self.is_async else self.of.close()


@contextmanager
def serving(methods: dict[str, Callable[[Any], Any]]) -> Generator[str]:
    """A server that answers these methods (`Chat.GetCompletion`) on loopback: its address.

    What a method gives is an answer, or a list of them for a stream; an error code among them ends it.
    """
    server = grpc.server(ThreadPoolExecutor(2))
    for service in {name.partition(".")[0] for name in methods}:
        stub_module = getattr(proto, f"{_FILES[service]}_pb2_grpc")
        kind = type(service, (getattr(stub_module, f"{service}Servicer"),), {})
        for name, method in methods.items():
            if name.startswith(f"{service}."):
                setattr(kind, name.partition(".")[2], _answering(method, is_stream=name.endswith("Chunk")))
        getattr(stub_module, f"add_{service}Servicer_to_server")(kind(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


_FILES = {"Chat": "chat", "Image": "image", "Video": "video", "BatchMgmt": "batch"}


def _answering(method: Callable[[Any], Any], *, is_stream: bool) -> Callable[..., Any]:
    def whole(_: Any, request: Any, context: Any) -> Any:
        return _given(method(request), context)

    def streamed(_: Any, request: Any, context: Any) -> Any:
        for answer in method(request):
            yield _given(answer, context)

    return streamed if is_stream else whole


def _given(answer: Any, context: Any) -> Any:
    if isinstance(answer, grpc.StatusCode):
        context.abort(answer, "no")
    return answer
