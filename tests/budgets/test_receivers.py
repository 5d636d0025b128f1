"""The receivers of receivers.example.yml, by a real Alertmanager: what Slack, PagerDuty and a mail server are sent."""

from __future__ import annotations

import email
import email.header
import json
import socketserver
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from stack import HASTE, Stack
from stack.compose import ROOT

from otlp_receiver import Answering, serving
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


@contextmanager
def post_office() -> Generator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes JSON, and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Exchange(Answering):
        def do_POST(self) -> None:  # noqa: N802  (the name that http.server gives it)
            taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(b"ok", "text/plain")

    with serving(Exchange) as address:
        yield address, taken


@contextmanager
def mail_server() -> Generator[tuple[str, list[str]]]:
    """The address of a mail server that takes everything, and the mails."""
    taken: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    taken.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", taken
        finally:
            server.shutdown()
            thread.join()


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
    assert taken[0]["channel"] == "#llm-spend"


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
    mail = email.message_from_string(taken[0])
    subject = str(email.header.make_header(email.header.decode_header(mail["Subject"])))
    bodies = [part for part in mail.walk() if not part.is_multipart()]
    assert subject == f"[critical] {SUMMARY}"
    assert [part.get_content_type() for part in bodies] == ["text/plain"]
    body = bodies[0].get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n").startswith(f"CRITICAL: {SUMMARY}\nSpent: 32 of 40 USD.\n")


def test_every_example_has_its_test() -> None:
    """Here; `default` is the webhook of the stack: test_notifications.py."""
    example = yaml.safe_load((ROOT / "prometheus" / "receivers.example.yml").read_text(encoding="utf-8"))
    assert {each["name"] for each in example["receivers"]} == {"default", "research", "on-call", "finance"}
