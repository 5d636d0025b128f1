"""What `costspan doctor` says about this Python: the launcher, the client libraries, what else watches them."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from packaging.specifiers import SpecifierSet

from costspan import guard
from costspan.calls import patching
from costspan.calls.description import Client
from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.clients import CLIENTS, described, dialects
from costspan.clients.libraries import HTTP_CLIENTS, NOT_WATCHED, REMARKS
from costspan.emit.pipeline import Pipeline
from costspan.pricing.opener import LazyPrices
from costspan.settings import OTEL_COSTSPAN_HTTP_CLIENTS, Settings

_LAUNCHER: Final = "opentelemetry-instrument"
# Distributions that watch LLM calls too, by the beginning of their names.
_NEIGHBOURS: Final = re.compile(
    r"opentelemetry-instrumentation-(genai-|openai|anthropic|groq|together|mistral|cohere|bedrock|google-gen|vertexai|"
    r"ollama|litellm|langchain|llamaindex|botocore)|opentelemetry-util-genai|openinference-instrumentation|traceloop-sdk|"
    r"openlit$|logfire$|langfuse$|agentops$|litellm$|ddtrace$|opik$|langsmith$|weave$|mlflow$|braintrust$|helicone"
)


def launcher(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the standard launcher finds and starts costspan in this Python."""
    topic = "launcher"
    places = [str(Path(sys.executable).parent), environ.get("PATH", "")]
    if not any(shutil.which(_LAUNCHER, path=place) for place in places):
        yield Finding(topic, WRONG, f"{_LAUNCHER} is not there: pip install opentelemetry-instrumentation")
    found = {entry.name for entry in metadata.entry_points(group="opentelemetry_instrumentor")}
    if "costspan" not in found:
        yield Finding(
            topic, WRONG, f"costspan is not installed in {sys.prefix} as a package: the launcher cannot find it"
        )
        return
    disabled = {name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    if disabled & {"costspan", "*"}:
        yield Finding(topic, WRONG, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS switches costspan off")
    else:
        yield Finding(topic, OK, f"{_LAUNCHER} starts costspan {metadata.version('costspan')} in {sys.prefix}")


def parts(settings: Settings) -> Iterator[Finding]:
    """The parts of costspan, put together as in a program but for prices and ledger: those that fail, by name."""
    before = dict(guard.degraded)
    pipeline = guard.part(
        "pipeline",
        lambda: Pipeline(
            settings, prices=LazyPrices(), ledger=None, tracer_provider=None, meter_provider=None, logger_provider=None
        ),
    )
    if pipeline is not None:
        pipeline.close()
    for part, reason in guard.degraded.items():
        if part not in before:
            yield Finding("parts", WRONG, f"{part}: cannot be set up, everything else goes on: {reason}")


def clients(watched: Iterable[Client] = CLIENTS) -> Iterator[Finding]:
    """The client libraries of this Python: version, tested or not, and whether they can be watched as intended."""
    absent: list[str] = []
    for client in watched:
        version = _version(client.distribution)
        if version is None:
            absent.append(client.distribution)
        else:
            yield _client(client, version)
    if absent:
        yield Finding("clients", NOTE, f"not installed in this Python: {', '.join(absent)}")


def http_clients(settings: Settings) -> Iterator[Finding]:
    """The same of the HTTP libraries, where the settings have them watched."""
    if settings.http_clients:
        yield from clients(map(described, HTTP_CLIENTS))


def not_watched(known: Mapping[str, str] = NOT_WATCHED) -> Iterator[Finding]:
    """Installed libraries that call LLMs and are not watched, and what hides costspan from a program started here."""
    here = set(_distributions())
    found = [name for name in dict.fromkeys(known.values()) if name.lower().replace("_", "-") in here]
    if found:
        named = ", ".join(f"{name} {_version(name) or ''}".strip() for name in found)
        remarks = [f"{name}: {REMARKS[name]}" for name in found if name in REMARKS]
        more = f" ({'; '.join(remarks)})" if remarks else ""
        yield Finding(
            "clients",
            NOTE,
            f"installed and not watched: {named}: calls made with them are not counted{more}; "
            f"{OTEL_COSTSPAN_HTTP_CLIENTS}=true counts what they send by the protocols of OpenAI and Anthropic",
        )
    for hiding in (Path("costspan", "__init__.py"), Path("costspan.py")):
        if hiding.is_file():
            yield Finding(
                "launcher", WRONG,
                f"{hiding.absolute()} hides the installed costspan from programs started here by {_LAUNCHER} or python -m: "
                "rename it, or start them elsewhere",
            )  # fmt: skip


# How the launcher is told which one to take.
_CHOSEN_BY: Final = {
    "opentelemetry_distro": "OTEL_PYTHON_DISTRO",
    "opentelemetry_configurator": "OTEL_PYTHON_CONFIGURATOR",
}
_TAKES_EVERY_SPAN: Final = (
    "langfuse exports every span with gen_ai attributes, costspan's too: where a generation of its own is neither current nor "
    "begun by langfuse.openai (start_observation), a call is in it twice. Keep ours out by OTEL_COSTSPAN_SPANS=false, or by "
    'Langfuse(should_export_span=...) that refuses the scope "costspan"'
)


def neighbours() -> Iterator[Finding]:
    """Other packages that watch LLM calls in this Python, and what decides over the SDK."""
    beside = sorted({name for name in _distributions() if _NEIGHBOURS.match(name)})
    if beside:
        yield Finding(
            "neighbours", NOTE,
            f"also installed: {', '.join(beside)}. Where they open a span for a call, costspan writes on it and opens none; "
            "its counters and its ledger stay its own",
        )  # fmt: skip
    if "langfuse" in beside:
        yield Finding("neighbours", NOTE, _TAKES_EVERY_SPAN)
    for group, variable in _CHOSEN_BY.items():
        brought = [(entry.name, entry.dist.name) for entry in metadata.entry_points(group=group) if entry.dist]
        if len(brought) > 1:
            yield Finding("neighbours", NOTE, _several(group, variable, brought))


def _several(group: str, variable: str, brought: list[tuple[str, str]]) -> str:
    """Who sets the SDK up where several packages would, and how to choose: docs/decisions/0007-distro.md."""
    names = [name for name, _ in brought]
    owners = " and ".join(f"{owner} ({name})" for name, owner in brought)
    choice = f"choose by {variable} ({' or '.join(names)})"
    if len(set(names)) < len(names):
        choice = (
            "some share a name, so no variable can choose: uninstall what you do not want, e.g. opentelemetry-distro"
        )
    return f"{owners} each bring an {group}; unless told, the launcher takes the first it finds: {choice}"


def _distributions() -> Iterator[str]:
    for distribution in metadata.distributions():
        name: str | None = distribution.metadata["Name"]
        if name:
            yield name.lower().replace("_", "-")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _client(client: Client, version: str) -> Finding:
    named = f"{client.distribution} {version}"
    fault = _fault(client)
    if fault:
        return Finding("clients", WRONG, f"{named} is not watched, its calls are not counted: {fault}")
    is_tested = SpecifierSet(client.versions).contains(version, prereleases=True)
    kinds = " and ".join(dict.fromkeys(kind for _, kind, _ in patching.patched[client.name]))
    points = f"{kinds} ({patching.patched[client.name][0][0]})"
    patching.remove(client.name)
    if is_tested:
        return Finding("clients", OK, f"{named} is of the tested versions ({client.versions}) and watched at {points}")
    sentence = f"{named} is watched at {points}, but was not tested: tested are {client.versions}"
    return Finding("clients", NOTE, sentence)


def _fault(client: Client) -> str:
    """Put the watch in, as costspan does in a program; why that failed."""
    if not any(map(_import, client.modules)):
        return f"its module {client.module} cannot be imported"
    recorder: Any = SimpleNamespace(told_apart=lambda: None)  # of no call: no LLM is called here
    patching.install(dialects.patched(client, recorder))
    if client.name in patching.patched:
        return ""
    return patching.degraded.get(client.name, "its methods are not where they were expected")


@guard.guarded("doctor.import")
def _import(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True
