"""Voyage's library for embeddings and rankings: all tokens are input. Models that run in the process cost nothing."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import openai_body

CLIENT = Client(
    name="voyageai",
    distribution="voyageai",
    versions=">=0.2.4,<1",
    module="voyageai.api_resources.api_requestor",
    provider="voyage_ai",
    endpoints=(
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/contextualizedembeddings", "embeddings", openai_body.embeddings),
        Endpoint("/multimodalembeddings", "embeddings", openai_body.embeddings),
        Endpoint("/rerank", "rerank", openai_body.embeddings),
    ),
    dialect="voyage_api",
)
