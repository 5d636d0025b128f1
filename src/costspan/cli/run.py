"""`costspan run COMMAND`: start a program so that its LLM calls are counted, with nothing else to set up.

Every Python below the command begins with cli/starting/sitecustomize.py. Where the environment says where telemetry
goes, that does what OpenTelemetry's own launcher, `opentelemetry-instrument`, has a Python do. Where it does not, the
program is watched and the ledger takes the record: no provider of OpenTelemetry is set up and nobody else's
instrumentation is put in, so that what the program itself sets up is what it would be without us.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from costspan.ledger import notes
from costspan.ledger.place import NoHome

SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
#: Whoever sets one of these has set all of OpenTelemetry up.
_WHOLE: Final = (
    "OTEL_CONFIG_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_PYTHON_CONFIGURATOR", "OTEL_PYTHON_DISTRO",
)  # fmt: skip
#: The shell's word for a command that is not there.
NOT_FOUND: Final = 127
_STARTING: Final = Path(__file__).parent / "starting"
#: Options of Python with which it heeds no PYTHONPATH, or no sitecustomize: nothing can be counted then.
_DEAF: Final = frozenset("ESI")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--show", is_flag=True, help="Print the command with the variables it would get, and start nothing.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], *, show: bool) -> None:
    """Start COMMAND so that its LLM calls are counted.

    Without an OTLP endpoint in the environment, calls go to the ledger and nothing is sent anywhere. With one,
    telemetry goes there. A variable that you have set is never changed; signals and the exit code are the
    program's own.

    \b
    costspan run python agent.py
    costspan run python -m my.agent --port 8000
    costspan run pytest tests/
    """  # noqa: D301  (\b is click's sign for "leave these lines as they are")
    added = added_variables(os.environ)
    if show:
        click.echo(" ".join([*(f"{name}={value}" for name, value in added.items()), shlex.join(command)]))
        return
    program = shutil.which(command[0])
    if program is None:
        raise _NotFound(command[0])
    if _is_deaf(Path(program), command[1:]):
        click.echo(_NOT_HEARD, err=True)
    notes.leave(notes.STARTED, program=_name(command))
    sys.stdout.flush()
    sys.stderr.flush()
    # The name as it was typed: a Python finds its environment by it.
    os.execve(program, [*command], {**os.environ, **added})  # noqa: S606  (the user's own command is the point)


def added_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which each Python below begins with our sitecustomize, and where telemetry goes."""
    path = [place for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    added = embedded_defaults(environ)
    added["PYTHONPATH"] = os.pathsep.join([str(_STARTING), *(place for place in path if place != str(_STARTING))])
    with contextlib.suppress(NoHome):
        added["_COSTSPAN_NOTES"] = str(notes.directory(environ))
    return added


def _name(command: tuple[str, ...]) -> str:
    """The program's file among the words of a command: nothing else of it is kept."""
    return Path(next((word for word in command if word.endswith(".py")), command[0])).name


def embedded_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to an environment that does not say where every signal goes.

    Exporters: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection.
    If it says so of none, our sitecustomize is told to start costspan alone. If of some, the others get no exporter: by
    default one would send to a port where no one listens. A configuration file (OTEL_CONFIG_FILE) takes the place of
    all these variables, and whoever chooses a configurator or a distro wants it: then nothing is added.
    """
    if any(environ.get(name) for name in _WHOLE):
        return {}
    exporters = {signal: environ.get(f"OTEL_{signal}_EXPORTER", "").strip() for signal in SIGNALS}
    open_ones = [
        signal
        for signal in SIGNALS
        if not exporters[signal] and not environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    ]
    if all(signal in open_ones or exporters[signal] == "none" for signal in SIGNALS):
        return {"_COSTSPAN_ALONE": "1"}
    return {f"OTEL_{signal}_EXPORTER": "none" for signal in open_ones}


class _NotFound(click.ClickException):
    exit_code = NOT_FOUND

    def __init__(self, name: str) -> None:
        hint = f"; for a Python file write: costspan run python {name}" if Path(name).is_file() else ""
        super().__init__(f'"{name}" is no command on the PATH and no executable file{hint}')


def _is_deaf(program: Path, words: tuple[str, ...]) -> bool:
    """Whether a Python is told to heed nothing of its environment."""
    if re.fullmatch(r"python[\d.]*", program.name) is None:
        return False
    for word in words:
        if not word.startswith("-") or word in {"-", "-c", "-m"}:
            return False
        if not word.startswith("--") and _DEAF & set(word):
            return True
    return False


_NOT_HEARD: Final = (
    "costspan: with -E, -I or -S this Python heeds neither PYTHONPATH nor sitecustomize, so its calls are not counted. "
    "Leave the option out, or have the program call costspan's instrument() itself."
)
