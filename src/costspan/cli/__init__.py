"""The `costspan` command: what was used and what it cost, what a price is, whether all is well."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the entry point of the package."""
    from costspan.cli.commands import costspan  # here: whoever asks for a module of this package needs no click

    try:
        costspan(prog_name="costspan")
    except SystemExit:
        if not _is_in_a_session():
            raise


def _is_in_a_session() -> bool:
    """Whether IPython runs the command in a notebook's own process (`%run -m costspan`): it shows a traceback for an exit code, and
    what is wrong has been said.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell is not None and shell() is not None
