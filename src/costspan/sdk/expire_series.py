"""Series of a process that lives for months: what nobody asks for any more is let go, here and in the SDK.

The SDK keeps every set of labels that an observable counter has ever had, up to 2000 of them; above those it throws
model, team and month away. Nothing of this is public in the SDK. Names were read in 1.43.0 and 1.45.2; where they have
gone, nothing is let go, and labels are overflowed into `other` when there are too many, as docs/telemetry.md says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from costspan import guard, names
from costspan.metrics.totals import Totals
from costspan.sdk.views import COUNTERS, is_default

#: What single counters add to the labels of their entry.
_ADDED: Final = {names.QUALITY, names.MODALITY, names.OUTCOME, names.UNPRICED_REASON, names.DIRECTION}


class SeriesExpiry:
    """Lets go of what has been delivered and will not change. `delivered_s` is when everybody was last told."""

    def __init__(self, totals: Totals, meters: Callable[[], Any], delivered_s: Callable[[], float]) -> None:
        self._cells = totals
        self._meters = meters
        self._delivered_s = delivered_s

    @guard.guarded("sdk.expire_series")
    def after_delivery(self) -> None:
        """Somebody has just been told the sums."""
        meters = self._meters()
        # A View may have taken the month away, and with it the reason why a sum may shrink.
        if is_default(meters, COUNTERS) and _is_as_known(meters):
            gone = self._cells.let_go(self._delivered_s())
            if gone:
                _forget(meters, gone)


def _is_as_known(meters: Any) -> bool:
    return all(hasattr(stream, "_attributes_aggregation") for stream in _streams(meters)) and hasattr(
        getattr(meters, "_measurement_consumer", None), "_lock"
    )


def _streams(meters: Any) -> Iterator[Any]:
    """What the SDK keeps of our instruments, for each reader."""
    consumer = getattr(meters, "_measurement_consumer", None)
    for storage in getattr(consumer, "_reader_storages", {}).values():
        for instrument, streams in list(getattr(storage, "_instrument_view_instrument_matches", {}).items()):
            scope = getattr(instrument, "instrumentation_scope", None)
            if scope is not None and scope.name == names.SCOPE:
                yield from streams


def _forget(meters: Any, gone: set[frozenset[tuple[str, str]]]) -> None:
    """Have the SDK forget sets of labels. Its collections are kept out meanwhile."""
    with meters._measurement_consumer._lock:  # noqa: SLF001
        for stream in _streams(meters):
            kept = stream._attributes_aggregation  # noqa: SLF001
            for key in [key for key, each in kept.items() if _told_of(each) in gone]:
                del kept[key]


def _told_of(aggregation: Any) -> frozenset[tuple[str, Any]]:
    """The labels of the entry that an aggregation was told of."""
    labels: dict[str, Any] = getattr(aggregation, "_attributes", None) or {}
    return frozenset((name, value) for name, value in labels.items() if name not in _ADDED)
