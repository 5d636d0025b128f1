"""Mistral's library, with its variants for Azure and Vertex AI: OpenAI-shaped bodies, conversations, pages of documents.

Its files, libraries, agents as such, and counts of tokens cost nothing.
"""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import batches, estimates, mistral_body, openai_body
from costspan.clients.libraries import OTHER_MODULES
from costspan.clients.openai import speech


def _conversation(path: str) -> Endpoint:
    return Endpoint(path, "chat", mistral_body.conversed, shown=mistral_body.shown, prompt=mistral_body.prompt)


CLIENT = Client(
    name="mistralai",
    distribution="mistralai",
    versions=">=1,<4",
    module="mistralai.client.basesdk",
    other_modules=OTHER_MODULES["mistralai"],
    provider="mistral_ai",
    endpoints=(
        *estimates.usual(
            Endpoint("/chat/completions", "chat", openai_body.chat),
            Endpoint("/fim/completions", "text_completion", openai_body.chat),
            Endpoint("/agents/completions", "invoke_agent", openai_body.chat),
            Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
        ),
        *map(_conversation, ("/conversations", "/conversations/{}", "/conversations/{}/restart")),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/ocr", "ocr", mistral_body.read_pages),
        Endpoint("/audio/transcriptions", "transcription", openai_body.sound),
        Endpoint("/audio/speech", "speech", openai_body.sound, request_usage=speech),
        *(
            Endpoint(path, "moderation", openai_body.embeddings)
            for path in ("/moderations", "/chat/moderations", "/classifications", "/chat/classifications")
        ),
        Endpoint("/batch/jobs", batches.BATCH, batches.result, each=True, names=batches.names),
        Endpoint(
            "/batch/jobs/{}",
            batches.BATCH,
            batches.result,
            method="get",
            each=True,
            names=batches.names,
            items=batches.outputs,
        ),
        batches.FILE,
        # Of Vertex AI, whose paths name the model.
        *estimates.usual(
            *(Endpoint(f"/{{}}:{way}", "chat", openai_body.chat) for way in ("rawPredict", "streamRawPredict"))
        ),
    ),
    dialect="speakeasy",
    uncounted=("/fine_tuning/jobs",),
)
