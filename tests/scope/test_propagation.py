"""Threads, pools and processes: the attribution goes along by itself, and nothing else changes."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextvars
import json
import multiprocessing.dummy
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel

from costspan.facts.attribution import NOBODY
from costspan.scope import (
    attribution,
    current,
    defaults,
    environment,
    forget_defaults,
    install_carry,
    propagation,
    remove_carry,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """Carrying is on, and everything is as before at the end."""
    before = [original(*point) for point in propagation._POINTS]
    install_carry()
    yield
    remove_carry()
    forget_defaults()
    assert [original(*point) for point in propagation._POINTS] == before
    assert current() == NOBODY


def original(module: str, owner: str, method: str, _wrapper: object) -> object:
    return getattr(sys.modules[module], owner).__dict__[method] if module in sys.modules else None


def session() -> str | None:
    return current().session


def any_session(*_items: object) -> str | None:
    return session()


def run(thread: threading.Thread) -> None:
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads are given a context from Python 3.14 on")
def test_a_thread_that_is_given_a_context_has_what_stands_there() -> None:
    """Whoever says in which context a thread runs has said whom it is for; in one that it is not given, a scope ends with it."""
    seen: list[str | None] = []
    with attribution(session="theirs"):
        theirs = contextvars.copy_context()
    with attribution(session="s"):
        given: Any = {"context": theirs}
        run(threading.Thread(target=lambda: seen.append(session()), **given))
        given = {"context": contextvars.Context()}
        run(threading.Thread(target=lambda: seen.append(session()), **given))
        ended = threading.Thread(target=lambda: seen.append(session()))
        run(ended)
    assert seen == ["theirs", None, "s"]
    context: Any = vars(ended)["_context"]
    assert context.run(session) is None  # whoever keeps the thread keeps no scope with it


class OwnRun(threading.Thread):
    """A thread after the older manner, which never calls Thread.run."""

    def __init__(self, seen: list[str | None]) -> None:
        super().__init__(daemon=True)
        self.seen = seen

    def run(self) -> None:
        self.seen.append(session())


def test_a_thread_carries_what_was_current_at_its_start() -> None:
    """Not where it was made, and also where the scope ends before it runs; with a target, a run of its own, a timer."""
    seen: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: seen.append(session())),
        threading.Thread(target=partial(lambda: seen.append(session()))),
        OwnRun(seen),
        threading.Timer(0, lambda: seen.append(session())),
        multiprocessing.dummy.Process(target=lambda: seen.append(session())),
    ]
    for thread in threads:
        with attribution(session="s"):
            thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == ["s"] * 5


def test_a_thread_carries_on_to_its_own_threads() -> None:
    """A thread started by a carried thread carries too."""
    seen: list[str | None] = []
    with attribution(session="s"):
        run(threading.Thread(target=lambda: run(OwnRun(seen))))
    assert seen == ["s"]


def test_only_the_attribution_goes_along() -> None:
    """The rest of the OpenTelemetry context stays where it is, as it would without us."""
    seen: list[object] = []
    token = otel.attach(baggage.set_baggage("theirs", "x"))
    with attribution(session="s"):
        run(threading.Thread(target=lambda: seen.append(dict(baggage.get_all()))))
    otel.detach(token)
    assert seen == [{}]


def test_a_thread_looks_and_fails_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start raises what it raises, and the hook for uncaught exceptions gets the program's own frames last."""
    uncaught: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", uncaught.append)

    def fail() -> None:
        msg = "own"
        raise ValueError(msg)

    thread = threading.Thread(target=fail)
    with attribution(session="s"):
        run(thread)
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
    [told] = uncaught
    frames = [frame.name for frame in traceback.extract_tb(told.exc_traceback)]
    assert frames == ["_bootstrap_inner", "run", "fail"]


POOLS = [ThreadPoolExecutor, ThreadPool]


