"""The series that the rules record: name, meaning and labels, spelled here only. Panels and alerts read these."""

from __future__ import annotations

from typing import Final, NamedTuple

from costspan.budgets.policy import COUNTED_DIMENSIONS, REQUESTS, TOKENS, USD
from costspan.names import (
    BUDGET,
    PERIOD,
    POINTS_REFUSED,
    REFUSED_REASON,
    TEAM,
    THRESHOLD,
    WEEKDAY,
    prometheus_label,
)

#: The name of a budget.
BUDGET_LABEL: Final = "llm_budget"
PERIOD_LABEL: Final = prometheus_label(PERIOD)
WEEKDAY_LABEL: Final = prometheus_label(WEEKDAY)
#: The labels by which spend is kept apart, in the order in which rules write them.
DIMENSION_LABELS: Final = tuple(prometheus_label(attribute) for attribute in COUNTED_DIMENSIONS.values())
#: `day`, `week` or `month`: how long the period of a budget is.
EVERY_LABEL: Final = "llm_budget_period"
#: The length of a window of time that moves with the clock, e.g. `1h`.
WINDOW_LABEL: Final = "llm_window"
#: Which threshold of a budget, in percent.
THRESHOLD_LABEL: Final = "threshold"
#: The program, by its `service.name`.
JOB_LABEL: Final = "job"
#: Who looks after a budget.
OWNER_LABEL: Final = "owner"


class Series(NamedTuple):
    """One recorded series: its name, what it says, its labels."""

    name: str
    description: str
    labels: tuple[str, ...] = ()


_SPEND: Final = DIMENSION_LABELS
_BUDGET: Final = (BUDGET_LABEL, EVERY_LABEL, PERIOD_LABEL, *DIMENSION_LABELS)
_LIMIT: Final = (BUDGET_LABEL, EVERY_LABEL, OWNER_LABEL)

LOCAL_TIME: Final = Series("llm:local_time:seconds", "What the clock in the budget time zone shows, as seconds.")
CURRENT_MONTH: Final = Series("llm:period:month", "1 for the current month.", (PERIOD_LABEL,))
CURRENT_WEEK: Final = Series("llm:period:week", "1 for the current week (ISO 8601), e.g. `2026W48`.", (PERIOD_LABEL,))
CURRENT_DAY: Final = Series("llm:period:day", "1 for the current day.", (PERIOD_LABEL,))
CURRENT_WEEKDAY: Final = Series("llm:period:weekday", "1 for the current weekday.", (WEEKDAY_LABEL,))
ELAPSED: Final = Series(
    "llm:period_elapsed:ratio", "The part of the day, week or month that is over.", (EVERY_LABEL, PERIOD_LABEL)
)
CURRENT_CYCLE: Final = Series(
    "llm:period:cycle",
    "1 for the current month that begins on another day, by its first day.",
    (EVERY_LABEL, PERIOD_LABEL),
)
CYCLE_OVER: Final = Series("llm:cycle_over:days", "How many days of such a month are over.", (EVERY_LABEL,))
CYCLE_LENGTH: Final = Series("llm:cycle_length:days", "How many days such a month has.", (EVERY_LABEL,))
DAYS_AGO: Final = Series(
    "llm:period:days_ago", "How many days ago a day was: today, and the thirty before.", (PERIOD_LABEL,)
)

