"""A process that obeys a budgets.yaml: what is reserved, settled, told and refused, and what happens where that fails."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

import costspan
from answers import error
from budgeted import ask, budgeted
from costspan import BudgetCrossing, BudgetExceeded, guard, instrumentor, names
from costspan.budgets import bounds, crossings
from costspan.budgets.enforcing import store_beside
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.periods import Periods
from costspan.ledger.store import Store
from forking import in_child
from provider import Provider
from watching import Watched


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told once a process is told in each test."""


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    """A client of OpenAI's library."""
    with openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as made:
        yield made


def _budget(*, limit: str = "limit_usd: 1", more: str = "") -> str:
    return f"budgets:\n  - {{name: all, period: month, {limit}, hard: true, overage: false{more}}}\n"


def _standing(folder: Path) -> tuple[int, int]:
    """What is spent and reserved of the one budget."""
    with sqlite3.connect(store_beside(folder / "ledger.db")) as db:
        return db.execute("SELECT coalesce(sum(spent), 0), coalesce(sum(reserved), 0) FROM sums").fetchone()


def _nano_usd(watched: Watched) -> int:
    return sum(call.price.nano_usd for call in watched.calls() if isinstance(call.price, Cost))


def test_a_call_reserves_its_bound_and_settles_its_cost(
    client: openai.OpenAI, provider: Provider, tmp_path: Path
) -> None:
    """While the provider works, the most that it may cost is held; then what it cost is spent."""
    held: list[tuple[int, int]] = []
    with budgeted(tmp_path, _budget()) as watched:
        provider.replies.append(lambda asked: (held.append(_standing(tmp_path)), provider.usual(asked))[1])
        ask(client)
        ((spent, reserved),) = held
        cost = _nano_usd(watched)
        assert spent == 0
        assert reserved > cost > 0
        assert _standing(tmp_path) == (cost, 0)
        assert [point.value for point in watched.points(names.BUDGET_RESERVED_USD)] == [0]


def test_a_stream_is_settled_when_it_is_over(client: openai.OpenAI, tmp_path: Path) -> None:
    """Read to its end, closed before it, or let go of."""
    with budgeted(tmp_path, _budget()) as watched:
        stream = ask(client, stream=True)
        assert _standing(tmp_path)[1] > 0
        for _ in stream:
            pass
        assert _standing(tmp_path) == (_nano_usd(watched), 0)
        stream = ask(client, stream=True)
        next(iter(stream))
        stream.close()
        assert _standing(tmp_path) == (_nano_usd(watched), 0)
        del stream
        stream = ask(client, stream=True)
        next(iter(stream))
        del stream
        watched.calls()
        assert _standing(tmp_path) == (_nano_usd(watched), 0)
        assert len(watched.calls()) == 3


def test_a_failed_call_lets_go(client: openai.OpenAI, provider: Provider, tmp_path: Path) -> None:
    """What the provider refused costs nothing."""
    with budgeted(tmp_path, _budget()):
        provider.replies.append(error(400))
        with pytest.raises(openai.BadRequestError):
            ask(client)
        assert _standing(tmp_path) == (0, 0)


def test_a_request_without_a_limit_of_output_is_told_how_to_fit(client: openai.OpenAI, tmp_path: Path) -> None:
    """What is reserved for it is the longest answer of the model; one that states its limit is not told so."""
    asked = [{"role": "user", "content": "hi"}]
    with budgeted(tmp_path, _budget(limit="limit_usd: 0.005")):
        with pytest.raises(BudgetExceeded) as refused:
            client.chat.completions.create(model="gpt-4o-mini", messages=asked)  # type: ignore[arg-type]
        most = bounds.bound("chat", {"messages": asked}, "gpt-4o-mini").get("output")
        assert f"limit of output tokens, so {most:,} are reserved: set one, such as max_tokens" in str(refused.value)
        with pytest.raises(BudgetExceeded) as refused:
            client.chat.completions.create(model="gpt-4o-mini", messages=asked, max_tokens=most)  # type: ignore[arg-type]
        assert "max_tokens" not in str(refused.value)
        client.chat.completions.create(model="gpt-4o-mini", messages=asked, max_tokens=50)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["limit_tokens: 400", "limit_requests: 2"])
