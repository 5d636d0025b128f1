"""The signals that panels show: name, unit, what it says, and the PromQL made of names.py. One row each."""

from __future__ import annotations

from typing import Final, NamedTuple

from grafana.source.promql import (
    ALL_FILTERS,
    NO_FILTERS,
    RANGE,
    SESSION_FILTERS,
    Filters,
    covered_days,
    equal,
    grown,
    in_days,
    in_sessions,
    in_step,
    in_steps,
    known,
    quantile,
    ratio,
    selector,
    share,
    where_several,
)

from costspan.alerting import literals
from costspan.alerting.series import (
    BUDGET_BURN,
    BUDGET_CROSSED,
    BUDGET_LABEL,
    BUDGET_LIMIT_REQUESTS,
    BUDGET_LIMIT_TOKENS,
    BUDGET_LIMIT_USD,
    BUDGET_PROJECTED,
    BUDGET_SPEND_REQUESTS,
    BUDGET_SPEND_TOKENS,
    BUDGET_SPEND_USD,
    BUDGET_THRESHOLD,
    BUDGET_USED,
    COLLECTOR_QUEUE_CAPACITY,
    COLLECTOR_QUEUE_SIZE,
    DIMENSION_LABELS,
    ELAPSED,
    EVERY_LABEL,
    FOREIGN_COUNTERS,
    LIMIT_OF,
    OWNER_LABEL,
    SPEND_DAY,
    SPEND_MONTH,
    SPEND_WINDOW,
    WINDOW_LABEL,
    Series,
)
from costspan.alerting.spend import growth, indented, scraped_growth
from costspan.facts.call import ABANDONED, ERROR
from costspan.facts.money import ESTIMATED, INCOMPLETE
from costspan.names import (
    ANOMALIES,
    ANOMALY_KIND,
    BUDGET,
    BUDGET_CROSSINGS,
    CACHE_READ_TOKENS,
    CLIENT,
    COST_USD,
    DAY_COST_USD,
    DAY_TOKENS,
    DEGRADED,
    DIRECTION,
    DURATION_S,
    ERROR_TYPE,
    ERRORS,
    ESTIMATE_BOUNDS,
    ESTIMATE_COMPARED,
    ESTIMATE_FIGURE,
    ESTIMATE_HELD,
    ESTIMATE_OFF,
    FIRST_CHUNK_S,
    FOLDED,
    INPUT_TOKENS,
    LEDGER_LOST,
    LEDGER_LOST_USD,
    LEDGER_QUEUED,
    LEDGER_WRITTEN_USD,
    OUTCOME,
    OUTPUT_TOKENS,
    PLACE,
    PROVIDER,
    QUALITY,
    RATELIMIT_DIMENSION,
    RATELIMIT_LIMIT,
    RATELIMIT_REMAINING,
    RATELIMIT_RESET,
    RATELIMIT_WINDOW,
    REQUEST_MODEL,
    REQUESTS,
    SESSION,
    SESSION_COST_USD,
    SESSION_TOKENS,
    SOURCE,
    TASK_TYPE,
    TEAM,
    THRESHOLD,
    UNPRICED_REASON,
    UNPRICED_REQUESTS,
    UNPRICED_TOKENS,
    Metric,
    prometheus_label,
)

# Units of Grafana. The plain `currencyUSD` would turn 1,970.55 into 1.97 K.
USD: Final = "currency:financial:$"
COUNT: Final = "locale"
SHARE: Final = "percentunit"
SECONDS: Final = "s"
PLAIN: Final = "none"


class Signal(NamedTuple):
    """One figure or one family of series. `legend` is how a series is called, in Grafana's words."""

    name: str
    unit: str
    description: str
    expression: str
    legend: str = ""


def legend(*attributes: str) -> str:
    """A series is called by the values of labels."""
    return " ".join(f"{{{{{prometheus_label(each)}}}}}" for each in attributes)


def _by_job(metric: Metric, *more: str) -> str:
    by = ", ".join(["job", *map(prometheus_label, more)])
    return f"sum by ({by}) (\n{growth(selector(metric), RANGE)}\n)"


# -- usage -----------------------------------------------------------------------------------------------------


def _grown(metric: Metric, *by: str, more: tuple[str, ...] = (), filters: Filters = ALL_FILTERS) -> str:
    return grown(selector(metric, filters, *more), *by)