SPEND_MONTH: Final = Series("llm:spend_usd:month", "Spend of the current month.", (*_SPEND, PERIOD_LABEL))
SPEND_WEEK: Final = Series("llm:spend_usd:week", "Spend of the current week.", (*_SPEND, PERIOD_LABEL))
SPEND_DAY: Final = Series("llm:spend_usd:day", "Spend of the current day.", (*_SPEND, PERIOD_LABEL))
TOKENS_MONTH: Final = Series("llm:tokens:month", "Input and output tokens of the month.", (*_SPEND, PERIOD_LABEL))
TOKENS_WEEK: Final = Series("llm:tokens:week", "Input and output tokens of the week.", (*_SPEND, PERIOD_LABEL))
TOKENS_DAY: Final = Series("llm:tokens:day", "Input and output tokens of the current day.", (*_SPEND, PERIOD_LABEL))
REQUESTS_MONTH: Final = Series(
    "llm:requests:month", "Calls of the month, without refused ones.", (*_SPEND, PERIOD_LABEL)
)
REQUESTS_WEEK: Final = Series("llm:requests:week", "Calls of the week, without refused ones.", (*_SPEND, PERIOD_LABEL))
REQUESTS_DAY: Final = Series("llm:requests:day", "Calls of the day, without refused ones.", (*_SPEND, PERIOD_LABEL))
_DAYS: Final = "of each of the last 31 days."
SPEND_DAYS: Final = Series("llm:spend_usd:days", f"Spend {_DAYS}", (*_SPEND, PERIOD_LABEL))
TOKENS_DAYS: Final = Series("llm:tokens:days", f"Tokens {_DAYS}", (*_SPEND, PERIOD_LABEL))
REQUESTS_DAYS: Final = Series("llm:requests:days", f"Calls {_DAYS}", (*_SPEND, PERIOD_LABEL))
_PAST_DAYS: Final = "of each day of which nothing more can come, as far back as a month is long."
SPEND_PAST_DAYS: Final = Series("llm:spend_usd:past_days", f"Spend {_PAST_DAYS}", (*_SPEND, PERIOD_LABEL))
TOKENS_PAST_DAYS: Final = Series("llm:tokens:past_days", f"Tokens {_PAST_DAYS}", (*_SPEND, PERIOD_LABEL))
REQUESTS_PAST_DAYS: Final = Series("llm:requests:past_days", f"Calls {_PAST_DAYS}", (*_SPEND, PERIOD_LABEL))
_CYCLE: Final = "of the current month that begins on another day."
SPEND_CYCLE: Final = Series("llm:spend_usd:cycle", f"Spend {_CYCLE}", (*_SPEND, EVERY_LABEL, PERIOD_LABEL))
TOKENS_CYCLE: Final = Series("llm:tokens:cycle", f"Tokens {_CYCLE}", (*_SPEND, EVERY_LABEL, PERIOD_LABEL))
REQUESTS_CYCLE: Final = Series("llm:requests:cycle", f"Calls {_CYCLE}", (*_SPEND, EVERY_LABEL, PERIOD_LABEL))
#: Of single days by what is counted: all of them, those that are over for good, and their sum in a month from another day.
DAYS_OF: Final = {USD: SPEND_DAYS, TOKENS: TOKENS_DAYS, REQUESTS: REQUESTS_DAYS}
PAST_DAYS_OF: Final = {USD: SPEND_PAST_DAYS, TOKENS: TOKENS_PAST_DAYS, REQUESTS: REQUESTS_PAST_DAYS}
CYCLE_OF: Final = {USD: SPEND_CYCLE, TOKENS: TOKENS_CYCLE, REQUESTS: REQUESTS_CYCLE}
SPEND_WINDOW: Final = Series("llm:spend_usd:window", "Spend of a window of time up to now.", (*_SPEND, WINDOW_LABEL))
TOKENS_WINDOW: Final = Series("llm:tokens:window", "Tokens of a window of time up to now.", (*_SPEND, WINDOW_LABEL))
REQUESTS_WINDOW: Final = Series("llm:requests:window", "Calls of a window of time up to now.", (*_SPEND, WINDOW_LABEL))

BUDGET_SPEND_USD: Final = Series("llm:budget_spend:usd", "Spend of a budget's scope in its period.", _BUDGET)
BUDGET_SPEND_TOKENS: Final = Series("llm:budget_spend:tokens", "Tokens of a budget's scope in its period.", _BUDGET)
BUDGET_SPEND_REQUESTS: Final = Series("llm:budget_spend:requests", "Calls of a budget's scope in its period.", _BUDGET)
BUDGET_LIMIT_USD: Final = Series("llm:budget_limit:usd", "The limit of a budget.", _LIMIT)
BUDGET_LIMIT_TOKENS: Final = Series("llm:budget_limit:tokens", "The limit of a budget.", _LIMIT)
BUDGET_LIMIT_REQUESTS: Final = Series("llm:budget_limit:requests", "The limit of a budget.", _LIMIT)
#: What is spent of a limit, and the limit, by its unit; and what is spent in a window of time.
SPENT_OF: Final = {USD: BUDGET_SPEND_USD, TOKENS: BUDGET_SPEND_TOKENS, REQUESTS: BUDGET_SPEND_REQUESTS}
LIMIT_OF: Final = {USD: BUDGET_LIMIT_USD, TOKENS: BUDGET_LIMIT_TOKENS, REQUESTS: BUDGET_LIMIT_REQUESTS}
WINDOW_OF: Final = {USD: SPEND_WINDOW, TOKENS: TOKENS_WINDOW, REQUESTS: REQUESTS_WINDOW}
BUDGET_THRESHOLD: Final = Series(
    "llm:budget_threshold:ratio",
    "A threshold of a budget, as a part of its limit.",
    (BUDGET_LABEL, EVERY_LABEL, THRESHOLD_LABEL),
)
BUDGET_USED: Final = Series("llm:budget_used:ratio", "Spend divided by limit.", _BUDGET)
BUDGET_CROSSED: Final = Series(
    "llm:budget_crossed:ratio",
    "The highest threshold that is reached, as a part of the limit; 0 below the first.",
    _BUDGET,
)
BUDGET_PROJECTED: Final = Series(
    "llm:budget_projected:ratio", "What `llm:budget_used:ratio` will be at the end of the period at this pace.", _BUDGET
)
BUDGET_BURN: Final = Series(
    "llm:budget_burn:ratio",
    "How many times faster than evenly a budget is spent, in a window of time.",
    (BUDGET_LABEL, EVERY_LABEL, WINDOW_LABEL, *DIMENSION_LABELS),
)
CROSSINGS_HOUR: Final = Series(
    "llm:budget_crossings:hour",
    "Thresholds that programs have told in the last hour, of budgets whose spend no rule can see.",
    (JOB_LABEL, prometheus_label(BUDGET), prometheus_label(THRESHOLD)),
)
USUAL_SPEND: Final = Series(
    "llm:spend_usd:usual1h",
    "The median spend of this hour of the week in the three weeks before.",
    (prometheus_label(TEAM),),
)