def give(pool: Any, function: Any) -> Any:
    """The result of a task, whatever the kind of the pool."""
    return pool.submit(function).result(10) if hasattr(pool, "submit") else pool.apply_async(function).get(10)


@pytest.mark.parametrize("kind", POOLS)
def test_a_task_carries_what_was_current_when_it_was_given(kind: Any) -> None:
    """Each task its own, and none that of the task that happened to start the worker."""
    with kind(1) as pool:
        with attribution(session="starts the worker"):
            assert give(pool, session) == "starts the worker"
        assert give(pool, session) is None
        with attribution(session="other"):
            assert give(pool, session) == "other"


@pytest.mark.parametrize("method", ["map", "starmap", "imap", "imap_unordered", "map_async", "starmap_async"])
def test_every_way_to_give_tasks_to_a_pool(method: str) -> None:
    """All methods of multiprocessing's pools carry."""
    with ThreadPool(2) as pool, attribution(session="s"):
        items: list[Any] = [(1,), (2,)]
        result: Any = getattr(pool, method)(any_session, items)
        assert list(result.get(10) if method.endswith("async") else result) == ["s", "s"]


def test_a_task_given_by_keyword() -> None:
    """`apply_async(func=...)` carries as well."""
    with ThreadPool(1) as pool, attribution(session="s"):
        assert pool.apply_async(func=session).get(10) == "s"


def test_a_failing_task_fails_as_ever() -> None:
    """The exception is the program's own object, with the program's own frame last."""
    fault = ValueError("own")

    def fail() -> None:
        raise fault

    with ThreadPoolExecutor(1) as pool, attribution(session="s"):
        caught = pool.submit(fail).exception(10)
        refused = pool.submit(cast("Any", 5)).exception(10)
    assert caught is fault
    assert traceback.extract_tb(fault.__traceback__)[-1].name == "fail"
    assert str(refused) == "'int' object is not callable"


async def test_asyncio_carries_into_its_threads() -> None:
    """`to_thread`, `run_in_executor` and `call_soon_threadsafe` belong to the scope they are called in."""
    loop = asyncio.get_running_loop()
    with attribution(session="s"):
        assert await asyncio.to_thread(session) == "s"
        assert await loop.run_in_executor(None, session) == "s"
    assert await loop.run_in_executor(None, session) is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup came with Python 3.11")
async def test_a_task_group_carries() -> None:
    """Tasks of a group belong to the scope they are created in."""

    async def of_task() -> str | None:
        await asyncio.sleep(0)
        return session()

    async with asyncio.TaskGroup() as group:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        tasks: list[asyncio.Task[str | None]] = []
        for name in ("a", "b"):
            with attribution(session=name):
                tasks.append(group.create_task(of_task()))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    assert [task.result() for task in tasks] == ["a", "b"]


def test_defaults_need_no_luggage() -> None:
    """Where nothing but the defaults is current, a task goes as it was given: they hold in every thread."""

    def caller() -> str:
        return sys._getframe(1).f_code.co_name

    defaults(team="t")
    with ThreadPoolExecutor(1) as pool:
        assert give(pool, caller) == "run"
        with attribution(session="s"):
            assert give(pool, caller) == "__call__"


def test_install_and_remove_in_any_order() -> None:
    """Twice in is once in; out is out; in again works; a wrapper that another put on top stays and is harmless."""
    install_carry()
    install_carry()
    patched = threading.Thread.start
    assert not hasattr(patched.__wrapped__, "__wrapped__")  # pyright: ignore[reportFunctionMemberAccess]

    def on_top(self: threading.Thread) -> None:
        patched(self)

    threading.Thread.start = on_top
    remove_carry()
    assert threading.Thread.start is on_top
    seen: list[str | None] = []
    with attribution(session="s"):
        run(OwnRun(seen))
    install_carry()
    with attribution(session="s"):
        run(OwnRun(seen))
    assert seen == [None, "s"]
    threading.Thread.start = patched


