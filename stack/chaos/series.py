"""How many series there are in Prometheus: a function of models, task types, sources, teams, processes and sessions."""

from __future__ import annotations

from typing import Final

from costspan.names import (
    DAY_COST_USD,
    DAY_REQUESTS,
    DAY_TOKENS,
    DURATION_BUCKETS_S,
    METRICS,
    SESSION_COST_USD,
    SESSION_TOKENS,
)

#: Input and output tokens, cost, requests: what every kind of work has in every month. Cached and reasoning tokens,
#: further qualities, outcomes and modalities add one each where they occur.
A_MONTH: Final = 4
#: A histogram: its buckets, the last without a bound, sum and count.
A_HISTOGRAM: Final = len(DURATION_BUCKETS_S) + 3
_DIRECTIONS: Final = 2
#: Cost, calls, and tokens by direction.
A_WEEKDAY: Final = len((DAY_COST_USD, DAY_REQUESTS, *[DAY_TOKENS] * _DIRECTIONS))
A_SESSION: Final = len((SESSION_COST_USD, *[SESSION_TOKENS] * _DIRECTIONS))
_OF_PROCESS: Final = [metric.name for metric in METRICS if not metric.labels]
A_LEDGER: Final = sum(name.startswith("costspan.ledger.") for name in _OF_PROCESS)
#: What else a process says of itself, and its resource.
A_PROCESS: Final = len(_OF_PROCESS) - A_LEDGER + 1


def expected(
    kinds: int,
    *,
    processes: int = 1,
    months: int = 1,
    weekdays: int = 1,
    sessions: int = 0,
    has_streams: bool = False,
    has_ledger: bool = True,
) -> int:
    """The series of processes that all do the same.

    Args:
        kinds: kinds of work in a process: models x task types x sources x teams, as far as they occur together.
        processes: processes that lived within the retention, restarts included.
        months: calendar months in which one of them worked.
        weekdays: different weekdays on which it worked: seven at the most.
        sessions: sessions of all processes together, each with one task type, model and source.
        has_streams: True where each kind of work is streamed too: the time to the first event.
        has_ledger: True where a ledger is written.
    """
    a_kind = A_MONTH * months + A_WEEKDAY * weekdays + A_HISTOGRAM * (1 + has_streams)
    a_process = A_PROCESS + A_LEDGER * has_ledger + kinds * a_kind
    return processes * a_process + sessions * A_SESSION
