"""The URL of a server that keeps reservations: taken apart, and shown without its password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

_LONGEST_TOLD: Final = 200


class UnusableError(ValueError):
    """The setting names no server that can be asked. The message goes on after the name of the setting."""


class Address(NamedTuple):
    """A URL with a host. `shown` is what may be said of it."""

    url: str
    scheme: str
    shown: str
    secrets: Sequence[str]

    @classmethod
    def of(cls, url: str, schemes: Sequence[str]) -> Address:
        """Raises UnusableError, which says nothing of the password."""
        expected = f"expected {', '.join(f'{scheme}://' for scheme in schemes[:-1])} or {schemes[-1]}:// with a host"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise UnusableError(f"is no URL: {expected}") from None
        if parts.scheme not in schemes:
            what = f"has the scheme {parts.scheme!r}" if parts.scheme else "has no scheme"
            raise UnusableError(f"{what}: {expected}")
        if not host:
            raise UnusableError(f"has no host: {expected}")
        place = f"[{host}]" if ":" in host else host
        path = parts.path if parts.path != "/" else ""
        shown = f"{parts.scheme}://{place}{f':{port}' if port else ''}{path}"
        return cls(url, parts.scheme, shown, _secrets(parts))

    def told(self, fault: BaseException) -> str:
        """What a library says of a fault, in one line and without secrets."""
        said = " ".join(str(fault).split()) or type(fault).__name__
        for secret in self.secrets:
            said = said.replace(secret, "***")
        return said[:_LONGEST_TOLD]


def _secrets(parts: SplitResult) -> list[str]:
    """The password as it is written and as it is meant, and the whole that it stands in; the longest first."""
    found = [parts.netloc.rpartition("@")[0], parts.query]
    if parts.password:
        found += [parts.password, unquote(parts.password)]
    return sorted({secret for secret in found if secret}, key=len, reverse=True)
