"""ledger/claims.py: an answer that several processes fetch is counted by one of them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ways
from caller import KINDS, Caller
from costspan import names
from costspan.ledger import claims
from costspan.ledger.claims import Claims
from forking import in_child, in_children
from ledger_calls import booked
from provider import Provider
from watching import Watched


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "ledger.db.claims"


def test_one_of_all_processes_may_book_an_answer(path: Path) -> None:
    """Whoever is first; the same id of another provider is another answer, and asking claims nothing."""
    one, other = Claims(path), Claims(path)
    assert one.is_free("openai", "resp_1")
    assert (one.claim("openai", "resp_1"), one.claim("openai", "resp_1")) == (True, False)
    assert (other.claim("openai", "resp_1"), other.is_free("openai", "resp_1")) == (False, False)
    assert other.claim("azure", "resp_1")
    assert not one.claim("azure", "resp_1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_processes_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes that fetch the same results at the same moment, each result is booked by exactly one."""
    monkeypatch.setattr(claims, "_PATIENCE_S", 60)  # on a busy machine, too
    won = path.parent.parent / "won"

    def work() -> None:
        mine = Claims(path)
        ids = [str(number) for number in range(300) if mine.claim("openai", str(number))]
        with won.open("a") as file:
            file.write("".join(f"{one}\n" for one in ids))

    assert in_children(work, 3) == [0, 0, 0]
    assert sorted(won.read_text().split(), key=int) == [str(number) for number in range(300)]


def test_the_file_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last few ten thousand answers are known, in two files; what is older may be booked again."""
    monkeypatch.setattr(claims, "_MOST", 10)
    one, other = Claims(path), Claims(path)
    for number in range(25):
        assert (one if number % 2 else other).claim("openai", str(number))
    assert path.stat().st_size + path.with_name(f"{path.name}.old").stat().st_size == 15 * 16
    fresh = Claims(path)
    assert [fresh.is_free("openai", str(number)) for number in range(25)] == [True] * 10 + [False] * 15


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"half")


def locked(path: Path) -> None:
    fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX)


def replaced(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


OBSTACLES: list[tuple[str, Callable[[Path], None], bool]] = [
    # what happened                     how                                                       is still known
    ("a process ended within a claim",  torn,                                                     True),
    ("a process keeps it locked",       locked,                                                   False),
    ("a directory stands there",        replaced(lambda path: path.mkdir()),                      False),
    ("a pipe stands there",             replaced(os.mkfifo),                                      False),
    ("a link stands there",             replaced(lambda path: path.symlink_to("elsewhere")),      False),
    ("somebody has removed it",         replaced(lambda _: None),                                 False),
]  # fmt: skip


@pytest.mark.parametrize(("story", "obstruct", "is_known"), OBSTACLES, ids=[story for story, *_ in OBSTACLES])
def test_where_it_cannot_be_asked_the_answer_is_booked(
    path: Path, caplog: pytest.LogCaptureFixture, story: str, obstruct: Callable[[Path], None], *, is_known: bool
) -> None:
    """Never waited for and nothing raised: to count twice what cannot be told apart is better than not at all."""
    assert Claims(path).claim("openai", "before")
    obstruct(path)
    began_s = time.monotonic()
    with caplog.at_level(logging.WARNING, "costspan"):
        assert Claims(path).claim("openai", "before") is not is_known, story
        assert Claims(path).claim("openai", "after")
    assert time.monotonic() - began_s < 2


async def fetch_only(c: Caller) -> None:
    """A response that some other process made."""
    c.look(await c.get(c.methods.retrieve("resp_1")))


WAYS: list[Any] = [
    pytest.param("responses", ways.create_and_fetch, id="made in the background, and fetched"),
    pytest.param("responses", fetch_only, id="fetched by its id"),
    pytest.param("messages", ways.batch_results, id="results of a batch"),
]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_an_answer_that_two_processes_fetch_is_counted_by_one(
    provider: Provider, tmp_path: Path, mode: str, kind: str, way: Any
) -> None:
    """Requests, cost and usage events of all processes together are those of one that fetched it alone."""

    def counted(ledger: Path, into: Path) -> Callable[[], None]:
        def work() -> None:
            with Watched(ledger=str(ledger)) as watched:
                Caller(KINDS[kind], provider.url, mode).run(way)
                found = [watched.total(names.REQUESTS), watched.total(names.COST_USD), len(watched.events())]
                with into.open("a") as file:
                    file.write(f"{json.dumps(found)}\n")

        return work

    assert in_child(counted(tmp_path / "alone.db", tmp_path / "alone")) == 0
    for _ in range(2):
        assert in_child(counted(tmp_path / "shared.db", tmp_path / "shared")) == 0
    (alone,) = map(json.loads, (tmp_path / "alone").read_text().splitlines())
    shared = list(map(json.loads, (tmp_path / "shared").read_text().splitlines()))
    assert alone[0] >= 1
    assert [sum(values) for values in zip(*shared, strict=True)] == pytest.approx(alone)
    assert len(booked(tmp_path / "shared.db")) == len(booked(tmp_path / "alone.db"))
