"""A fleet whose every call is known: what its processes would export, in all metrics that panels read."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from costspan import names
from costspan.facts.call import ERROR, OK
from costspan.facts.periods import NS_PER_S, Periods
from costspan.metrics.days import told_on
from costspan.names import DURATION_BUCKETS_S, Metric, prometheus_label

_DAY_S: Final = 86_400
_Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Call:
    """One call: when it began and was counted, who it was for, what it used. Without `usd` it has no price."""

    began_s: int
    counted_s: int
    provider: str
    model: str
    team: str = "search"
    source: str = "main_agent"
    task_type: str = "review"
    session: str = ""
    usd: float | None = 0.0
    quality: str = "exact"
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    error: str = ""
    duration_s: float = 1.0

    def word(self, name: str) -> str:
        """What it has for a filter of the dashboards."""
        return str(getattr(self, name))


@dataclass
class Process:
    """One process: it exports every so often until its end, sessions only when they have changed."""

    name: str
    start_s: int
    end_s: int
    every_s: int
    calls: list[Call] = field(default_factory=list[Call])

    @cached_property
    def exports_s(self) -> list[int]:
        """The moments at which its counters arrive; the last is its end."""
        return [*range(self.end_s, self.start_s, -self.every_s)][::-1]

    def exported_s(self, call: Call) -> int:
        """When a call is seen."""
        return self.exports_s[bisect_left(self.exports_s, call.counted_s)]


class Fleet:
    """Processes in one time zone."""

    def __init__(self, zone: str, processes: Iterable[Process]) -> None:
        self.zone = zone
        self.periods = Periods(zone)
        self.processes = list(processes)

    @cached_property
    def seen(self) -> list[tuple[int, Call]]:
        """Every call with the moment at which it was seen."""
        return [(process.exported_s(call), call) for process in self.processes for call in process.calls]

    def day(self, call: Call) -> str:
        """The day on which a call began, e.g. `20261122`."""
        return self.periods.day(call.began_s * NS_PER_S)

    def month(self, call: Call) -> str:
        """The month in which a call began, e.g. `202611`."""
        return self.periods.month(call.began_s * NS_PER_S)

    def samples(self) -> str:
        """Everything that was exported, as OpenMetrics with times."""
        text: dict[str, list[str]] = defaultdict(list)
        for process in self.processes:
            who = f'job="agents",instance="{process.name}"'
            for moment_s, changed in self._exports(process):
                for (name, labels), value in changed:
                    written = ",".join(f'{label}="{value}"' for label, value in labels)
                    text[name].append(f"{name}{{{written},{who}}} {value!r} {moment_s}\n")
        return "".join(line for name in sorted(text) for line in text[name])

    def _exports(self, process: Process) -> Iterator[tuple[int, list[tuple[_Series, float]]]]:
        sums: dict[tuple[_Series, str], float] = defaultdict(float)  # by series, and date where it is of a day
        calls, counted = sorted(process.calls, key=lambda call: call.counted_s), 0
        for moment_s in process.exports_s:
            moved: set[tuple[_Series, str]] = set()
            while counted < len(calls) and calls[counted].counted_s <= moment_s:
                for series, amount in self._points(calls[counted]):
                    key = (series, self.day(calls[counted]) if series[0].startswith("llm_day_") else "")
                    sums[key] += amount
                    moved.add(key)
                counted += 1
            told = {"", *told_on(self.periods.day(moment_s * NS_PER_S))}
            yield (
                moment_s,
                [
                    (series, value)
                    for (series, date), value in sums.items()
                    if date in told and ((series, date) in moved or not series[0].startswith("llm_session_"))
                ],
            )

    def _points(self, call: Call) -> Iterator[tuple[_Series, float]]:
        said = {
            names.OPERATION: "chat", names.PROVIDER: call.provider, names.REQUEST_MODEL: call.model,
            names.RESPONSE_MODEL: call.model, names.TASK_TYPE: call.task_type, names.SOURCE: call.source,
            names.TEAM: call.team, names.PERIOD: self.month(call), names.SESSION: call.session,
            names.WEEKDAY: self.periods.weekday(call.began_s * NS_PER_S), names.MODALITY: names.UNKNOWN,
            names.QUALITY: call.quality, names.OUTCOME: ERROR if call.error else OK, names.ERROR_TYPE: call.error,
            names.UNPRICED_REASON: "unknown_model",
        }  # fmt: skip

        def one(metric: Metric, amount: float, ends: str = "", **more: str) -> tuple[_Series, float]:
            labels = [(prometheus_label(name), said[name]) for name in metric.labels if said.get(name)]
            return (metric.prometheus + ends, (*labels, *more.items())), amount

        ways = {"input": call.tokens_in, "output": call.tokens_out}
        yield one(names.REQUESTS, 1)
        yield one(names.INPUT_TOKENS, call.tokens_in)
        if call.tokens_cached:
            yield one(names.CACHE_READ_TOKENS, call.tokens_cached)
        yield one(names.OUTPUT_TOKENS, call.tokens_out)
        for way, count in ways.items():
            yield one(names.DAY_TOKENS, count, llm_token_direction=way)
        yield one(names.DAY_COST_USD, call.usd or 0.0)
        if call.usd is None:
            yield one(names.UNPRICED_REQUESTS, 1)
            yield one(names.UNPRICED_TOKENS, call.tokens_in + call.tokens_out)
        else:
            yield one(names.COST_USD, call.usd)
        if call.session:
            yield one(names.SESSION_COST_USD, call.usd or 0.0)
            for way, count in ways.items():
                yield one(names.SESSION_TOKENS, count, llm_token_direction=way)
        for metric in (names.DURATION_S, names.FIRST_CHUNK_S):
            for bound in (*DURATION_BUCKETS_S, float("inf")):
                le = "+Inf" if bound == float("inf") else repr(bound)
                yield one(metric, float(call.duration_s <= bound), "_bucket", le=le)
            yield one(metric, 1, "_count")


_MODELS: Final = (("openai", "gpt-5"), ("openai", "gpt-5-mini"), ("anthropic", "claude-opus-5"), ("local", "llama-9"))


def known_fleet(zone: str, start_s: int, end_s: int, seed: int = 7) -> Fleet:
    """Long processes, restarts, short jobs, models without a price, failures, sessions over days and processes."""
    dice = random.Random(seed)  # noqa: S311 - a fixed seed
    hours_s = 3_600
    processes = [
        Process("long", start_s, end_s, 20 * hours_s),
        Process("steady", start_s + 40 * _DAY_S, end_s, 11 * hours_s),
        Process("ended", start_s, start_s + 17 * _DAY_S + 5_000, 9 * hours_s),
    ]
    at_s = start_s
    while at_s < end_s - 5 * _DAY_S:
        until_s = at_s + dice.randint(6, 5 * 24) * hours_s
        processes.append(Process(f"restarted-{at_s}", at_s, until_s, 7 * hours_s))
        at_s = until_s + dice.randint(0, 3) * 600
    for number in range(80):
        began_s = start_s + dice.randint(0, (end_s - start_s) // 600 - 1) * 600
        processes.append(Process(f"job-{number}", began_s, began_s + 600, 600))
    for process in processes:
        process.calls = list(_calls(dice, process))
    return Fleet(zone, [process for process in processes if process.calls])


def _calls(dice: random.Random, process: Process) -> Iterator[Call]:
    at_s = process.start_s + dice.randint(0, 100)
    while at_s < process.end_s:
        provider, model = dice.choice(_MODELS)
        lasted_s = dice.choice((0.004, 0.7, 2.5, 40.0, 100.0))
        failed = dice.random() < 0.1
        if at_s + lasted_s <= process.end_s:
            yield Call(
                at_s, at_s + round(lasted_s), provider, model,
                team=dice.choice(("search", "support", names.UNKNOWN)),
                source=dice.choice(("main_agent", "task_agent", "heartbeat")),
                task_type=dice.choice(("review", "triage", names.UNKNOWN)),
                session=dice.choice(("", f"s-{(at_s // _DAY_S) // 9}-{dice.randint(1, 12)}")),
                usd=None if provider == "local" else 0.0 if failed else dice.randint(1, 4_000) / 1_000,
                quality=dice.choice(("exact", "exact", "alias", "estimated", "incomplete")),
                tokens_in=dice.randint(1_000, 9_000), tokens_cached=at_s % 3 * 300, tokens_out=dice.randint(0, 2_000),
                error=dice.choice(("429", "ReadTimeout")) if failed else "", duration_s=lasted_s,
            )  # fmt: skip
        at_s += dice.randint(60, 12 * 3_600)


#: What services say of themselves, and gauges: one series each, as they arrive.
SAID_BY_OTHERS: Final = """\
llm_ratelimit_remaining{gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_ratelimit_dimension="tokens",llm_ratelimit_window="minute",instance="a"} 70
llm_ratelimit_remaining{gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_ratelimit_dimension="tokens",llm_ratelimit_window="minute",instance="b"} 40
llm_ratelimit_limit{gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_ratelimit_dimension="tokens",llm_ratelimit_window="minute",instance="a"} 100
llm_ratelimit_reset_seconds{gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_ratelimit_dimension="tokens",llm_ratelimit_window="minute",instance="a"} 12
otelcol_exporter_queue_size{job="collector",exporter="otlp_http/prometheus"} 30
otelcol_exporter_queue_capacity{job="collector",exporter="otlp_http/prometheus"} 120
otelcol_exporter_send_failed_metric_points{job="collector",instance="c",exporter="otlp_http/prometheus"} 5
prometheus_tsdb_too_old_samples_total{job="prometheus",instance="p",type="float"} 2
llm_anomalies_total{job="agents",instance="a",llm_anomaly_kind="loop",llm_team="unknown",llm_task_type="triage"} 2
llm_anomalies_total{job="agents",instance="a",llm_anomaly_kind="hour",llm_team="search",llm_task_type="unknown"} 1
llm_budget_crossings_total{job="agents",instance="a",llm_budget_name="accounts",llm_budget_threshold="80"} 3
llm_budget_crossings_total{job="agents",instance="b",llm_budget_name="accounts",llm_budget_threshold="80"} 1
llm_budget_crossings_total{job="agents",instance="b",llm_budget_name="accounts",llm_budget_threshold="100"} 1
llm_estimate_compared_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="input",llm_estimate_off="10%"} 5
llm_estimate_compared_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="input",llm_estimate_off="20%"} 1
llm_estimate_compared_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="input",llm_estimate_off="more"} 2
llm_estimate_compared_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="output",llm_estimate_off="more"} 3
llm_estimate_bounds_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="input",llm_estimate_held="true"} 9
llm_estimate_bounds_total{job="agents",instance="a",gen_ai_request_model="gpt-5",llm_estimate_figure="input",llm_estimate_held="false"} 1
costspan_errors_total{job="agents",instance="a",costspan_place="emit.spans"} 3
costspan_degraded{job="agents",instance="a",costspan_place="patching",costspan_client="openai"} 1
costspan_labels_folded_total{job="agents",instance="a"} 4
costspan_ledger_written_usd_total{job="agents",instance="a"} 7.5
costspan_ledger_lost_usd_total{job="agents",instance="a"} 0.25
costspan_ledger_lost_total{job="agents",instance="a"} 6
costspan_ledger_queued{job="agents",instance="a"} 8
"""
