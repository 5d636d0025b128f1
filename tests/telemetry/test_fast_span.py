"""sdk/fast_span.py: spans and records made by private names of the SDK, only of an SDK that keeps what ours has."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk._logs import LoggerProvider, ReadWriteLogRecord
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider

import ways
from caller import KINDS, Caller
from costspan import guard, names
from costspan.sdk import fast_span
from provider import Provider
from watching import Watched


def keeps_more(kind: type) -> Callable[[pytest.MonkeyPatch], None]:
    """An SDK whose objects of this kind have an attribute more."""

    def prepare(monkeypatch: pytest.MonkeyPatch) -> None:
        original = kind.__init__

        def made(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            vars(self)["_of_a_newer_sdk"] = 1

        monkeypatch.setattr(kind, "__init__", made)

    return prepare


def moves(kind: type, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """An SDK that has something of a tracer or a logger under another name."""

    def prepare(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard, "raise_again", False)
        original = kind.__init__

        def made(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            setattr(self, f"{name}_of_a_newer_sdk", getattr(self, name))
            delattr(self, name)

        monkeypatch.setattr(kind, "__init__", made)

    return prepare


def nothing(_: pytest.MonkeyPatch) -> None:
    """The SDK as it is installed."""


#: What is otherwise in the SDK, the limits of the user, and whether spans are made by ours.
TRACERS: Final[list[tuple[str, Callable[[pytest.MonkeyPatch], None], dict[str, int], bool]]] = [
    ("the SDK as it is", nothing, {}, True),
    ("a span keeps more", keeps_more(sdk._Span), {}, False),
    ("its attributes keep more", keeps_more(BoundedAttributes), {}, False),
    ("the limits are elsewhere", moves(sdk.Tracer, "_span_limits"), {}, False),
    ("texts are cut", nothing, {"max_span_attribute_length": 20}, False),
    ("few attributes", nothing, {"max_span_attributes": 63}, False),
    ("enough attributes", nothing, {"max_span_attributes": 64}, True),
]


@pytest.mark.parametrize(
    ("prepare", "limits", "is_ours"), [row[1:] for row in TRACERS], ids=[row[0] for row in TRACERS]
)
def test_spans_are_made_by_ours_only_where_they_are_as_the_sdks(
    prepare: Callable[[pytest.MonkeyPatch], None],
    limits: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_ours: bool,
) -> None:
    """A newer SDK or a limit that cleans: the public way, which is slower and always right."""
    provider = TracerProvider(span_limits=SpanLimits(**limits), shutdown_on_exit=False)
    prepare(monkeypatch)
    assert fast_span.is_known(provider.get_tracer("x")) is is_ours


def test_a_tracer_of_somebody_elses_is_not_known() -> None:
    """Whatever it inherits."""

    class Other(sdk.Tracer):
        pass

    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("x")
    tracer.__class__ = Other
    assert fast_span.is_known(tracer) is False


@pytest.mark.parametrize("is_known", [True, False])
def test_a_call_has_the_same_span_either_way(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    """Ours where the SDK is known, the SDK's own where it is not, with the cost on it."""
    if not is_known:
        keeps_more(sdk._Span)(monkeypatch)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        kinds: list[type] = []

        class Noting(SpanProcessor):
            def on_start(self, span: object, parent_context: object = None) -> None:  # noqa: ARG002  # the SDK's signature
                kinds.append(span.__class__)

        watched.tracer_provider.add_span_processor(Noting())
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        spans = watched.spans()
    assert (kinds == [fast_span.CallSpan]) is is_known
    assert [span.name for span in spans] == ["chat gpt-4o-mini"] * 2
    assert all((span.attributes or {})[names.COST_AMOUNT] for span in spans)


LOGGERS: Final = [
    ("the SDK as it is", nothing, True),
    ("a record keeps more", keeps_more(ReadWriteLogRecord), False),
]


@pytest.mark.parametrize(("prepare", "is_ours"), [row[1:] for row in LOGGERS], ids=[row[0] for row in LOGGERS])
def test_records_are_made_by_ours_only_where_they_are_as_the_sdks(
    prepare: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    """The same for the usage event."""
    logger: Any = LoggerProvider(shutdown_on_exit=False).get_logger("x")
    if not hasattr(getattr(logger, "_log_record_limits", None), "max_log_record_attributes"):
        is_ours = False  # SDK 1.43
    prepare(monkeypatch)
    assert fast_span.is_known_logger(logger) is is_ours
