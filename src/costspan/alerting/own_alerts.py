"""Alerts about the meter itself: what makes a figure wrong, incomplete or old. They do not depend on any budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costspan.alerting.calendar import TABLE_END, changes
from costspan.alerting.literals import as_template, differs, equals, matches, one_of, selector
from costspan.alerting.pipeline_alerts import pipeline_alerts
from costspan.alerting.rule import CRITICAL, INFO, JOB, WARNING, Alert, group
from costspan.alerting.rules import GROUPS
from costspan.alerting.series import (
    CURRENT_WEEKDAY,
    ELAPSED,
    EVERY_LABEL,
    LOCAL_TIME,
    SPEND_WINDOW,
    WEEKDAY_LABEL,
    WINDOW_LABEL,
)
from costspan.alerting.spend import growth, indented, summed
from costspan.budgets.periods import DAY
from costspan.facts.money import ESTIMATED, INCOMPLETE
from costspan.facts.periods import zone
from costspan.names import (
    CLIENT,
    COST_USD,
    DAY_COST_USD,
    DEGRADED,
    DURATION_S,
    ERROR_TYPE,
    ERRORS,
    FOLDED,
    LEDGER_LOST,
    LEDGER_LOST_USD,
    LEDGER_WRITTEN_USD,
    OUTBOX_WAITING,
    PLACE,
    PROVIDER,
    QUALITY,
    REQUEST_MODEL,
    REQUESTS,
    RETIRED_USD,
    TASK_TYPE,
    TEAM,
    UNKNOWN,
    UNPRICED_REASON,
    UNPRICED_REQUESTS,
    Metric,
    prometheus_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Policy

_EXACT_TO: Final = "1e-10"
_RATE_LIMITED: Final = "429|.*RateLimit.*|.*TooManyRequests.*|.*Throttl.*|ResourceExhausted"
_CLOCK_WARNING_S: Final = 180 * 86_400
_LAST_DAY: Final = equals(WINDOW_LABEL, "1d")
# A process that slept from Friday to Monday tells Friday's spend again. Not more: from the third day on, a weekday's
# series may still be that of the week before.
_WEEKEND: Final = "66h"


def meter_rules(policy: Policy) -> Content:
    """The rule file of the meter."""
    alerts = [*_prices(), *_shares(), *_counters(), *_arrival(), *pipeline_alerts(), *_own_faults(), *_calendar(policy)]
    return {"groups": [group(GROUPS[2], [alert.rule(policy) for alert in alerts])]}


def _grown(metric: Metric, window: str, *by: str, chosen: str = "") -> str:
    """PromQL: by how much a counter grew in the window, first samples included."""
    labels = ", ".join(word if word in {"job", "instance"} else prometheus_label(word) for word in by)
    return summed(growth(metric.prometheus + chosen, window), labels)


def _value(attribute: str) -> str:
    return f"{{{{ $labels.{prometheus_label(attribute)} }}}}"


def _prices() -> Iterator[Alert]:
    yield Alert(
        "LlmUnpricedModel",
        f"{_grown(UNPRICED_REQUESTS, '1h', PROVIDER, REQUEST_MODEL, UNPRICED_REASON)} > 0",
        WARNING,
        f"No price for {_value(REQUEST_MODEL)} of {_value(PROVIDER)}: every cost figure is a lower bound",
        f"{{{{ $value }}}} calls without a price in the last hour ({_value(UNPRICED_REASON)}).",
    )
    limited = selector("", matches(prometheus_label(ERROR_TYPE), _RATE_LIMITED))
    count = DURATION_S._replace(name=f"{DURATION_S.name}_seconds_count", unit="")
    refused = _grown(count, "15m", PROVIDER, REQUEST_MODEL, chosen=limited)
    yield Alert(
        "LlmRateLimitsHit",
        f"{refused} / {_grown(count, '15m', PROVIDER, REQUEST_MODEL)} >= 0.05\nand {refused} >= 5",
        WARNING,
        f"{_value(PROVIDER)} refuses {{{{ $value | humanizePercentage }}}} of the calls of {_value(REQUEST_MODEL)}",
        "Of the calls of the last 15 minutes, this share was refused because of a rate limit.",
    )


def _shares() -> Iterator[Alert]:
    total = f"({_spent_in_a_day()} >= 1)"
    guessed = _grown(COST_USD, "1d", chosen=selector("", one_of(prometheus_label(QUALITY), (ESTIMATED, INCOMPLETE))))
    yield Alert(
        "LlmEstimatedShareHigh",
        f"round({guessed} / {total}, {_EXACT_TO}) >= 0.05",
        WARNING,
        "{{ $value | humanizePercentage }} of the spend of the last day is estimated or incomplete",
        "Streams that were cut short, and units without a price of their own, are booked as estimates or lower bounds.",
    )
    attributed = _spent_in_a_day(*(differs(prometheus_label(word), f"|{UNKNOWN}") for word in (TEAM, TASK_TYPE)))
    yield Alert(
        "LlmUnattributedShareHigh",
        f"round(1 - ({attributed} or {total} * 0) / {total}, {_EXACT_TO}) >= 0.2",
        INFO,
        "{{ $value | humanizePercentage }} of the spend of the last day has no team or no task type",
        "No budget with a team or task type in its scope sees this spend.",
    )


def _spent_in_a_day(*chosen: str) -> str:
    return f"sum ({selector(SPEND_WINDOW.name, _LAST_DAY, *chosen)})"


def _counters() -> Iterator[Alert]:
    yield Alert(
        "LlmMeterBroken",
        f"sum by (job) (resets({COST_USD.prometheus}[1h])) > 10",
        CRITICAL,
        f"The cost counters of {JOB} go backwards: processes share one identity, spend is counted wrong",
        "{{ $value }} falls in the last hour. A label that tells processes apart was lost on the way: instance or costspan_process.",
    )
    overflow = '{otel_metric_overflow="true"}'
    yield Alert(
        "LlmLabelOverflow",
        f"{_grown(FOLDED, '1h', 'job')} > 0\nor sum by (job) (last_over_time({REQUESTS.prometheus}{overflow}[1h])) > 0",
        WARNING,
        f"{JOB} has more label values than fit: calls are counted without their labels",
        "Totals are right, but budgets of single models, teams or task types miss what is counted under `other`.",
    )


def _arrival() -> Iterator[Alert]:
    yield Alert(
        "LlmTelemetryAbsent",
        # Absent for two minutes, for half an hour: a stack that has just started knows nothing of the time before.
        f"absent_over_time({REQUESTS.prometheus}[2m])",
        WARNING,
        "No telemetry of LLM calls for 30 minutes: budgets are blind",
        "Either nothing runs, or nothing arrives. A budget that shows green now shows what was, not what is.",
        held="30m",
    )
    yield Alert(
        "LlmTelemetryStopped",
        f"group by (job) (last_over_time({REQUESTS.prometheus}[30m] offset 30m))\n"
        f"unless on (job) group by (job) (last_over_time({REQUESTS.prometheus}[30m]))",
        INFO,
        f"{JOB} has sent no telemetry for 30 minutes",
        "Normal for a job that has ended; otherwise its spend is not seen.",
    )


def _own_faults() -> Iterator[Alert]:
    compared = (COST_USD, RETIRED_USD, LEDGER_WRITTEN_USD, LEDGER_LOST_USD)
    cost, retired, written, lost = (f"sum by (job, instance) ({each.prometheus})" for each in compared)
    difference = f"abs({cost} + ({retired} or {cost} * 0) - ({written} + ({lost} or {written} * 0)))"
    yield Alert(
        "LlmLedgerMismatch",
        f"{difference} > 0.01\nand {difference} > 0.001 * {cost}",
        CRITICAL,
        f"Ledger and counters of {JOB} differ by {{{{ $value | humanize }}}} USD",
        "Both count the same calls in the same process: one of them is wrong.",
        held="1h",
    )
    yield Alert(
        "LlmLedgerLoss",
        f"{_grown(LEDGER_LOST, '1h', 'job', 'instance')} > 0",
        CRITICAL,
        f"The ledger of {JOB} could not take {{{{ $value }}}} records",
        "Their number and cost are counted, the records themselves are gone.",
    )
    yield Alert(
        "LlmOutboxWaiting",
        f"max by (job, instance) (last_over_time({OUTBOX_WAITING.prometheus}[15m])) > 0",
        WARNING,
        f"On a machine of {JOB} {{{{ $value }}}} ended programs have not delivered all that they spent",
        "It lies in their outboxes there, and nobody takes it: budgets lack it until it is delivered.",
        held="30m",
    )
    yield Alert(
        "LlmMeterFault",
        f"{_grown(ERRORS, '1h', 'job', PLACE)} > 0",
        WARNING,
        f"costspan stopped a fault of its own in {_value(PLACE)} ({JOB})",
        "{{ $value }} faults in the last hour. The program was not harmed; a call may be missing.",
    )
    yield Alert(
        "LlmClientDegraded",
        f"max by (job, {prometheus_label(CLIENT)}, {prometheus_label(PLACE)}) (last_over_time({DEGRADED.prometheus}[15m])) > 0",
        WARNING,
        f"Calls of {_value(CLIENT)} are not watched as intended ({JOB})",
        f"The library has changed where costspan looks, or costspan does not know it ({_value(PLACE)}): some calls may not be counted.",
    )


def _calendar(policy: Policy) -> Iterator[Alert]:
    grown = growth(DAY_COST_USD.prometheus, "30m", _WEEKEND)
    astray = f"(\n{indented(grown)}\n)\nunless on ({WEEKDAY_LABEL}) {CURRENT_WEEKDAY.name}"
    # Calls that began before midnight end after it: not in the first 45 minutes of a day (3 % of it).
    late = f"{selector(ELAPSED.name, **{EVERY_LABEL: DAY.name})} >= 0.03125"
    yield Alert(
        "LlmTimeZoneMismatch",
        f"{summed(astray, 'job')} / ({_grown(DAY_COST_USD, '30m', 'job')} > 0) > 0.5\nand on () {late}",
        WARNING,
        f"{JOB} counts its calls under another day than it is in {as_template(policy.time_zone)}",
        "The process and budgets.yaml disagree about the time zone: day and month figures are shifted.",
    )
    if any(changes(zone(policy.time_zone))):
        yield Alert(
            "LlmBudgetClockEnds",
            f"{LOCAL_TIME.name} > {round(TABLE_END.timestamp()) - _CLOCK_WARNING_S}",
            WARNING,
            "The clock changes that the budget rules know end in half a year",
            "Compile the rules again with a newer costspan: after that day budgets show nothing.",
        )
