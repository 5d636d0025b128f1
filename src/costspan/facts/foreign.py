"""The door for what comes from outside: texts of providers, libraries and programs, made fit to be kept and shown.

What is kept anywhere (span, metric, ledger, event, log) has come through here: of bounded length, and without
characters that end lines, colour terminals, turn the direction of writing or cannot be encoded.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

#: The longest text that is kept, in characters.
LONGEST: Final = 200

# Control characters; separators of lines; what cannot be seen (zero width, byte order mark, tags) or turns the direction
# of writing. The joiners U+200C and U+200D stay: names of people and emoji are written with them.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
_READ: Final = 5 * LONGEST  # so much of a text is cleaned
_DIGESTED: Final = 65_536  # and so much tells it apart from others that begin alike
_DIGEST_BYTES: Final = 8
_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}|[A-Za-z_]{1,64}")
# Digits among a dozen letters or more: a key or an id, not a word.
_OPAQUE: Final = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{12}")


def text(value: object) -> str | None:
    """The value if it is text with something in it (an enumeration's value counts), cleaned and cut; else None."""
    if type(value) is str:
        if len(value) <= LONGEST and value.isprintable():
            return value or None
        return _short(value)
    if isinstance(value, str):
        return text(str.__str__(getattr(value, "value", value)))
    return None


def code(value: object) -> str | None:
    """The code of an error if it has the form of one: at most 64 of `a-z 0-9 _ . -`; else None, whatever was said."""
    if type(value) is int:
        return str(value) if 0 <= value < 10**6 else None
    word = text(value)
    if word is None or _CODE.fullmatch(word) is None or _OPAQUE.search(word):
        return None
    return word.lower()


def cleaned(value: str) -> str:
    """The beginning of a text without unsafe characters; five times as long as what is kept, at most."""
    # Through UTF-16 two surrogates become the one character they mean, and a lone one becomes U+FFFD.
    whole = value[:_READ].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _UNSAFE.sub(" ", whole).strip()


def _short(value: str) -> str | None:
    """Cleaned; if it has to be cut, with a digest at the end, so that two long texts (ids) stay two."""
    clean = cleaned(value)
    if len(value) <= _READ and len(clean) <= LONGEST:
        return clean or None
    beginning = f"{len(value)}:{value[:_DIGESTED]}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(beginning, digest_size=_DIGEST_BYTES).hexdigest()
    return f"{clean[: LONGEST - len(digest) - 1]}~{digest}"
