"""`costspan run COMMAND`: start a program so that its LLM calls are counted, with nothing else to set up.

The program is started by OpenTelemetry's own launcher, `opentelemetry-instrument`. Where the environment names no
OTLP endpoint, telemetry has nowhere to go: its exporters are switched off (by default they would knock at a port
where no one listens, at every interval and at exit) and the ledger takes the record.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

LAUNCHER: Final = "opentelemetry-instrument"
SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
#: The shell's word for a command that is not there.
NOT_FOUND: Final = 127
_HAS_COSTSPAN: Final = "import sys, importlib.util; sys.exit(importlib.util.find_spec('costspan') is None)"


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
    added = embedded_defaults(os.environ)
    line = [launcher(), *command]
    if show:
        click.echo(" ".join([*(f"{name}={value}" for name, value in added.items()), shlex.join(line)]))
        return
    program = shutil.which(command[0])
    if program is None:
        raise _NotFound(command[0])
    if not _is_watched(Path(program)):
        click.echo(_elsewhere(program), err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(line[0], line, {**os.environ, **added})  # noqa: S606  (the user's own command is the point)


def embedded_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to an environment: no exporter for a signal that was given none and has no endpoint.

    Exporters: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection.
    A configuration file (OTEL_CONFIG_FILE) takes the place of all these variables; then nothing is added.
    """
    if environ.get("OTEL_CONFIG_FILE") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return {}
    return {
        f"OTEL_{signal}_EXPORTER": "none"
        for signal in SIGNALS
        if not environ.get(f"OTEL_{signal}_EXPORTER") and not environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    }


class _NotFound(click.ClickException):
    exit_code = NOT_FOUND

    def __init__(self, name: str) -> None:
        hint = f"; for a Python file write: costspan run python {name}" if Path(name).is_file() else ""
        super().__init__(f'"{name}" is no command on the PATH and no executable file{hint}')


def launcher() -> str:
    """The launcher of the environment that costspan is installed in, whatever the PATH says."""
    places = [Path(sys.executable).parent, Path(sys.argv[0]).absolute().parent, os.environ.get("PATH", "")]
    found = shutil.which(LAUNCHER, path=os.pathsep.join(map(str, places)))
    if found is None:
        raise click.ClickException(
            f"{LAUNCHER} is missing beside {sys.executable}: install opentelemetry-instrumentation there"
        )
    return found


def _is_watched(program: Path) -> bool:
    """False if the program surely runs on a Python that has no costspan."""
    python = _python_of(program)
    if python is None or python.parent == Path(sys.executable).parent:
        return True
    try:
        probe = subprocess.run([python, "-c", _HAS_COSTSPAN], check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return True  # it will not start either, and say so better than we can
    return probe.returncode != 1


def _python_of(program: Path) -> Path | None:
    """The Python that a program runs on: itself, or the one its first line names; None for other programs."""
    if _is_python(program):
        return program
    with program.open("rb") as file:
        first = file.readline(1_000)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if len(words) > 1 and Path(words[0]).name == "env":
        words = [shutil.which(words[-1]) or ""]
    return Path(words[0]) if words and _is_python(Path(words[0])) else None


def _is_python(path: Path) -> bool:
    return re.fullmatch(r"python[\d.]*", path.name) is not None


def _elsewhere(program: str) -> str:
    return (
        f"costspan: {program} runs on a Python without costspan, so its calls are not counted. Activate the "
        f"environment of {sys.executable}, or install costspan into the other one."
    )