RECORDED: Final = (
    LOCAL_TIME, CURRENT_MONTH, CURRENT_DAY, CURRENT_WEEK, CURRENT_WEEKDAY, ELAPSED,
    CURRENT_CYCLE, CYCLE_OVER, CYCLE_LENGTH, DAYS_AGO, *DAYS_OF.values(), *PAST_DAYS_OF.values(), *CYCLE_OF.values(),
    SPEND_MONTH, SPEND_DAY, SPEND_WEEK, TOKENS_MONTH, TOKENS_DAY, TOKENS_WEEK,
    REQUESTS_MONTH, REQUESTS_DAY, REQUESTS_WEEK, *WINDOW_OF.values(), *SPENT_OF.values(), *LIMIT_OF.values(), BUDGET_THRESHOLD,
    BUDGET_USED, BUDGET_CROSSED, BUDGET_PROJECTED, BUDGET_BURN, CROSSINGS_HOUR, USUAL_SPEND,
)  # fmt: skip

#: Labels that others put on what the rules read: OTLP's identity of a process, the SDK's mark of an overflow, and
#: the names of exporters and receivers in the Collector's telemetry about itself.
FOREIGN_LABELS: Final = (
    JOB_LABEL, "instance", "otel_metric_overflow", "exporter", "receiver", "data_type", "filter", "http_response_status_code",
    "rpc_response_status_code", prometheus_label(REFUSED_REASON),
)  # fmt: skip

# https://opentelemetry.io/docs/collector/internal-telemetry/: the telemetry reader of the Collector decides whether
# counters end in `_total`.
_COLLECTOR_COUNTERS: Final = (
    "otelcol_exporter_send_failed_metric_points",
    "otelcol_exporter_enqueue_failed_metric_points",
    "otelcol_receiver_refused_metric_points",
)
COLLECTOR_LOSSES: Final = tuple(name + end for name in _COLLECTOR_COUNTERS for end in ("", "_total"))
COLLECTOR_QUEUE_SIZE: Final = "otelcol_exporter_queue_size"
COLLECTOR_QUEUE_CAPACITY: Final = "otelcol_exporter_queue_capacity"
#: Samples that Prometheus threw away because they came too late (https://prometheus.io/docs/, tsdb/head.go).
PROMETHEUS_LOSSES: Final = ("prometheus_tsdb_out_of_order_samples_total", "prometheus_tsdb_too_old_samples_total")
#: Points of ours that the Collector's filter took away, because Prometheus could not take them.
COLLECTOR_FILTERED: Final = tuple(
    f'otelcol_processor_filter_datapoints_filtered{end}{{filter="filter/metrics"}}' for end in ("", "_total")
)
#: Requests that a Collector's receiver refused for their token, by HTTP and by gRPC. The reader decides on the unit.
COLLECTOR_STRANGERS: Final = tuple(
    f"{name}{unit}_count{{{status}}}"
    for name, status in (
        ("http_server_request_duration", 'http_response_status_code=~"401|403"'),
        ("rpc_server_call_duration", 'rpc_response_status_code=~"UNAUTHENTICATED|PERMISSION_DENIED"'),
    )
    for unit in ("", "_seconds")
)
#: Notifications that Alertmanager could not send, and alerts that Prometheus could not hand to Alertmanager.
NOTIFICATION_LOSSES: Final = (
    "alertmanager_notifications_failed_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_dropped_total",
)
#: Prometheus' own: whether it reached what it scrapes; and the jobs of the Collectors (prometheus/prometheus.yml).
REACHED: Final = "up"
PIPELINE_JOBS: Final = "collector|costspan-.*"
#: What others count, with the label matchers that choose of it.
FOREIGN_COUNTERS: Final = (
    *COLLECTOR_LOSSES, *PROMETHEUS_LOSSES, *COLLECTOR_FILTERED, *COLLECTOR_STRANGERS, *NOTIFICATION_LOSSES,
)  # fmt: skip
FOREIGN_METRICS: Final = (
    *(counter.partition("{")[0] for counter in FOREIGN_COUNTERS), COLLECTOR_QUEUE_SIZE, COLLECTOR_QUEUE_CAPACITY,
    POINTS_REFUSED.prometheus, REACHED,
)  # fmt: skip
