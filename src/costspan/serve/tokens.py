"""Who may ask: tokens, each with what it sees, from a file that has their digests alone.

tokens:
  - name: finance
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    sees: all
  - name: acme-portal
    sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
    sees: {account: acme}
  - name: fleet
    sha256: fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13
    sees: nothing
    books: true
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from costspan.facts.attribution_words import WORDS
from costspan.report.words import nearest
from costspan.serve.asked import Caller
from costspan.serve.problems import RequestError

#: A token that may be guessed is none.
LEAST_CHARACTERS: Final = 16
_KEYS: Final = ("name", "sha256", "sees", "books")
_ALL: Final = "all"
_NOTHING: Final = "nothing"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 4_096
_ASKED_FOR: Final = {"WWW-Authenticate": 'Bearer realm="costspan", Basic realm="costspan", charset="UTF-8"'}


class TokensError(ValueError):
    """A file of tokens that cannot be used; the message has every mistake in it, a line each."""


class Tokens:
    """The tokens of a server, by their digests."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = {bytes.fromhex(digest): caller for digest, caller in callers.items()}

    def caller(self, authorization: str) -> Caller:
        """Whose token the header has. Raises RequestError for none, and for one that nobody has."""
        digest = hashlib.sha256(_token(authorization).encode("utf-8", "replace")).digest()
        found: Caller | None = None
        for known, caller in self._callers.items():
            # All of them, whichever it is: how long it takes tells nothing.
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise _unknown()
        return found


def _unknown() -> RequestError:
    expected = "a token of this server: Authorization: Bearer ..., or as the password of Basic"
    return RequestError(401, f"expected {expected}", field="Authorization", expected=expected, headers=_ASKED_FOR)


def _token(authorization: str) -> str:
    scheme, _, said = authorization[:_LONGEST].partition(" ")
    if scheme.lower() == "bearer":
        return said.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(said.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            pass
    raise _unknown()


def of_one(token: str) -> dict[str, Caller]:
    """One token that sees all and may book. Raises TokensError for one that is too short."""
    if len(token) < LEAST_CHARACTERS:
        raise TokensError(
            f"the token is too short: expected {LEAST_CHARACTERS} characters or more, such as of openssl rand -hex 32"
        )
    return {hashlib.sha256(token.encode()).hexdigest(): Caller("token", books=True)}


def read(path: Path) -> dict[str, Caller]:
    """The tokens of a file, by digest. Raises TokensError."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise TokensError(f"{path}: cannot be read: {fault.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as fault:
        raise TokensError(f"{path}: is no YAML: {fault}") from None
    entries = cast("dict[str, Any]", found).get("tokens") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not entries:
        raise TokensError(f'{path}: expected "tokens:" and a list of tokens under it')
    mistakes: list[str] = []
    callers: dict[str, Caller] = {}
    for number, entry in enumerate(cast("list[object]", entries)):
        mistakes += [f"{path}: tokens[{number}]{mistake}" for mistake in _take(entry, callers)]
    if mistakes:
        raise TokensError("\n".join(mistakes))
    return callers


def _take(entry: object, callers: dict[str, Caller]) -> Iterable[str]:
    """Add a token, or say what is wrong with it."""
    if not isinstance(entry, dict):
        return [f": expected the keys {', '.join(_KEYS)}"]
    said = cast("dict[object, object]", entry)
    unknown = [
        f".{key}: is unknown: expected one of {', '.join(_KEYS)}{nearest(str(key), _KEYS)}"
        for key in said
        if key not in _KEYS
    ]
    name, digest, sees, books = (said.get(key) for key in _KEYS)
    checks = {
        ".name: expected letters, digits, - _ and .": isinstance(name, str) and _NAME.fullmatch(name),
        ".name: comes twice": name not in {caller.name for caller in callers.values()},
        ".sha256: expected 64 digits of 0-9 a-f: printf %s TOKEN | sha256sum": isinstance(digest, str)
        and _DIGEST.fullmatch(digest),
        ".sha256: comes twice": digest not in callers,
        f".sees: expected {_ALL}, {_NOTHING}, or a value for some of {', '.join(WORDS)}": _bounds(sees) is not None,
        ".books: expected true or false": books in {None, True, False},
    }
    wrong = [*unknown, *(mistake for mistake, holds in checks.items() if not holds)]
    if not wrong:
        callers[str(digest)] = Caller(str(name), _bounds(sees) or {}, sees=sees != _NOTHING, books=books is True)
    return wrong


def _bounds(sees: object) -> dict[str, str] | None:
    """What bounds what is seen; None for what says no such thing."""
    if sees in {_ALL, _NOTHING} if isinstance(sees, str) else False:
        return {}
    if not isinstance(sees, dict) or not sees:
        return None
    bounds = cast("dict[object, object]", sees)
    is_sound = all(word in WORDS and isinstance(value, str) and value for word, value in bounds.items())
    return {str(word): str(value) for word, value in bounds.items()} if is_sound else None
