"""The running server while others write."""

from __future__ import annotations

import multiprocessing
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ledger_calls import call, write
from served import serving

_WRITERS: Final = 8
_READERS: Final = 50
_BATCHES: Final = 12


def _write(path: Path, number: int) -> None:
    for batch in range(_BATCHES):
        write(path, *[call(id=f"{number}-{batch}-{one}", response_id=None) for one in range(20)])


def test_fifty_readers_while_eight_processes_write(tmp_path: Path) -> None:
    """Everybody gets an answer, and nobody is told that a database is locked."""
    path = tmp_path / "ledger.db"
    write(path, call())
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(path, number)) for number in range(_WRITERS)]
    with serving("--ledger", str(path), "--rate-limit", "0") as (url, _):

        def read(number: int) -> list[int]:
            paths = ("v1/usage/summary?by=team", "v1/usage/records?limit=50", "v1/usage/tokens")
            told: list[int] = []
            for turn in range(4):
                with urllib.request.urlopen(url + paths[(number + turn) % len(paths)], timeout=120) as answer:
                    told.append(answer.status)
            return told

        for writer in writers:
            writer.start()
        with ThreadPoolExecutor(_READERS) as readers:
            statuses = [status for told in readers.map(read, range(_READERS)) for status in told]
        for writer in writers:
            writer.join(timeout=120)
        with urllib.request.urlopen(f"{url}v1/usage/summary?by=total") as answer:
            assert f'"calls": {1 + _WRITERS * _BATCHES * 20}'.encode() in answer.read()
    assert statuses == [200] * _READERS * 4
    assert [writer.exitcode for writer in writers] == [0] * _WRITERS
