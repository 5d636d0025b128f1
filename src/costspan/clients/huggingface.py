"""Hugging Face's `InferenceClient`: by task, whoever of the providers behind it is asked. Who answers is told by the address."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, huggingface_body, openai_body
from costspan.clients.libraries import OTHER_MODULES

#: Tasks without a reader of their own: they report no usage.
_CLASSIFYING = (
    "audio-classification", "image-classification", "image-segmentation", "object-detection", "tabular-classification",
    "tabular-regression", "text-classification", "token-classification", "zero-shot-classification",
    "zero-shot-image-classification", "sentence-similarity", "fill-mask",
)  # fmt: skip
_WRITING = (
    "summarization", "translation", "question-answering", "table-question-answering", "document-question-answering",
    "visual-question-answering", "image-to-text",
)  # fmt: skip
_SOUND = ("audio-to-audio", "text-to-speech")

CLIENT = Client(
    name="huggingface",
    distribution="huggingface_hub",
    versions=">=0.30,<3",
    module="huggingface_hub.inference._client",
    other_modules=OTHER_MODULES["huggingface"],
    provider="huggingface",
    endpoints=(
        *estimates.usual(Endpoint("/conversational", "chat", openai_body.chat)),
        Endpoint("/text-generation", "text_completion", huggingface_body.generated, **huggingface_body.ESTIMATED),
        Endpoint("/feature-extraction", "embeddings", openai_body.embeddings),
        Endpoint("/automatic-speech-recognition", "transcription", openai_body.sound),
        *(Endpoint(f"/{task}", "speech", openai_body.sound) for task in _SOUND),
        *(huggingface_body.picture(f"/{way}-to-image") for way in ("text", "image")),
        *(Endpoint(f"/{way}-to-video", "video_generation", openai_body.sound) for way in ("text", "image")),
        *(Endpoint(f"/{task}", "classification", openai_body.embeddings) for task in _CLASSIFYING),
        *(Endpoint(f"/{task}", "text_completion", openai_body.chat) for task in _WRITING),
    ),
    dialect="huggingface_api",
)
