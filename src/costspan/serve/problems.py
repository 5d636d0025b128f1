"""What is wrong with a request, in the form of RFC 9457: which field, and what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_SHOWN: Final = 100


class RequestError(Exception):
    """A request that is refused. `detail` is a sentence, `field` the parameter or the place in the body that it is about."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.expected = expected
        self.headers = headers

    def as_object(self) -> dict[str, Any]:
        """The body of the answer."""
        said = {"field": self.field, "expected": self.expected}
        return {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **{name: value for name, value in said.items() if value is not None},
        }

    def response(self) -> Response:
        """The answer."""
        # Every sign beyond ASCII is escaped: what a stranger chose stays text, whatever it holds.
        return Response(json.dumps(self.as_object()), self.status, self.headers, MEDIA_TYPE)


#: The form of the body in the OpenAPI document.
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is wrong with the request (RFC 9457).",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence."},
        "field": {"type": "string", "description": "The parameter, or the place in the body."},
        "expected": {"type": "string", "description": "What would have been accepted."},
    },
}


def mistaken(field: str, given: str, expected: str) -> RequestError:
    """A field with a value that it cannot have."""
    shown = given if len(given) <= _LONGEST_SHOWN else given[:_LONGEST_SHOWN] + "..."
    return RequestError(400, f"{field}={shown!r}: expected {expected}", field=field, expected=expected)
