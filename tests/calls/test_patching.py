"""Putting the watch in and taking it out: in every order of import, never twice, and loudly where it cannot be done."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import subprocess
import sys
import types
import weakref
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest

import bedrock_caller
import ways
from caller import KINDS, Caller
from costspan import instrumentor, names
from costspan.calls import patching
from costspan.calls.description import Client
from costspan.calls.points import PatchedClient, Point
from costspan.clients import CLIENTS, described, dialects
from places import SUPPORT
from provider import Provider
from watching import Watched

# A program that imports, instruments, removes and calls in an order that is given, and tells what was counted.
_PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import ways
from caller import KINDS, Caller
from costspan import instrumentor
from provider import Provider
from watching import Watched

watched = Watched()
with Provider() as provider:
    def call():
        seen = Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert seen[0][0] == "openai.types.chat.chat_completion.ChatCompletion", seen
    for step in {steps!r}:
        if step == "import":
            import openai
        elif step == "install":
            watched.__enter__()
        elif step == "again":
            instrumentor.CostspanInstrumentor().instrument(ledger="off")
        elif step == "remove":
            watched.calls()
            watched.__exit__(None, None, None)
        else:
            call()
    print(len(watched._calls if "remove" in {steps!r}[-2:] else watched.calls()))
"""


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, env=_environ()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _environ() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


ORDERS = [
    (("import", "install", "call"), 1),
    (("install", "import", "call"), 1),
    (("install", "call", "call"), 2),
    (("import", "install", "again", "call"), 1),
    (("install", "again", "import", "call"), 1),
    (("import", "install", "call", "remove", "call"), 1),
    (("install", "remove", "import", "call", "install", "call"), 1),
    (("import", "install", "remove", "install", "call"), 1),
    (("install", "remove", "install", "import", "call"), 1),
]


@pytest.mark.parametrize(("steps", "counted"), ORDERS, ids=[", ".join(steps) for steps, _ in ORDERS])
def test_the_order_of_import_and_installation_does_not_matter(steps: tuple[str, ...], counted: int) -> None:
    """While installed each call is counted once; before and afterwards none is."""
    assert _run(_PROGRAM.format(here=str(SUPPORT), steps=steps)) == str(counted)


def test_starting_imports_no_client_library() -> None:
    """Nor what only some processes need: the engine, the price table, the ledger's database, YAML, the command line."""
    program = """
import sys
from costspan.instrumentor import CostspanInstrumentor
CostspanInstrumentor().instrument(ledger="off")
unwanted = ("openai", "anthropic", "groq", "together", "fireworks", "cerebras", "perplexity", "httpx", "pydantic",
            "sqlite3", "yaml", "click", "rich", "costspan.pricing", "costspan.cli", "costspan.budgets", "costspan.report", "costspan.assembly", "costspan.calls",
            "costspan.scope", "zoneinfo")
print(sorted(name for name in unwanted if name in sys.modules))
"""
    assert _run(program) == "[]"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_a_caller_holds_keeps_working(mode: str, provider: Provider) -> None:
    """Bound methods, raw variants and streams taken while costspan was in work when it is out, and are not counted."""

    async def hold(c: Caller) -> None:
        held.extend([c, c.methods.create, c.methods.with_raw_response.create])
        held.append(await c.create(stream=True))
        watched.__exit__(None, None, None)
        c.look(await c.get(held[1](**c.arguments)))
        c.look(await c.get((await c.get(held[2](**c.arguments))).parse()))
        await c.look_at_each(held[3])

    held: list[Any] = []
    watched = Watched()
    watched.__enter__()
    seen = Caller(KINDS["chat"], provider.url, mode).run(hold)
    assert [kind.rpartition(".")[2] for kind, _ in seen[:2]] == ["ChatCompletion", "ChatCompletion"]
    assert len(seen) == 2 + 11
    with Watched() as again:
        assert not again.calls()