def test_limits_in_tokens_and_requests(limit: str, client: openai.OpenAI, provider: Provider, tmp_path: Path) -> None:
    """They are reserved and settled as money is."""
    with budgeted(tmp_path, _budget(limit=limit)) as watched:
        with pytest.raises(BudgetExceeded) as refused:  # noqa: PT012 - one of them
            for _ in range(50):
                ask(client)
        assert refused.value.unit == limit.split(":", maxsplit=1)[0].removeprefix("limit_")
        assert refused.value.limit == int(limit.rsplit(maxsplit=1)[-1])
        calls = [call for call in watched.calls() if call.outcome == "ok"]
        assert len(provider.asked) == len(calls) > 0
        spent, reserved = _standing(tmp_path)
        tokens = sum(call.usage.get("input") + call.usage.get("output") for call in calls if call.usage)
        assert (spent, reserved) == (tokens if "tokens" in limit else len(calls), 0)


def test_a_session_that_runs_away_is_stopped(client: openai.OpenAI, provider: Provider, tmp_path: Path) -> None:
    """By its spend and by its calls in a minute, before anything is sent; other sessions, and calls without one, go on."""
    text = "max_usd_per_session: 0.0001\nmax_calls_per_minute: 3\n"
    with budgeted(tmp_path, text) as watched:
        for session in ("fast", "other"):
            with costspan.attribution(session=session):
                for _ in range(3):
                    ask(client, max_tokens=1)
        with costspan.attribution(session="fast"), pytest.raises(BudgetExceeded) as fast:
            ask(client, max_tokens=1)
        with costspan.attribution(session="dear"), pytest.raises(BudgetExceeded) as dear:
            ask(client, max_tokens=1_000)
        assert len(provider.asked) == 6
        for _ in range(5):
            ask(client)
        asked = [call.outcome for call in watched.calls()]
    assert (asked.count("ok"), asked.count("refused"), len(provider.asked)) == (11, 2, 11)
    one, other = fast.value, dear.value
    assert (one.budget, one.value, one.unit, one.limit, one.spent, one.would_fit, one.resets_at) == (
        "max-calls-per-minute", "fast", "requests", 3, 3, 0, None,
    )  # fmt: skip
    assert (other.budget, other.value, other.unit, other.limit, other.spent, other.reason) == (
        "max-usd-per-session", "dear", "usd", Decimal("0.0001"), 0, "limit",
    )  # fmt: skip


def test_what_others_spent_counts(client: openai.OpenAI, tmp_path: Path) -> None:
    """Calls before the budget, those of programs without it, and records that come late; each once."""
    others = [
        Call(f"{n:032x}", "other", "openai", "chat", _now_ns(), "gpt-4o-mini", price=Cost(300_000_000, "exact"))
        for n in range(3)
    ]
    with Store.open(tmp_path / "ledger.db") as ledger:
        ledger.append(others[:2], Periods())
    with budgeted(tmp_path, _budget()) as watched:
        assert _standing(tmp_path) == (600_000_000, 0)
        ask(client)
        watched.calls()
        with Store.open(tmp_path / "ledger.db") as ledger:
            ledger.append(others[2:], Periods())
        _look()
        assert _standing(tmp_path) == (900_000_000 + _nano_usd(watched), 0)
        _look()
        assert _standing(tmp_path)[0] == 900_000_000 + _nano_usd(watched)
        ask_too_much = {"max_tokens": 10**9}
        with pytest.raises(BudgetExceeded) as refused:
            ask(client, **ask_too_much)
        assert refused.value.spent == Decimal(900_000_000 + _nano_usd(watched)) / 10**9
    with budgeted(tmp_path, _budget()):  # a process that starts later reads on
        assert _standing(tmp_path)[0] == 900_000_000 + _nano_usd(watched)


def _now_ns() -> int:
    import time

    return time.time_ns()


def _look() -> None:
    pipeline = instrumentor.pipeline
    assert pipeline is not None
    assert pipeline.keeper is not None
    pipeline.keeper._look()  # pyright: ignore[reportPrivateUsage]


