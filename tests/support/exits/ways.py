"""The ways that program.py knows, with what is kept of each. test_exits.py proves it; docs/exits.md shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple


class Way(NamedTuple):
    """A way, in the words of the documentation; the calls of all its processes, and how many telemetry keeps of them.

    The ledger keeps them all. `exported` is the number of calls that the SDK had exported before, where the rest is delivered later.
    `streams` is how many of the calls are streams that were cut short: their output is an estimate.
    """

    text: str
    program: str
    calls: int
    status: int = 0
    exported: int | None = None
    streams: int = 0


WAYS: Final = {
    "One process": [
        #   what happens                                                           program                  calls  status
        Way("end of the main module",                                              "normal_end",                1),
        Way("`sys.exit(3)`",                                                       "sys_exit",                  1, 3),
        Way("an exception that no one catches",                                    "exception",                 1, 1),
        Way("SIGINT (Ctrl-C)",                                                     "interrupt",                 1, -2),
        Way("end with a stream still open",                                        "end_with_open_stream",      2, streams=1),
        Way("end with a stream still open, the first call of all",                 "end_with_open_stream_alone", 1, streams=1),
        Way("a thread calls after the main module has ended",                      "thread_outlives_main",      2),
        Way("the same, the first call of all",                                     "thread_calls_first",        1),
        Way("the same, a stream that is still open at the end",                    "thread_opens_stream_last",  1, streams=1),
        Way("a call in an exit handler of the program",                            "after_exit_handlers",       2),
        Way("the same, the first call of all",                                     "first_call_in_exit_handler", 1),
        Way("the same, in a handler that is registered last",                      "first_call_in_late_exit_handler", 1),
        Way("end of `asyncio.run`",                                                "asyncio_end",               2),
        Way("SIGTERM, not handled by the program",                                 "sigterm",                   1, -15),
        Way("SIGTERM in `asyncio.run`",                                            "asyncio_sigterm",           1, -15),
        Way("SIGTERM after the main module has ended, while a thread goes on",     "sigterm_after_main",        1, -15),
        Way("the same, where that thread made the first call of all",              "sigterm_after_main_alone",  1, -15),
        Way("SIGTERM while the main thread holds a lock of costspan's",            "sigterm_while_locked",      1, -15),
        Way("SIGTERM, the program's own handler calls `sys.exit(5)`",              "sigterm_own_handler",       1, 5),
        Way("SIGTERM during a call (which has no answer, so nothing to keep)",     "sigterm_during_call",       1, -15),
        Way("SIGTERM with a stream open",                                          "sigterm_with_open_stream",  2, -15, streams=1),
        Way("`os._exit(4)`",                                                       "os_exit",                   2, 4, exported=1),
        Way("`os._exit(4)` after `costspan.flush()` and the SDK's `force_flush()`", "os_exit_after_flush",      1, 4),
        Way("SIGKILL",                                                             "sigkill",                   2, -9, exported=1),
    ],
    "`os.fork`": [
        Way("children end normally",                                               "fork_and_end",              4),
        Way("the first call comes after the fork",                                 "fork_before_first_call",    2),
        Way("the parent has exported, its children export at the same moment"    , "fork_after_export",        5),
        Way("a child forks",                                                       "fork_of_fork",              3),
        Way("fork while another thread is within a call",                          "fork_during_call",          2),
        Way("fork with a stream open, which the child reads to its end",           "fork_with_open_stream",     2, streams=1),
        Way("a child without a call",                                              "fork_without_a_call",       1),
        Way("SIGTERM in a child",                                                  "fork_sigterm",              2),
        Way("`os._exit` in a child",                                               "fork_os_exit",              3, exported=2),
    ],
    "`multiprocessing` and `concurrent.futures`": [
        Way("`Process`, fork",                                                     "process fork",              4),
        Way("`Process`, spawn",                                                    "process spawn",             4),
        Way("`Process`, forkserver",                                               "process forkserver",        4),
        Way("`Pool`, fork, `close()` and `join()`",                                "pool fork",                 5),
        Way("`Pool`, spawn, `close()` and `join()`",                               "pool spawn",                5),
        Way("`Pool`, forkserver, `close()` and `join()`",                          "pool forkserver",           5),
        Way("`with Pool()`, fork: its workers are terminated",                     "pool_terminated fork",      5),
        Way("`ProcessPoolExecutor`, fork",                                         "executor fork",             5),
        Way("`ProcessPoolExecutor`, spawn",                                        "executor spawn",            5),
        Way("`ProcessPoolExecutor`, forkserver",                                   "executor forkserver",       5),
        Way("`Process.terminate()`",                                               "process_terminated",        2),
        Way("`sys.exit(7)` in a child",                                            "process_fails",             2),
        Way("threads of a child call after its function has returned",             "process_with_threads",      3),
        Way("a child without a call: nothing is sent",                             "process_without_a_call",    1),
        Way("`os._exit` in a child",                                               "process_os_exit",           3, exported=2),
    ],
    "Set up by the program, not by the launcher": [
        Way("the SDK's providers before costspan, a child, a stream still open",   "by_hand_sdk_first",         3, streams=1),
        Way("the SDK's providers after costspan, a child, a stream still open",    "by_hand_sdk_last",          3, streams=1),
        Way("both within a child of `multiprocessing`",                            "by_hand_in_the_child",      1),
        Way("SIGTERM in a child that has only just been forked",                   "by_hand_early_sigterm",     1),
    ],
    "Servers that fork": [
        Way("gunicorn, a preloaded application that has called, SIGTERM",          "gunicorn",                  6),
        Way("Celery's prefork pool, after a call of the parent, SIGTERM",          "celery",                    6),
    ],
}  # fmt: skip


def table() -> str:
    """All of it, for docs/exits.md."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    for title, ways in WAYS.items():
        yield f"\n### {title}\n\n| What happens | Ledger | Counters | Spans | Events |\n| --- | --- | --- | --- | --- |\n"
        for way in ways:
            sent, spans = ("all", "all") if way.exported is None else ("all, later", "what had been exported")
            yield f"| {way.text} | all | {sent} | {spans} | {sent} |\n"
