"""The faults. Each gets the stage and the agents of its case, which call before, during and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Final, NamedTuple

from costspan.facts.money import NANO_PER_USD
from stack.chaos.load import Agent
from stack.chaos.stage import EVALUATION_S, LIMIT_USD, Stage, Told, collector_counted, edit

#: How many calls an agent makes in each part of its case.
CALLS: Final = 8
_LONG_LIVED: Final = 3
_SHORT_LIVED: Final = 8


class Fault(NamedTuple):
    """A case: its name, what breaks, and the doing."""

    name: str
    story: str
    play: Callable[[Stage, str], None]


def _cast(stage: Stage, case: str, more: Mapping[str, str] = {}) -> list[Agent]:
    """The agents that live through the case."""
    return [stage.agent(case, more=more) for _ in range(_LONG_LIVED)]


def _all_call(agents: Sequence[Agent]) -> None:
    for agent in agents:
        agent.tell("call", CALLS)
    for agent in agents:
        agent.wait()


def _finish(agents: Sequence[Agent]) -> None:
    """One ends by itself, the others by SIGTERM."""
    agents[0].leave()
    for agent in agents[1:]:
        agent.terminate()
    for agent in agents:
        agent.ended()


def _short_life(stage: Stage, case: str) -> Agent:
    """A process that calls and is about to end; `ended` waits for its last word to be taken."""
    agent = stage.agent(case)
    agent.do("call", CALLS)
    agent.leave()
    return agent


def calm(stage: Stage, case: str) -> None:
    """Long and short processes, restarts, forked workers."""
    agents = _cast(stage, case)
    _all_call(agents)
    agents[0].do("fork", 4, CALLS)
    for _ in range(2):
        leaving = [_short_life(stage, case) for _ in range(_SHORT_LIVED // 2)]
        _all_call(agents)
        for agent in leaving:
            agent.ended()
    _finish(agents)


def _during(case: Callable[[Stage], Callable[[], None]]) -> Callable[[Stage, str], None]:
    """A case in which something breaks under load, a process ends meanwhile, and then it is mended."""

    def play(stage: Stage, name: str) -> None:
        agents = _cast(stage, name)
        _all_call(agents)
        mend = case(stage)
        _all_call(agents)
        leaving = _short_life(stage, name)
        mend()
        leaving.ended()
        _all_call(agents)
        _finish(agents)

    return play


def collector_killed(stage: Stage) -> Callable[[], None]:
    stage.stack.kill("collector")
    return lambda: stage.stack.start("collector")


def collector_restarted(stage: Stage) -> Callable[[], None]:
    stage.stack.stop("collector")
    return lambda: stage.stack.start("collector")


def collector_hangs(stage: Stage) -> Callable[[], None]:
    stage.stack.running["collector"].freeze()
    return stage.stack.running["collector"].thaw


def network_cut(stage: Stage) -> Callable[[], None]:
    stage.wire.cut()
    return stage.wire.mend


def prometheus_stopped(stage: Stage) -> Callable[[], None]:
    stage.stack.stop("prometheus")
    return lambda: stage.stack.start("prometheus")


def prometheus_killed(stage: Stage) -> Callable[[], None]:
    stage.stack.kill("prometheus")
    return lambda: stage.stack.start("prometheus")


def alertmanager_restarted(stage: Stage) -> Callable[[], None]:
    stage.stack.stop("alertmanager")
    return lambda: stage.stack.start("alertmanager")


def both_killed(stage: Stage, case: str) -> None:
    """Prometheus is killed, a process ends, then the Collector is killed: only its queue knows that last word."""
    agents = _cast(stage, case)
    _all_call(agents)
    stage.stack.kill("prometheus")
    _short_life(stage, case).ended()
    stage.stack.kill("collector")
    _all_call(agents)
    stage.stack.start("collector")
    stage.stack.start("prometheus")
    _finish(agents)


def queue_full(stage: Stage, case: str) -> None:
    """Prometheus is away and the Collector's disk is full: it refuses, programs keep their sums and try again."""
    settings = stage.stack.configuration("collector") / "collector.yaml"
    before = settings.read_text(encoding="utf-8")
    _restart_collector(stage, lambda: edit(settings, r"      on_rebound: true\n", "    max_size: 131072\n"))
    agents = _cast(stage, case)
    stage.stack.stop("prometheus")
    stage.stack.until(
        lambda: _all_call(agents) or collector_counted(stage.stack, "otelcol_exporter_enqueue_failed_metric_points"),
        "the queue is to be full",
    )
    _all_call(agents)
    stage.stack.start("prometheus")
    _all_call(agents)
    _finish(agents)
    _restart_collector(stage, lambda: settings.write_text(before, encoding="utf-8"))


