"""xAI's library, which speaks gRPC: chat, images, videos, and what is fetched later of each (deferred answers, batches)."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import xai_body as body


def _chat(method: str) -> Endpoint:
    return Endpoint(f"/xai_api.Chat/{method}", "chat", body.chat, shown=body.shown, prompt=body.prompt)


CLIENT = Client(
    name="xai",
    distribution="xai-sdk",
    versions=">=1.14,<2",
    module="xai_sdk.client",
    provider="x_ai",
    endpoints=(
        *map(_chat, ("GetCompletion", "GetCompletionChunk", "CompactContext")),
        Endpoint("/xai_api.Image/GenerateImage", "image_generation", body.images),
        # Answered later: what is fetched may hold answers, of which each is a call.
        Endpoint("/xai_api.Chat/GetDeferredCompletion", "chat", body.chat, each=True),
        Endpoint("/xai_api.Video/GetDeferredVideo", "video_generation", body.video, each=True),
        Endpoint("/xai_api.BatchMgmt/ListBatchResults", "chat", body.batch, each=True),
    ),
    dialect="xai_grpc",
)
