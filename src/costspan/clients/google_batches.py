"""Batch jobs of the Gemini API: their results come with the job, where they were handed in so, or in a file, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from costspan.calls.description import Endpoint
from costspan.calls.messages import fields, listed, text
from costspan.clients import google_body
from costspan.clients.batches import BATCH
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, bounded_names, count

#: Where a job has its results: of what generates, and of embeddings.
_INLINED: Final = ("inlinedResponses", "inlinedEmbedContentResponses")
_LINES: Final = "inlinedResponses"


def is_result(line: bytes) -> bool:
    """Whether a line of a file may be a result: the same path serves files of any kind."""
    return b'"response"' in line or b'"error"' in line


def result(item: Any) -> Answer | None:
    """One result: the answer in it, or the reason why there is none."""
    said = fields(item)
    response, error = fields(said.get("response")), said.get("error")
    if not response and error is None:
        return None
    if "embedding" in response:
        answer, operation = _embedded(response), "embeddings"
        answer.model = text(said.get("model"))
    else:
        answer = google_body.generated({**response, "error": error}) or Answer()
        operation = "generate_content"
    answer.key = text(said.get("key")) or text(fields(said.get("metadata")).get("key"))
    answer.operation, answer.processing = operation, BATCH
    return answer


def _embedded(response: Any) -> Answer:
    tokens = count(response.get("tokenCount"))
    if tokens is None:
        return Answer(unread=bounded_names(["tokenCount"]))
    return Answer(Usage({units.INPUT: tokens, units.OUTPUT: 0}))


def inlined(job: Any) -> Iterator[Any]:
    """The results that a job has with it, each with the model that was asked, which an embedding does not say."""
    metadata = fields(google_body.body_of(job).get("metadata"))
    output = fields(metadata.get("output"))
    model = (text(metadata.get("model")) or "").rpartition("/")[2]
    for name in _INLINED:
        for item in listed(fields(output.get(name)).get(_LINES)):
            yield {**fields(item), "model": model}


def names(job: Any) -> Iterator[str]:
    """The ids of a job and of the file that its results will be in, each without what kind of thing it names."""
    said = google_body.body_of(job)
    output = fields(fields(said.get("metadata")).get("output"))
    return (name.rpartition("/")[2] for name in (text(said.get("name")), text(output.get("responsesFile"))) if name)


#: Those of Vertex AI lie in a bucket of the caller's, and are not fetched by this library.
ENDPOINTS: Final = (
    *(
        Endpoint(f"/{{}}:{way}", BATCH, result, each=True, names=names)
        for way in ("batchGenerateContent", "asyncBatchEmbedContent")
    ),
    Endpoint("/batches/{}", BATCH, result, method="get", each=True, names=names, items=inlined),
    Endpoint("/files/{}:download", BATCH, result, method="get", each=True, is_item=is_result),
)
