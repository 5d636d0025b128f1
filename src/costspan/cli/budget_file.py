"""A budgets.yaml that a command is given: read, its mistakes and doubts told with their lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from costspan.budgets.policy import Policy, PolicyError
from costspan.budgets.reading import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from costspan.budgets.doubts import Doubt

argument = click.argument("file", type=click.Path(path_type=Path))


def read(file: Path) -> Policy:
    """The budgets of the file; says its mistakes and leaves with 1 where there are any."""
    try:
        return load(file)
    except PolicyError as fault:
        refuse(str(fault).splitlines())
        raise


def refuse(mistakes: Sequence[str]) -> None:
    """Say the mistakes and leave with 1; go on where there are none."""
    for mistake in mistakes:
        click.echo(mistake, err=True)
    if mistakes:
        sys.exit(1)


def tell(file: Path, found: Iterable[Doubt]) -> None:
    """What may be meant otherwise, each with its line; nothing is refused for it."""
    for doubt in found:
        click.echo(f"{file}:{doubt.line}: {doubt.key}: {doubt.said}", err=True)
