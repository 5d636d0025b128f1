"""Cohere's library, in both versions of its API: what it charges is said in billed units.

Token counts, models, datasets, connectors and jobs (batches, embeddings of a data set) are no calls.
"""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import cohere_body as body

CLIENT = Client(
    name="cohere",
    distribution="cohere",
    versions=">=5.16,<8",
    module="cohere.core.http_client",
    provider="cohere",
    endpoints=(
        Endpoint("/v2/chat", "chat", body.said, ends=body.ends, shown=body.shown, prompt=body.prompt),
        Endpoint("/v1/chat", "chat", body.said, ends=body.ends, shown=body.shown, prompt=body.prompt),
        Endpoint("/v1/generate", "text_completion", body.said, ends=body.ends, shown=body.shown, prompt=body.prompt),
        Endpoint("/v2/embed", "embeddings", body.embedded),
        Endpoint("/v1/embed", "embeddings", body.embedded),
        Endpoint("/v2/rerank", "rerank", body.embedded),
        Endpoint("/v1/rerank", "rerank", body.embedded),
        Endpoint("/v2/parse", "ocr", body.embedded),
        Endpoint("/v1/classify", "classification", body.embedded),
        Endpoint("/v1/summarize", "text_completion", body.said),
        Endpoint("/v2/audio/transcriptions", "transcription", body.said),
    ),
    dialect="fern",
    uncounted=("/batches", "/embed-jobs", "/finetuning/finetuned-models"),
)
