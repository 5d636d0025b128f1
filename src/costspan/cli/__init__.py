"""The `costspan` command: what was used and what it cost, what a price is, whether all is well."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line; the entry point of the package."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.exit(f"costspan: the command line needs {' and '.join(missing)}: pip install 'costspan[cli]'")
    from costspan.cli.commands import costspan  # here, because it needs click

    costspan(prog_name="costspan")