def test_a_method_that_was_patched_by_others_stays_theirs(provider: Provider) -> None:
    """Another wrapper on top of ours survives our removal."""
    base = pytest.importorskip("openai._base_client")
    seen: list[str] = []
    with Watched():
        ours = base.SyncAPIClient.request

        def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append("theirs")
            return ours(self, *args, **kwargs)

        base.SyncAPIClient.request = theirs
    try:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert seen == ["theirs"]
        assert base.SyncAPIClient.request is theirs
    finally:
        base.SyncAPIClient.request = ours


class _Whole:
    def request(self, cast_to: Any, options: Any) -> None: ...

    def _process_response(self, *, response: Any) -> None: ...


class _Moved:
    def ask(self, cast_to: Any, options: Any) -> None: ...


class _Renamed:
    def request(self, cast_to: Any, question: Any) -> None: ...

    def _process_response(self, *, response: Any) -> None: ...


MOVED: list[tuple[str, dict[str, type[Any]], str]] = [
    ("no classes", {}, "there is no class SyncAPIClient where it was expected"),
    ("one class", {"SyncAPIClient": _Whole}, "there is no class AsyncAPIClient where it was expected"),
    ("another method", {"SyncAPIClient": _Moved, "AsyncAPIClient": _Whole}, "SyncAPIClient.request(options=...)"),
    ("another parameter", {"SyncAPIClient": _Whole, "AsyncAPIClient": _Renamed}, "AsyncAPIClient.request(options=...)"),
]