def test_a_missing_method_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Where a Python has moved what we patch, it is said, with the way out."""
    propagation._patch(threading, "Thread", "moved_elsewhere", propagation._run_thread)
    [record] = caplog.records
    assert record.getMessage() == (
        "costspan: threading.Thread.moved_elsewhere is not there in this Python, so the attribution is not carried "
        "along by it; wrap what you start with costspan.carry()"
    )


def test_installing_imports_nothing() -> None:
    """A program that uses no pool and no process does not pay for their modules."""
    script = (
        "import sys; from costspan.scope import install_carry; install_carry();"
        "print([name for name in ('multiprocessing', 'concurrent.futures.thread') if name in sys.modules])"
    )
    assert output_of(script) == "[]\n"


PROCESSES = '''
import concurrent.futures, json, multiprocessing, os, subprocess, sys
from costspan.scope import attribution, current, defaults, environment, install_carry, read_defaults


def say(queue):
    queue.put(current().session)


class OwnRun(multiprocessing.Process):
    pass


class Spawned(multiprocessing.get_context("spawn").Process):
    def __init__(self, queue):
        super().__init__()
        self.queue = queue

    def run(self):
        self.queue.put(current().session)


def session(_item=None):
    return current().session


def started(process, queue):
    process.start()
    luggage = [name for name in vars(process) if "costspan" in name]
    seen = queue.get(timeout=60)
    process.join(60)
    return [seen, process.exitcode, luggage]


def pooled(pool):
    """The sessions of three tasks: of the one that starts the worker, of another, of none."""
    seen = [pool.submit(session).result(60)]
    with attribution(session="other"):
        seen += pool.map(session, [1])
    return seen


def main(method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    answers = {}
    with attribution(session="s"):
        answers["process"] = started(context.Process(target=say, args=(queue,)), queue)
        if method == "spawn":
            answers["own run"] = started(Spawned(queue), queue)
    answers["nobody"] = started(context.Process(target=say, args=(queue,)), queue)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with attribution(session="first"):
            answers["executor"] = pooled(pool)
        answers["executor"].append(pool.submit(session).result(60))
    with attribution(session="first"):
        pool = context.Pool(1)
        answers["pool"] = [pool.apply(session)]
    answers["pool"] += pool.map(session, [1])
    with attribution(session="other"):
        answers["pool"] += pool.map(session, [1])
    pool.close()
    pool.join()
    print(json.dumps(answers))


if __name__ == "__main__":
    install_carry()
    main(sys.argv[1])
'''


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_carry(method: str, tmp_path: Path) -> None:
    """A process carries what was current at its start, a task of a pool what was current when it was given."""
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    env = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "costspan"}  # no word that nothing is counted here
    command = [sys.executable, script, method]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    answers = json.loads(done.stdout)
    assert answers["process"] == ["s", 0, []]
    assert answers["nobody"] == [None, 0, []]
    assert answers["executor"] == ["first", "other", None]
    assert answers["pool"] == ["first", None, "other"]
    assert answers.get("own run", ["s", 0, []]) == ["s", 0, []]


def output_of(script: str, **environ: str) -> str:
    """What a Python program prints, in a process of its own."""
    env = {**os.environ, **environ, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout


def test_a_child_program_gets_its_attribution_by_environment() -> None:
    """`environment()` beside the parent's own variables: the child's defaults are what the parent said."""
    script = (
        "import os; from costspan.scope import *; defaults(**read_defaults(os.environ)._asdict()); print(*current())"
    )
    with attribution(session="zoë", source="heartbeat"):
        assert output_of(script, **environment()) == "zoë None heartbeat None None\n"


def test_a_forked_child_keeps_the_scope() -> None:
    """After os.fork the child is inside the scopes it was forked in."""
    script = (
        "import os; from costspan.scope import *\n"
        "with attribution(session='s'): pid = os.fork(); session = current().session\n"
        "if pid: os.waitpid(pid, 0)\n"
        "else: print(session)"
    )
    assert output_of(script) == "s\n"
