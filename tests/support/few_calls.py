"""Thirteen calls and six budgets that a reader can add up by heart: what tests/golden/dashboards is shown of."""

from __future__ import annotations

import re
from typing import Final

from costspan.alerting.series import FOREIGN_COUNTERS
from fleet import moment_s
from panel_fleet import SAID_BY_OTHERS, Call, Fleet, Process

ZONE: Final = "UTC"
_HOUR_S: Final = 3_600
#: The end of the time range: a Saturday, ten minutes to three.
END_S: Final = moment_s(ZONE, 2026, 11, 21, 14) + 50 * 60
RANGE_S: Final = 3 * 86_400


def _at(day: int, hour: int, minute: int = 0) -> int:
    return moment_s(ZONE, 2026, 11, day, hour) + minute * 60


def _call(began_s: int, provider: str, model: str, usd: float | None, *tokens: int, **more: str) -> Call:
    tokens_in, tokens_cached, tokens_out = tokens
    words = {"quality": "exact", "team": "search", "source": "main_agent", "task_type": "review", **more}
    return Call(
        began_s, began_s + 2, provider, model, usd=usd, tokens_in=tokens_in, tokens_cached=tokens_cached,
        tokens_out=tokens_out, duration_s=2.0, **words,
    )  # fmt: skip


CALLS: Final = (
    # Before the time range: nothing of it may be seen, but that it was there.
    _call(_at(16, 9), "openai", "gpt-5", 1_000.0, 1, 0, 1, session="s-old"),
    # The 19th: 100.25 USD, one source.
    _call(_at(19, 10), "openai", "gpt-5", 100.25, 1_000, 400, 200, session="s-1"),
    _call(_at(19, 11), "openai", "gpt-5-mini", 0.0042, 3_000, 0, 50, session="s-1", team="support"),
    # The 20th: 20.00003 USD, two sources; a tenth of all cost is estimated, a little is a lower bound.
    _call(_at(20, 9), "anthropic", "claude-opus-5", 20.0, 7_000, 6_000, 900, session="s-2", source="heartbeat",
          task_type="triage", quality="estimated"),
    _call(_at(20, 10), "openai", "gpt-5-mini", 0.00003, 40, 0, 2, session="s-3", task_type="triage"),
    _call(_at(20, 11), "openai", "gpt-5-mini", 0.0, 0, 0, 0, error="429"),
    # The 21st: 80 USD; a model without a price; nobody said the team of one call.
    _call(_at(21, 8), "anthropic", "claude-opus-5", 75.5, 50_000, 0, 4_000, session="s-2", quality="alias"),
    _call(_at(21, 9), "local", "llama-9", None, 5_000, 0, 700, session="s-4", source="heartbeat", team="unknown"),
    _call(_at(21, 10), "openai", "gpt-5", 4.0, 600, 0, 60, team="unknown", quality="incomplete"),
    _call(_at(21, 14, 33), "openai", "gpt-5", 0.25, 10, 0, 10),
    _call(_at(21, 14, 34), "openai", "gpt-5", 0.125, 10, 0, 10, error="ReadTimeout"),
    # In the step that is still going on when somebody looks.
    _call(_at(21, 14, 46), "openai", "gpt-5", 0.125, 10, 0, 10),
    _call(_at(21, 14, 46), "openai", "gpt-5", 0.0, 0, 0, 0, error="ReadTimeout"),
)  # fmt: skip