def _priced(*by: str, filters: Filters = ALL_FILTERS) -> str:
    """PromQL: the calls but those without a price."""
    calls = _grown(REQUESTS, *by, filters=filters)
    return f"{calls}\n- (\n{indented(_grown(UNPRICED_REQUESTS, *by, filters=filters))}\n  or\n{indented(calls)} * 0\n)"


_CALLS: Final = _grown(REQUESTS)
_COST: Final = _grown(COST_USD)
_TOKENS: Final = f"{_grown(INPUT_TOKENS)}\n+ {_grown(OUTPUT_TOKENS)}"
_MODEL: Final = (PROVIDER, REQUEST_MODEL)
#: What the figures of the time range are worth, as a number that a panel turns into words.
NOTHING_CHOSEN, PRICED, PARTLY_PRICED, UNPRICED = range(4)


def _state() -> str:
    """The first that is true: calls without a price, calls priced in part, calls, telemetry. Else there is none."""
    incomplete = grown(selector(COST_USD, ALL_FILTERS, equal(QUALITY, INCOMPLETE)))
    found = ((_grown(UNPRICED_REQUESTS), UNPRICED), (incomplete, PARTLY_PRICED), (_CALLS, PRICED))
    states = [f"({growth} > 0) * 0 + {state}" for growth, state in found]
    seen = [f"count (last_over_time({selector(REQUESTS)}[{window}])) * 0" for window in (RANGE, "7d")]
    return "\nor ".join([*states, *seen])


STATE: Final = Signal("State", PLAIN, "What the figures of this page are worth.", _state())
CALLS: Final = Signal("Requests", COUNT, "Calls in the time range, failed ones included.", _CALLS)
CALLS_A_DAY: Final = Signal(
    "Average a day", COUNT, "Calls by the days of the time range.", f"{_CALLS}\n/ {covered_days()}"
)
TOKENS: Final = Signal("Tokens", COUNT, "Input and output tokens.", _TOKENS)
TOKENS_IN: Final = Signal("Input", COUNT, "Input tokens, cached ones included.", _grown(INPUT_TOKENS))
TOKENS_OUT: Final = Signal("Output", COUNT, "Output tokens, reasoning included.", _grown(OUTPUT_TOKENS))
COST: Final = Signal("Cost", USD, "What the calls of the time range cost.", _COST)
COST_A_CALL: Final = Signal(
    "Average a request", USD, "Cost by the calls that have a price, failed ones included.", ratio(_COST, _priced())
)

MODEL_CALLS: Final = Signal("Requests", COUNT, "Calls.", _grown(REQUESTS, *_MODEL))
MODEL_IN: Final = Signal("Input", COUNT, "Input tokens, cached ones included.", _grown(INPUT_TOKENS, *_MODEL))
MODEL_CACHED: Final = Signal("Cached", COUNT, "Part of the input.", f"{_grown(CACHE_READ_TOKENS, *_MODEL)} > 0")
MODEL_OUT: Final = Signal("Output", COUNT, "Output tokens, reasoning included.", _grown(OUTPUT_TOKENS, *_MODEL))
MODEL_TOKENS: Final = Signal("Tokens", COUNT, "Input and output.", f"{MODEL_IN.expression}\n+ {MODEL_OUT.expression}")
MODEL_COST: Final = Signal("Cost", USD, "Empty where no call has a price.", _grown(COST_USD, *_MODEL))
MODEL_SHARE: Final = Signal("Share of cost", SHARE, "Of the cost shown.", share(_grown(COST_USD, *_MODEL), _COST))
MODEL_UNPRICED: Final = Signal("Unpriced", COUNT, "Calls without a price.", f"{_grown(UNPRICED_REQUESTS, *_MODEL)} > 0")


def _daily(name: str, unit: str, metric: Metric, *by: str, filters: Filters = ALL_FILTERS) -> Signal:
    said = "By the day on which each call began, in the budget time zone."
    return Signal(name, unit, said, in_days(metric, filters, *by), legend(*by) if by else "")


DAILY_TOKENS: Final = _daily("Tokens", COUNT, DAY_TOKENS, DIRECTION)
DAILY_COST: Final = _daily("Cost", USD, DAY_COST_USD)
_DAILY_BY_SOURCE: Final = _daily("Cost by source", USD, DAY_COST_USD, SOURCE)
DAILY_COST_BY_SOURCE: Final = _DAILY_BY_SOURCE._replace(
    expression=where_several(_DAILY_BY_SOURCE.expression, selector(REQUESTS, ALL_FILTERS), SOURCE)
)
DAILY_COST_BY_TASK: Final = _daily("Cost by task type", USD, DAY_COST_USD, TASK_TYPE, filters=SESSION_FILTERS)


