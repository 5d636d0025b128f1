"""Whatever fails inside costspan: the caller's result, exception and stream are what they are without it."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ways
from answers import CUT, chat_chunks, error, events
from caller import KINDS, Caller
from costspan import guard, instrumentor, names
from costspan.pricing.opener import LazyPrices
from faults import Fault, Site, look_for_functions, sites
from provider import Provider
from watching import Watched


class Injected(Exception):  # noqa: N818  # a fault of no kind that anybody could expect
    """The fault that is put in."""


_KINDS = (Injected, MemoryError)


def _as_usual(_: Provider) -> None:
    """The provider answers by itself."""


class Scenario(NamedTuple):
    """One kind of call: what is called, how, and what the provider says."""

    kind: str
    way: Callable[[Caller], Any]
    prepare: Callable[[Provider], None] = _as_usual


def _busy(provider: Provider) -> None:
    provider.replies.append(error(429))


def _cut(provider: Provider) -> None:
    provider.replies.append(events([*chat_chunks()[:5], CUT]))


def _refusing(provider: Provider) -> None:
    provider.refuses_stream_options = 400


SCENARIOS = {
    "first": Scenario("chat", ways.whole),  # loads the prices, writes the ledger
    "whole": Scenario("chat", ways.whole),
    "message": Scenario("messages", ways.whole),
    "stream": Scenario("chat", ways.to_the_end),
    "message stream": Scenario("messages", ways.to_the_end),
    "responses stream": Scenario("responses", ways.to_the_end),
    "break": Scenario("messages", ways.let_go),
    "close": Scenario("chat", ways.kept),
    "never read": Scenario("chat", ways.never_read),
    "raw": Scenario("chat", ways.raw),
    "raw stream": Scenario("chat", ways.raw_stream),
    "read along": Scenario("responses", ways.read_along("read")),
    "not read": Scenario("messages", ways.not_read),
    "stream along": Scenario("chat", ways.stream_along("iter_lines")),
    "message stream along": Scenario("messages", ways.stream_along("iter_bytes")),
    "refused": Scenario("chat", ways.whole, _busy),
    "not to be asked": Scenario("chat", ways.to_the_end, _refusing),
    "cut": Scenario("chat", ways.to_the_end, _cut),
    "batch": Scenario("messages", ways.batch_results),
    "background": Scenario("responses", ways.create_and_fetch),
    "embeddings": Scenario("chat", ways.method("embeddings.create", model="text-embedding-3-small", input="x")),
    "speech": Scenario("chat", ways.method("audio.speech.create", model="tts-1", input="x", voice="alloy")),
}


#: What takes the event out of the stream that nobody but we asked for. Where that itself fails the event stays in,
#: once: from then on this process does not ask.
TAKES_OUT = frozenset({
    "_look", "_look_of", "events", "of", "_take_stream", "_handed_on", "is_usage_alone", "_take_raw", "_take_response", "follow", "following", "__init__",
    "_read_along", "take_decoded", "_take_asked", "_is_ours", "is_ours", "_message", "_event", "_is_usage_alone", "note",
    "digest", "look", "feed", "_take", "_declares", "<listcomp>", "fields", "parsed", "attach", "_in_lines",
})  # fmt: skip
CASES = [f"{name}, {mode}" for mode in ("sync", "async") for name in SCENARIOS if (name, mode) != ("first", "async")]
LINE_CASES = [case for case in CASES if not case.startswith("first")]


class Bench:
    """Runs one scenario again and again."""

    def __init__(self, case: str, provider: Provider, ledger: Path) -> None:
        self.name, _, self.mode = case.partition(", ")
        self.missed: list[Site] = []
        self.left: list[Any] = []
        self.scenario, self.provider, self.ledger = SCENARIOS[self.name], provider, ledger

    def run(self) -> list[Any]:
        """One run and what was seen, with all that costspan does on the way and afterwards in this thread."""
        self.provider.reset()
        self.scenario.prepare(self.provider)
        caller = Caller(KINDS[self.scenario.kind], self.provider.url, self.mode)
        # In a context of its own: a fault may leave a span current.
        seen = contextvars.copy_context().run(caller.run, self.scenario.way)
        instrumentor.flush()
        return seen

    def watched(self) -> Watched:
        """A process with costspan, whose dispatcher works when he is called and not before."""
        is_first = self.name == "first"
        return _Still(ledger=str(self.ledger) if is_first else "off", prices_are_loaded=not is_first)

    def left_over(self) -> list[Any]:
        """What is seen where the event that we asked for is not taken out of the stream."""
        self.provider.reset()
        self.provider.always_reports_usage = True
        return Caller(KINDS[self.scenario.kind], self.provider.url, self.mode).run(self.scenario.way)

    def left_in(self, seen: list[Any]) -> bool:
        """Whether this is what is seen where what we asked for is left in, the event or what the others say of it."""
        return _without_usage(seen) in {_without_usage(self.left), _without_usage(self.run())}

    def problem_with(self, site: Site, kind: type[Exception], expected: list[Any]) -> str | None:
        """What a fault at this site does to the caller; None if nothing."""
        guard.faults.clear()
        with self.watched() as watched:
            with Fault(site, kind) as fault:
                seen = self.run()
            if not fault.times:  # not every run takes the same way: finalizers, caches
                self.missed.append(site)
                return None
            if seen != expected and not (site.code.co_name in TAKES_OUT and self.left_in(seen)):
                return f"{site}: the caller saw {seen} instead of {expected}"
            if not guard.faults:
                return f"{site}: the fault was not counted"
            if not watched.total(names.ERRORS):
                return f"{site}: the fault is in no metric"
        return None

    def problems_with(self, found: Sequence[Site]) -> list[str]:
        """What faults at these sites do, each in turn."""
        expected, self.left = self.run(), self.left_over()
        look_for_functions()
        problems = [
            self.problem_with(site, _KINDS[number % len(_KINDS)], expected) for number, site in enumerate(found)
        ]
        missed = f"not reached: {', '.join(map(str, self.missed))}"
        assert len(self.missed) <= max(8, len(found) // 10), missed  # most of what is tried is reached
        return [problem for problem in problems if problem is not None]


def _without_usage(seen: list[Any]) -> str:
    return re.sub(r""",\s*(?:'usage': None|"usage": null)""", "", str(seen))


class _Still(Watched):
    loaded = LazyPrices()

    def __init__(self, *, prices_are_loaded: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.prices_are_loaded = prices_are_loaded

    def __enter__(self) -> Watched:
        super().__enter__()
        assert instrumentor.pipeline is not None
        monkeypatched: Any = instrumentor.pipeline.dispatcher
        monkeypatched._begin = lambda: None
        if self.prices_are_loaded:
            instrumentor.pipeline.recorder.prices = self.loaded
        return self


def _plan(provider: Provider, ledger: Path, *, lines: bool) -> dict[str, list[Site]]:
    """Each site with the first case that comes by it."""
    plan: dict[str, list[Site]] = {}
    seen: set[Any] = set()
    for case in LINE_CASES if lines else CASES:
        bench = Bench(case, provider, ledger)
        with bench.watched():
            bench.run()  # the libraries fill their caches first
        with bench.watched():
            found = sites(bench.run, lines=lines)
        plan[case] = [site for key, site in found.items() if key not in seen]
        seen.update(found)
    return plan


@pytest.fixture(scope="module")
def functions(provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Site]]:
    """Every function of costspan that runs during a call, by the case that tries it."""
    return _plan(provider_server, tmp_path_factory.mktemp("plan") / "ledger.db", lines=False)


@pytest.fixture(scope="module")
def lines(provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Site]]:
    """Every line of costspan that runs during a call, by the case that tries it."""
    return _plan(provider_server, tmp_path_factory.mktemp("plan") / "ledger.db", lines=True)


@pytest.fixture(autouse=True)
def faults_are_stopped(monkeypatch: pytest.MonkeyPatch, faults_are_raised: None) -> None:  # noqa: ARG001  # after it
    """As in a program."""
    monkeypatch.setattr(guard, "raise_again", False)


@pytest.mark.parametrize("case", CASES)
def test_the_caller_sees_no_fault_of_any_function(
    case: str, functions: dict[str, list[Site]], provider: Provider, tmp_path: Path
) -> None:
    """Every function of costspan that runs during a call fails in turn, each time that it is called."""
    problems = Bench(case, provider, tmp_path / "ledger.db").problems_with(functions[case])
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("case", LINE_CASES)
def test_the_caller_sees_no_fault_of_any_line(
    case: str, lines: dict[str, list[Site]], provider: Provider, tmp_path: Path
) -> None:
    """Every line of costspan that runs during a call fails in turn, each time that it is reached."""
    problems = Bench(case, provider, tmp_path / "ledger.db").problems_with(lines[case])
    assert not problems, "\n".join(problems)


def test_the_faults_are_put_in_everywhere(functions: dict[str, list[Site]], lines: dict[str, list[Site]]) -> None:
    """The two tests above try something: several hundred functions, and more lines; and excuse nothing by an old name."""
    names_of_functions = {site.code.co_name for found in (*functions.values(), *lines.values()) for site in found}
    assert names_of_functions | {"<listcomp>"} >= TAKES_OUT  # Python 3.12 has no functions for these
    assert sum(map(len, functions.values())) > 200
    assert sum(map(len, lines.values())) > 600


class _MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing to say")


SAID: list[tuple[Exception, str]] = [
    (ValueError("plain"), "ValueError: plain"),
    (ValueError("a\x1b[31m key\nand a line"), "ValueError: a [31m key and a line"),
    (KeyError(), "KeyError"),
    (_MuteError(), "_MuteError"),
]


@pytest.mark.parametrize(("fault", "words"), SAID)
def test_what_a_fault_says_is_cleaned(fault: Exception, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """It may be a text from outside: the class, and the beginning of what it says without control characters."""
    guard.stopped("somewhere", fault)
    assert caplog.messages == [f"costspan: a fault in somewhere was stopped, your program goes on: {words}"]


def _fail_at_length() -> None:
    raise ValueError("x" * 100_000)


def test_what_a_fault_says_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """A prompt, or a whole body, may stand in it."""
    guard.stopped("somewhere", ValueError("x" * 100_000))
    guard.part("a part", _fail_at_length)
    assert all(len(message) < 400 for message in caplog.messages)
