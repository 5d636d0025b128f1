"""Calls of the real client without a network, to measure what comes after: at a pace, by kind of work, by session."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import httpx2
import openai

import costspan
from stack.chaos.provider import completion

#: All of them have a price.
MODELS: Final = (
    "gpt-4o-mini",
    "gpt-4o",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
)
SOURCES: Final = ("main_agent", "task_agent", "heartbeat")
#: So many calls belong to one session.
_CALLS_A_SESSION: Final = 3
_SESSIONS_A_SECOND: Final = 500
_USAGE: Final[dict[str, Any]] = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}

#: What a call of the first model costs here: 1,000 input tokens, 100 output tokens.
CALL_USD: Final = 0.00021

#: Model, task type, source, team.
Kind: TypeAlias = tuple[str, str, str, str]


class _NoNetwork(httpx2.BaseTransport):
    """Answers at once, by the model that was asked for."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        model: str = json.loads(request.content)["model"]
        return httpx2.Response(200, json=completion(_USAGE, model))


def client() -> openai.OpenAI:
    """The real client, answered without a network."""
    return openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=_NoNetwork(), trust_env=False))


def kinds(models: int, tasks: int, sources: int, teams: int) -> Iterable[Kind]:
    """Every kind of work that so many models, task types, sources and teams make."""
    told = (
        MODELS[:models],
        [f"task-{n}" for n in range(tasks)],
        SOURCES[:sources],
        [f"team-{n}" for n in range(teams)],
    )
    return itertools.product(*told)


def work(models: int, tasks: int, sources: int, teams: int) -> None:
    """Call once for every kind of work."""
    asked = client()
    for model, task, source, team in kinds(models, tasks, sources, teams):
        with costspan.attribution(task_type=task, source=source, team=team):
            asked.chat.completions.create(model=model, messages=[])


def sessions(count: int) -> None:
    """Call once for each of so many sessions; slowly, because only so many are kept between two exports."""
    asked = client()
    for number in _paced(count, _SESSIONS_A_SECOND):
        with costspan.attribution(session=f"session-{number}", task_type="chat", source="main_agent", team="one"):
            asked.chat.completions.create(model=MODELS[0], messages=[])


def poison(count: int) -> None:
    """Call for another team, task type, source and session each time: long words, and words that are no text."""
    asked = client()
    for number in range(count):
        with costspan.attribution(
            session=f"{number}-" + "s" * 100_000,
            task_type=f"{number}\x00\x1b[2J\ud800\n",
            source=bytes(range(256)).decode("latin-1") + f"{number}",
            team=f"team-{number}",
        ):
            asked.chat.completions.create(model=MODELS[0], messages=[])


def pace(rate: int, seconds: int) -> None:
    """Call at a rate a second; a new session every three calls."""
    asked = client()
    for number in _paced(rate * seconds, rate):
        session = number // _CALLS_A_SESSION
        source = SOURCES[session % len(SOURCES)]
        with costspan.attribution(session=f"session-{session}", task_type="chat", source=source, team="one"):
            asked.chat.completions.create(model=MODELS[0], messages=[])


def _paced(count: int, rate: int) -> Iterator[int]:
    started = time.monotonic()
    for number in range(count):
        ahead_s = started + number / rate - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        yield number
