"""The receivers of receivers.example.yml, by a real Alertmanager: what Slack, PagerDuty and a mail server are sent."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from stack import HASTE, Stack
from stack.compose import ROOT

from receiving import mail_server, post_office, read_mail, read_slack, slack_parts
from stack_clients import needing_programs

TEAM = "<!channel> & co"
SUMMARY = f"Budget teams (team {TEAM}): 80 % of 40 USD a month is spent"
ALERT = {
    "labels": {"alertname": "LlmBudgetThreshold", "component": "llm-budget", "severity": "critical", "llm_team": TEAM},
    "annotations": {
        "summary": SUMMARY, "description": "Spent: 32 of 40 USD.", "runbook_url": "https://wiki/LlmBudgetThreshold.md",
        "dashboard_url": "https://grafana/d/costspan-usage?var-team=x&from=now",
    },
}  # fmt: skip


def sent_to(receiver: str, folder: Path, where: dict[str, Any], arrived: Callable[[], object], **general: Any) -> None:
    """Have Alertmanager tell the alert by a receiver of the example, whose addresses and secrets are those of `where`."""
    example = yaml.safe_load((ROOT / "prometheus" / "receivers.example.yml").read_text(encoding="utf-8"))
    (chosen,) = [each for each in example["receivers"] if each["name"] == receiver]
    (kind,) = [key for key in chosen if key != "name"]
    (settings,) = chosen[kind]
    settings.update(where)
    stack = needing_programs(lambda: Stack(folder / "stack", only=["alertmanager"], haste=HASTE))
    configuration = {
        "global": {**example["global"], **general},
        "templates": example["templates"],
        "route": {"receiver": receiver, "group_wait": "0s", "group_by": ["alertname"]},
        "receivers": [chosen],
    }
    (stack.configuration("alertmanager") / "alertmanager.yml").write_text(json.dumps(configuration))
    with stack:
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3_600))
        asked = urllib.request.Request(
            stack.url("alertmanager", 9093) + "/api/v2/alerts",
            json.dumps([{**ALERT, "endsAt": ends}]).encode(),
            {"Content-Type": "application/json", **stack.headers("alertmanager")},
        )
        urllib.request.urlopen(asked, timeout=30).close()
        stack.until(arrived, f"the alert is to be told by {receiver}")


def test_slack_is_sent_words_and_links_and_no_command(tmp_path: Path) -> None:
    """Escaped in title, text and fallback; the links are ours; nothing in the text is emphasis."""
    with post_office() as (address, taken):
        (tmp_path / "slack-url").write_text(address)
        sent_to("research", tmp_path, {"api_url_file": str(tmp_path / "slack-url")}, lambda: taken)
    (said,) = taken[0]["attachments"]
    escaped = SUMMARY.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert said["title"] == said["fallback"] == f"[critical] {escaped}"
    assert said["title_link"] == ALERT["annotations"]["dashboard_url"]
    assert said["text"].startswith(f"CRITICAL: {escaped}\nSpent: 32 of 40 USD.\nWhat to do: <https://wiki/LlmBudgetThr")
    assert "<https://grafana/d/costspan-usage?var-team=x&amp;from=now>" in said["text"]
    assert "<!channel>" not in json.dumps(taken)
    assert said["mrkdwn_in"] == ["pretext"]
    message = read_slack(taken[0])
    assert (message.channel, message.title) == ("#llm-spend", f"[critical] {SUMMARY}")
    shown = slack_parts(message.text)
    assert "".join(text for text, _ in shown).startswith(
        f"CRITICAL: {SUMMARY}\nSpent: 32 of 40 USD.\nWhat to do: https"
    )
    assert [address for _, address in shown if address][:2] == [
        ALERT["annotations"]["runbook_url"], ALERT["annotations"]["dashboard_url"],
    ]  # fmt: skip


def test_pagerduty_is_sent_severity_title_text_and_links(tmp_path: Path) -> None:
    """As they are: PagerDuty takes no sign for a command."""
    with post_office() as (address, taken):
        (tmp_path / "key").write_text("0" * 32)
        where = {"routing_key_file": str(tmp_path / "key"), "url": address}
        sent_to("on-call", tmp_path, where, lambda: taken)
    payload = taken[0]["payload"]
    assert (payload["severity"], payload["summary"]) == ("critical", f"[critical] {SUMMARY}")
    assert payload["custom_details"]["text"].startswith(f"CRITICAL: {SUMMARY}\nSpent: 32 of 40 USD.\n")
    assert [link["href"] for link in taken[0]["links"]] == [
        ALERT["annotations"]["dashboard_url"],
        ALERT["annotations"]["runbook_url"],
    ]


def test_a_mail_has_the_title_as_subject_and_the_text(tmp_path: Path) -> None:
    """Plain text, no HTML."""
    with mail_server() as (address, taken):
        general = {"smtp_smarthost": address, "smtp_require_tls": False}
        sent_to("finance", tmp_path, {"auth_username": "", "auth_password_file": ""}, lambda: taken, **general)
    mail = read_mail(taken[0])
    assert mail.subject == f"[critical] {SUMMARY}"
    assert mail.text.startswith(f"CRITICAL: {SUMMARY}\nSpent: 32 of 40 USD.\n")


def test_half_a_mail_is_none() -> None:
    """A sender that goes away in the middle of a mail leaves nothing, and nobody waits for the rest."""
    with mail_server() as (address, taken):
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as sender, sender.makefile("rb") as answers:
            sender.sendall(b"DATA\r\nSubject: half")
            assert [answers.readline()[:3] for _ in range(2)] == [b"220", b"354"]
    assert taken == []


def test_every_example_has_its_test() -> None:
    """Here; `default` is the webhook of the stack: test_notifications.py."""
    example = yaml.safe_load((ROOT / "prometheus" / "receivers.example.yml").read_text(encoding="utf-8"))
    assert {each["name"] for each in example["receivers"]} == {"default", "research", "on-call", "finance"}
