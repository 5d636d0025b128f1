"""What costspan says of itself: faults that were stopped, libraries it could not watch, what the ledger lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from opentelemetry.metrics import Meter

from costspan import guard, names
from costspan.calls import patching
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.instruments import observe
from costspan.metrics.numbers import usd
from costspan.metrics.ratelimits import Quota, RateLimits


class LedgerHealth(Protocol):
    """What a ledger writer counts."""

    @property
    def written(self) -> int: ...
    @property
    def written_nano_usd(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def lost_nano_usd(self) -> int: ...
    @property
    def queued(self) -> int: ...


class OutboxHealth(Protocol):
    """What an outbox counts."""

    @property
    def lost(self) -> int: ...
    @property
    def waiting(self) -> int: ...


def observe_health(meter: Meter, ledger: LedgerHealth | None, outbox: OutboxHealth | None = None) -> None:
    """Have the health metrics read at each collection."""
    if outbox is not None:
        observe(meter, names.OUTBOX_WAITING, lambda: [(outbox.waiting, {})])
        observe(meter, names.OUTBOX_LOST, lambda: [(outbox.lost, {})])
    observe(meter, names.ERRORS, lambda: [(count, {names.PLACE: place}) for place, count in dict(guard.faults).items()])
    observe(meter, names.DEGRADED, _degraded)
    if ledger is None:
        return
    observe(meter, names.LEDGER_WRITTEN, lambda: [(ledger.written, {})])
    observe(meter, names.LEDGER_WRITTEN_USD, lambda: [(usd(ledger.written_nano_usd), {})])
    observe(meter, names.LEDGER_LOST, lambda: [(ledger.lost, {})])
    observe(meter, names.LEDGER_LOST_USD, lambda: [(usd(ledger.lost_nano_usd), {})])
    observe(meter, names.LEDGER_QUEUED, lambda: [(ledger.queued, {})])


def _degraded() -> list[tuple[float, dict[str, str]]]:
    places = {"patching": patching.degraded, "not watched": patching.unwatched}
    clients = [{names.CLIENT: client, names.PLACE: place} for place, found in places.items() for client in dict(found)]
    return [(1, labels) for labels in (*clients, *({names.PLACE: part} for part in dict(guard.degraded)))]


class AdmissionHealth(Protocol):
    """What the admission of calls counts, by the name of a budget."""

    @property
    def reserved(self) -> dict[str, int]: ...
    @property
    def refused(self) -> dict[str, int]: ...


def observe_admission(meter: Meter, admission: AdmissionHealth) -> None:
    """Have what calls hold of hard budgets read at each collection, and how many were refused."""
    observe(
        meter,
        names.BUDGET_RESERVED_USD,
        lambda: _by_budget({name: usd(n) for name, n in dict(admission.reserved).items()}),
    )
    observe(meter, names.BUDGET_REFUSED, lambda: _by_budget(dict(admission.refused)))


def _by_budget(values: Mapping[str, float]) -> list[tuple[float, dict[str, str]]]:
    return [(value, {names.BUDGET: name}) for name, value in values.items()]


class CrossingsHealth(Protocol):
    """What the thresholds of budgets count, by the name of a budget and percent of its limit."""

    @property
    def counted(self) -> dict[tuple[str, Decimal], int]: ...


def observe_crossings(meter: Meter, crossings: CrossingsHealth) -> None:
    """Have the thresholds that were told read at each collection."""

    def source() -> list[tuple[float, dict[str, str]]]:
        return [
            (count, {names.BUDGET: budget, names.THRESHOLD: f"{percent.normalize():f}"})
            for (budget, percent), count in dict(crossings.counted).items()
        ]

    observe(meter, names.BUDGET_CROSSINGS, source)


class AnomalyHealth(Protocol):
    """What the watch for anomalies counts, by kind, team and task type."""

    @property
    def counted(self) -> dict[tuple[str, str | None, str | None], int]: ...


def observe_anomalies(meter: Meter, watch: AnomalyHealth, label_limit: int) -> None:
    """Have the anomalies that were told read at each collection; a label has at most so many values, and `other`."""
    teams, task_types = CardinalityLimit(label_limit), CardinalityLimit(label_limit)

    def source() -> list[tuple[float, dict[str, str]]]:
        sums: dict[tuple[str, ...], int] = {}
        for (kind, team, task_type), count in dict(watch.counted).items():
            labels = kind, teams.value(team), task_types.value(task_type)
            sums[labels] = sums.get(labels, 0) + count
        return [(count, dict(zip(names.ANOMALIES.labels, labels, strict=True))) for labels, count in sums.items()]

    observe(meter, names.ANOMALIES, source)


def observe_rate_limits(meter: Meter, limits: RateLimits) -> None:
    """Have the gauges of the providers' quotas read at each collection."""
    observe(meter, names.RATELIMIT_LIMIT, _labelled(limits.limit))
    observe(meter, names.RATELIMIT_REMAINING, _labelled(limits.remaining))
    observe(meter, names.RATELIMIT_RESET, _labelled(limits.seconds_to_reset))


def _labelled(read: Callable[[], Iterable[tuple[Quota, float]]]) -> Callable[[], list[tuple[float, dict[str, str]]]]:
    def source() -> list[tuple[float, dict[str, str]]]:
        return [(value, dict(zip(names.RATELIMIT_RESET.labels, quota, strict=True))) for quota, value in read()]

    return source
