"""Write the help texts of the command line into docs/usage.md.

    python scripts/show_help.py [--check]

tests/report/test_cli.py fails when the page shows something else.
"""

from __future__ import annotations

import re

import click
from click.testing import CliRunner

from costspan.cli.commands import costspan
from pages import ROOT, deliver

PAGE = ROOT / "docs" / "usage.md"
BLOCK = re.compile(r"(?<=<!-- )(costspan[^\n]* --help)( -->\n```text\n).*?(?=```)", re.DOTALL)


def shown(page: str) -> str:
    """The page with each help text as the command prints it."""
    return BLOCK.sub(lambda found: found[1] + found[2] + printed(found[1]), page)


def printed(command: str) -> str:
    """What a command line prints on a terminal of 100 columns."""
    words = command.split()[1:]
    text = CliRunner().invoke(costspan, words, prog_name="costspan", terminal_width=100, env={}).output
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def commands(group: click.Group = costspan, name: str = "costspan") -> list[str]:
    """The help command of every command there is."""
    context = click.Context(group, **group.context_settings)
    found = [f"{name} --help"]
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        found += commands(command, f"{name} {word}") if isinstance(command, click.Group) else [f"{name} {word} --help"]
    return found


if __name__ == "__main__":
    deliver({PAGE: shown}, str(__doc__))
