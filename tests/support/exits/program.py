"""The ways of a process to end or to split, each a small program: `python program.py WAY`. Told in test_exits.py."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import openai

faulthandler.register(signal.SIGUSR1)  # where a program hangs, the test asks for its stacks

HERE = str(Path(__file__).parent)
ASKED: Any = [{"role": "user", "content": "How are you?"}]
MODEL = "gpt-4o-mini"


def call(_: object = None) -> None:
    """One call to the provider."""
    with openai.OpenAI() as client:
        client.chat.completions.create(model=MODEL, messages=ASKED)


async def call_async() -> None:
    """The same, asynchronously."""
    async with openai.AsyncOpenAI() as client:
        await client.chat.completions.create(model=MODEL, messages=ASKED)


def open_stream() -> Any:
    """A stream of which one event was read."""
    stream = openai.OpenAI().chat.completions.create(model=MODEL, messages=ASKED, stream=True)
    next(iter(stream))
    return stream


def export() -> None:
    """What the SDK's timers do every few seconds, and here only when told."""
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    import costspan

    costspan.flush()
    providers: Any = (metrics.get_meter_provider(), trace.get_tracer_provider(), get_logger_provider())
    for provider in providers:
        provider.force_flush()


def until_booked(calls: int) -> None:
    """Wait until the ledger holds so many calls: it takes them without being asked."""
    give_up_s = time.monotonic() + 30
    with closing(sqlite3.connect(os.environ["OTEL_COSTSPAN_LEDGER"])) as ledger:
        while ledger.execute("SELECT count(*) FROM calls").fetchone()[0] < calls:
            assert time.monotonic() < give_up_s, "the ledger has not taken the calls"
            time.sleep(0.01)


def end_by(number: int) -> NoReturn:
    """Send this process a signal, and wait for what it does."""
    os.kill(os.getpid(), number)
    while True:
        signal.pause()


def fork(child: Callable[[], None]) -> int:
    """A forked child that does its work and then ends as this program would."""
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    return pid


def join(*children: int, status: int = 0) -> None:
    """Wait for the children; each must have ended with the status (minus the signal)."""
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


@contextlib.contextmanager
def silent_provider() -> Generator[str]:
    """The address of a provider that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def normal_end() -> None:
    call()


def sys_exit() -> None:
    call()
    sys.exit(3)


def exception() -> None:
    call()
    raise SystemError("no one catches this")


def interrupt() -> None:
    # A shell that starts a program in the background has it ignore SIGINT, and everything that it starts in turn.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    call()
    end_by(signal.SIGINT)


def end_with_open_stream() -> None:
    call()
    globals()["kept"] = open_stream()


def end_with_open_stream_alone() -> None:
    globals()["kept"] = open_stream()


def after_main(work: Callable[[], None]) -> None:
    """Work in a thread that waits for the end of the main module."""
    main = threading.current_thread()

    def wait_and_work() -> None:
        main.join()
        work()

    threading.Thread(target=wait_and_work).start()


def thread_calls_first() -> None:
    after_main(call)


def thread_opens_stream_last() -> None:
    after_main(end_with_open_stream_alone)


def first_call_in_exit_handler() -> None:
    """It was registered before costspan's, so it runs after it."""
    import atexit

    atexit.register(call)


def first_call_in_late_exit_handler() -> None:
    """It is registered when nothing else is any more, so it runs before costspan's."""
    import atexit

    after_main(lambda: atexit.register(call) and None)


def sigterm_after_main() -> None:
    call()
    after_main(lambda: os.kill(os.getpid(), signal.SIGTERM))
    after_main(time_out)


def sigterm_after_main_alone() -> None:
    def work() -> None:
        call()
        os.kill(os.getpid(), signal.SIGTERM)
        time_out()

    after_main(work)


def time_out() -> None:
    """A thread that would go on for long: the signal ends it."""
    time.sleep(60)


def thread_outlives_main() -> None:
    after_main(call)
    call()


def asyncio_end() -> None:
    async def work() -> None:
        await asyncio.gather(call_async(), call_async())

    asyncio.run(work())


def asyncio_sigterm() -> None:
    async def work() -> None:
        await call_async()
        end_by(signal.SIGTERM)

    asyncio.run(work())