_BUDGETS: Final = """\
llm:period_elapsed:ratio{llm_budget_period="day",llm_period="20261121"} 0.62
llm:period_elapsed:ratio{llm_budget_period="month",llm_period="202611"} 0.69
llm:budget_limit:usd{llm_budget="all",llm_budget_period="month",owner="platform"} 2000
llm:budget_limit:usd{llm_budget="teams",llm_budget_period="day"} 50
llm:budget_limit:usd{llm_budget="unspent",llm_budget_period="day",owner="nobody"} 7
llm:budget_limit:tokens{llm_budget="beats",llm_budget_period="month",owner="platform"} 10000
llm:budget_limit:requests{llm_budget="calls",llm_budget_period="day"} 20
llm:budget_threshold:ratio{llm_budget="calls",llm_budget_period="day",threshold="100"} 1
llm:budget_spend:requests{llm_budget="calls",llm_budget_period="day",llm_period="20261121"} 7
llm:budget_used:ratio{llm_budget="calls",llm_budget_period="day",llm_period="20261121"} 0.35
llm:budget_crossed:ratio{llm_budget="calls",llm_budget_period="day",llm_period="20261121"} 0
llm:budget_threshold:ratio{llm_budget="all",llm_budget_period="month",threshold="50"} 0.5
llm:budget_threshold:ratio{llm_budget="all",llm_budget_period="month",threshold="100"} 1
llm:budget_threshold:ratio{llm_budget="teams",llm_budget_period="day",threshold="100"} 1
llm:budget_threshold:ratio{llm_budget="teams",llm_budget_period="day",threshold="150"} 1.5
llm:budget_threshold:ratio{llm_budget="soft",llm_budget_period="day",threshold="50"} 0.5
llm:budget_threshold:ratio{llm_budget="soft",llm_budget_period="day",threshold="80"} 0.8
llm:budget_limit:usd{llm_budget="soft",llm_budget_period="day"} 100
llm:budget_used:ratio{llm_budget="soft",llm_budget_period="day",llm_period="20261121"} 0.76
llm:budget_crossed:ratio{llm_budget="soft",llm_budget_period="day",llm_period="20261121"} 0.5
llm:budget_spend:usd{llm_budget="soft",llm_budget_period="day",llm_period="20261121"} 76
llm:budget_threshold:ratio{llm_budget="beats",llm_budget_period="month",threshold="80"} 0.8
llm:budget_spend:usd{llm_budget="all",llm_budget_period="month",llm_period="202611"} 1200.2542
llm:budget_spend:usd{llm_budget="teams",llm_budget_period="day",llm_team="search",llm_period="20261121"} 76
llm:budget_spend:usd{llm_budget="teams",llm_budget_period="day",llm_team="support",llm_period="20261121"} 0.00002
llm:budget_spend:tokens{llm_budget="beats",llm_budget_period="month",llm_source="heartbeat",llm_period="202611"} 13600
llm:budget_used:ratio{llm_budget="all",llm_budget_period="month",llm_period="202611"} 0.6001271
llm:budget_used:ratio{llm_budget="teams",llm_budget_period="day",llm_team="search",llm_period="20261121"} 1.52
llm:budget_used:ratio{llm_budget="teams",llm_budget_period="day",llm_team="support",llm_period="20261121"} 0.0000004
llm:budget_used:ratio{llm_budget="beats",llm_budget_period="month",llm_source="heartbeat",llm_period="202611"} 1.36
llm:budget_crossed:ratio{llm_budget="all",llm_budget_period="month",llm_period="202611"} 0.5
llm:budget_crossed:ratio{llm_budget="teams",llm_budget_period="day",llm_team="search",llm_period="20261121"} 1.5
llm:budget_crossed:ratio{llm_budget="teams",llm_budget_period="day",llm_team="support",llm_period="20261121"} 0
llm:budget_crossed:ratio{llm_budget="beats",llm_budget_period="month",llm_source="heartbeat",llm_period="202611"} 0.8
llm:budget_projected:ratio{llm_budget="all",llm_budget_period="month",llm_period="202611"} 0.8697
llm:budget_projected:ratio{llm_budget="teams",llm_budget_period="day",llm_team="search",llm_period="20261121"} 2.45
llm:budget_burn:ratio{llm_budget="all",llm_budget_period="month",llm_window="1h"} 0.19
llm:budget_burn:ratio{llm_budget="all",llm_budget_period="month",llm_window="6h"} 7
llm:spend_usd:month{llm_team="search",llm_task_type="review",llm_source="main_agent",gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_period="202611"} 1180.25
llm:spend_usd:month{llm_team="search",llm_source="heartbeat",llm_period="202611"} 20
llm:spend_usd:month{llm_team="support",llm_source="main_agent",llm_period="202611"} 0.0042
llm:spend_usd:day{llm_team="search",llm_task_type="review",llm_source="main_agent",gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_period="20261121"} 76
llm:spend_usd:window{llm_team="search",llm_task_type="review",llm_source="main_agent",gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_window="1h"} 0.5
llm:spend_usd:window{llm_team="search",llm_task_type="review",llm_source="main_agent",gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",llm_window="6h"} 4.5
"""


def _counted_by_services() -> list[str]:
    """A series of every counter that services have of what they lost, each with a value of its own."""
    lines: list[str] = []
    for number, counter in enumerate(FOREIGN_COUNTERS, 3):
        name, _, matchers = counter.partition("{")
        chosen = [f'{label}="{value}"' for label, value in re.findall(r'(\w+)=~?"([^"|]*)', matchers)]
        labels = ",".join(['job="service"', *chosen])
        if f"\n{name}{{" not in SAID_BY_OTHERS:
            lines.append(f"{name}{{{labels}}} {number}")
    return lines


def samples() -> str:
    """Everything that Prometheus holds: calls of one process, what the rules recorded of budgets, what services say."""
    process = Process("one", _at(12, 0), END_S - 30, 60)
    process.calls = list(CALLS)
    others = [
        f"{line} {END_S - 90}\n"
        for line in (*SAID_BY_OTHERS.splitlines(), *_BUDGETS.splitlines(), *_counted_by_services())
    ]
    earlier = [f"{line} {END_S - 370}\n" for line in _BUDGETS.splitlines()]
    return Fleet(ZONE, [process]).samples() + "".join(sorted([*others, *earlier], key=_series))


def _series(line: str) -> tuple[str, float]:
    """OpenMetrics wants the samples of a series together and in order."""
    series, _, moment_s = line.rsplit(" ", 2)
    return series, float(moment_s)
