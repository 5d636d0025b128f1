"""Every metric, attribute, label and unit that costspan emits, spelled here and nowhere else.

Names that start with `gen_ai.` are those of the OpenTelemetry GenAI conventions
(https://github.com/open-telemetry/semantic-conventions-genai); `gen_ai.usage.cost.*` is its pull request 443.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from costspan.facts import attribution_words as words


class Attribute(NamedTuple):
    """One attribute: its name and what it says."""

    name: str
    description: str


OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TASK_TYPE: Final = words.ATTRIBUTE_OF[words.TASK_TYPE]
SOURCE: Final = words.ATTRIBUTE_OF[words.SOURCE]
TEAM: Final = words.ATTRIBUTE_OF[words.TEAM]
PERIOD: Final = "llm.period"
WEEKDAY: Final = "llm.weekday"
ACCOUNT: Final = words.ATTRIBUTE_OF[words.ACCOUNT]
SESSION: Final = words.ATTRIBUTE_OF[words.SESSION]
MODALITY: Final = "gen_ai.token.modality"
DIRECTION: Final = "llm.token.direction"
QUALITY: Final = "llm.cost.quality"
OUTCOME: Final = "llm.outcome"
UNPRICED_REASON: Final = "llm.unpriced.reason"
ERROR_TYPE: Final = "error.type"
RATELIMIT_DIMENSION: Final = "llm.ratelimit.dimension"
RATELIMIT_WINDOW: Final = "llm.ratelimit.window"
PLACE: Final = "costspan.place"
CLIENT: Final = "costspan.client"
PROCESS: Final = "costspan.process"

RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
STREAM: Final = "gen_ai.request.stream"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
PRICE_VERSION: Final = "llm.price.version"
SERVICE_TIER: Final = "llm.service_tier"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
STATUS_CODE: Final = "http.response.status_code"
EVENT_ID: Final = "llm.usage.id"
COST_NANO_USD: Final = "llm.cost.nano_usd"
USAGE_UNITS: Final = "llm.usage.units"
DURATION: Final = "llm.duration_s"
TRANSACTION: Final = "llm.budget.transaction.id"
ESTIMATE: Final = "llm.estimate"
BUDGET: Final = "llm.budget.name"
THRESHOLD: Final = "llm.budget.threshold"
ANOMALY_KIND: Final = "llm.anomaly.kind"
ESTIMATE_FIGURE: Final = "llm.estimate.figure"
ESTIMATE_OFF: Final = "llm.estimate.off"
ESTIMATE_HELD: Final = "llm.estimate.held"

ATTRIBUTES: Final = (
    Attribute(OPERATION, "What the call does: `chat`, `text_completion`, `embeddings`, ..."),
    Attribute(PROVIDER, "The provider that answered, by the conventions' names."),
    Attribute(REQUEST_MODEL, "The model that was asked for."),
    Attribute(RESPONSE_MODEL, "The model that answered."),
    *(Attribute(*row) for row in words.WORDS.values()),
    Attribute(PERIOD, "The calendar month of the call, `YYYYMM`, in the budget time zone."),
    Attribute(WEEKDAY, "The weekday of the call, 1 (Monday) to 7, in the budget time zone."),
    Attribute(MODALITY, "`text`, `image`, `audio`, `video` or `unknown`."),
    Attribute(DIRECTION, "`input` or `output`."),
    Attribute(
        QUALITY, "Where the amount comes from: `reported`, `exact`, `alias`, `override`, `estimated`, `incomplete`."
    ),
    Attribute(OUTCOME, "`ok`, `error`, `abandoned`, or `refused`: by a hard budget, before it was sent."),
    Attribute(UNPRICED_REASON, "Why a call has no cost."),
    Attribute(
        ERROR_TYPE,
        "The class of the exception, or a short code of the provider's (`a-z 0-9 _ . -`), never its sentence.",
    ),
    Attribute(RATELIMIT_DIMENSION, "`requests`, `tokens`, `input_tokens` or `output_tokens`."),
    Attribute(RATELIMIT_WINDOW, "The length of the window: `second`, `minute`, `hour`, `day` or `unknown`."),
    Attribute(PLACE, "Where in costspan a fault was stopped."),
    Attribute(CLIENT, "The client library concerned."),
    Attribute(
        PROCESS, "The process, on every metric whose resource has no `service.instance.id` that the SDK made for it."
    ),
    Attribute(RESPONSE_ID, "The provider's id of the answer."),
    Attribute(FINISH_REASONS, "Why the model stopped."),
    Attribute(STREAM, "True where the answer was streamed."),
    Attribute(TIME_TO_FIRST_CHUNK, "Seconds from the start of the call to the first event of the stream."),
    Attribute(USAGE_INPUT, "All input tokens, cached ones included."),
    Attribute(USAGE_OUTPUT, "All output tokens, reasoning included."),
    Attribute(USAGE_CACHE_READ, "Input tokens read from a cache; part of the input."),
    Attribute(USAGE_CACHE_WRITE, "Input tokens written to a cache; part of the input."),
    Attribute(USAGE_REASONING, "Output tokens spent on reasoning; part of the output."),
    Attribute(COST_AMOUNT, "The cost of the call."),
    Attribute(COST_CURRENCY, "The currency of the cost, ISO 4217: always `USD`."),
    Attribute(COST_SOURCE, "`provider` where the answer carried the cost, `local` where it was computed here."),
    Attribute(PRICE_VERSION, "The version of the price table."),
    Attribute(SERVICE_TIER, "The service tier that the provider used."),
    Attribute(SERVER_ADDRESS, "The host that was called."),
    Attribute(SERVER_PORT, "The port that was called."),
    Attribute(STATUS_CODE, "The HTTP status of a failed call."),
    Attribute(EVENT_ID, "The unique id of the call: the same in ledger and usage event."),
    Attribute(COST_NANO_USD, "The exact cost in nano-USD; absent where the call is unpriced."),
    Attribute(USAGE_UNITS, "The whole usage, a map: a count per unit."),
    Attribute(DURATION, "Seconds from the start of the call to its end."),
    Attribute(TRANSACTION, "The reservation under which the call was made (`costspan docs enforcement`)."),
    Attribute(ESTIMATE, "What was estimated of the call before it was sent, as JSON (`costspan docs estimates`)."),
    Attribute(BUDGET, "The name of a budget, as in budgets.yaml."),
    Attribute(THRESHOLD, "A threshold of a budget, in percent of its limit, e.g. `80`."),
    Attribute(ESTIMATE_FIGURE, "What was estimated of a call before it was sent: `input`, `output` or `cost`."),
    Attribute(
        ESTIMATE_OFF, "By how much of what came the estimate was off, at most: `10%`, `20%`, `50%`, `100%` or `more`."
    ),
    Attribute(ESTIMATE_HELD, "`true` where no more came than the estimate's bound, else `false`."),
    Attribute(
        ANOMALY_KIND, "What costs more than it usually does: `hour` (of a team), `session` or `loop` (of a task type)."
    ),
)


#: The unit of amounts of money.
USD_UNIT: Final = "{USD}"
COUNTER: Final = "counter"
HISTOGRAM: Final = "histogram"
GAUGE: Final = "gauge"

COMMON: Final = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TASK_TYPE, SOURCE, TEAM, PERIOD)
SESSION_LABELS: Final = (SESSION, TASK_TYPE, REQUEST_MODEL, SOURCE)
DAY_LABELS: Final = (PROVIDER, REQUEST_MODEL, TASK_TYPE, SOURCE, TEAM, WEEKDAY)


class Metric(NamedTuple):
    """One metric: name, kind, unit, what it says, its attributes."""

    name: str
    kind: str
    unit: str
    description: str
    labels: tuple[str, ...]

    @property
    def prometheus(self) -> str:
        """The name Prometheus gives it under its default strategy UnderscoreEscapingWithSuffixes."""
        name = self.name.replace(".", "_")
        if self.unit == "s":
            name += "_seconds"
        return name + "_total" if self.kind == COUNTER else name


def prometheus_label(attribute: str) -> str:
    """The label that Prometheus makes of an attribute."""
    return attribute.replace(".", "_")


_TOKENS: Final = (*COMMON, MODALITY)
INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.input_tokens", COUNTER, "{token}", "Input tokens, cached ones included.", _TOKENS
)
OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.output_tokens", COUNTER, "{token}", "Output tokens, reasoning included.", _TOKENS
)
CACHE_READ_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    COUNTER,
    "{token}",
    "Input tokens read from a cache; part of the input tokens.",
    _TOKENS,
)
CACHE_WRITE_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    COUNTER,
    "{token}",
    "Input tokens written to a cache; part of the input tokens.",
    _TOKENS,
)
REASONING_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    COUNTER,
    "{token}",
    "Output tokens spent on reasoning; part of the output tokens.",
    _TOKENS,
)
DURATION_S: Final = Metric(
    "gen_ai.client.inference.duration", HISTOGRAM, "s", "Duration of a call.", (*COMMON[:-1], ERROR_TYPE)
)
FIRST_CHUNK_S: Final = Metric(
    "gen_ai.client.inference.time_to_first_chunk",
    HISTOGRAM,
    "s",
    "Time from the start of a streamed call to its first event.",
    COMMON[:-1],
)
COST_USD: Final = Metric("llm.cost.usd", COUNTER, USD_UNIT, "Cost of the calls.", (*COMMON, QUALITY))
REQUESTS: Final = Metric("llm.requests", COUNTER, "{request}", "Calls.", (*COMMON, OUTCOME))
UNPRICED_REQUESTS: Final = Metric(
    "llm.unpriced.requests", COUNTER, "{request}", "Answered calls without a price.", (*COMMON, UNPRICED_REASON)
)
UNPRICED_TOKENS: Final = Metric(
    "llm.unpriced.tokens",
    COUNTER,
    "{token}",
    "Tokens, input and output, of calls without a price.",
    (*COMMON, UNPRICED_REASON),
)
SESSION_COST_USD: Final = Metric(
    "llm.session.cost.usd", COUNTER, USD_UNIT, "Cost of a session's calls, while the session is active.", SESSION_LABELS
)
SESSION_TOKENS: Final = Metric(
    "llm.session.tokens",
    COUNTER,
    "{token}",
    "Tokens of a session's calls, while the session is active.",
    (*SESSION_LABELS, DIRECTION),
)
DAY_COST_USD: Final = Metric(
    "llm.day.cost.usd", COUNTER, USD_UNIT, "Cost by weekday: the series a day budget is read from.", DAY_LABELS
)
DAY_TOKENS: Final = Metric(
    "llm.day.tokens",
    COUNTER,
    "{token}",
    "Tokens by weekday: the series a day budget in tokens is read from.",
    (*DAY_LABELS, DIRECTION),
)
DAY_REQUESTS: Final = Metric(
    "llm.day.requests",
    COUNTER,
    "{request}",
    "Calls by weekday, without those that a budget refused: the series a day budget in calls is read from.",
    DAY_LABELS,
)
_QUOTA: Final = (PROVIDER, REQUEST_MODEL, RATELIMIT_DIMENSION, RATELIMIT_WINDOW)
RATELIMIT_LIMIT: Final = Metric(
    "llm.ratelimit.limit", GAUGE, "", "The quota of a window, from the answer's headers.", _QUOTA
)
RATELIMIT_REMAINING: Final = Metric("llm.ratelimit.remaining", GAUGE, "", "What is left of the quota.", _QUOTA)
RATELIMIT_RESET: Final = Metric("llm.ratelimit.reset", GAUGE, "s", "Seconds until the quota is whole again.", _QUOTA)
ERRORS: Final = Metric("costspan.errors", COUNTER, "{error}", "Faults of costspan itself that were stopped.", (PLACE,))
DEGRADED: Final = Metric(
    "costspan.degraded",
    GAUGE,
    "",
    "1 for a client library or a part of costspan that does not work as intended.",
    (CLIENT, PLACE),
)
LEDGER_WRITTEN: Final = Metric("costspan.ledger.written", COUNTER, "{record}", "Records written to the ledger.", ())
LEDGER_WRITTEN_USD: Final = Metric(
    "costspan.ledger.written.usd", COUNTER, USD_UNIT, "Cost of the records written to the ledger.", ()
)
LEDGER_LOST: Final = Metric("costspan.ledger.lost", COUNTER, "{record}", "Records the ledger could not take.", ())
LEDGER_LOST_USD: Final = Metric(
    "costspan.ledger.lost.usd", COUNTER, USD_UNIT, "Cost of the records the ledger could not take.", ()
)
LEDGER_QUEUED: Final = Metric("costspan.ledger.queued", GAUGE, "{record}", "Records that wait for the ledger.", ())
OUTBOX_WAITING: Final = Metric(
    "costspan.outbox.waiting",
    GAUGE,
    "{process}",
    "Ended processes of this user here that have waited for ten minutes to be delivered.",
    (),
)
OUTBOX_LOST: Final = Metric("costspan.outbox.lost", COUNTER, "{call}", "Calls that could not be kept for delivery.", ())
FOLDED: Final = Metric(
    "costspan.labels.folded",
    COUNTER,
    "{request}",
    "Values of labels, and sets of them, that are counted under `other` because there were too many.",
    (),
)
BUDGET_RESERVED_USD: Final = Metric(
    "llm.budget.reserved.usd", GAUGE, USD_UNIT, "What calls under way hold of a hard budget, at most.", (BUDGET,)
)
BUDGET_REFUSED: Final = Metric(
    "llm.budget.refused", COUNTER, "{request}", "Calls that a hard budget refused.", (BUDGET,)
)
BUDGET_CROSSINGS: Final = Metric(
    "llm.budget.crossings",
    COUNTER,
    "{crossing}",
    "Thresholds that budgets have reached, each counted by the process that tells it, once a period.",
    (BUDGET, THRESHOLD),
)
ANOMALIES: Final = Metric(
    "llm.anomalies",
    COUNTER,
    "{anomaly}",
    "Anomalies that were found in the ledger, each counted by the process that tells it.",
    (ANOMALY_KIND, TEAM, TASK_TYPE),
)
_ESTIMATED: Final = (REQUEST_MODEL, ESTIMATE_FIGURE)
ESTIMATE_COMPARED: Final = Metric(
    "llm.estimate.compared",
    COUNTER,
    "{call}",
    "Calls whose estimate had an expected number, by how far it was off.",
    (*_ESTIMATED, ESTIMATE_OFF),
)
ESTIMATE_BOUNDS: Final = Metric(
    "llm.estimate.bounds",
    COUNTER,
    "{call}",
    "Calls whose estimate had an upper bound, by whether it held.",
    (*_ESTIMATED, ESTIMATE_HELD),
)
RETIRED_USD: Final = Metric(
    "costspan.retired.usd", COUNTER, USD_UNIT, "Cost of expired month series that a process no longer exports.", ()
)

#: Not ours: what a Collector sends in the place of points that Prometheus could not take (collector-config/allow-list.yaml).
REFUSED_REASON: Final = "costspan.reason"
POINTS_REFUSED: Final = Metric(
    "costspan.points.refused",
    GAUGE,
    "",
    "1 for a process whose points a Collector refused, and for each reason: delta, time, value, kind.",
    (REFUSED_REASON,),
)

METRICS: Final = (
    INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS, DURATION_S, FIRST_CHUNK_S,
    COST_USD, REQUESTS, UNPRICED_REQUESTS, UNPRICED_TOKENS, SESSION_COST_USD, SESSION_TOKENS, DAY_COST_USD, DAY_TOKENS,
    DAY_REQUESTS, RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET,
    ERRORS, DEGRADED, LEDGER_WRITTEN, LEDGER_WRITTEN_USD, LEDGER_LOST, LEDGER_LOST_USD, LEDGER_QUEUED, FOLDED,
    OUTBOX_WAITING, OUTBOX_LOST, BUDGET_RESERVED_USD, BUDGET_REFUSED, BUDGET_CROSSINGS, ANOMALIES, ESTIMATE_COMPARED,
    ESTIMATE_BOUNDS, RETIRED_USD,
)  # fmt: skip

# Boundaries of the conventions for `gen_ai.client.inference.duration`: 0.01 s, doubling to 81.92 s.
DURATION_BUCKETS_S: Final = tuple(0.01 * 2**n for n in range(14))

USAGE_EVENT: Final = "llm.usage"
RECORD: Final = "llm.usage.record"  # in exports of a ledger: what its row has beyond the event, a map by column
SCOPE: Final = "costspan"
OTHER: Final = "other"
UNKNOWN: Final = "unknown"

# Environment by which attribution reaches a child process, and by which a process gets its defaults.
CURRENCY: Final = "USD"