def after_exit_handlers() -> None:
    """Calls in the exit handlers that were registered before costspan's, so run after it."""
    import atexit

    atexit.register(call)
    call()


def sigterm() -> None:
    call()
    end_by(signal.SIGTERM)


def sigterm_own_handler() -> None:
    def leave(_: int, __: object) -> NoReturn:
        sys.exit(5)

    signal.signal(signal.SIGTERM, leave)
    call()
    end_by(signal.SIGTERM)


def sigterm_during_call() -> None:
    call()
    with silent_provider() as address, openai.OpenAI(base_url=address, max_retries=0) as client:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        client.chat.completions.create(model=MODEL, messages=ASKED)


def sigterm_own_handler_during_call() -> None:
    def leave(_: int, __: object) -> NoReturn:
        sys.exit(5)

    signal.signal(signal.SIGTERM, leave)
    sigterm_during_call()


def sigterm_with_open_stream() -> None:
    call()
    stream = open_stream()
    end_by(signal.SIGTERM)
    stream.close()


def sigterm_while_locked() -> None:
    """The signal interrupts a line that holds a lock of costspan's."""
    from costspan import instrumentor

    call()
    pipeline = instrumentor.pipeline
    assert pipeline is not None
    with pipeline.totals.lock:
        os.kill(os.getpid(), signal.SIGTERM)
    while True:
        signal.pause()


def sigkill() -> None:
    call()
    export()
    call()
    until_booked(2)
    end_by(signal.SIGKILL)


def sigkill_with_open_stream() -> None:
    call()
    export()
    call()
    stream = open_stream()
    until_booked(2)
    end_by(signal.SIGKILL)
    stream.close()


def os_exit() -> None:
    call()
    export()
    call()
    until_booked(2)
    os._exit(4)


def os_exit_after_flush() -> None:
    call()
    export()
    os._exit(4)


def fork_and_end() -> None:
    call()
    children = [fork(call) for _ in range(2)]
    call()
    join(*children)


def fork_before_first_call() -> None:
    join(fork(call), fork(call))


def fork_after_export() -> None:
    """The parent has a connection to the Collector open when its children are made, and they export at one moment."""
    call()
    export()
    ready, go = os.pipe(), os.pipe()

    def child() -> None:
        call()
        os.write(ready[1], b".")
        os.read(go[0], 1)
        export()

    children = [fork(child) for _ in range(4)]
    for _ in children:
        os.read(ready[0], 1)
    os.write(go[1], b"...." * len(children))
    join(*children)


def fork_os_exit() -> None:
    call()

    def child() -> None:
        call()
        export()
        call()
        until_booked(3)
        os._exit(0)

    join(fork(child))


def fork_without_a_call() -> None:
    call()
    join(fork(lambda: None))


def fork_sigterm() -> None:
    call()

    def child() -> None:
        call()
        end_by(signal.SIGTERM)

    join(fork(child), status=-signal.SIGTERM)


def fork_of_fork() -> None:
    call()

    def child() -> None:
        call()
        join(fork(call))

    join(fork(child))


def fork_with_open_stream() -> None:
    """The stream is the parent's, wherever it is read."""
    stream = open_stream()

    def child() -> None:
        list(stream)
        call()

    join(fork(child))
    stream.close()


def fork_during_call() -> None:
    """A fork while another thread is within a call: that call is the parent's."""
    began, forked = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        began.set()
        forked.wait()

    def work() -> None:
        with openai.OpenAI() as client:
            vars(client)["_client"].event_hooks = {"request": [hold]}  # httpx or httpx2, by the version of openai
            client.chat.completions.create(model=MODEL, messages=ASKED)

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    child = fork(call)
    forked.set()
    thread.join()
    join(child)


