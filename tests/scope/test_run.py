"""What a run cost, asked in the program that makes it: real clients, nested scopes, threads, tasks, streams, forks."""

from __future__ import annotations

import asyncio
import decimal
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import costspan
from answers import chat_chunks, completion, error, events, whole
from costspan import scope
from costspan.facts.money import NANO_PER_USD, usd
from costspan.scope.run import RUNS, Run, RunUsage
from forking import in_child
from provider import Provider
from watching import Watched

#: 8 input tokens at 0.15 USD per million, 3 from the cache at 0.075, 7 output tokens at 0.60.
ONE: Final = Decimal("0.000005625")
_ASKED: Final[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def runs_are_let_go_of() -> Iterator[None]:
    """A run that an exception's frames still hold would be asked by the calls of later tests."""
    yield
    gc.collect()


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(model="gpt-4o-mini", messages=_ASKED, **more)


def counted(usage: RunUsage) -> tuple[int, int, Decimal]:
    return usage.calls, usage.open_calls, usage.cost_usd


@pytest.mark.usefixtures("watched")
def test_a_run_tells_what_its_calls_came_to(client: openai.OpenAI) -> None:
    """Calls, tokens by kind, the exact amount, whether more was spent; while it goes on, and after."""
    with costspan.attribution(team="search") as run:
        assert counted(run.usage) == (0, 0, Decimal(0))
        ask(client)
        early = run.usage
        ask(client)
        assert counted(run.usage) == (2, 0, 2 * ONE)
    assert repr(run) == "<Run: 2 calls, 0 under way, 0.000011250 USD>"
    ask(client)
    assert counted(early) == (1, 0, ONE)
    assert dict(early.tokens) == {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
    assert (early.input_tokens, early.output_tokens, early.is_lower_bound, early.pieces) == (11, 7, False, {})
    assert counted(run.usage) == (2, 0, 2 * ONE)
    assert 0 < early.duration_s < run.usage.duration_s == run.usage.duration_s  # over: it grows no more
    with pytest.raises(AttributeError):
        cast("Any", early).calls = 5


@pytest.mark.usefixtures("watched")
def test_a_call_without_a_price_makes_a_lower_bound(client: openai.OpenAI, provider: Provider) -> None:
    """Unknown is not zero: what has no price is said, a refused call costs nothing."""
    with costspan.attribution() as run:
        provider.replies.append(error(429))
        with pytest.raises(openai.RateLimitError):
            ask(client)
        assert (run.usage.calls, run.usage.failed_calls, run.usage.is_lower_bound) == (1, 1, False)
        provider.replies.append(whole(completion(model="nobody-prices-this")))
        client.chat.completions.create(model="nobody-prices-this", messages=_ASKED)
    assert counted(run.usage) == (2, 0, Decimal(0))
    assert (run.usage.unpriced_calls, run.usage.is_lower_bound, run.usage.input_tokens) == (1, True, 11)


@pytest.mark.usefixtures("watched")
def test_nested_scopes_count_once(client: openai.OpenAI) -> None:
    """In the run of each scope around the call, and in no other; also where a scope between them has no run."""
    with costspan.attribution(session="s") as outer:
        ask(client)
        with costspan.attribution(task_type="rank"), costspan.attribution(team="search") as inner:
            ask(client)
            with inner_most() as third:
                ask(client)
    assert [run.usage.calls for run in (outer, inner, third)] == [3, 2, 1]
    assert outer.usage.cost_usd == 3 * ONE


def inner_most() -> Any:
    return costspan.attribution(source="main_agent")


@pytest.mark.usefixtures("watched")
def test_one_attribution_entered_again_is_a_run_each_time(client: openai.OpenAI) -> None:
    """Also by threads at the same time."""
    said = costspan.attribution(team="search")

    def work(times: int) -> int:
        with said as run:
            for _ in range(times):
                ask(client)
        return run.usage.calls

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, [1, 2, 3, 4])) == [1, 2, 3, 4]


@pytest.mark.usefixtures("watched")
def test_threads_and_pools_count_for_the_run_that_they_carry(client: openai.OpenAI) -> None:
    """A thread, its thread, a task of a pool that has other tasks too, a function bound by hand; no words need be said."""

    def nested() -> None:
        ask(client)
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        thread.join()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(ask, client).result()
        with costspan.attribution() as run:
            thread = threading.Thread(target=nested)
            thread.start()
            inside = [pool.submit(ask, client) for _ in range(4)]
            bound = costspan.carry(ask)
        outside = [pool.submit(ask, client) for _ in range(4)]
        thread.join()
        for each in (*inside, *outside):
            each.result()
    assert run.usage.calls == 6
    bound(client)
    assert counted(run.usage) == (7, 0, 7 * ONE)


