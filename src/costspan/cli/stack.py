"""`costspan stack`: the files with which Collector, Prometheus, Alertmanager and Grafana run on one machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from costspan.alerting import compiled
from costspan.cli import adapting, docs, shipped
from costspan.facts.counting import number

#: What `docker compose` needs, with the example that it can run, and the manifests for Kubernetes, which use the same files.
_PARTS: Final = (
    "docker-compose.yml", "collector-config", "prometheus", "grafana/dashboards", "grafana/provisioning",
    "stack/password.py", "stack/webhook.py", "stack/kubernetes", "examples/agent",
)  # fmt: skip
#: The budgets that prometheus/rules is compiled from: a file of the user's own, to be edited.
_BUDGETS: Final = "examples/budgets/budgets.yaml"
#: What the user's limits and addresses are said in, and all that is compiled from them.
_SOURCES: Final = (adapting.BUDGETS, "prometheus/receivers.yml")
_COMPILED: Final = frozenset(f"prometheus/{name}" for name in compiled.NAMES)
#: What a user edits.
_OWN: Final = (*_SOURCES, "prometheus/targets/")
_UNWANTED: Final = {"__pycache__", ".pint.hcl"}
_MOST_NAMED: Final = 5
_FOLDER_MODE: Final = 0o755
_FILE_MODE: Final = 0o644


@click.group()
def stack() -> None:
    """Files of Collector, Prometheus, Alertmanager and Grafana."""


@stack.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--overwrite", is_flag=True, help="Replace files that are there and differ.")
def init(directory: Path, *, overwrite: bool) -> None:
    """Write the files of the stack into DIRECTORY.

    A compose file, configurations, rules, dashboards, routes, budgets.

    Nothing is written where one of the files is there already and differs, unless --overwrite says so. budgets.yaml,
    prometheus/receivers.yml and prometheus/targets are yours from then on: no later call replaces them, nor what is
    compiled from yours.
    """
    try:
        shown = dict(_files(shipped.root()))
        every = {name: adapting.adapted(name, content, shown) for name, content in shown.items()}
        is_own = any(_differs(directory / name, every[name]) for name in _SOURCES)
        files = {name: content for name, content in every.items() if not _is_kept(directory, name, is_own=is_own)}
        differing = [name for name, content in files.items() if _differs(directory / name, content)]
        if differing and not overwrite:
            raise click.ClickException(_refusal(directory, differing))
        for name, content in files.items():
            _write(directory, name, content)
    except OSError as fault:
        raise click.ClickException(f"the files of the stack cannot be written: {fault}") from fault
    click.echo(f"Wrote {number(len(files), 'file')} to {directory}.\n")
    if is_own:
        click.echo(
            "Rules and routes of your own budgets and receivers were kept. Compile them with this version, as below.\n"
        )
    click.echo("\n".join(_next_steps(directory)))


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for part in _PARTS:
        start = root / part
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            inside = path.relative_to(root)
            if path.is_file() and not _UNWANTED.intersection(inside.parts):
                yield inside.as_posix(), path.read_bytes()
    yield adapting.BUDGETS, (root / _BUDGETS).read_bytes()
    yield adapting.SCHEMA, docs.source(root, docs.FILES["schema"][0]).read_bytes()
    # Read by docker compose: the example agent installs this release, as there is no source beside it.
    yield ".env", f"COSTSPAN=costspan=={version('costspan')}\n".encode()


def _is_kept(directory: Path, name: str, *, is_own: bool) -> bool:
    return (name.startswith(_OWN) or (is_own and name in _COMPILED)) and (directory / name).exists()


def _differs(path: Path, content: bytes) -> bool:
    return path.exists() and (not path.is_file() or path.read_bytes() != content)


def _refusal(directory: Path, differing: list[str]) -> str:
    rest = len(differing) - _MOST_NAMED
    names = ", ".join(differing[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return (
        f"nothing was written: {directory} has {number(len(differing), 'file')} of other content: {names}. "
        "Name another directory, or replace them with --overwrite"
    )


def _write(directory: Path, name: str, content: bytes) -> None:
    """Readable by all, whatever the umask: the containers run as users of their own."""
    path = directory / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    for place in (directory, *(directory / folder for folder in reversed(Path(name).parents[:-1]))):
        if not place.is_dir():
            place.mkdir()
            place.chmod(_FOLDER_MODE)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    path.chmod(_FILE_MODE)


def _next_steps(directory: Path) -> list[str]:
    compose = f"docker compose --project-directory {shlex.quote(str(directory))}"
    send: Mapping[str, str] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }  # fmt: skip
    return [
        "Start it, and look at http://localhost:3000 (Grafana):",
        f"  {compose} up --detach",
        "Fill it with the calls of an example, without a key:",
        f"  {compose} run --rm agent",
        "Send the calls of a program of yours:",
        f"  export {' '.join(f'{name}={value}' for name, value in send.items())}",
        "  costspan run python your_agent.py",
        "Set your own limits, also after --overwrite: edit budgets.yaml there, then, in that directory:",
        "  costspan budgets compile budgets.yaml --out prometheus --receivers prometheus/receivers.yml",
        "More: costspan docs stack",
    ]
