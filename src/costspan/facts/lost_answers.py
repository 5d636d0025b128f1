"""Whether a call that failed may have been billed all the same: its request had gone out, and the answer did not come.

Told by the names of the exception's classes and of those that it was made of, so that no library is imported. Sources: the exception
classes of httpx, requests, urllib3, aiohttp, botocore, azure-core, gRPC and of Python's http.client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MOST_CAUSES: Final = 10

#: The request was not sent, or not as a whole.
_NOT_SENT: Final = re.compile(
    r"ConnectError|ConnectTimeout|ConnectTimeoutError|ConnectionTimeoutError|ConnectionRefusedError|NewConnectionError"
    r"|NameResolutionError|EndpointConnectionError|ClientConnector\w*|Client\w*SSLError|ServiceRequest\w*|PoolTimeout|ProxyError"
    r"|ProxyConnectionError|SSL\w*|gaierror|Write\w*|Local\w*Error|Unsupported\w*"
)
#: Somebody waited for the answer in vain, or the connection broke meanwhile.
_LOST: Final = re.compile(
    r"\w*Timeout|\w*TimeoutError|timeout|ReadError|RemoteProtocolError|ProtocolError|RemoteDisconnected|ServerDisconnectedError"
    r"|Connection(Reset|Aborted|Closed)Error|BrokenPipeError|IncompleteRead\w*|ChunkedEncodingError|ClientPayloadError"
    r"|ServiceResponse\w*|DEADLINE_EXCEEDED|DeadlineExceeded|CancelledError"
)

#: What asyncio says where a connection is used that was opened in a loop which has ended. The request leaves by it.
_LOOP_HAS_ENDED: Final = ("Event loop is closed",)


def may_be_billed(error: BaseException, said: str | None = None) -> bool:
    """Whether the provider may have worked on the request of a call that ended so. `said` is the error in the library's word."""
    causes = list(_causes(error))
    names = {name for each in causes for name in _names(each)} | {said or ""}
    is_lost = any(map(_LOST.fullmatch, names)) or any(each.args == _LOOP_HAS_ENDED for each in causes)
    return is_lost and not any(map(_NOT_SENT.fullmatch, names))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was made of: its cause, or the one that was under way; and what it carries."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST_CAUSES:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            reason = vars(each).get("reason")  # of urllib3; no property: those of some libraries warn
            beside = (each.__cause__ or each.__context__, *each.args[:2], reason)
            waiting += [one for one in beside if isinstance(one, BaseException)]


def _names(error: BaseException) -> Iterator[str]:
    return (kind.__name__ for kind in type(error).__mro__)
