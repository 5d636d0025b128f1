"""A child of this process that does some work, and a process of its own for work that this one may not do."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from places import SUPPORT


def in_child(work: Callable[[], object] = lambda: None) -> int:
    """Run the work in a forked child; its exit status, 0 where nothing was raised."""
    return in_children(work, 1)[0]


def in_children(work: Callable[[], object], number: int) -> list[int]:
    """Run the work in as many forked children at once; their exit statuses, 0 where nothing was raised."""
    with tempfile.TemporaryFile() as said:
        children = [_child(work, said.fileno()) for _ in range(number)]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        said.seek(0)
        print(said.read().decode(errors="replace"))  # pytest shows it where the test fails
    return statuses


def _child(work: Callable[[], object], said: int) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            os.write(said, traceback.format_exc().encode())
            raise
        finally:
            os._exit(status)
    return pid


def in_new_process(work: Callable[..., object], *arguments: object) -> None:
    """Run a function of a test module in a process of its own, which has loaded no client library.

    Some of them load filelock, which from then on refuses any fork while another is under way in the process.
    """
    told = ", ".join(map(repr, arguments))
    code = f"import {work.__module__} as tests; tests.{work.__name__}({told})"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SUPPORT), str(Path(inspect.getfile(work)).parent)))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
