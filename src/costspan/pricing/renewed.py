"""A price table that the user has chosen: read from a file, pinned by the digest of its bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from costspan.facts.counting import number
from costspan.pricing.catalog import Catalog

#: The least share of the models of the table in force that a newer one has: a cut file is no table.
_LEAST_KEPT: Final = 0.9


class TableError(ValueError):
    """A price table that is not used; the message is a sentence with the reason."""


def checked(content: bytes, sha256: str) -> Catalog:
    """The table in `content`. Raises TableError where it is another one than `sha256` names, or none that is whole."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise TableError(f"its SHA-256 is {found}, and {sha256} was expected: this is not the table that was chosen")
    try:
        catalog = Catalog(content.decode())
        for provider in catalog.providers.values():
            _ = provider.models
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as fault:
        raise TableError(f"it is no price table of costspan: {type(fault).__name__}: {fault}") from fault
    return catalog


def read(path: Path, sha256: str) -> Catalog:
    """The table in a file. Raises TableError."""
    try:
        return checked(path.read_bytes(), sha256)
    except OSError as fault:
        raise TableError(f"{path} cannot be read: {fault.strerror}") from fault


def refuse_a_step_back(newer: Catalog, in_force: Catalog) -> None:
    """Raise TableError where a table is older than the one in force, or has lost many of its models."""
    if newer.date < in_force.date:
        raise TableError(f"it is of {newer.date}, and the one in force of {in_force.date}: an older table is not taken")
    models, before = _models(newer), _models(in_force)
    if models < before * _LEAST_KEPT:
        raise TableError(
            f"it has {number(models, 'model')}, and the one in force {before:,}: something is missing in it"
        )


def _models(catalog: Catalog) -> int:
    return sum(len(provider.models) for provider in catalog.providers.values())


def as_yaml(file: str, sha256: str) -> str:
    """The entry of a file of prices that chooses a table."""
    return f"table:\n  file: {json.dumps(file)}\n  sha256: {sha256}\n"


def pin_of(entries: dict[str, Any]) -> tuple[str, str]:
    """File and digest of such an entry. Raises TableError."""
    file, sha256 = (str(getattr(entries.get(key), "value", "")) for key in ("file", "sha256"))
    if not file or len(sha256) != hashlib.sha256().digest_size * 2:
        raise TableError('expected "file: PATH" and "sha256: " with 64 hexadecimal digits')
    return file, sha256
