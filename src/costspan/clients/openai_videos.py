"""Videos of OpenAI's API and of those that copy it: jobs that are handed in, and looked at until they are done.

A job says what it makes (`seconds`, `size`, `model`) from the beginning, and is charged for when it is completed.
https://platform.openai.com/docs/api-reference/videos/object
"""

from __future__ import annotations

from typing import Any, Final

from costspan.calls.description import Endpoint, always
from costspan.calls.messages import fields, text
from costspan.clients import openai_body
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.usage import Usage, count, milliseconds

_UNDER_WAY: Final = frozenset({"queued", "in_progress"})
_OPERATION: Final = "video_generation"


def job(message: Any) -> Answer | None:
    """A job as it stands, and the seconds of its video once there is one. What a second costs may depend on the size."""
    said = fields(message)
    status = text(said.get("status"))
    if status is None:
        return openai_body.chat(said)
    answer = Answer(model=text(said.get("model")), id=text(said.get("id")), processing=text(said.get("size")))
    answer.finish_reasons, answer.pending = (status,), status in _UNDER_WAY
    if status == "failed" or said.get("error") is not None:
        answer.error = openai_body.error_of(said.get("error"))
    elif not answer.pending:
        _take_seconds(answer, said.get("seconds"))
    return answer


def extension(message: Any) -> Answer | None:
    """A job that makes a video longer: it tells the seconds of the whole, so that those that are new are not known."""
    answer = job(message)
    if answer is not None and answer.error is None:
        answer.pending, answer.usage, answer.unread = False, None, ("seconds",)
    return answer


def _take_seconds(answer: Answer, seconds: Any) -> None:
    ms = milliseconds(count(seconds) if isinstance(seconds, str) else seconds)
    if ms is None:
        answer.unread = ("seconds",)
    else:
        answer.usage = Usage({units.OUTPUT_VIDEO_MS: ms})


#: Handed in and fetched, as every seller of that form has them.
ENDPOINTS: Final = (
    Endpoint("/videos", _OPERATION, job, is_later=always),
    Endpoint("/videos/{}", _OPERATION, job, method="get", fetches=True),
)
#: What OpenAI makes of videos that are there. Paths that are told apart from `/videos/<id>` come before it.
OF_OPENAI: Final = (
    Endpoint("/videos/edits", _OPERATION, job, is_later=always),
    Endpoint("/videos/extensions", _OPERATION, extension, is_later=always),
    Endpoint("/videos/{}/remix", _OPERATION, job, is_later=always),
    *ENDPOINTS,
)
