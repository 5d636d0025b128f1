"""Google's library for Gemini, on the Gemini API and on Vertex AI: the path that is asked for names model and method.

What it asks for beside these and what is uncounted (token counts, files, models) costs nothing.
"""

from __future__ import annotations

from typing import Final

from costspan.calls.description import Client, Endpoint, Socket
from costspan.clients import google_batches, google_body, google_interactions, google_live

#: What models are asked for by their names in the path, whoever asks.
GENERATED: Final = (
    Endpoint("/{}:generateContent", "generate_content", google_body.generated),
    Endpoint(
        "/{}:streamGenerateContent",
        "generate_content",
        google_body.generated,
        google_body.merge,
        shown=google_body.shown,
        prompt=google_body.prompt,
    ),
    Endpoint("/{}:batchEmbedContents", "embeddings", google_body.embedded),
    Endpoint("/{}:embedContent", "embeddings", google_body.embedded),
)

CLIENT = Client(
    name="google_genai",
    distribution="google-genai",
    versions=">=1.52,<4",
    module="google.genai._api_client",
    provider="gcp.gemini",
    endpoints=(
        *GENERATED,
        # One method for every older model of Vertex AI: embeddings by their names, all others make images.
        Endpoint("/{}embedding{}:predict", "embeddings", google_body.predicted),
        Endpoint("/{}:predict", "image_generation", google_body.predicted),
        Endpoint("/{}:predictLongRunning", "video_generation", google_body.started),
        Endpoint(
            "/interactions",
            "generate_content",
            google_interactions.created,
            ends=google_interactions.ends,
            is_later=google_interactions.is_background,
            shown=google_interactions.shown,
            prompt=google_interactions.prompt,
        ),
        Endpoint("/interactions/{}", "generate_content", google_interactions.interaction, method="get", fetches=True),
        *google_batches.ENDPOINTS,
    ),
    dialect="google_api",
    uncounted=("/cachedContents", "/tuningJobs"),
    sockets=(Socket("live.connect", "google.genai.live", **google_live.LIVE),),
    uncounted_functions=(("live.music.connect", "google.genai.live_music", "AsyncLiveMusic.connect"),),
)
