"""Batch jobs, of which each result is a call: how a job is handed in, how it stands, and where its results lie.

OpenAI's API and those of its form (Groq, Together, Mistral) have them in a file, a line each: the answer of whatever endpoint
was asked, in an envelope. A request that failed, expired or was cancelled cost nothing, and its line says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from costspan.calls.description import Endpoint, Reader
from costspan.calls.messages import fields, listed, text
from costspan.clients import mistral_body, openai_body
from costspan.facts.call import Answer

BATCH: Final = "batch"
_FIRST_REFUSAL: Final = 400
#: Where a job says its id, and those of the files with its results: OpenAI's words, and Mistral's.
_NAMES: Final = ("id", "output_file_id", "error_file_id", "output_file", "error_file")
#: How an answer is read, by what it says that it is.
_READERS: Final[Mapping[Any, tuple[str, Reader]]] = {
    "chat.completion": ("chat", openai_body.chat),
    "text_completion": ("text_completion", openai_body.chat),
    "response": ("chat", openai_body.responses),
    "list": ("embeddings", openai_body.embeddings),
}
#: The same by a field that only answers of this kind have.
_BY_FIELD: Final[Mapping[str, tuple[str, Reader]]] = {
    "pages": ("ocr", mistral_body.read_pages),
    "results": ("moderation", openai_body.moderations),
    "data": ("image_generation", openai_body.images),
}


def is_result(line: bytes) -> bool:
    """Whether a line of a file may be a result, or a failure: the same path serves files of any kind."""
    return b'"custom_id"' in line and (b'"response"' in line or b'"error"' in line)


def result(line: Any) -> Answer | None:
    """One result: the answer in it, or the reason why there is none."""
    said = fields(line)
    response, error = fields(said.get("response")), said.get("error")
    if not response and error is None:
        return None  # a line of what was handed in
    body = fields(response.get("body"))
    operation, read = _READERS.get(body.get("object")) or _by_field(body)
    answer = read(body) or Answer()
    status = response.get("status_code")
    if error is not None:
        answer.error = openai_body.error_of(error)
    elif answer.error is None and type(status) is int and status >= _FIRST_REFUSAL:
        answer.error = str(status)
    answer.id, answer.key = answer.id or text(said.get("id")), text(said.get("custom_id"))
    answer.operation, answer.processing = operation, BATCH
    return answer


def _by_field(body: Mapping[str, Any]) -> tuple[str, Reader]:
    return next((found for name, found in _BY_FIELD.items() if name in body), ("chat", openai_body.chat))


def names(job: Any) -> Iterator[str]:
    """The ids of a job and of the files that its results will be in."""
    said = fields(job)
    said = fields(said["job"]) if "job" in said else said  # Together, when it is handed in
    return (name for key in _NAMES if (name := text(said.get(key))))


def outputs(job: Any) -> Iterator[Any]:
    """The results that a job has with it: Mistral's, where they are asked for."""
    yield from listed(fields(job).get("outputs"))


#: Where a file is fetched, of results or of anything else.
FILE: Final = Endpoint("/files/{}/content", BATCH, result, method="get", each=True, is_item=is_result)
#: Of OpenAI's form.
ENDPOINTS: Final = (
    Endpoint("/batches", BATCH, result, each=True, names=names),
    Endpoint("/batches/{}", BATCH, result, method="get", each=True, names=names),
    FILE,
)
