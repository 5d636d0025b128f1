"""Shows what Alertmanager sends: prints a line for each notification, keeps the bodies, answers with them.

Standard library only: docker-compose.yml runs this file in a bare Python image, `make stack` in a clone of the repository runs it as it is.

    python webhook.py --listen 127.0.0.1:9095 --keep notifications.jsonl
"""

from __future__ import annotations

import argparse
import html
import json
import signal
import sys
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REMEMBERED = 1_000
BODY_BYTES = 4_000_000


class Notifications:
    """The last notifications, newest at the end; all of them in a file of JSON lines, where one is given."""

    def __init__(self, keep: Path | None) -> None:
        self.last: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._keep = keep
        if keep is not None and keep.exists():
            self.last.extend(json.loads(line) for line in keep.read_text(encoding="utf-8").splitlines())

    def add(self, body: dict[str, Any]) -> None:
        """Keep one notification and print what it says."""
        self.last.append(body)
        if self._keep is not None:
            with self._keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(body) + "\n")
        for alert in body["alerts"]:
            print(sentence(alert), flush=True)


def sentence(alert: dict[str, Any]) -> str:
    """One alert as a line of text."""
    said = alert.get("annotations", {}).get("summary", "")
    return f"{alert['status']:8} {alert['labels'].get('alertname', '?')}: {said}"


def page(notifications: Notifications) -> str:
    """The notifications as a page, newest first, looking again every ten seconds."""
    rows = [
        f"<li>{html.escape(sentence(alert))}</li>"
        for body in reversed(notifications.last)
        for alert in body["alerts"]
    ]  # fmt: skip
    return (
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=10><title>Notifications</title>"
        f"<h1>Notifications</h1><ul style='font-family:monospace'>{''.join(rows) or '<li>none so far</li>'}</ul>"
    )


def receiver(notifications: Notifications) -> type[BaseHTTPRequestHandler]:
    """A web server's answers: POST keeps a notification, GET /notifications is JSON, GET / is for people."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                body = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), BODY_BYTES)))
                notifications.add(body)
            except (ValueError, TypeError, KeyError) as fault:
                return self._answer(400, "text/plain", f"not a notification of Alertmanager: {fault!r}")
            return self._answer(200, "text/plain", "kept")

        def do_GET(self) -> None:
            if self.path == "/notifications":
                return self._answer(200, "application/json", json.dumps(list(notifications.last)))
            return self._answer(200, "text/html", page(notifications))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """The notifications are the log."""

        def _answer(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

    return Receiver


def _end(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    """Serve until told to stop."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--listen", default="127.0.0.1:9095", help="address and port")
    options.add_argument("--keep", type=Path, help="a file that keeps the notifications over a restart")
    chosen = options.parse_args()
    host, port = chosen.listen.rsplit(":", 1)
    signal.signal(signal.SIGTERM, _end)
    with ThreadingHTTPServer((host, int(port)), receiver(Notifications(chosen.keep))) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
