"""Two notifications as they are received: a message of Slack about one alert, a mail about a group of two.

They are what the stack sends: points to the Collector, the shipped rules in Prometheus, the shipped routes, receivers and
templates in Alertmanager. Only the waiting is shorter. How Slack and a mail program show them is drawn by us.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import yaml
from stack import HASTE, Stack, routes

from costspan.names import COST_USD, UNPRICED_REQUESTS
from pages import ROOT
from pictures.photographing import Photographer
from receiving import Mail, Slack, mail_server, post_office, read_mail, read_slack, slack_parts
from stack_clients import post, request, together

NAMES: Final = ("notification-slack", "notification-mail")
#: What is sent: of a team's 40 USD a month (examples/budgets/budgets.yaml) 33 are spent, and two models have no price.
SPENT: Final = {"llm.team": "search", "llm.task_type": "review", "llm.source": "main_agent", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}  # fmt: skip
SPENT_USD: Final = 33.0
UNPRICED: Final = {"acme-triage-8b": 12.0, "acme-triage-70b": 3.0}
_WIDTH: Final = 460


def _configure(stack: Stack, folder: Path, slack: str, mail: str) -> None:
    """Both kinds of the example's receivers for every alert, at our addresses; the waits cut short."""
    example = yaml.safe_load((ROOT / "prometheus" / "receivers.example.yml").read_text(encoding="utf-8"))
    kinds = {kind: said for each in example["receivers"] for kind, said in each.items()}
    (folder / "slack").write_text(slack, encoding="utf-8")
    kinds["slack_configs"][0]["api_url_file"] = str(folder / "slack")
    for each in ("smtp_auth_username", "smtp_auth_password_file"):
        del example["global"][each]
    example["global"] |= {"smtp_smarthost": mail, "smtp_require_tls": False}
    example["receivers"] = [{"name": "default", **{kind: kinds[kind] for kind in ("slack_configs", "email_configs")}}]
    (folder / "receivers.yml").write_text(yaml.safe_dump(example), encoding="utf-8")
    merged = re.sub(
        r"(group_wait|group_interval): \w+", r"\1: 2s", routes.written(receivers_file=folder / "receivers.yml")
    )
    (stack.configuration("alertmanager") / "alertmanager.yml").write_text(merged, encoding="utf-8")
    settings = stack.configuration("prometheus") / "prometheus.yml"
    hasty = re.sub(r"evaluation_interval: \w+", "evaluation_interval: 3s", settings.read_text(encoding="utf-8"))
    settings.write_text(hasty, encoding="utf-8")


def _send(stack: Stack) -> None:
    month = {"llm.period": time.strftime("%Y%m", time.gmtime())}
    unpriced = [
        request("agents", UNPRICED_REQUESTS, value=calls, instance="a", labels={"gen_ai.provider.name": "acme", "gen_ai.request.model": model, "llm.unpriced.reason": "unknown_model", **month})
        for model, calls in UNPRICED.items()
    ]  # fmt: skip
    spent = request("agents", COST_USD, value=SPENT_USD, instance="a", labels=SPENT | month)
    post(stack.url("collector", 4318), together(spent, *unpriced))


def received() -> tuple[Slack, Mail]:
    """What arrives of one alert in Slack, and of a group by mail. Raises MissingProgramError without the stack's programs."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, post_office() as (slack, messages), mail_server() as (mail, mails):
        folder = Path(name)
        stack = Stack(folder / "stack", only=["collector", "prometheus", "alertmanager"], haste=HASTE)
        _configure(stack, folder, slack, mail)

        def arrived() -> bool:
            said = [read_slack(body) for body in list(messages)]
            found["slack"] = [each for each in said if "80 % of 40 USD" in each.title]
            found["mail"] = [
                each for each in map(read_mail, list(mails)) if all(model in each.text for model in UNPRICED)
            ]
            return bool(found["slack"] and found["mail"])

        with stack:
            _send(stack)
            stack.until(arrived, "both notifications are to arrive")
    return found["slack"][0], found["mail"][0]


def photograph(photographer: Photographer) -> None:
    """Have both drawn. Raises MissingProgramError without the programs of the stack."""
    slack, mail = received()
    photographer.of_template(NAMES[0], _WIDTH, "slack.html", message=slack, parts=slack_parts(slack.text))
    photographer.of_template(NAMES[1], _WIDTH, "mail.html", mail=mail)
