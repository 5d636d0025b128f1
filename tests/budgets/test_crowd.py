"""Real processes against one hard limit: it is never passed, nearly all of it can be used, and what dies lets go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import crowd
from costspan.budgets.opening import store_beside
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import EXPIRY_S, Granted, Hold, Refused
from costspan.ledger.store import Store
from places import SUPPORT
from provider import Provider

_NS_PER_S = 1_000_000_000


def test_a_crowd_passes_no_limit_and_uses_it(tmp_path: Path) -> None:
    """Eight processes with 1,600 calls, of which about half fit."""
    path, limit, bound = tmp_path / "reservations", 400_000, 1_000
    processes = [crowd.started(path, seed, calls=200, limit=limit, bound=bound) for seed in range(8)]
    told = [crowd.told(process) for process in processes]
    spent, reserved = SqliteStore(path).standing(crowd.BUDGET, 0)
    assert spent == sum(each.spent for each in told)
    assert reserved == 0
    assert limit * 0.99 <= spent <= limit
    assert sum(each.refused for each in told) > 0


def test_what_killed_processes_hold_is_let_go_of(tmp_path: Path) -> None:
    """Not before the expiry: what they asked for may still be answered, and charged."""
    path, limit, bound = tmp_path / "reservations", 10**9, 1_000
    processes = [crowd.started(path, seed, calls=10**6, limit=limit, bound=bound) for seed in range(3)]
    elapsed_ns = [0]
    store = SqliteStore(path, patience_s=30, monotonic_ns=lambda: time.monotonic_ns() + elapsed_ns[0])
    give_up_s = time.monotonic() + 60
    while len({each.pid for each in store.reservations()}) < len(processes):
        assert time.monotonic() < give_up_s
    for process in processes:
        process.kill()
        process.communicate()
    spent, reserved = store.standing(crowd.BUDGET, 0)
    assert 0 < reserved <= 3 * 4 * bound
    limit = spent + reserved
    assert isinstance(store.reserve("early", [Hold(crowd.BUDGET, 0, 0, limit, 1)], time.time_ns()), Refused)
    elapsed_ns[0] += int(EXPIRY_S * _NS_PER_S)
    assert isinstance(store.reserve("late", [Hold(crowd.BUDGET, 0, 0, limit, reserved)], time.time_ns()), Granted)
    assert store.standing(crowd.BUDGET, 0) == (spent, reserved)
    assert [each.key for each in store.reservations()] == ["late"]


def test_a_process_that_lives_keeps_what_it_holds(tmp_path: Path) -> None:
    """However long it was silent: it may be stopped, or be computing without a pause."""
    path, bound = tmp_path / "reservations", 1_000
    process = crowd.started(path, 1, calls=10**6, limit=10**9, bound=bound)
    store = SqliteStore(path, patience_s=30, monotonic_ns=lambda: time.monotonic_ns() + 10 * int(EXPIRY_S * _NS_PER_S))
    try:
        give_up_s = time.monotonic() + 60
        while not store.reservations():
            assert time.monotonic() < give_up_s
        assert store.keep_alive() == 0
    finally:
        process.kill()
        process.communicate()
    assert store.keep_alive() > 0


def test_programs_that_call_pass_no_limit(provider: Provider, tmp_path: Path) -> None:
    """Three processes with OpenAI's library: what the provider answered costs no more than the limit, and nearly all of it."""
    (tmp_path / "budgets.yaml").write_text(
        "budgets: [{name: all, period: month, limit_usd: 0.0015, hard: true, on_failure: closed}]"
    )
    environment = {
        **os.environ, "OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "local", "OTEL_COSTSPAN_HOSTS": "127.0.0.1=openai",
        "OTEL_COSTSPAN_BUDGETS": str(tmp_path / "budgets.yaml"), "OTEL_COSTSPAN_LEDGER": str(tmp_path / "ledger.db"),
    }  # fmt: skip
    command = [sys.executable, str(SUPPORT / "calling_crowd.py"), "130"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=300)[0].split() for process in processes]
    answered = sum(int(words[0]) for words in said)
    assert answered == len(provider.asked)
    assert sum(int(words[1]) for words in said) > 0
    with Store.read(tmp_path / "ledger.db") as ledger:
        ((cost, refused),) = ledger.select("SELECT sum(cost_nano_usd), sum(outcome = 'refused') FROM calls")
    assert refused == 3 * 130 - answered
    assert 1_500_000 * 0.97 <= cost <= 1_500_000
    store = SqliteStore(store_beside(tmp_path / "ledger.db"))
    assert store.reservations() == []
