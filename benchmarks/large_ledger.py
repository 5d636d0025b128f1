"""How long questions to a large ledger take, and what its sums cost: `python -m benchmarks.large_ledger --rows 10000000`.

A ledger of a year is made in .cache (once; ten million rows take some minutes and 4 GB): six teams, 24 applications, five
models, 500 accounts, sessions of 20 calls. Each question is asked some times, each time by a new connection: median, and
the quickest and slowest. The cost of writing is processor time a call, with and without sums in turn.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Final
from unittest import mock
from zoneinfo import ZoneInfo

from starlette.testclient import TestClient

from benchmarks.contenders import ROOT
from costspan.facts.attribution import Attribution
from costspan.facts.call import Answer, Call
from costspan.facts.money import EXACT, LOCAL, Cost
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from costspan.ledger.sums import Sums
from costspan.report import moment, record
from costspan.report.glances import last_used_ns
from costspan.report.period import ALL, parse
from costspan.report.usage import Question, ask
from costspan.report.words import filters
from costspan.serve.app import build

_NS: Final = 10**9
_DAY_S: Final = 86_400
_END_S: Final = 1_795_305_600  # 2026-11-22 00:00 UTC
_DAYS: Final = 365
_START_S: Final = _END_S - _DAYS * _DAY_S
_MODELS: Final = (
    ("openai", "gpt-5"), ("openai", "gpt-5-mini"), ("anthropic", "claude-opus-5"), ("anthropic", "claude-haiku-5"),
    ("google", "gemini-3"),
)  # fmt: skip
_APPLICATIONS: Final = 24
_CALLS: Final = 20
_AT_ONCE: Final = 20_000
_BERLIN: Final = ZoneInfo("Europe/Berlin")
_SESSION: Final = "printf('%08x-5e55-4000-8000-%012x', (session * 2654435761) % 4294967296, session)"

_FILL_KINDS: Final = """
    INSERT INTO kinds (n, day, period, client, provider, host, operation, request_model, response_model, task_type, source,
        team, is_stream, outcome, finish_reason, tier, is_complete, quality, cost_source, price_version, unpriced_reason)
    VALUES (?, ?, ?, ?, ?, ?, 'chat', ?, ?, ?, ?, ?, 0, 'ok', 'stop', 'default', 1, ?, ?, ?, ?)
"""
_FILL_RECORDS: Final = f"""
    INSERT INTO records (kind, id, started_ns, session, account, response_id, duration_s, input_tokens, output_tokens,
        cache_read_tokens, reasoning_tokens, units, cost_nano_usd)
    WITH RECURSIVE
        numbers(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :after),
        drawn AS (
            SELECT i, i / 160 * 8 + abs(random() % 8) AS session, abs(random() % 2) AS model,
                abs(random() % 100) = 0 AS is_unpriced, 200 + abs(random() % 20000) AS input, 20 + abs(random() % 2000) AS output
            FROM numbers
        )
    SELECT :kinds + (session % {_APPLICATIONS} * 2 + model) * 2 + is_unpriced,
        printf('%012x', i) || lower(hex(randomblob(10))),
        (:start + :length * (i - :first) / (:after - :first)) * 1000000000 + abs(random() % 1000000000),
        {_SESSION}, 'customer-' || (session / 7 % 500), 'chatcmpl-' || lower(hex(randomblob(12))), 1.5,
        input, output, input / 2, output / 4,
        printf('{{"input": %d, "output": %d, "cache_read": %d, "reasoning": %d}}', input, output, input / 2, output / 4),
        CASE WHEN is_unpriced THEN NULL ELSE input * 1250 + output * 10000 END
    FROM drawn
