"""What of an environment is secret: it is left out of texts that people send to others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

MASK: Final = "***"
#: Names of variables whose value is nobody's business. Headers of OTLP carry the token of a backend.
_SECRET_NAMES: Final = re.compile(r"TOKEN|SECRET|PASS|KEY|HEADERS|AUTH(?!OR)|CREDENTIAL|COOKIE|DSN", re.IGNORECASE)
#: Shorter values would be found in plain words.
_SHORTEST: Final = 6
#: `https://user:password@host`, and the same without a scheme.
_USER_INFO: Final = re.compile(r"(?<=//)[^/@\s]+@|(?<!\w)[\w.%+-]+:[^@\s/,]+@")
_PARAMETER: Final = re.compile(
    r"(?<=[?&])([\w.-]*(?:token|key|secret|password|sig|auth)[\w.-]*)=[^&\s\"']+", re.IGNORECASE
)


def masked(text: str, environ: Mapping[str, str]) -> str:
    """The text without the passwords, tokens and headers of the environment, and without those in addresses."""
    for value in sorted(set(_secrets(environ)), key=len, reverse=True):
        text = text.replace(value, MASK)
    return _PARAMETER.sub(rf"\1={MASK}", _USER_INFO.sub(f"{MASK}@", text))


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if _SECRET_NAMES.search(name):
            pairs = (pair.partition("=")[2] for pair in value.split(","))
            parts = [value, *pairs]
            yield from (
                each.strip() for part in parts for each in (part, *part.split()) if len(each.strip()) >= _SHORTEST
            )
