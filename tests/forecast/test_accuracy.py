"""An estimate beside what came: which call carries it, what later ones learn of it, and how far off they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest
from click.testing import CliRunner
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import costspan
from answers import chat_chunks, error, events
from costspan import names
from costspan.cli.commands import costspan as command
from costspan.emit import estimates
from costspan.facts.usage import Usage
from costspan.forecast import noted
from costspan.forecast.accuracy import compared
from costspan.forecast.noted import Noted, note
from costspan.ledger.kept_calls import COLUMNS, call_of, packed, values_of
from costspan.ledger.store import Store
from ledger_calls import booked, call, write
from provider import Provider
from watching import Watched, points_of

ASKED: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Which invoice is due first?"}],
}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """This process, with a ledger of its own."""
    with Watched(ledger=str(tmp_path / "own.db")) as one:
        yield one


@pytest.fixture
def ledger(watched: Watched, tmp_path: Path) -> Path:
    """The ledger of this process."""
    del watched
    return tmp_path / "own.db"


def counted(watched: Watched, metric: names.Metric) -> dict[tuple[str, ...], int]:
    """What a metric has counted, by the values of its labels."""
    found = watched.points(metric)
    return {tuple(str(point.attributes[label]) for label in metric.labels): point.value for point in found}


def ask(client: openai.OpenAI, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(**{**ASKED, **more})


def carried(ledger: Path) -> list[int | None]:
    """Of each call, the bound of the estimate that it carries."""
    costspan.flush()
    return [None if text is None else json.loads(text)["output"][1] for text in booked(ledger, "estimate")]


def test_the_first_answered_call_of_the_model_carries_the_estimate(ledger: Path, provider: Provider) -> None:
    """Not one that failed or is of another model, and none after it; the innermost that waits, wherever it is made."""
    own, outer, other = (costspan.estimate(ASKED, max_tokens=limit) for limit in (50, 60, 70))
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:
        with own:
            provider.replies.append(error(400))
            with pytest.raises(openai.BadRequestError):
                ask(client)
            ask(client, model="gpt-4o")
            ask(client)
            ask(client)
        with outer:
            with other:
                thread = Thread(target=copy_context().run, args=(ask, client))
                thread.start()
                thread.join()
            ask(client)
        with outer:
            pass
        ask(client)

    async def later() -> None:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client, other:
            create: Any = client.chat.completions.create
            await asyncio.gather(create(**ASKED), create(**ASKED))

    asyncio.run(later())
    assert carried(ledger)[:7] == [None, None, 50, None, 70, 60, None]
    assert sorted(carried(ledger)[7:], key=str) == [70, None]


def test_what_came_is_compared(watched: Watched, ledger: Path, provider: Provider) -> None:
    """Eleven tokens came, and seven; a stream that was cut short tells nothing of the estimate. The metrics say the same."""
    estimate = costspan.estimate(ASKED, max_tokens=6)
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:
        with estimate:
            ask(client)
        provider.replies.append(events(chat_chunks(usage=None)[:3]))
        with estimate:
            list(ask(client, stream=True))
    costspan.flush()
    with Store.read(ledger) as store:
        found = compared(store)
    words = estimate.expected.tokens["input"]
    rows = {row.figure: row for row in found.rows}
    assert rows["input"]._replace(median_error=None, p90_error=None) == ("gpt-4o-mini", "input", 1, None, None, 1, 1)
    assert rows["input"].median_error == rows["input"].p90_error == abs(words - 11) / 11
    assert rows["output"] == ("gpt-4o-mini", "output", 0, None, None, 1, 0)  # seven are more than six
    assert found.left_out == 1
    assert {figure for *_, figure, _ in counted(watched, names.ESTIMATE_COMPARED)} == {"input"}
    assert counted(watched, names.ESTIMATE_BOUNDS) == {
        ("gpt-4o-mini", "cost", "true"): 1, ("gpt-4o-mini", "input", "true"): 1, ("gpt-4o-mini", "output", "false"): 1,
    }  # fmt: skip
    told = CliRunner().invoke(command, ["estimate", "--accuracy", "--ledger", str(ledger), "--json"])
    assert json.loads(told.output) == {"accuracy": [row._asdict() for row in found.rows], "not_compared": 1}
    shown = CliRunner().invoke(command, ["estimate", "--accuracy", "--ledger", str(ledger)]).output
    assert "Not compared: 1 call that failed" in shown


def test_how_far_off_is_counted_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By model, of which there are not too many; a step is reached at its edge. A child that is forked begins anew."""
    monkeypatch.setattr(estimates, "_MOST_MODELS", 1)
    reader = InMemoryMetricReader()
    errors = estimates.EstimateErrors(MeterProvider([reader]).get_meter("costspan"), 250)
    calls = [estimated(words, 100) for words in (100, 90, 110, 111, 80, 50, 150, 200, 201)]
    calls += [estimated(100, 901, request_model="own"), call(usage=Usage(input=1)), call(estimate="{}")]
    calls += [estimated(100, 1, outcome="error"), call(usage=None, estimate=calls[0].estimate)]
    errors.take(calls)
    steps = {"10%": 3, "20%": 2, "50%": 2, "100%": 1, "more": 1}
    found = {tuple(point.attributes.values()): point.value for point in points_of(reader, names.ESTIMATE_COMPARED)}
    assert found == {
        **{("gpt-4o-mini", "input", step): count for step, count in steps.items()}, ("other", "input", "100%"): 1,
    }  # fmt: skip
    bounds = {tuple(point.attributes.values()): point.value for point in points_of(reader, names.ESTIMATE_BOUNDS)}
    assert bounds == {("gpt-4o-mini", "input", "true"): 9, ("other", "input", "false"): 1}
    errors.forget()
    assert points_of(reader, names.ESTIMATE_COMPARED) == []