"""  # noqa: S608 - own numbers


def _kinds(first: int, at_s: int) -> Iterator[tuple[object, ...]]:
    """What the calls of a day share: 24 applications, each of which asks two models and has calls without a price."""
    day = datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y%m%d")
    for number in range(_APPLICATIONS * 4):
        application, model, is_unpriced = number // 4, (number // 4 + number // 2 % 2) % 5, number % 2
        provider, name = _MODELS[model]
        price = (None, None, None, "unknown_model") if is_unpriced else ("exact", "local", "2026-11-20", None)
        yield (
            first + number, day, day[:6], provider, provider, f"api.{provider}.com", name, f"{name}-2026-03-17",
            f"task-{application % 8}", ("main_agent", "task_agent", "heartbeat")[application % 3],
            f"team-{application % 6}", *price,
        )  # fmt: skip


def fill(ledger: Path, rows: int) -> None:
    """Write so many calls, spread over a year."""
    Store.open(ledger).close()
    with sqlite3.connect(ledger, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for day in range(_DAYS):
            start_s, kinds = _START_S + day * _DAY_S, 1 + day * _APPLICATIONS * 4
            connection.execute("BEGIN")
            connection.executemany(_FILL_KINDS, _kinds(kinds, start_s))
            stretch = {"first": rows * day // _DAYS, "after": rows * (day + 1) // _DAYS}
            connection.execute(_FILL_RECORDS, {**stretch, "kinds": kinds, "start": start_s, "length": _DAY_S})
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def prepared(rows: int) -> Path:
    """The ledger, made where it is missing; says what its sums take."""
    ledger = ROOT / ".cache" / f"ledger-of-{rows}.db"
    if not ledger.exists():
        ledger.parent.mkdir(exist_ok=True)
        being_made = ledger.with_suffix(".making")
        being_made.unlink(missing_ok=True)
        started = time.perf_counter()
        fill(being_made, rows)
        print(
            f"made in {time.perf_counter() - started:.0f} s: {being_made.stat().st_size / rows:.1f} bytes a row",
            flush=True,
        )
        started = time.perf_counter()
        with Store.open(being_made) as store:
            while store.sum_up(_AT_ONCE):
                pass
            store.select("PRAGMA wal_checkpoint(TRUNCATE)")
        took_s = time.perf_counter() - started
        print(f"summed up in {took_s:.0f} s: {being_made.stat().st_size / rows:.1f} bytes a row", flush=True)
        being_made.rename(ledger)
    return ledger


def _questions() -> dict[str, Callable[[Store], object]]:
    now_s = _END_S - _DAY_S * 1.5
    month, last = parse("this-month", timezone.utc, now_s), parse("last-month", _BERLIN, now_s)
    session = f"{7 * 2654435761 % 2**32:08x}-5e55-4000-8000-{7:012x}"

    def asked(
        *groups: str, where: str = "", period: object = ALL, zone: object = timezone.utc
    ) -> Callable[[Store], object]:
        chosen = filters([where] if where else [])
        question = Question(groups, chosen, period, zone)  # type: ignore[arg-type]
        return lambda store: [*ask(store, question, now_s).rows]

    return {
        "this month, by model": asked("model", period=month),
        "this month, by day and model": asked("day", "model", period=month),
        "last month in Berlin, by day and source": asked("day", "source", period=last, zone=_BERLIN),
        "last month, by account": asked("account", period=parse("last-month", timezone.utc, now_s)),
        "this month, one account, by day": asked("day", where="account=customer-77", period=month),
        "last month in Berlin, one account, by day": asked(
            "day", where="account=customer-77", period=last, zone=_BERLIN
        ),
        "all time, total": asked(),
        "all time, by model": asked("model"),
        "all time, by team and month": asked("team", "month"),
        "all time, by account and month": asked("account", "month"),
        "all time in Berlin, by day": asked("day", zone=_BERLIN),
        "a session of all time, by model": asked("model", where=f"session={session}"),
        "the calls of a session": lambda store: record.page(store, filters([f"session={session}"]), ALL, 100),
        "the last use of a team": lambda store: last_used_ns(store, filters(["team=team-1"])),
        "the last use of nobody": lambda store: last_used_ns(store, filters(["team=nobody"])),
    }


def _measure(ledger: Path, rounds: int) -> None:
    for name, question in _questions().items():
        taken: list[float] = []
        for _ in range(rounds):
            started = time.perf_counter()
            with Store.read(ledger) as store:
                question(store)
            taken.append(time.perf_counter() - started)
        _tell(name, taken)


def _measure_pages(ledger: Path, rounds: int) -> None:
    application = TestClient(build(ledger), base_url="http://127.0.0.1")
    with mock.patch.object(moment, "time", mock.Mock(time=lambda: _END_S - _DAY_S * 1.5)):
        for query in ("", "?time_zone=Europe/Berlin", "?team=team-1", "?account=customer-77", "?period=all"):
            taken: list[float] = []
            for _ in range(rounds):
                started = time.perf_counter()
                application.get(f"/{query}").raise_for_status()
                taken.append(time.perf_counter() - started)
            _tell(f"the page /{query}", taken)


def _tell(name: str, taken: list[float]) -> None:
    print(f"{name:45} {statistics.median(taken):7.3f} s   [{min(taken):.3f}..{max(taken):.3f}]", flush=True)


# --- the cost of writing -------------------------------------------------------------------------------------------------


def calls(count: int, accounts: int, *, prefix: str = "", started_ns: int = _END_S * _NS) -> list[Call]:
    """So many priced calls, ten a second, each in a session of twenty; their ids begin with `prefix`."""
    return [
        Call(
            f"{prefix}{number:032x}", "openai", "openai", "chat", started_ns + number * _NS // 10, "gpt-5", "api.openai.com",
            attribution=Attribution(
                f"session-{number // _CALLS:032}", "chat", "main_agent", "search", f"customer-{number % accounts}"
            ),
            duration_s=1.5, answer=Answer(Usage(input=812, output=96), "gpt-5", f"chatcmpl-{number:024x}"),
            price=Cost(695_400, EXACT, LOCAL, "2026-11-20"), period="202611",
        )
        for number in range(count)
    ]  # fmt: skip


def _write(written: list[Call], batch: int) -> float:
    """Microseconds of the processor for each call."""
    periods = Periods()
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder, "ledger.db")) as store:
        started = time.process_time()
        for first in range(0, len(written), batch):
            store.append(written[first : first + batch], periods)
        return (time.process_time() - started) / len(written) * 1e6


def _measure_writing(rounds: int) -> None:
    for accounts, batch in ((1, 100), (500, 100), (1, 1)):
        written = calls(40_000 if batch > 1 else 10_000, accounts)
        pairs: list[tuple[float, float]] = []
        for _ in range(rounds):
            with mock.patch.object(Sums, "keep_up"):
                without = _write(written, batch)
            pairs.append((without, _write(written, batch)))
        ratios = [after / before for before, after in pairs]
        print(
            f"writing, {accounts} accounts, {batch} at once: {statistics.median(one for one, _ in pairs):.1f} us without sums,"
            f" {statistics.median(one for _, one in pairs):.1f} us with: {statistics.median(ratios):.2f} x"
            f" [{min(ratios):.2f}..{max(ratios):.2f}]",
            flush=True,
        )


def main() -> None:
    """Prepare the ledger, ask it, write; one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    _measure_writing(asked.rounds)
    ledger = prepared(asked.rows)
    _measure(ledger, asked.rounds)
    _measure_pages(ledger, asked.rounds)


if __name__ == "__main__":
    main()
