"""The text by which an environment variable would state a Python value."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import tzinfo
from enum import Enum
from typing import cast
from uuid import UUID


def stated(value: object) -> str:
    """The value as text; a list with commas between, pairs as `name=value`. Raises TypeError for what has no such text."""
    if isinstance(value, Enum):
        return stated(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, os.PathLike):
        return os.fsdecode(cast("os.PathLike[str]", value))
    if isinstance(value, str | int | UUID | tzinfo):
        return str(value)
    if isinstance(value, Mapping):
        return stated([*cast("Mapping[object, object]", value).items()])
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(map(_word, cast("Collection[object]", value)))
    raise TypeError


def _word(value: object) -> str:
    if isinstance(value, tuple | list):
        return "=".join(map(stated, cast("Collection[object]", value)))
    return stated(value)
