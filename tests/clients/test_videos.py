"""Videos by OpenAI's library and by Together's: jobs that are handed in, looked at, and booked once when they are done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from answers import whole
from caller import Caller, Kind
from costspan import attribution
from costspan.clients import openai_videos
from costspan.facts.call import ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced
from provider import Provider
from watching import Watched

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_KINDS = {
    "openai": Kind("openai", "OpenAI", "videos", {"model": "sora-2", "prompt": "Rain", "seconds": "8"}),
    "together": Kind("together", "Together", "videos", {"model": "sora-2", "prompt": "Rain", "seconds": "8"}),
}
_PRO = {"model": "sora-2-pro", "size": "1024x1792", "seconds": "4"}


def job(name: str, status: str = "completed", **more: Any) -> dict[str, Any]:
    """How a job stands."""
    return {
        "id": name, "object": "video", "created_at": 1_780_000_000, "model": "sora-2", "progress": 0, "prompt": "Rain",
        "seconds": "8", "size": "720x1280", "status": status, **more,
    }  # fmt: skip


def serving(provider: Provider, *jobs: dict[str, Any]) -> None:
    """What is asked next gets these jobs, one after the other."""
    provider.replies.extend(map(whole, jobs))


def watched(provider: Provider, kind: Kind, way: Any, mode: str, *jobs: dict[str, Any], **settings: Any) -> list[Call]:
    """The calls that were booked, where the caller saw what he sees without costspan."""
    serving(provider, *jobs)
    plain = Caller(kind, provider.url, mode).run(way)
    serving(provider, *jobs)
    with Watched(hosts=f"127.0.0.1:{provider.port}=openai", **settings) as watched:
        assert Caller(kind, provider.url, mode).run(way) == plain
        calls = list(watched.calls())
        assert len(watched.events()) == len(calls)
    return calls


@_MODES
@pytest.mark.parametrize("library", _KINDS)
def test_a_video_is_booked_when_it_is_fetched(provider: Provider, library: str, mode: str) -> None:
    """Once, for who handed it in; one that failed cost nothing; one that another process handed in belongs to who fetches it."""

    async def way(c: Caller) -> None:
        retrieve = c.method("videos.retrieve")
        with attribution(team="night"):
            for _ in range(2):
                c.look(await c.create())
        with attribution(team="day"):
            for name in ("v1", "v1", "v1", "v2", "v2", "v3"):
                c.look(await c.get(retrieve(name)))

    failed = job("v2", "failed", error={"code": "moderation_blocked", "message": "no"})
    jobs = [
        job("v1", "in_progress"),
        job("v2", "in_progress"),
        job("v1", "in_progress"),
        job("v1"),
        job("v1"),
        failed,
        failed,
    ]
    first, second, third = watched(provider, _KINDS[library], way, mode, *jobs, job("v3", **_PRO))
    assert (first.operation, first.outcome, first.attribution.team, first.request_model) == (
        "video_generation", OK, "night", "sora-2",
    )  # fmt: skip
    assert first.usage is not None
    assert first.usage.counts == {"output_video_ms": 8_000}
    assert isinstance(first.price, Cost)
    assert (first.price.nano_usd, first.price.quality) == (800_000_000, "exact")
    assert (second.outcome, second.error_type, second.price, second.attribution.team) == (
        ERROR, "moderation_blocked", None, "night",
    )  # fmt: skip
    assert isinstance(third.price, Cost)
    assert (third.price.nano_usd, third.price.quality, third.attribution.team) == (2_000_000_000, "exact", "day")


@_MODES
def test_what_openai_makes_of_a_video_is_a_call_too(provider: Provider, tmp_path: Path, mode: str) -> None:
    """Edited, remixed and made longer: of that the job tells the whole length, so that what it cost is not known."""

    async def way(c: Caller) -> None:
        edit, extend = c.method("videos.edit"), c.method("videos.extend")
        c.look(await c.get(edit(prompt="Snow", video=b"mp4")))
        c.look(await c.get(extend(prompt="More", seconds="4", video=b"mp4")))
        c.look(await c.get(c.client.videos.remix("v1", prompt="Sun")))
        for name in ("v2", "v3", "v4"):
            c.look(await c.get(c.client.videos.retrieve(name)))
        c.look(await c.get(c.client.videos.list()))

    begun = [job(f"v{number}", "queued") for number in (2, 3, 4)]
    done = [job("v2"), job("v3", seconds="12"), job("v4", remixed_from_video_id="v1")]
    listed = {"object": "list", "data": [job("v2")], "has_more": False}
    found = watched(provider, _KINDS["openai"], way, mode, *begun, *done, listed, ledger=str(tmp_path / "ledger.db"))
    assert len(found) == 3
    calls = {call.answer.id: call for call in found}
    assert [calls[name].price.nano_usd for name in ("v2", "v4")] == [800_000_000] * 2  # type: ignore[union-attr]
    assert isinstance(calls["v3"].price, Unpriced)
    assert (calls["v3"].usage, calls["v3"].answer.unread) == (None, ("seconds",))


def test_a_video_that_nobody_fetched_is_told_of(provider: Provider) -> None:
    """At the end of the process: its model is known, and what it used is not."""
    serving(provider, job("v1", "queued"))

    async def way(c: Caller) -> None:
        await c.create()

    with Watched() as watching:
        Caller(_KINDS["openai"], provider.url, "sync").run(way)
        assert not watching.calls()
    (call,) = watching._calls  # pyright: ignore[reportPrivateUsage]
    assert call.request_model == "sora-2"
    assert isinstance(call.price, Unpriced)


@pytest.mark.parametrize(
    ("said", "counts", "unread", "error"),
    [
        ({"seconds": 4}, {"output_video_ms": 4_000}, (), None),
        ({"seconds": 4.5}, {"output_video_ms": 4_500}, (), None),
        ({"seconds": "4.5"}, None, ("seconds",), None),
        ({"seconds": None}, None, ("seconds",), None),
        ({"seconds": "-4"}, None, ("seconds",), None),
        ({"status": "expired"}, {"output_video_ms": 8_000}, (), None),
        ({"status": "failed"}, None, (), "error"),
        ({"status": "failed", "error": 5}, None, (), "error"),
        ({"id": 5, "model": [], "size": {}}, {"output_video_ms": 8_000}, (), None),
    ],
    ids=str,
)
def test_a_job_is_read_as_far_as_it_is_understood(
    said: dict[str, Any], counts: dict[str, int] | None, unread: tuple[str, ...], error: str | None
) -> None:
    """What is no number of seconds is named."""
    answer = openai_videos.job(job("v1", **said))
    assert answer is not None
    assert (answer.usage and answer.usage.counts, answer.unread, answer.error) == (counts, unread, error)


def test_what_is_no_job_is_not_one() -> None:
    """Of whatever form."""
    messages: tuple[Any, ...] = (None, 5, [], "text", {}, {"status": 5})
    for message in messages:
        answer = openai_videos.job(message)
        assert answer is None or answer.usage is None