# -- sessions and tasks ----------------------------------------------------------------------------------------

_TOP: Final = 50
_SESSION_COST: Final = in_sessions(selector(SESSION_COST_USD, SESSION_FILTERS))
_BY_SESSION: Final = in_sessions(selector(SESSION_COST_USD, SESSION_FILTERS), SESSION)
_DEAREST: Final = f"topk({_TOP}, {_BY_SESSION} > 0)"
_COUNTED: Final = f"count ({_BY_SESSION} > 0)"
_TASK_COST: Final = _grown(COST_USD, TASK_TYPE, filters=SESSION_FILTERS)
_TASK_CALLS: Final = _grown(REQUESTS, TASK_TYPE, filters=SESSION_FILTERS)
_SOME_COST: Final = _grown(COST_USD, filters=SESSION_FILTERS)


def _session_tokens(direction: str) -> str:
    series = selector(SESSION_TOKENS, SESSION_FILTERS, equal(DIRECTION, direction))
    return f"{in_sessions(series, SESSION)}\nand on ({prometheus_label(SESSION)}) {_DEAREST}"


def _lasting(metric: Metric, part: float, name: str) -> Signal:
    series = selector(metric, SESSION_FILTERS, ends="_bucket")
    label = prometheus_label(REQUEST_MODEL)
    buckets = f"sum by (le, {label}) (\n{indented(in_step(series))}\n)"
    return Signal(name, SECONDS, "Of the calls of each step.", quantile(part, buckets), f"{{{{{label}}}}} {name}")


SESSIONS: Final = Signal("Sessions", COUNT, "Sessions that cost something in the time range.", _COUNTED)
SESSION_COST: Final = Signal("Cost in sessions", USD, "Cost of the calls that carry a session.", _SESSION_COST)
COST_A_SESSION: Final = Signal("Average", USD, "Cost by session.", f"{_SESSION_COST}\n/ {_COUNTED}")
SESSION_SHARE: Final = Signal(
    "Share of cost in sessions", SHARE, "The rest has no session, or its session was dropped and came back.",
    share(_SESSION_COST, _SOME_COST),
)  # fmt: skip
DEAREST_COST: Final = Signal("Cost", USD, f"The {_TOP} dearest.", _DEAREST)
DEAREST_IN: Final = Signal("Input tokens", COUNT, "Cached ones included.", _session_tokens("input"))
DEAREST_OUT: Final = Signal("Output tokens", COUNT, "Reasoning included.", _session_tokens("output"))
TASK_CALLS: Final = Signal("Requests", COUNT, "Calls.", _TASK_CALLS)
TASK_COST: Final = Signal("Cost", USD, "Cost.", _TASK_COST)
TASK_COST_A_CALL: Final = Signal(
    "Cost a request", USD, "Average of the calls that have a price, failed ones included.",
    ratio(_TASK_COST, _priced(TASK_TYPE, filters=SESSION_FILTERS)),
)  # fmt: skip
TASK_SHARE: Final = Signal("Share of cost", SHARE, "Of the cost shown.", share(_TASK_COST, _SOME_COST))
DURATIONS: Final = (_lasting(DURATION_S, 0.5, "median"), _lasting(DURATION_S, 0.95, "95 %"))
FIRST_CHUNKS: Final = (_lasting(FIRST_CHUNK_S, 0.5, "median"), _lasting(FIRST_CHUNK_S, 0.95, "95 %"))
_BAD_ENDS: Final = f'{prometheus_label(OUTCOME)}=~"{ERROR}|{ABANDONED}"'
_WITH_ERROR: Final = selector(DURATION_S, SESSION_FILTERS, f'{prometheus_label(ERROR_TYPE)}!=""', ends="_count")
OUTCOMES: Final = Signal(
    "Outcomes", COUNT, "Calls of each step that did not end well.",
    in_steps(selector(REQUESTS, SESSION_FILTERS, _BAD_ENDS), OUTCOME), legend(OUTCOME),
)  # fmt: skip
FAILURES: Final = Signal(
    "Failed calls", COUNT, "Calls by the error that ended them.",
    f"{grown(_WITH_ERROR, PROVIDER, REQUEST_MODEL, ERROR_TYPE)} > 0",
)  # fmt: skip

