"""Perplexity's answers that are made in the background: jobs of its chat API, and responses."""

from __future__ import annotations

from typing import Any

import pytest

from answers import completion, response, whole
from caller import Caller, Kind
from costspan import attribution
from costspan.facts.call import ERROR, OK
from costspan.facts.money import Cost, Unpriced
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_MODEL = "sonar-deep-research"
_ASKED = {"model": _MODEL, "messages": [{"role": "user", "content": "Will it rain?"}]}
_JOBS = Kind("perplexity", "Perplexity", "async_.chat.completions", {"request": _ASKED})
_RESPONSES = Kind("perplexity", "Perplexity", "responses", {"model": "openai/gpt-5.4", "input": "Will it rain?"})
_COST = {"input_tokens_cost": 0.0, "output_tokens_cost": 0.001, "request_cost": 0.005, "total_cost": 0.006}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49, "cost": _COST}


def job(status: str, **more: Any) -> Any:
    """How a job stands."""
    return whole({"id": "job-1", "model": _MODEL, "created_at": 1_780_000_000, "status": status, **more})


async def ask_and_fetch(c: Caller) -> None:
    """A job that is begun by one, and fetched by another: under way, ready, and once more."""
    with attribution(team="night"):
        c.look(await c.create())
    with attribution(team="day"):
        for _ in range(3):
            c.look(await c.get(c.methods.get("job-1")))


@_MODES
def test_a_job_is_booked_when_it_is_fetched(provider: Provider, mode: str) -> None:
    """Once, at the cost that Perplexity reports, for who began it."""
    ready = job("COMPLETED", response=completion(id="answer-1", model=_MODEL, usage=_USAGE))
    replies = [job("CREATED"), job("IN_PROGRESS"), ready, ready]
    provider.replies.extend(replies)
    plain = Caller(_JOBS, provider.url, mode).run(ask_and_fetch)
    provider.replies.extend(replies)
    with Watched() as watched:
        assert Caller(_JOBS, provider.url, mode).run(ask_and_fetch) == plain
        call = watched.call()
    assert (call.outcome, call.attribution.team, call.request_model) == (OK, "night", _MODEL)
    assert call.usage is not None
    assert call.usage.counts == {"input": 9, "output": 40}
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (6_000_000, "reported")


@_MODES
def test_a_job_that_failed_is_an_error(provider: Provider, mode: str) -> None:
    """Once; what was wrong is told in no word of the provider's."""
    failed = job("FAILED", error_message="no answer to: Will it rain?")
    provider.replies.extend([job("CREATED"), job("IN_PROGRESS"), failed, failed])
    with Watched() as watched:
        Caller(_JOBS, provider.url, mode).run(ask_and_fetch)
        call = watched.call()
    assert (call.outcome, call.error_type, call.attribution.team) == (ERROR, "failed", "night")


def test_a_job_that_nobody_fetched_is_told_of(provider: Provider) -> None:
    """At the end of the process: its model is known, and its cost is not."""
    provider.replies.append(job("CREATED"))

    async def way(c: Caller) -> None:
        await c.create()

    with Watched() as watched:
        Caller(_JOBS, provider.url, "sync").run(way)
        assert not watched.calls()
    (call,) = watched._calls  # pyright: ignore[reportPrivateUsage]
    assert call.request_model == _MODEL
    assert isinstance(call.price, Unpriced)


@_MODES
def test_a_response_of_the_background_is_booked_when_it_is_fetched(provider: Provider, mode: str) -> None:
    """Once."""

    async def way(c: Caller) -> None:
        retrieve = c.method("responses.retrieve")  # older versions make none in the background
        c.look(await c.create(background=True))
        for _ in range(2):
            c.look(await c.get(retrieve("resp_1")))

    provider.replies.append(whole(response(background=True, status="queued", usage=None)))
    provider.replies.extend([whole(response(background=True))] * 2)
    with Watched() as watched:
        Caller(_RESPONSES, provider.url, mode).run(way)
        call = watched.call()
    assert call.request_model == "openai/gpt-5.4"
    assert call.usage is not None
