"""The group of commands. A command is a module of this package that holds a click command of the same name."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Final

import click

#: In the order of the help text. Each is imported when it is asked for: `run` must start fast.
COMMANDS: Final = (
    "run",
    "demo",
    "usage",
    "records",
    "explain",
    "estimate",
    "anomalies",
    "prices",
    "budgets",
    "serve",
    "stack",
    "deliver",
    "ledger",
    "doctor",
    "docs",
)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as mistake:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{mistake.message} Did you mean {near[0]}?", ctx) from mistake

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"costspan.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a module of our own without its command
        return command


@click.command(cls=_Commands, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="costspan", message="%(prog)s %(version)s")
def costspan() -> None:
    """What your LLM calls used and cost, from the ledger on this machine.

    \b
    Exit codes: 0 answered; 1 something is wrong, said on standard error;
    2 the command line is mistaken.
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
