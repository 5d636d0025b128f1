"""The first thing of ours in every Python below `costspan run`, whichever Python that is.

It is found by PYTHONPATH, in Pythons of any version, with costspan or without (`costspan run uv run agent.py`). With
it, costspan is started: by OpenTelemetry's own start, as under `opentelemetry-instrument`, or alone where there is no
telemetry to set up. Without it, this Python says so when it
imports a client library, and the program runs on as it would alone.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(os.path.dirname(_HERE))


def _start() -> None:
    sys.path[:] = [place for place in sys.path if place != _HERE]
    try:
        _run_the_next_one()
    finally:
        if _has_costspan():
            _instrument()
        else:
            sys.meta_path.insert(0, _Teller())


def _run_the_next_one() -> None:
    """The environment's own sitecustomize, which this one stands before."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _has_costspan() -> bool:
    """Whether costspan is installed in this Python: a folder of that name on its path is not."""
    try:
        from importlib.metadata import distribution

        distribution("costspan")
    except ImportError:  # what a distribution that is not there raises too
        return False
    return True


def _instrument() -> None:
    """Start costspan. What is started meanwhile is not to start the same again."""
    path = os.environ.get("PYTHONPATH", "")
    places = [place for place in path.split(os.pathsep) if place != _HERE]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    try:
        _start_alone() if os.environ.get("_COSTSPAN_ALONE") else _start_with_telemetry()
    finally:
        os.environ["PYTHONPATH"] = path


def _start_with_telemetry() -> None:
    from opentelemetry.instrumentation.auto_instrumentation import initialize  # pyright: ignore[reportMissingTypeStubs]

    initialize()


def _start_alone() -> None:
    """Set nothing up that the program may want to set up itself, and put in no other instrumentation."""
    switched_off = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    if not {"costspan", "*"} & {name.strip() for name in switched_off}:
        from costspan.instrumentor import CostspanInstrumentor

        CostspanInstrumentor().instrument()


class _Teller:
    """Sees what is imported, and finds nothing itself."""

    def __init__(self) -> None:
        self._libraries = _libraries()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Say that calls with this library are not counted, the first time."""
        del path, target
        library = self._libraries.pop(name, None)
        if library is not None:
            sys.stderr.write(
                f"costspan: {sys.executable} has no costspan, so its calls with {library} are not counted: install "
                "costspan there (uv add costspan, uv run --with costspan, pip install costspan)\n"
            )
            _leave_note(library)


def _libraries() -> "dict[str, str]":
    """The modules of client libraries, by the table that costspan has of them."""
    table: "dict[str, dict[str, str]]" = {}
    with open(os.path.join(_PACKAGE, "clients", "libraries.py"), encoding="utf-8") as file:
        exec(compile(file.read(), file.name, "exec"), table)
    waited_for = {name: module for name, module in table["WAITED_FOR"].items() if name not in table["SERVICES"]}
    found = {module.partition("._")[0]: name for name, module in waited_for.items()}
    found.update((module, name) for name, modules in table["OTHER_MODULES"].items() for module in modules)
    found.update(table["NOT_WATCHED"])
    return found


def _leave_note(library: str) -> None:
    """As costspan/ledger/notes.py does, where `costspan run` said that there is a place."""
    import contextlib
    import json
    import time

    place = os.environ.get("_COSTSPAN_NOTES", "")
    words = getattr(sys, "orig_argv", ())  # of these the name of the program's file is kept, and nothing else
    program = next((os.path.basename(word) for word in words if word.endswith(".py")), "python")
    note = {
        "kind": "without-costspan",
        "at": time.time(),
        "program": program,
        "library": library,
        "python": sys.executable,
    }
    with contextlib.suppress(OSError):
        written = os.path.join(place, f".{os.getpid()}")
        with os.fdopen(os.open(written, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(note, file)
        os.replace(written, os.path.join(place, f"without-costspan.{library}"))


if __name__ == "sitecustomize":
    _start()
