"""Files of the repository as they are written where there is no repository: what they name is there, or an absolute link leads to it."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Final

#: The budgets that prometheus/rules is compiled from: written as a file of the user's own, with its schema beside it.
BUDGETS: Final = "budgets.yaml"
SCHEMA: Final = "budgets.schema.json"
_REPOSITORY: Final = "https://github.com/costspan/costspan/blob"
_LINK: Final = re.compile(r"(?<!!)(\[[^\]]*\])\((?![a-z]+:|#)([^)#\s]+)([^)\s]*)\)")
_OF_BUDGETS: Final[Mapping[str, str]] = {
    "$schema=../../src/costspan/budgets/budgets.schema.json": f"$schema={SCHEMA}",
    "costspan budgets compile examples/budgets/budgets.yaml --out prometheus": (
        "costspan budgets compile budgets.yaml --out prometheus --receivers prometheus/receivers.yml"
    ),
}


def adapted(name: str, content: bytes, written: Collection[str]) -> bytes:
    """The content of a file of this name, beside files of the names that are `written`."""
    if name == BUDGETS:
        text = content.decode()
        for said, meant in _OF_BUDGETS.items():
            text = text.replace(said, meant)
        return text.encode()
    if not name.endswith(".md"):
        return content
    folder = PurePosixPath(name).parent

    def link(found: re.Match[str]) -> str:
        place = os.path.normpath(folder / found[2])
        is_there = place in written or any(each.startswith(f"{place}/") for each in written)
        return found[0] if is_there else f"{found[1]}({_REPOSITORY}/v{version('costspan')}/{place}{found[3]})"

    return _LINK.sub(link, content.decode()).encode()
