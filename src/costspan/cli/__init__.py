"""The `costspan` command: what was used and what it cost, what a price is, whether all is well."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of the package."""
    from costspan.cli.commands import costspan  # here: whoever asks for a module of this package needs no click

    costspan(prog_name="costspan")
