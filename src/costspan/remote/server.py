"""A server by its address: one question is one GET over a connection of its own, and the answer is JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from costspan.remote.faults import ServerError
from costspan.report.naming import harmless

if TYPE_CHECKING:
    from email.message import Message
    from urllib.request import HTTPSHandler, OpenerDirector

#: A question in a URL is at most so long: servers read no longer line.
_LONGEST: Final = 60_000
_MOST_BYTES: Final = 200_000_000
_LONGEST_SHOWN: Final = 500
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_HTTPS: Final = "https"
_BAD_REQUEST, _NO_TOKEN, _NOT_FOUND, _TOO_MANY = 400, 401, 404, 429
_REDIRECTS: Final = range(300, 400)


class Server:
    """Where a `costspan serve` is, and how it is asked. Has no connection while nobody asks: may be shared by threads and forks.

    Raises ValueError for an address, token, file of authorities or time limit that cannot be used.
    """

    def __init__(self, url: str, token: str | None = None, ca_file: str | None = None, timeout_s: float = 30) -> None:
        self.url = _checked(url).geturl().rstrip("/")
        self._headers = {"Accept": f"{_JSON}, {_PROBLEM}", "User-Agent": "costspan", **_authorized(token)}
        self._has_token = token is not None
        if isinstance(timeout_s, bool) or not timeout_s > 0:
            raise ValueError(f"timeout_s={timeout_s!r}: expected a number of seconds above 0")
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        if ca_file is not None and not Path(ca_file).is_file():
            raise ValueError(f"ca_file={ca_file!r}: expected a file with certificates in PEM")

    def get(self, path: str, asked: Sequence[tuple[str, str]]) -> object:
        """What the server answers to a question, as JSON has it.

        Raises ServerError, and ValueError with its sentence where the server says that the question is mistaken.
        """
        question = f"{path}?{urlencode(asked)}"
        if len(question) > _LONGEST:
            raise ValueError(
                f"the question is too long for {self.url}: expected fewer or shorter values, {_LONGEST:,} characters in all"
            )
        status, headers, content = self._asked(question)
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status in _REDIRECTS:
            place = urlsplit(headers.get("Location", "")).netloc or "another path"
            raise self._error(
                f"sends on to {place}, where nobody is asked as the token would go along: expected the address of the server itself",
                status,
            )
        found = self._parsed(content, kind, status)
        if status != 200:  # noqa: PLR2004 - OK
            raise self._refused(path, status, headers, found)
        return found

    def error(self, said: str) -> ServerError:
        """An error of this server."""
        return self._error(said, None)

    def _error(self, said: str, status: int | None, retry_after_s: float | None = None) -> ServerError:
        shown = harmless(said)
        shown = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."
        return ServerError(self.url, shown, status=status, retry_after_s=retry_after_s)

    def _asked(self, question: str) -> tuple[int, Message, bytes]:
        """Status, headers and body of the answer, whatever its status is."""
        from urllib.error import URLError
        from urllib.request import Request

        # The scheme was checked: no file is opened by this.
        request = Request(self.url + question, headers=self._headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return answer.status, answer.headers, self._body(answer)
        except URLError as fault:
            raise self._unreachable(fault.reason) from None
        except (OSError, HTTPException) as fault:
            raise self._unreachable(fault) from None

    @cached_property
    def _opener(self) -> OpenerDirector:
        """What asks, made with the first question: which authorities are trusted takes long to load. It follows no redirect."""
        from urllib.request import HTTPHandler, OpenerDirector, ProxyHandler, getproxies_environment

        opener = OpenerDirector()
        if self.url.startswith(_HTTPS):
            # A proxy sees nothing of what goes through it to HTTPS, and everything of plain HTTP: that goes straight.
            proxies = {scheme: proxy for scheme, proxy in getproxies_environment().items() if scheme == _HTTPS}
            opener.add_handler(ProxyHandler(proxies))
            opener.add_handler(self._trusting())
        else:
            opener.add_handler(HTTPHandler())
        return opener

    def _trusting(self) -> HTTPSHandler:
        import ssl
        from urllib.request import HTTPSHandler

        try:
            return HTTPSHandler(context=ssl.create_default_context(cafile=self._ca_file))
        except OSError as fault:
            raise ValueError(f"ca_file={self._ca_file!r} ({fault}): expected certificates in PEM") from None

    def _body(self, answer: HTTPResponse) -> bytes:
        content = answer.read(_MOST_BYTES + 1)
        if answer.length:
            raise IncompleteRead(content, answer.length)
        if len(content) > _MOST_BYTES:
            raise self._error(f"answers with more than {_MOST_BYTES:,} bytes: expected a narrower question", None)
        return content

    def _unreachable(self, reason: object) -> ServerError:
        if isinstance(reason, TimeoutError):
            return self._error(
                f"did not answer within {self._timeout_s:g} s: expected an answer, or timeout_s=...", None
            )
        if "CERTIFICATE_VERIFY_FAILED" in str(reason):
            return self._error(
                f"has a certificate that is not trusted ({reason}): expected one of this system's authorities, or ca_file=...",
                None,
            )
        said = getattr(reason, "strerror", None) or reason or type(reason).__name__
        return self._error(f"cannot be asked ({said}): expected a costspan serve there", None)

    def _parsed(self, content: bytes, kind: str, status: int) -> Any:
        if kind in {_JSON, _PROBLEM}:
            try:
                return json.loads(content)
            except (ValueError, RecursionError):
                kind = "what is no JSON"
        raise self._error(
            f"answers with HTTP status {status} and {kind or 'no type'}: expected the JSON of a costspan serve", status
        )

    def _refused(self, path: str, status: int, headers: Message, found: Any) -> Exception:
        detail = found.get("detail") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not isinstance(detail, str):
            return self._error(f"answers with HTTP status {status}: expected the JSON of a costspan serve", status)
        if status == _BAD_REQUEST:
            return ValueError(f"{harmless(detail)[:_LONGEST_SHOWN]} (said {self.url})")
        if status == _NO_TOKEN:
            said = "does not know the token" if self._has_token else "wants a token"
            return self._error(f"{said}: expected token=..., one of those that the server was started with", status)
        if status == _NOT_FOUND:
            return self._error(f"has no {path}: expected a costspan serve of this version or a later one", status)
        after_s = _seconds(headers.get("Retry-After"))
        later = "" if after_s is None else f": expected the question again in {after_s:g} s"
        said = "was asked too often" if status == _TOO_MANY else f"refuses ({status}): {detail}"
        return self._error(said + later, status, after_s)


def _checked(url: str) -> SplitResult:
    """The parts of an address that can be asked. Raises ValueError; a password in it is not shown."""
    expected = "expected an address such as http://127.0.0.1:8321 or https://costs.example.com, without a question"
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in {"http", _HTTPS} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError(f"url={url!r}: {expected}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("url has a name or password in it: expected it without, and token=... beside it")
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not (is_sound and is_plain) or parts.query or parts.fragment:
        raise ValueError(f"url={url!r}: {expected}")
    return parts


def _authorized(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token: expected the text of a token, without spaces or ends of lines")  # which is not shown
    return {"Authorization": f"Bearer {token}"}


def _seconds(said: str | None) -> float | None:
    return float(said) if said is not None and said.isascii() and said.isdigit() and len(said) < 10 else None  # noqa: PLR2004