# -- budgets ---------------------------------------------------------------------------------------------------

_WHO: Final = ", ".join(DIMENSION_LABELS)
_HOUR: Final = f'{SPEND_WINDOW.name}{{{WINDOW_LABEL}="1h"}}'


def _spender(series: str) -> str:
    return f"topk(20, sum by ({_WHO}) ({series}) > 0)"


#: The budgets that are chosen: the variable has the name of the word.
CHOSEN: Final = "budget"
_LIMIT_NAMES: Final = [limit.name for limit in LIMIT_OF.values()]
BUDGET_NAMES: Final = f'label_values({{__name__=~"{"|".join(_LIMIT_NAMES)}"}}, {BUDGET_LABEL})'
#: Whose a budget is that stands for each value of a word: the value, whatever the word; a label of the panels' own.
EACH_LABEL: Final = "llm_budget_each"


def _chosen(series: Series, *more: str) -> str:
    """PromQL: a series of the budgets that are chosen."""
    return literals.selector(series.name, literals.matches(BUDGET_LABEL, f"${CHOSEN}"), *more)


def _each(expression: str, *more: str) -> str:
    """PromQL: the expression by budget, length of its period, and value of the word that it stands for each value of."""
    values = ", ".join(f'"{label}"' for label in DIMENSION_LABELS)
    joined = f'label_join(\n{indented(expression)},\n  "{EACH_LABEL}", "", {values}\n)'
    return f"max by ({', '.join([BUDGET_LABEL, EVERY_LABEL, EACH_LABEL, *more])}) (\n{indented(joined)}\n)"


def _limit(limit: Series, spend: Series) -> str:
    """PromQL: the limit beside every spend, and that of a budget of which nothing is spent."""
    of = f"on ({BUDGET_LABEL})"
    beside = f"{_chosen(spend)} * 0\n+ {of} group_left ({OWNER_LABEL}) {_chosen(limit)}"
    return _each(f"{beside}\nor {_chosen(limit)} unless {of} {_chosen(spend)}", OWNER_LABEL)


def _state_of_budgets() -> str:
    """PromQL: BELOW the first threshold, ABOVE it, or at the LAST: the first of 100 % and more, else the highest."""
    of, crossed, threshold = f"by ({BUDGET_LABEL})", _chosen(BUDGET_CROSSED), _chosen(BUDGET_THRESHOLD)
    last = f"(min {of} ({threshold} >= 1) or max {of} ({threshold}))"
    reached = f"({crossed} >= bool on ({BUDGET_LABEL}) group_left () {last})"
    return _each(f"{reached}\n+ ({crossed} > bool 0)")


#: What the state of a budget is, as a number that a panel turns into words.
BELOW, ABOVE, LAST = range(3)
_OVER_TIME: Final = f"{{{{{BUDGET_LABEL}}}}} {{{{{EACH_LABEL}}}}}"
_LAST_HOUR: Final = f'{WINDOW_LABEL}="1h"'

MONTH_TO_DATE: Final = Signal("Month to date", USD, "Cost of the calls that began in it.", f"sum ({SPEND_MONTH.name})")
DAY_TO_DATE: Final = Signal("Day to date", USD, "Cost of the calls that began on it.", f"sum ({SPEND_DAY.name})")
LAST_HOUR: Final = Signal("Last hour", USD, "What arrived in the last hour.", f"sum ({_HOUR})")
PERIOD_OVER: Final = Signal("Over", SHARE, "How much of it is over.", ELAPSED.name, f"{{{{{EVERY_LABEL}}}}}")
USED: Final = Signal("Used", SHARE, "Spend by limit.", _each(_chosen(BUDGET_USED)))
STATE_OF_BUDGET: Final = Signal("State", PLAIN, "By the thresholds of budgets.yaml.", _state_of_budgets())
CROSSED: Final = Signal("Threshold", SHARE, "The highest that is reached.", f"{_each(_chosen(BUDGET_CROSSED))} > 0")
SPENT_USD: Final = Signal("Spent, USD", USD, "In the period so far.", _each(_chosen(BUDGET_SPEND_USD)))
OF_USD: Final = Signal("Limit, USD", USD, "By budgets.yaml.", _limit(BUDGET_LIMIT_USD, BUDGET_SPEND_USD))
SPENT_TOKENS: Final = Signal("Spent, tokens", COUNT, "In the period so far.", _each(_chosen(BUDGET_SPEND_TOKENS)))
OF_TOKENS: Final = Signal("Limit, tokens", COUNT, "By budgets.yaml.", _limit(BUDGET_LIMIT_TOKENS, BUDGET_SPEND_TOKENS))
SPENT_CALLS: Final = Signal("Spent, calls", COUNT, "In the period so far.", _each(_chosen(BUDGET_SPEND_REQUESTS)))
OF_CALLS: Final = Signal(
    "Limit, calls", COUNT, "By budgets.yaml.", _limit(BUDGET_LIMIT_REQUESTS, BUDGET_SPEND_REQUESTS)
)
PROJECTED: Final = Signal("At the end", SHARE, "At the pace so far.", _each(_chosen(BUDGET_PROJECTED)))
BURN: Final = Signal("Pace", PLAIN, "Of the last hour; 1 is evenly.", _each(_chosen(BUDGET_BURN, _LAST_HOUR)))
USED_OVER_TIME: Final = USED._replace(legend=_OVER_TIME)
BURN_OVER_TIME: Final = BURN._replace(legend=_OVER_TIME)
SPENDERS: Final = (
    Signal("Month to date", USD, "Cost.", _spender(SPEND_MONTH.name)),
    Signal("Day to date", USD, "Cost.", _spender(SPEND_DAY.name)),
    Signal("Last hour", USD, "Cost.", _spender(_HOUR)),
)