def test_many_threads_lose_nothing(watched: Watched, client: openai.OpenAI) -> None:
    """Of 400 calls made at once, while somebody asks all the time, each is counted once."""
    over = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not over.is_set():
            seen.append(run.usage.calls)

    with costspan.attribution(session="s") as run, ThreadPoolExecutor(8) as pool:
        looking = threading.Thread(target=look)
        looking.start()
        for each in [pool.submit(ask, client) for _ in range(400)]:
            each.result()
    over.set()
    looking.join()
    assert counted(run.usage) == (400, 0, 400 * ONE)
    assert seen == sorted(seen)
    assert len(watched.calls()) == 400


def test_tasks_count_for_the_run_they_began_in(watched: Watched, provider: Provider) -> None:
    """Tasks at the same time, each with a run of its own within one; one that outlives the scope it was started in."""

    async def ask_async(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(model="gpt-4o-mini", messages=_ASKED)

    async def work(client: openai.AsyncOpenAI, times: int) -> int:
        async with costspan.attribution(task_type=f"t{times}") as run:
            for _ in range(times):
                await ask_async(client)
        return run.usage.calls

    async def main() -> None:
        gate = asyncio.Event()

        async def late(client: openai.AsyncOpenAI) -> None:
            await gate.wait()
            await ask_async(client)

        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            with costspan.attribution(session="s") as run:
                with costspan.attribution(task_type="inner"):
                    outliving = asyncio.create_task(late(client))
                assert await asyncio.gather(*[work(client, times) for times in (1, 2, 3)]) == [1, 2, 3]
                assert run.usage.calls == 6
            gate.set()
            await outliving
            assert counted(run.usage) == (7, 0, 7 * ONE)

    asyncio.run(main())
    assert len(watched.calls()) == 7


@pytest.mark.usefixtures("watched")
def test_a_stream_is_open_until_it_has_been_read(client: openai.OpenAI) -> None:
    """It may be read after the scope: then it is counted for the run that it began in."""
    with costspan.attribution() as run:
        stream = ask(client, stream=True, stream_options={"include_usage": True})
        next(stream)
        assert counted(run.usage) == (0, 1, Decimal(0))
    for _ in stream:
        pass
    assert counted(run.usage) == (1, 0, ONE)


def test_a_stream_that_is_let_go_of_is_closed(watched: Watched, client: openai.OpenAI, provider: Provider) -> None:
    """Its cost is an estimate, and the run says so."""
    with costspan.attribution() as run:
        provider.replies.append(events(chat_chunks(usage=None)))
        stream = ask(client, stream=True)
        next(stream)
        del stream
        watched.calls()
    assert (run.usage.calls, run.usage.open_calls) == (1, 0)
    assert run.usage.estimated_usd == run.usage.cost_usd > 0


@pytest.mark.usefixtures("watched")
def test_a_background_answer_is_open_until_it_is_fetched(client: openai.OpenAI) -> None:
    """It counts for the run that asked for it, not for the one that fetches it, and once."""
    with costspan.attribution() as asking:
        made = client.responses.create(model="gpt-4o-mini", input="hi", background=True)
    assert counted(asking.usage) == (0, 1, Decimal(0))
    with costspan.attribution() as fetching:
        client.responses.retrieve(made.id)
        client.responses.retrieve(made.id)
    assert counted(asking.usage) == (1, 0, ONE)
    assert counted(fetching.usage) == (0, 0, Decimal(0))


@pytest.mark.usefixtures("watched")
def test_another_librarys_calls_count_too(provider: Provider) -> None:
    """Anthropic's, with other kinds of tokens."""
    with anthropic.Anthropic(base_url=provider.url, api_key="k") as client, costspan.attribution() as run:
        client.messages.create(model="claude-haiku-4-5", max_tokens=64, messages=_ASKED)
    assert (run.usage.tokens["cache_write"], run.usage.input_tokens) == (2, 11)


@pytest.mark.usefixtures("watched")
def test_a_call_made_through_another_library_is_open_once_and_counted_once(provider: Provider) -> None:
    """LiteLLM asks OpenAI through OpenAI's library: its own call begins, and is dropped."""
    litellm: Any = pytest.importorskip("litellm")
    with costspan.attribution() as run:
        litellm.completion("openai/gpt-4o-mini", _ASKED, api_base=f"{provider.url}/v1", api_key="k")
    assert counted(run.usage) == (1, 0, ONE)


@pytest.mark.usefixtures("watched")
def test_a_session_is_counted_over_several_tasks(client: openai.OpenAI) -> None:
    """Whatever scopes its calls are made in, other sessions left out; one object for all who ask."""
    conversation = costspan.session_run("conv-1")
    for task in ("summarise", "rank"):
        with costspan.attribution(session="conv-1", task_type=task) as run:
            ask(client)
        assert run.usage.calls == 1
    with costspan.attribution(session="conv-2"):
        ask(client)
    assert counted(conversation.usage) == (2, 0, 2 * ONE)
    assert costspan.session_run("conv-1") is conversation
    for nothing in (None, "", " ", 1.5):
        with pytest.raises(ValueError, match="names no session"):
            costspan.session_run(nothing)


@pytest.mark.usefixtures("watched")
def test_where_nobody_holds_a_run_calls_ask_nothing(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope without `as`, and one whose run has been let go of, add no step to a call."""
    asked: list[object] = []

    def ask_runs(*told: object) -> None:
        asked.append(told)

    monkeypatch.setattr(scope, "begin_in_runs", ask_runs)
    gc.collect()
    with costspan.attribution(team="search"):
        assert not RUNS
        ask(client)
    with costspan.attribution(team="search") as run:
        del run
        ask(client)
    assert not RUNS
    assert asked == []


def test_a_forked_child_counts_for_its_own_copy(watched: Watched, client: openai.OpenAI, provider: Provider) -> None:
    """It knows what was known at the fork, and no call of the parent is under way in it."""
    with costspan.attribution() as run:
        ask(client)
        stream = ask(client, stream=True, stream_options={"include_usage": True})

        def child() -> None:
            assert counted(run.usage) == (1, 0, ONE)
            with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as own:
                ask(own)
            assert counted(run.usage) == (2, 0, 2 * ONE)

        assert in_child(child) == 0
        assert counted(run.usage) == (2, 1, 2 * ONE)
        for _ in stream:
            pass
    assert counted(run.usage) == (3, 0, 3 * ONE)
    assert len(watched.calls()) == 2


PROCESSES = """
import concurrent.futures, gc, multiprocessing, os, sys
import costspan
from openai import OpenAI

def ask(times):
    with OpenAI(base_url=sys.argv[2], api_key="k") as client:
        for _ in range(times):
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])