def estimated(words: int, came: int, *, has_tools: bool = False, **fields: Any) -> Any:
    text = note(Noted(words, has_tools, {"input": words}, {"input": 9 * words}))
    return call(usage=Usage(input=came, output=10), model="gpt-4o-mini", estimate=text, **fields)


def test_later_estimates_learn_by_how_far_earlier_ones_were_off(tmp_path: Path) -> None:
    """By the five whose length is nearest, with tools or without; the bound by all; of the task type where it has enough calls."""
    ledger = tmp_path / "ledger.db"
    request = {"messages": [{"role": "user", "content": "word " * 200}], "model": "gpt-4o-mini"}
    words = costspan.estimate(request).expected.tokens["input"]
    calls = [estimated(words, 2 * words) for _ in range(5)]
    calls += [estimated(40 * words, 120 * words) for _ in range(10)]
    calls += [estimated(words, 50 * words, has_tools=True) for _ in range(4)]
    write(ledger, *calls, estimated(words, words, task_type="sort"), estimated(words, 7, outcome="abandoned"))
    write(ledger, call(model="gpt-4o-mini", estimate="{}"), call(model="gpt-4o-mini", estimate='{"words":"x"}'))
    found = costspan.estimate(request, ledger=ledger)
    assert (found.expected.tokens["input"], found.bound.tokens["input"]) == (2 * words, 50 * words)
    assert (found.basis["input"].expected, found.basis["input"].calls) == ("learned", 20)
    write(ledger, *(estimated(words, 3 * words, task_type="sort") for _ in range(19)))
    sort = costspan.estimate(request, ledger=ledger, task_type="sort")
    assert (sort.expected.tokens["input"], sort.bound.tokens["input"]) == (3 * words, 3 * words)
    assert sort.basis["input"].of == "of gpt-4o-mini with task type sort"
    assert (sort.quality, costspan.estimate(request).quality) == ("learned", "default")


@pytest.mark.parametrize("text", [None, "", "[", "7", "[]", "{}", '{"words":-1,"tools":0,"input":[1,1],"output":[1,1],"cost_nano_usd":[1,1]}', '{"words":1,"tools":0,"input":[1],"output":[1,1],"cost_nano_usd":[1,1]}'])  # fmt: skip
def test_a_note_of_another_form_tells_nothing(text: str | None) -> None:
    """Another version may have written it."""
    assert noted.read(text) is None


def test_a_note_is_read_as_it_was_written() -> None:
    """Also by the journal of a process that was killed; what was not known is absent."""
    whole = Noted(7, has_tools=True, expected={"input": 8}, bound={"input": 9, "output": 10, "cost_nano_usd": 11})
    assert noted.read(note(whole)) == whole
    kept = values_of(packed(call(estimate=note(whole)), 0))
    assert call_of(COLUMNS, kept or ()).estimate == note(whole)