def fork_under_load(forks: str = "20") -> None:
    """Threads call without a pause, this one forks: every other time without costspan, for comparison."""
    import costspan
    from costspan import instrumentor
    from costspan.process.fork import unwatch_forks, watch_forks

    call()
    is_over = threading.Event()
    unused = openai.OpenAI()  # to make one takes a child longer than all that is measured here

    def work() -> None:
        with openai.OpenAI() as client:
            while not is_over.is_set():
                client.chat.completions.create(model=MODEL, messages=ASKED)

    def call_once() -> None:
        unused.chat.completions.create(model=MODEL, messages=ASKED)
        costspan.flush()
        os._exit(0)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    bare_s = ours_s = 0.0
    for _ in range(int(forks)):
        unwatch_forks()
        began_s = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0)
        bare_s = max(bare_s, time.monotonic() - began_s)
        join(child)
        watch_forks(instrumentor.participants)
        began_s = time.monotonic()
        child = fork(call_once)
        ours_s = max(ours_s, time.monotonic() - began_s)
        join(child)
    is_over.set()
    for thread in threads:
        thread.join()
    Path(os.environ["HOME"], "forks").write_text(f"{bare_s:.3f} {ours_s:.3f}")


def scraped(calls: str) -> None:
    """What Prometheus would be given after so many calls."""
    for _ in range(int(calls)):
        call()
    import costspan

    costspan.flush()
    with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['OTEL_EXPORTER_PROMETHEUS_PORT']}/metrics") as answer:
        Path(os.environ["HOME"], "page").write_bytes(answer.read())


def load_no_module_late() -> None:
    """What a call needs is loaded when its library is: a fork while another thread loads it breaks the child."""
    export()
    before = {name for name in sys.modules if name.startswith("costspan")}
    call()
    open_stream().close()
    export()
    after = {name for name in sys.modules if name.startswith("costspan")}
    assert after == before, after - before


def fork_during_export() -> None:
    """A fork while the parent's exporters wait for the Collector, which answers when the child has ended."""
    call()
    exporting = threading.Thread(target=export)
    exporting.start()
    sys.stdin.readline()  # the Collector holds the export
    child = fork(call)
    join(child)
    print("joined", flush=True)
    exporting.join()


def process(method: str) -> None:
    import multiprocessing

    call()
    context: Any = multiprocessing.get_context(method)
    children = [context.Process(target=call) for _ in range(2)]
    for child in children:
        child.start()
    call()
    for child in children:
        child.join()
        assert child.exitcode == 0


def pool(method: str) -> None:
    import multiprocessing

    call()
    with multiprocessing.get_context(method).Pool(2) as workers:
        workers.map(call, range(4), chunksize=1)
        workers.close()
        workers.join()


def pool_terminated(method: str) -> None:
    """`with Pool()` ends its workers by SIGTERM."""
    import multiprocessing

    call()
    with multiprocessing.get_context(method).Pool(2) as workers:
        workers.map(call, range(4), chunksize=1)


def executor(method: str) -> None:
    import multiprocessing

    call()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as workers:
        list(workers.map(call, range(4)))


def process_terminated() -> None:
    import multiprocessing

    call()
    called = multiprocessing.Event()
    child = multiprocessing.Process(target=_call_and_wait, args=(called,))
    child.start()
    called.wait()
    child.terminate()
    child.join()
    assert child.exitcode == -signal.SIGTERM


def _call_and_wait(called: Any) -> None:
    call()
    called.set()
    while True:
        signal.pause()


def sigterm_passes_by(method: str) -> None:
    """A worker waits for a lock, and its SIGTERM comes where it interrupts nothing: to another of its threads."""
    import multiprocessing

    context: Any = multiprocessing.get_context(method)
    lock = context.Lock()
    with lock:
        child = context.Process(target=_wait_for, args=(lock,))
        child.start()
        child.join(30)
    assert child.exitcode == -signal.SIGTERM, child.exitcode