ANOMALIES_FOUND: Final = Signal(
    "Found",
    COUNT,
    "Told by programs that watch their ledger.",
    f"{_by_job(ANOMALIES, ANOMALY_KIND, TEAM, TASK_TYPE)} > 0",
)

CROSSINGS_TOLD: Final = Signal(
    "Crossings",
    COUNT,
    "Thresholds that programs have told, of all budgets that they obey.",
    f"{_by_job(BUDGET_CROSSINGS, BUDGET, THRESHOLD)} > 0",
)

# -- health of the meter ---------------------------------------------------------------------------------------

_ALL_COST: Final = grown(selector(COST_USD))


def _said(*matchers: str) -> str:
    return share(grown(selector(COST_USD, NO_FILTERS, *matchers)), _ALL_COST)


def _age() -> str:
    """Seconds since the newest sample, by job: found at once up to five minutes, then among the steps of a day."""
    sent = f"timestamp({REQUESTS.prometheus})"
    return f"time() - max by (job) ({sent})\nor time() - max by (job) (max_over_time({sent}[1d:5m]))"


def _newest(metric: Metric, *by: str) -> str:
    return f"min by ({', '.join(map(prometheus_label, by))}) (last_over_time({selector(metric)}[15m]))"


#: What a counter of a service means, by the beginning of its name.
_LOSSES: Final = {
    "otelcol_exporter_send_failed": "points that the Collector could not send",
    "otelcol_exporter_enqueue_failed": "points for which the Collector's queue was full",
    "otelcol_receiver_refused": "points that the Collector refused",
    "otelcol_processor_filter": "points that the Collector filtered",
    "http_server_request": "requests with a wrong token",
    "rpc_server_call": "requests with a wrong token",
    "prometheus_tsdb_out_of_order": "samples out of order",
    "prometheus_tsdb_too_old": "samples that came too late",
    "alertmanager_notifications": "notifications that were not sent",
    "prometheus_notifications_errors": "alerts that were not handed to Alertmanager",
    "prometheus_notifications_dropped": "alerts that were thrown away",
}


def _lost(counter: str) -> Signal:
    (what,) = [said for name, said in _LOSSES.items() if counter.startswith(name)]
    grew = f"round(sum by (job, instance) (\n{scraped_growth(counter, RANGE)}\n))"
    return Signal(what, COUNT, "What was refused, thrown away or not sent.", f"{grew} > 0", f"{what} ({{{{job}}}})")


_QUOTA: Final = (PROVIDER, REQUEST_MODEL, RATELIMIT_DIMENSION, RATELIMIT_WINDOW)
_REASON: Final = (PROVIDER, REQUEST_MODEL, UNPRICED_REASON)

