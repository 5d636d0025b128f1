"""Where the documentation, the examples and the files of the stack lie: in a wheel beside this file, in a checkout at its root.

Both places have the same layout, so `docs/pricing.md` is a path below either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

#: pyproject.toml puts them there when a wheel is built: there is one source of each file, the repository.
_PLACES: Final = (Path(__file__).parent / "shipped", Path(__file__).parents[3])
_MARK: Final = "docker-compose.yml"


def root() -> Path:
    """The folder that holds `docs`, `examples`, `prometheus` and so on. Ends the command where there is none."""
    for place in _PLACES:
        if (place / _MARK).is_file():
            return place
    raise click.ClickException(f"{_PLACES[0]} is missing: install costspan again, from a wheel or a whole checkout")
