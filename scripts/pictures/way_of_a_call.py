"""The way of a call as a picture: the steps of docs/architecture.md in few words, by their numbers there."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from pictures.drawing import in_both_schemes

NAMES: Final = ("way-of-a-call",)


class Step(NamedTuple):
    """What happens, and the functions that do it as the page names them. `steps` are the numbers of the page's steps."""

    steps: tuple[int, ...]
    happens: str
    by: tuple[str, ...]


#: In the caller's thread, before and after the library's own function runs (step 5).
BEFORE: Final = (
    Step((1, 2), "What is asked, and of whom?", ("calls/inmost.py:_sync", "calls/servers.py:Servers.known")),
    Step((3,), "A call begins", ("calls/engine.py:begin",)),
    Step((4,), "Who is it for? Its span opens", ("scope/session.py:current", "emit/spans.py:Spans.began")),
)
AFTER: Final = (
    Step((6,), "The caller's context is put back", ("emit/recorder.py:CallRecorder.left",)),
    Step((7,), "What came back, and what did it use?", ("clients/openai_body.py:chat",)),
    Step((8,), "The call is finished, exactly once", ("calls/engine.py:ObservedCall.finish",)),
    Step((9,), "Its month and its price", ("pricing/prices.py:Prices.price",)),
    Step((10,), "Its span ends, rate limits are noted", ("emit/spans.py:Spans.ended",)),
    Step((11,), "It is added to the sums", ("metrics/totals.py:Totals.add",)),
    Step((11,), "It is put into a queue", ("emit/dispatcher.py:CallDispatcher.put",)),
)  # fmt: skip
#: Beside the caller: who works there, what it does, and with what. The first one's work goes on to the second.
ELSEWHERE: Final = (
    ("Thread costspan", "takes calls from the queue", ("Ledger", "Outbox", "Durations", "Usage events")),
    ("OpenTelemetry", "at each export", ("Sums", "Sessions and durations", "Usage events", "Spans")),
)
LEADS_TO: Final = ("costspan usage, explain", "Collector, Prometheus, Grafana")


def draw(folder: Path) -> None:
    """Write the picture into a folder, light and dark."""
    in_both_schemes(folder, NAMES[0], "way_of_a_call.svg", before=BEFORE, after=AFTER, elsewhere=ELSEWHERE, leads_to=LEADS_TO)  # fmt: skip