AGE: Final = Signal("Age of the last sample", SECONDS, "By job.", _age(), "{{job}}")
QUALITIES: Final = Signal(
    "Quality",
    SHARE,
    "Where the amounts come from.",
    share(grown(selector(COST_USD), QUALITY), _ALL_COST),
    legend(QUALITY),
)
ESTIMATES: Final = Signal(
    "Estimated or incomplete", SHARE, "Of the cost.", _said(f'{prometheus_label(QUALITY)}=~"{ESTIMATED}|{INCOMPLETE}"')
)
UNPRICED_SHARE: Final = Signal(
    "Unpriced calls", SHARE, "Of all calls.",
    share(grown(selector(UNPRICED_REQUESTS)), grown(selector(REQUESTS))),
)  # fmt: skip
UNPRICED_CALLS: Final = Signal("Requests", COUNT, "Calls.", f"{grown(selector(UNPRICED_REQUESTS), *_REASON)} > 0")
UNPRICED_AMOUNT: Final = Signal("Tokens", COUNT, "Tokens.", f"{grown(selector(UNPRICED_TOKENS), *_REASON)} > 0")
COVERAGE: Final = (
    Signal("Team", SHARE, "Of the cost.", _said(known(TEAM))),
    Signal("Task type", SHARE, "Of the cost.", _said(known(TASK_TYPE))),
    Signal("Source", SHARE, "Of the cost.", _said(known(SOURCE))),
    Signal("Session", SHARE, "Of the cost.", share(in_sessions(selector(SESSION_COST_USD)), _ALL_COST)),
)
QUOTA_LEFT: Final = Signal("Left", COUNT, "The least of all processes.", _newest(RATELIMIT_REMAINING, *_QUOTA))
QUOTA: Final = Signal("Quota", COUNT, "By the answers' headers.", _newest(RATELIMIT_LIMIT, *_QUOTA))
QUOTA_RESET: Final = Signal("Whole again in", SECONDS, "By the headers.", _newest(RATELIMIT_RESET, *_QUOTA))
LOSSES: Final = tuple(map(_lost, FOREIGN_COUNTERS))
QUEUE: Final = Signal(
    "Collector's queue",
    SHARE,
    "How full it is.",
    f"{COLLECTOR_QUEUE_SIZE} / {COLLECTOR_QUEUE_CAPACITY}",
    "{{exporter}}",
)
RESETS: Final = Signal(
    "Counters that fell", COUNT, "Processes share one identity.", f"sum (resets({COST_USD.prometheus}[{RANGE}]))"
)
FOLDS: Final = Signal("Folded", COUNT, "Label values counted as `other`.", f"sum ({_by_job(FOLDED)})")
FAULTS: Final = Signal(
    "Faults of costspan", COUNT, "Stopped before they reached the program.", f"{_by_job(ERRORS, PLACE)} > 0"
)
DEGRADED_CLIENTS: Final = Signal(
    "Not watched as intended", COUNT, "Client libraries that have changed.",
    f"max by (job, {prometheus_label(CLIENT)}, {prometheus_label(PLACE)}) (last_over_time({DEGRADED.prometheus}[15m])) > 0",
)  # fmt: skip
_ESTIMATED: Final = (REQUEST_MODEL, ESTIMATE_FIGURE)
_NEAR: Final = f'{prometheus_label(ESTIMATE_OFF)}=~"10%|20%"'


def _of_estimates(metric: Metric, chosen: str) -> str:
    """PromQL: the share of an estimate's calls that are chosen; zero where none is."""
    whole = grown(selector(metric), *_ESTIMATED)
    part = f"{grown(selector(metric, NO_FILTERS, chosen), *_ESTIMATED)}\nor {whole} * 0"
    return ratio(f"(\n{indented(part)}\n)", whole)


ESTIMATES_MADE: Final = (
    Signal("Compared", COUNT, "With an expected number.", f"{grown(selector(ESTIMATE_COMPARED), *_ESTIMATED)} > 0"),
    Signal("Within 20 %", SHARE, "Of what came.", _of_estimates(ESTIMATE_COMPARED, _NEAR)),
    Signal("Bounds held", SHARE, "No more came.", _of_estimates(ESTIMATE_BOUNDS, equal(ESTIMATE_HELD, "true"))),
)
LEDGER: Final = (
    Signal("Counted", USD, "By the counters.", _by_job(COST_USD)),
    Signal("Written", USD, "To the ledger.", _by_job(LEDGER_WRITTEN_USD)),
    Signal("Lost, USD", USD, "The ledger could not take it.", _by_job(LEDGER_LOST_USD)),
    Signal("Lost, records", COUNT, "The ledger could not take them.", _by_job(LEDGER_LOST)),
    Signal("Waiting", COUNT, "For the ledger.", f"sum by (job) (last_over_time({LEDGER_QUEUED.prometheus}[15m]))"),
)