def nested(times):
    child = multiprocessing.get_context(sys.argv[1]).Process(target=ask, args=(times,))
    child.start()
    child.join()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(ask, 1).result()
        with costspan.attribution() as run:
            pool.submit(ask, 2).result()
            with costspan.attribution(team="search") as inner:
                child = context.Process(target=nested, args=(4,))
                child.start()
                child.join()
                ask(1)
        pool.submit(ask, 8).result()
    print(run.usage.calls, inner.usage.calls, run.usage.cost_usd, run.usage.open_calls)
    path = run.outlet()
    del run
    gc.collect()
    print(os.path.exists(path), os.path.exists(inner.outlet()))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_count_for_the_run_that_they_carry(method: str, provider: Provider, tmp_path: Path) -> None:
    """Started in it, given by it to a pool that was there before, and children of children; nothing is left behind."""
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    ran = subprocess.run(
        [sys.executable, "-m", "costspan", "run", sys.executable, str(script), method, f"{provider.url}/v1"],
        env={**os.environ, "OTEL_COSTSPAN_LEDGER": str(tmp_path / "ledger.db"), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [f"7 5 {7 * ONE} 0", "False True"]
    assert list(tmp_path.glob("costspan-run-*")) == []


class Interrupting(dict[str, int]):
    """Counts during whose addition somebody asks, as the code of a signal may."""

    asking: ClassVar[list[Run]] = []
    said: ClassVar[list[int]] = []

    def items(self) -> Any:
        self.said.extend(run.usage.calls for run in self.asking)
        return super().items()


def test_a_signal_in_the_middle_of_an_addition_waits_for_nothing(watched: Watched, client: openai.OpenAI) -> None:
    """Code of a signal may ask while its own thread adds: it gets what has been added."""
    with costspan.attribution() as run:
        ask(client)
        ask(client)
        usage = watched.calls()[0].answer.usage
        assert usage is not None
        usage.counts = Interrupting(usage.counts)
        Interrupting.asking.append(run)
        assert run.usage.calls == 2
        Interrupting.asking.clear()
    assert Interrupting.said == [1]


@given(st.integers(0, 10**24), st.integers(1, 3))
def test_an_amount_is_exact_whatever_the_callers_precision(nano_usd: int, precision: int) -> None:
    """Nine decimals, in any decimal context."""
    with decimal.localcontext() as context:
        context.prec = precision
        amount = usd(nano_usd)
    with decimal.localcontext() as context:
        context.prec = 60
        assert amount * NANO_PER_USD == nano_usd