def _restart_collector(stage: Stage, change: Callable[[], object]) -> None:
    stage.stack.stop("collector")
    change()
    stage.stack.start("collector")


def month_over(stage: Stage, case: str) -> None:
    """The clocks of the processes go over the beginning of this month: each call counts in its own month."""
    boundary = month_begin()
    agents = [stage.agent(case, clock=boundary - 60), stage.agent(case, clock=boundary - 3_600)]
    _all_call(agents)
    for agent in agents:
        agent.do("clock", boundary - 1)
    _all_call(agents)
    for agent in agents:
        agent.do("clock", boundary + 1)
    _all_call(agents)
    _finish(agents)


def month_begin() -> int:
    """The first second of this month, UTC."""
    now = datetime.now(timezone.utc)
    return int(datetime(now.year, now.month, 1, tzinfo=timezone.utc).timestamp())


def sampled(stage: Stage, case: str) -> None:
    """One trace in a hundred is kept."""
    before = collector_counted(stage.stack, "otelcol_receiver_accepted_spans")
    agents = _cast(stage, case, {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"})
    for _ in range(3):
        _all_call(agents)
    _finish(agents)
    calls, spans = 3 * CALLS * len(agents), collector_counted(stage.stack, "otelcol_receiver_accepted_spans") - before
    if spans > calls / 2:
        raise RuntimeError(f"{spans:g} spans of {calls} calls arrived: expected one in a hundred")


def thresholds_crossed(stage: Stage, case: str) -> None:
    """One threshold after the other; each is told before the next is crossed, and Alertmanager restarted between."""
    agents = _cast(stage, case)
    for percent in (50, 80, 100):
        while _spent_percent(stage, case) < percent:
            agents[0].do("call", 1)
        _see_told(stage, case, percent)
        stage.stack.stop("alertmanager")
        stage.stack.start("alertmanager")
    _finish(agents)


def _spent_percent(stage: Stage, case: str) -> float:
    return stage.bill.of(f"{case}/") / NANO_PER_USD / LIMIT_USD * 100


def _see_told(stage: Stage, case: str, percent: int) -> None:
    """A threshold is found within two evaluations, and its notification says how much was served."""
    spent = f'sum(llm_cost_usd_total{{job="{case}"}})'
    stage.stack.until(
        lambda: (stage.stack.value(spent) or 0) * 100 >= LIMIT_USD * percent, f"{percent} % are to arrive"
    )
    arrived_s = time.time()
    said = f"{_spent_percent(stage, case):.4g}% of {LIMIT_USD} USD"

    def told() -> list[Told]:
        return [each for each in stage.told(case) if each.percent == str(percent) and each.said.startswith(said)]

    stage.stack.until(told, f"{percent} % is to be told, with the words {said!r}")
    took_s, late_s = time.time() - arrived_s, told()[0].found_s - arrived_s
    print(f"{'':24} {percent} % was told {took_s:.1f} s after Prometheus knew: {said}")
    if late_s > 2 * EVALUATION_S:
        raise RuntimeError(f"{percent} % was found {late_s:.1f} s late: expected two evaluations of {EVALUATION_S} s")


FAULTS: Final = (
    Fault("thresholds-crossed", "50, 80, 100 %, with Alertmanager restarted after each", thresholds_crossed),
    Fault("calm", "nothing breaks: long, short, forked and restarted processes", calm),
    Fault("collector-killed", "the Collector is killed and started again", _during(collector_killed)),
    Fault("collector-restarted", "the Collector is stopped in good order", _during(collector_restarted)),
    Fault("collector-hangs", "the Collector hangs, with connections open", _during(collector_hangs)),
    Fault("network-cut", "the network between programs and Collector is cut", _during(network_cut)),
    Fault("alertmanager-restarted", "Alertmanager is away for a while", _during(alertmanager_restarted)),
    Fault("prometheus-stopped", "Prometheus is away for a while", _during(prometheus_stopped)),
    Fault("prometheus-killed", "Prometheus is killed and reads its log again", _during(prometheus_killed)),
    Fault("both-killed", "Prometheus is killed, a process ends, then the Collector is killed", both_killed),
    Fault("queue-full", "the disk of the Collector's queue is full while Prometheus is away", queue_full),
    Fault("sampled", "one trace in a hundred is kept", sampled),
    Fault("month-over", "the clocks go over the beginning of a month", month_over),
)