@pytest.mark.parametrize(("holders", "word"), [row[1:] for row in MOVED], ids=[row[0] for row in MOVED])
def test_a_library_whose_methods_have_moved_is_left_alone_and_said_so(
    holders: dict[str, type[Any]], word: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, a health metric and `costspan doctor`; the library itself is not touched."""
    name = "perplexity"
    module = types.ModuleType("perplexity._base_client")
    vars(module).update(holders)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = {kind: dict(vars(holder)) for kind, holder in holders.items()}
    with Watched() as watched:
        assert word in patching.degraded[name]
        assert [point.attributes[names.CLIENT] for point in watched.points(names.DEGRADED)] == [name]
    assert word in caplog.text
    assert {kind: dict(vars(holder)) for kind, holder in holders.items()} == before


def test_a_module_that_comes_late_is_patched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the library was watched and left alone before the program imported that module."""
    (tmp_path / "late_module.py").write_text("class Body:\n    def read(self):\n        return 'text'\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    read: list[str] = []

    def reading(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        read.append(wrapped(*args, **kwargs))
        return read[-1]

    class Late(PatchedClient):
        def points(self) -> tuple[Point, ...]:
            return (Point("late_module", "Body.read", reading),)

    for _ in range(3):
        patching.install(Late(CLIENTS[0], cast("Any", None)))
        patching.remove(CLIENTS[0].name)
    patching.install(Late(CLIENTS[0], cast("Any", None)))
    body = importlib.import_module("late_module").Body()
    assert (body.read(), read) == ("text", ["text"])
    patching.remove(CLIENTS[0].name)
    assert (body.read(), read) == ("text", ["text"])


def test_a_late_module_whose_methods_have_moved_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What else of the library is watched stays so; a point that versions may lack is passed over without a word."""
    (tmp_path / "later_module.py").write_text("class Body:\n    def read(self):\n        return 'text'\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    client = described("cerebras")  # of which nothing else is watched
    name = client.name

    def passing(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    class Later(PatchedClient):
        def points(self) -> tuple[Point, ...]:
            return (
                Point("later_module", "Body.read", passing),
                Point("later_module", "Body.moved", passing),
                Point("later_module", "Body.newer", passing, is_optional=True),
            )

    patching.install(Later(client, cast("Any", None)))
    assert name not in patching.degraded
    importlib.import_module("later_module")
    assert patching.patched[name] == [("later_module", "Body", "read")]
    assert patching.degraded[name] == "Body.moved() is not there"
    assert f"some calls of {name} are not counted: Body.moved() is not there" in caplog.text
    patching.remove(name)


def test_what_was_removed_is_let_go_of() -> None:
    """A module that was waited for holds nothing of those who watched before; an import hook cannot be taken back."""

    class Waiting(PatchedClient):
        def points(self) -> tuple[Point, ...]:
            return (Point("never_imported", "Body.read", self.read),)

        def read(self, wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
            return wrapped(*args, **kwargs)

    waiting = Waiting(CLIENTS[0], cast("Any", None))
    patching.install(waiting)
    patching.remove(CLIENTS[0].name)
    removed = weakref.ref(waiting)
    del waiting
    gc.collect()
    assert removed() is None


def test_a_process_that_starts_and_stops_again_and_again_does_not_grow(provider: Provider) -> None:
    """As the tests of a program do. Functions of libraries hold what watched them last, for coroutines that have not begun."""
    pytest.importorskip("openai")
    begun: list[weakref.ref[Any]] = []
    for _ in range(4):
        with Watched():
            begun.append(weakref.ref(instrumentor.pipeline))
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
    gc.collect()
    assert [pipeline() is None for pipeline in begun[:-1]] == [True] * 3


INTERACTIONS = "google.genai._gaos"
#: How many points a library has, where it is not two classes with two methods each.
_POINTS = {
    "bedrock": 7,
    "mistralai": 2,
    "voyageai": 2,
    "huggingface": 1,
    "azure_inference": 2,
    "xai": 5,
    "google_genai": 6,
    "claude_agent": 2,
    "openai_agents": 1,
    "langchain_mistralai": 2,
}


def _is_installed(client: Client) -> bool:
    try:
        metadata.version(client.distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _imported(client: Client) -> bool:
    """Import what is watched of a library, in the layout that is installed."""
    for module in client.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
            return True
    return False


def test_every_library_of_the_list_is_where_it_is_expected() -> None:
    """The canary: the newest versions that are installed here still have what is patched."""
    missing: list[str] = []
    with Watched():
        for client in filter(_is_installed, CLIENTS):
            assert _imported(client), f"none of {client.modules} can be imported"
            if client.name == "xai":
                importlib.import_module("grpc._interceptor")  # comes with the first connection: two points more
            if client.name == "bedrock":
                pytest.importorskip("aiobotocore.client")  # its twin: three points more
                bedrock_caller.sync_client(
                    "http://127.0.0.1:9"
                ).close()  # before the first of these, nothing is patched
            sockets = {module for socket in client.sockets for module in (socket.module, *dict(socket.lanes))}
            sockets |= {module for _, module, _ in client.uncounted_functions}
            has_interactions = client.name == "google_genai" and importlib.util.find_spec(INTERACTIONS) is not None
            if has_interactions:
                importlib.import_module(f"{INTERACTIONS}.basesdk")  # imported late, and two points more
            found = [place for place in patching.patched.get(client.name, ()) if place[0] not in sockets]
            # Of sockets, test_sockets.py looks.
            # Every layout of a library that some test has imported is watched, not only the first one.
            layouts = sum(module in sys.modules for module in client.modules)
            expected = 8 if has_interactions else layouts * _POINTS.get(client.name, 4)
            if len(found) != expected or client.name in patching.degraded:
                missing.append(f"{client.name}: {patching.degraded.get(client.name)}")
    assert not missing
    assert not patching.patched


@pytest.mark.parametrize(("first", "second"), [("on", "off"), ("off", "on")])
def test_a_disabled_costspan_touches_nothing(first: str, second: str, provider: Provider) -> None:
    """OTEL_COSTSPAN_ENABLED=false: no patch, no pipeline; and it may be installed afterwards."""
    pytest.importorskip("openai")
    for state in (first, second):
        instrumentor.CostspanInstrumentor().instrument(enabled=state == "on", ledger="off")
        try:
            assert bool(patching.patched) == (state == "on")
            assert (instrumentor.pipeline is not None) == (state == "on")
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        finally:
            instrumentor.CostspanInstrumentor().uninstrument()


def test_a_family_that_was_removed_watches_no_more() -> None:
    """What still holds its wrapper passes everything through."""
    family: Any = dialects.patched(CLIENTS[0], None)  # type: ignore[arg-type]  # it is asked for nothing
    family.is_active = False
    assert family.request(lambda: "the answer", None, (), {}) == "the answer"
