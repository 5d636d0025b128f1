"""What can go wrong with a server that is asked, in words."""

from __future__ import annotations

from costspan.ledger.faults import LedgerError


class ServerError(LedgerError):
    """A server has not answered what it was asked. The message is a sentence with its address and what was expected.

    `status` is that of HTTP, None where there was no answer; `retry_after_s` is when to ask again, where the server says it.
    """

    def __init__(self, url: str, said: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{url} {said}")
        self.url = url
        self.status = status
        self.retry_after_s = retry_after_s