def _wait_for(lock: Any) -> None:
    call()
    late = threading.Timer(0.5, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    late.daemon = True
    late.start()
    lock.acquire()


def sigterm_of_a_grandchild() -> None:
    """A worker forks, and ends its child by SIGTERM: that signal is not the worker's."""
    import multiprocessing

    call()
    child: Any = multiprocessing.get_context("fork").Process(target=_end_a_child)
    child.start()
    child.join(30)
    assert child.exitcode == 0, child.exitcode


def _end_a_child() -> None:
    reader, writer = os.pipe()

    def wait() -> None:
        os.write(writer, b"!")
        while True:
            signal.pause()

    child = fork(wait)
    os.read(reader, 1)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    time.sleep(1.0)  # four times as long as a signal is waited for that did not begin


def process_os_exit() -> None:
    import multiprocessing

    call()
    child = multiprocessing.Process(target=_export_and_os_exit)
    child.start()
    child.join()
    assert child.exitcode == 6


def _export_and_os_exit() -> None:
    call()
    export()
    call()
    until_booked(3)
    os._exit(6)


def process_fails() -> None:
    import multiprocessing

    call()
    child = multiprocessing.Process(target=_call_and_exit)
    child.start()
    child.join()
    assert child.exitcode == 7


def _call_and_exit() -> None:
    call()
    sys.exit(7)


def process_with_threads() -> None:
    """A child whose threads still call when its main function has returned, and a pool that was not shut down."""
    import multiprocessing

    call()
    child = multiprocessing.Process(target=_leave_threads_behind)
    child.start()
    child.join()
    assert child.exitcode == 0


def _leave_threads_behind() -> None:
    main_is_done = threading.Event()

    def work() -> None:
        main_is_done.wait()
        call()

    threading.Thread(target=work).start()
    executor = ThreadPoolExecutor(1)
    executor.submit(work)
    globals()["executor"] = executor
    threading.Timer(0.2, main_is_done.set).start()


def process_without_a_call() -> None:
    import multiprocessing

    call()
    child = multiprocessing.get_context("fork").Process(target=int)  # the default way until Python 3.14
    child.start()
    child.join()
    assert child.exitcode == 0


def set_up_sdk() -> None:
    from opentelemetry import metrics, trace
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    trace.set_tracer_provider(tracers)
    set_logger_provider(loggers)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))


def set_up_costspan() -> None:
    from costspan.instrumentor import CostspanInstrumentor

    CostspanInstrumentor().instrument()


def by_hand_sdk_first() -> None:
    import multiprocessing

    set_up_sdk()
    set_up_costspan()
    call()
    multiprocessing.get_context("fork").Process(target=call).start()
    globals()["kept"] = open_stream()


def by_hand_sdk_last() -> None:
    set_up_costspan()
    set_up_sdk()
    import multiprocessing

    call()
    multiprocessing.get_context("fork").Process(target=call).start()
    globals()["kept"] = open_stream()


def by_hand_early_sigterm() -> None:
    """The signal comes when SDK and ledger have seen the fork, and costspan still holds the parent's sums."""
    import costspan.ledger.writer

    assert costspan.ledger.writer
    set_up_sdk()
    os.register_at_fork(after_in_child=lambda: end_by(signal.SIGTERM))
    set_up_costspan()
    call()
    join(fork(call), status=-signal.SIGTERM)


def by_hand_in_the_child() -> None:
    import multiprocessing

    child = multiprocessing.Process(target=_set_up_and_call)
    child.start()
    child.join()


def _set_up_and_call() -> None:
    set_up_sdk()
    set_up_costspan()
    call()


def gunicorn() -> None:
    """Two workers of a preloaded application: it calls when it is loaded, in every worker, for every request."""
    with server(["gunicorn", "--config", f"{HERE}/web.py", "web:application"]) as lines:
        port = int(next(lines))
        assert [next(lines), next(lines)] == ["called\n"] * 2
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                assert answer.read() == b"called"


def celery() -> None:
    """A worker with two children, which have called before they are told to end."""
    sys.path.insert(0, HERE)
    from tasks import work

    for _ in range(4):
        work.delay()
    command = ["celery", "--app=tasks", "worker", "--pool=prefork", "--concurrency=2"]
    with server([*command, "--loglevel=WARNING", "--without-gossip", "--without-mingle"]) as lines:
        assert len(list(itertools.islice((line for line in lines if line == "called\n"), 4))) == 4


@contextlib.contextmanager
def server(command: list[str]) -> Generator[Iterator[str]]:
    """A server and the lines that it prints; told to end at the end."""
    path = f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}{HERE}"
    environ = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as running:
        assert running.stdout
        try:
            yield iter(running.stdout.readline, "")
        finally:
            running.terminate()
    assert running.returncode == 0


if __name__ == "__main__":
    way, *arguments = sys.argv[1:]
    globals()[way](*arguments)
