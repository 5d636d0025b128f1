"""Receivers of notifications on this machine: an address that takes JSON, a mail server; and how what they got is read."""

from __future__ import annotations

import email
import email.header
import html
import json
import re
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from otlp_receiver import Answering, serving


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
        def _line_of_mail(self) -> bytes:
            if line := self.rfile.readline():
                return line
            raise ConnectionError("the sender has gone in the middle of a mail")

        def handle(self) -> None:
            with suppress(ConnectionError):
                self._converse()

        def _converse(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = [*iter(self._line_of_mail, b".\r\n")]
                    taken.append(b"".join(lines).decode())
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


class Slack(NamedTuple):
    """A message: who sends it where, a title that is a link, the colour of its bar, text with links in it."""

    sender: str
    channel: str
    title: str
    title_link: str
    colour: str
    text: str


class Mail(NamedTuple):
    """A mail of plain text."""

    sender: str
    to: str
    subject: str
    text: str


def read_slack(body: dict[str, Any]) -> Slack:
    """The message of a webhook of Slack. Its text is as Slack reads it: escaped, links in angle brackets."""
    said: dict[str, str]
    (said,) = body["attachments"]
    bar: str = {"danger": "#e01e5a", "good": "#2eb67d"}[said["color"]]
    title = html.unescape(said["title"])
    return Slack(body["username"], body["channel"], title, said["title_link"], bar, said["text"])


def slack_parts(text: str) -> list[tuple[str, str]]:
    """A text as Slack shows it: pieces of text, each with the address that it leads to, if any."""
    pieces = re.split(r"<([^>]+)>", text)
    return [
        (html.unescape(each), html.unescape(each) if number % 2 else "") for number, each in enumerate(pieces) if each
    ]


def read_mail(source: str) -> Mail:
    """The headers and the text of a mail. Raises ValueError where it has another part than plain text."""
    mail = email.message_from_string(source)
    (body,) = (part for part in mail.walk() if not part.is_multipart())
    text = body.get_payload(decode=True)
    if body.get_content_type() != "text/plain" or not isinstance(text, bytes):
        raise ValueError(f"a mail of {body.get_content_type()}")
    said = {
        name: str(email.header.make_header(email.header.decode_header(mail[name])))
        for name in ("From", "To", "Subject")
    }
    return Mail(said["From"], said["To"], said["Subject"], text.decode().replace("\r\n", "\n"))