def test_a_threshold_is_told_once(
    client: openai.OpenAI, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a log line and to those who asked for it; not again by another process."""
    monkeypatch.setattr(crossings, "_callbacks", list[Any]())
    told: list[BudgetCrossing] = []
    costspan.on_budget(told.append)
    text = """
budgets:
  - name: daily
    period: day
    limit_usd: 0.000001
    thresholds: [{at: 80, do: [log]}, {at: 100, do: [log, callback]}]
  - {name: theirs, period: month, each: provider, limit_usd: 0.000001, thresholds: [{at: 50, do: [log]}]}
"""
    for _ in range(2):
        with budgeted(tmp_path, text) as watched, caplog.at_level(logging.WARNING, "costspan"):
            ask(client)
            watched.calls()
    # Which of two budgets is told first is not said.
    lines = sorted(record.getMessage() for record in caplog.records if "budget" in record.getMessage())
    assert len(lines) == 3
    assert lines[1].startswith("Daily budget exceeded: budget daily has spent 0.0000")
    assert lines[2].startswith("Monthly budget at 50 %: budget theirs of provider openai has spent 0.0000")
    assert " of 0.000001 USD (20" in lines[1]
    assert [(each.budget, each.threshold, each.is_exceeded) for each in told] == [("daily", 100, True)]


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_the_store_cannot_be_asked(
    mode: str, client: openai.OpenAI, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls pass, or are refused, as the budget says."""
    with budgeted(tmp_path, _budget(more=f", on_failure: {mode}")):
        path = store_beside(tmp_path / "ledger.db")
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            if mode == "closed":
                with pytest.raises(BudgetExceeded, match="on_failure: closed") as refused:
                    ask(client)
                assert refused.value.reason == "unavailable"
                assert provider.asked == []
            else:
                ask(client)
                assert "calls pass, as they say on_failure: open" in caplog.text
            other.execute("ROLLBACK")
        other.close()
        ask(client)


def test_a_fault_of_ours_is_no_exception_of_the_callers(
    client: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It obeys on_failure as a store that is away does."""
    monkeypatch.setattr(guard, "raise_again", False)

    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    for mode in ("open", "closed"):
        with budgeted(tmp_path, _budget(more=f", on_failure: {mode}")):
            monkeypatch.setattr("costspan.budgets.bounds.bound", broken)
            if mode == "open":
                ask(client)
            else:
                with pytest.raises(BudgetExceeded, match="a fault of costspan"):
                    ask(client)
    assert guard.faults["budgets.admission"] == 2


def test_a_call_that_cannot_be_settled_now_is_settled_later(
    client: openai.OpenAI, provider: Provider, tmp_path: Path
) -> None:
    """Its reservation stands until then, and it counts once."""
    with budgeted(tmp_path, _budget()) as watched:
        path = store_beside(tmp_path / "ledger.db")
        locked = threading.Event()
        with sqlite3.connect(path, isolation_level=None, check_same_thread=False) as other:

            def answer(asked: Any) -> Any:
                other.execute("BEGIN IMMEDIATE")
                locked.set()
                return provider.usual(asked)

            provider.replies.append(answer)
            ask(client)
            assert locked.is_set()
            other.execute("ROLLBACK")
        other.close()
        assert _standing(tmp_path)[1] > 0
        watched.calls()
        _look()
        _look()
        assert _standing(tmp_path) == (_nano_usd(watched), 0)


def test_a_forked_child_holds_its_own(client: openai.OpenAI, tmp_path: Path) -> None:
    """A stream that is open at the fork is the parent's; the child's calls count for the same budget."""
    with budgeted(tmp_path, _budget()) as watched:
        stream = ask(client, stream=True)
        next(iter(stream))

        def work() -> None:
            ask(client)
            costspan.flush()

        assert in_child(work) == 0
        assert _standing(tmp_path)[1] > 0
        for _ in stream:
            pass
        watched.calls()
        spent, reserved = _standing(tmp_path)
        assert reserved == 0
        assert spent > _nano_usd(watched) > 0


def test_a_file_that_is_mistaken_is_told(
    client: openai.OpenAI, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the program goes on without budgets."""
    with budgeted(tmp_path, "budgets: [{name: a}]"):
        ask(client)
    assert "budgets.yaml:1" in caplog.text
    assert "budgets" in guard.degraded


def test_a_picture_is_bounded_wherever_it_lies() -> None:
    """In the request, at an address or at the provider's: 6,000 tokens for each, and once. Schemas of tools have none."""
    data = "data:image/png;base64,AAAA"
    pictures: tuple[dict[str, Any], ...] = (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
            ]
        },
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        {
            "contents": [
                {"parts": [{"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]},
    )
    asked = [bounds.bound("chat", {**each, "max_tokens": 1}, "gpt-4o").get("input") for each in pictures]
    assert all(6_000 < tokens < 6_400 for tokens in asked), asked
    schema = {"name": "f", "parameters": {"properties": {"file": {"type": "string"}, "image": {"type": "string"}}}}
    text = {"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": schema}]}
    assert bounds.bound("chat", text, "gpt-4o").get("input") < 1_000
