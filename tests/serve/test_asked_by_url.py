"""`costspan.usage(url=...)`: the same questions put to a server and to the ledger's file have the same answers."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from click.testing import CliRunner

import costspan
from costspan.cli.commands import costspan as command
from costspan.facts.money import ESTIMATED, EXACT, INCOMPLETE, LOCAL, Cost
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger.item_rows import item
from costspan.ledger.store import Store
from costspan.remote.faults import ServerError
from costspan.report.query import UsageQuery
from ledger_calls import UNPRICED, call
from served import serving

DAY_NS: Final = 86_400 * 10**9
NOW_NS: Final = time.time_ns()
HOSTILE: Final = "=cmd|'/c'!A1&team=ads#\u202e<b>\\%2e +"
ADMIN, ACME = "admin-token-0123456789", "acme-token-01234567890"
TOKENS: Final = f"""
tokens:
  - {{name: finance, sha256: {hashlib.sha256(ADMIN.encode()).hexdigest()}, sees: all}}
  - {{name: acme, sha256: {hashlib.sha256(ACME.encode()).hexdigest()}, sees: {{account: acme}}}}
"""


class Served(NamedTuple):
    """A ledger, and the address of the server over it."""

    ledger: Path
    url: str

    def both(self, **words: Any) -> tuple[UsageQuery, UsageQuery]:
        """The same question to the file and to the server."""
        return costspan.usage(ledger=self.ledger, **words), costspan.usage(url=self.url, token=ADMIN, **words)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """Calls and items of 30 days long ago (half of them kept as sums) and of the last 40, some with a cache, some that the
    ledger lost.
    """
    folder, chance = tmp_path_factory.mktemp("by-url"), random.Random(11)  # noqa: S311
    ledger, tokens = folder / "ledger.db", folder / "tokens.yaml"
    made = [_some(chance, number) for number in range(1_500)]
    with Store.open(ledger) as store:
        store.append(sorted(made, key=lambda one: one.started_ns), Periods())
        store.take_in([], [(5, 123_000_000_000, "a reason")])
    words = ["ledger", "compact", "--older-than", "485d", "--ledger", str(ledger)]
    assert CliRunner().invoke(command, words).exit_code == 0
    tokens.write_text(TOKENS)
    with serving("--ledger", str(ledger), "--tokens", str(tokens), "--rate-limit", "0") as (url, _):
        yield Served(ledger, url)


def _some(chance: random.Random, number: int) -> Any:
    started_ns = NOW_NS - chance.randrange(40 * DAY_NS) - chance.choice([0, 0, 460]) * DAY_NS
    price = chance.choice(
        [
            Cost(chance.randrange(10**12), EXACT, LOCAL, "v"),
            Cost(7, ESTIMATED, LOCAL, "v"),
            Cost(3, INCOMPLETE),
            UNPRICED,
        ]
    )
    if number % 10 == 0:
        return item(f"i{number}", "uptime", f"gpu-{number % 3}", "a100", 5, price, started_ns)
    return call(
        id=f"c{number}", response_id=None, started_ns=started_ns, price=price, account=chance.choice(["acme", "Globex", None]),
        session=chance.choice([HOSTILE, *(f"s{one}" for one in range(20))]), team=chance.choice(["search", "ads", "Ads", None]),
        model=chance.choice(["gpt-5", "gpt-5-mini", "own"]), usage=chance.choice([None, Usage(input=900, output=3, cache_read=800)]),
        outcome=chance.choice(["ok", "error"]), duration_s=chance.choice([None, 1.5, 0.1]), is_stream=chance.choice([True, False]),
    )  # fmt: skip


CHOSEN: Final[list[dict[str, Any]]] = [
    {},
    {"team": "ads"},
    {"team": ["search", None], "outcome": "ok"},
    {"account": None},
    {"where": "model=GPT*"},
    {"where": ["team!=ads", "account!="], "quality": ["exact", "unpriced"]},
    {"where": "team=A*", "team": "search"},
    {"where": "team!==Ads", "operation": "chat", "client": "openai"},
    {"session": HOSTILE},
    {"kind": "uptime"},
    {"instance": ["gpu-0", "gpu-1"]},
    {"unpriced_reason": "unknown_model", "provider": "openai"},
    {"team": "nobody"},
]
ZONES: Final[list[Any]] = [
    None,
    "Europe/Berlin",
    timezone(timedelta(hours=5, minutes=45)),
    "America/New_York",
    timezone.utc,
]
_BEFORE: Final = time.strftime("%Y-%m-%d", time.gmtime(NOW_NS / 1e9 - 470 * 86_400))
PERIODS: Final = [
    "all", "this-month", "today", "30d", "7d", "24h", "last-month", "this-week", f"..{_BEFORE}", f"{_BEFORE}..", _BEFORE[:7],
    f"{_BEFORE}T14:30..2026-11-05T08:00+03:00",
]  # fmt: skip
ASKED: Final[dict[str, Callable[[UsageQuery, str], object]]] = {
    "total": lambda usage, period: usage.total(period),
    "this_month": lambda usage, _: usage.this_month(),
    "within": lambda usage, _: [usage.within(amount) for amount in (0, 10**9)],
    "used": lambda usage, _: (usage.first_used(), usage.last_used()),
    "by model": lambda usage, period: usage.by("model", "answered_model", period=period),
    "by words": lambda usage, period: usage.by("team", "account", "provider", period=period),
    "by others": lambda usage, period: usage.by("kind", "instance", "outcome", "quality", period=period),
    "by time": lambda usage, period: usage.by("hour", period=period) + usage.by("week", "source", period=period),
    "by top": lambda usage, period: usage.by("session", period=period, top=3),
    "by total": lambda usage, period: usage.by("total", period=period) + usage.by(period=period),
    "summary": lambda usage, period: usage.summary("month", "task-type", period=period, top=2),
    "summary of all": lambda usage, period: usage.summary("total", period=period),
    "cache": lambda usage, period: usage.cache_savings(period),
    "daily": lambda usage, period: (usage.daily(period), usage.daily()),
    "records": lambda usage, period: usage.records(period, limit=9),
    "each": lambda usage, period: [*itertools.islice(usage.each(period), 30)],
    "lost": lambda usage, _: usage.lost(),
    "notices": lambda usage, period: usage.notices(period) + usage.notices(),
    "unattributed": lambda usage, period: usage.unattributed(period),
    "newest": lambda usage, period: usage.newest(period),
}


def test_the_same_questions_have_the_same_answers(served: Served) -> None:
    """Every one of them, about any calls and times, with days of any zone."""
    chance = random.Random(3)  # noqa: S311
    told: set[str] = set()
    choices = itertools.cycle(chance.sample(CHOSEN, len(CHOSEN)))
    periods = itertools.cycle(chance.sample(PERIODS, len(PERIODS)))
    zones = itertools.cycle(chance.sample(ZONES, len(ZONES)))
    for name, ask in [*ASKED.items()] * 3:
        chosen, period, zone = next(choices), next(periods), next(zones)
        by_file, by_url = (ask(usage, period) for usage in served.both(time_zone=zone, **chosen))
        assert by_url == by_file, (name, chosen, period, zone)
        told |= {name} if by_file else set()
    assert told == set(ASKED)


def test_pages_go_on_where_the_one_before_ended(served: Served) -> None:
    """The place of one source is understood by the other."""
    by_file, by_url = served.both(where="kind=call")
    page, whole = by_url.records("30d", limit=100), by_file.records("30d", limit=1_000).records
    found = [*page]
    while page.next is not None:
        page = (by_file if len(found) % 200 else by_url).records("30d", limit=100, after=page.next)
        found += page
    assert tuple(found) == whole
    assert {type(one.cost_usd) for one in found} == {Decimal, type(None)}
    assert {one.started_at.tzinfo for one in found if one.started_at} == {timezone.utc}


def test_a_token_asks_about_its_own_account_alone(served: Served) -> None:
    """What is not of it is in no figure; asking for it is refused with the address and what was expected."""
    own, of_acme = costspan.usage(url=served.url, token=ACME), costspan.usage(ledger=served.ledger, account="acme")
    for period in ("30d", "this-month", f"{_BEFORE}.."):
        assert own.by("session", "account", period=period) == of_acme.by("session", "account", period=period)
        assert own.daily(period) == of_acme.daily(period)
        assert own.records(period) == of_acme.records(period)
        assert own.cache_savings(period) == of_acme.cache_savings(period)
        assert own.unattributed(period) == of_acme.unattributed(period)
    assert own.total().cost_usd == of_acme.total().cost_usd
    assert (own.first_used(), own.last_used(), own.lost()) == (of_acme.first_used(), of_acme.last_used(), (0, 0))
    assert costspan.usage(url=served.url, token=ACME, where="account!=acme").total().calls == 0
    refused: list[dict[str, Any]] = [{"account": "Globex"}, {"where": "account=G*"}]
    for words in refused:
        with pytest.raises(
            ServerError, match=rf"{served.url[:-1]} refuses \(403\): account is not yours to see: expected"
        ):
            costspan.usage(url=served.url, token=ACME, **words).total()


Place: TypeAlias = Mapping[str, Any]
MISTAKEN: Final[list[Callable[[Place], object]]] = [
    lambda at: costspan.usage(teem="x", **at),
    lambda at: costspan.usage(team=[], **at),
    lambda at: costspan.usage(where="teem=x", **at),
    lambda at: costspan.usage(time_zone="Berlin", **at),
    lambda at: costspan.usage(**at).by("teem"),
    lambda at: costspan.usage(**at).by("team", top=0),
    lambda at: costspan.usage(**at).total("this-mnth"),
    lambda at: costspan.usage(**at).daily("2026-11-03..2026-11-01"),
    lambda at: costspan.usage(**at).records(limit=1_001),
    lambda at: costspan.usage(**at).records(after="9" * 19 + "-1"),
    lambda at: costspan.usage(**at).within(month_usd="much"),
]


def test_a_mistaken_question_is_told_as_of_a_file(tmp_path: Path) -> None:
    """In the same words; nobody needs to be asked for it."""
    for ask in MISTAKEN:
        told: list[str] = []
        places: list[Place] = [{"ledger": tmp_path / "none.db"}, {"url": "http://127.0.0.1:9"}]
        for at in places:
            with pytest.raises(ValueError, match=r"expected|is no|ends before") as refused:
                ask(at)
            told.append(str(refused.value))
        assert told[0] == told[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"url": "127.0.0.1:8321"}, "url='127.0.0.1:8321': expected an address such as http"),
        ({"url": "file:///etc/passwd"}, "expected an address such as http"),
        ({"url": "http://127.0.0.1:x"}, "expected an address such as http"),
        ({"url": "http://127.0.0.1/?team=a"}, "without a question"),
        ({"url": "http://user:secret@127.0.0.1"}, "name or password in it: expected it without"),
        ({"url": "http://a b"}, "expected an address such as http"),
        ({"url": "http://h", "ledger": "calls.db"}, "ledger='calls.db' and url='http://h': expected one of them"),
        ({"token": "secret"}, "expected url=... with them"),
        ({"url": "http://h", "token": "secret\r\nHost: x"}, "token: expected the text of a token"),
        ({"url": "http://h", "token": ""}, "token: expected the text of a token"),
        ({"url": "https://h", "ca_file": "/none.pem"}, "ca_file='/none.pem': expected a file with certificates in PEM"),
        ({"url": "http://h", "timeout_s": 0}, "timeout_s=0: expected a number of seconds above 0"),
        (
            {"url": "http://h", "time_zone": timezone(timedelta(seconds=30))},
            "time_zone=.*expected a zone of the tz database",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_address_that_cannot_be_asked_is_refused(words: dict[str, Any], told: str) -> None:
    """At once, and without showing a secret."""
    with pytest.raises(ValueError, match=told) as refused:
        costspan.usage(**words)
    assert "secret" not in str(refused.value)


class Stub(NamedTuple):
    """A server that gives answers of its own, and what it was asked."""

    url: str
    answers: dict[str, tuple[int, Mapping[str, str], bytes]]
    asked: list[tuple[str, str, str | None]]


@contextmanager
def stub(context: ssl.SSLContext | None = None) -> Generator[Stub]:
    """The answers are by path; others get 502, as of a gateway."""
    answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
    asked: list[tuple[str, str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Give the answer of the path."""
            asked.append((self.command, self.path, self.headers["Authorization"]))
            status, headers, content = answers.get(self.path.partition("?")[0], (502, {}, b"<html>Bad gateway"))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_CONNECT = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Nothing is written."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Stub(f"http{'s' if context else ''}://127.0.0.1:{server.server_port}", answers, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SPAN: Final = "/v1/usage/span"
_NEVER: Final = json.dumps({"first_used": None, "last_used": None, "of_a_newer_version": 5}).encode()
_PROBLEM: Final = {"Content-Type": "application/problem+json"}


def _said(detail: object) -> bytes:
    return json.dumps({"title": "", "status": 0, "detail": detail}).encode()


BAD: Final[list[tuple[int, dict[str, str], bytes, str]]] = [
    (
        200,
        {},
        b'{"first_used": null}',
        r"otherwise than its document says \(last_used is missing: expected the field\)",
    ),
    (200, {}, b'{"first_used": "soon", "last_used": null}', r'first_used is "soon": expected a moment'),
    (
        200,
        {},
        b'{"first_used": "2026-11-05T10:00:00", "last_used": null}',
        "expected a moment in ISO 8601 with its offset",
    ),
    (200, {}, b"[" * 100_000, "what is no JSON: expected the JSON of a costspan serve"),
    (200, {}, b"[]", "expected an object"),
    (
        200,
        {"Content-Type": "text/html"},
        b"<html>",
        "HTTP status 200 and text/html: expected the JSON of a costspan serve",
    ),
    (
        302,
        {"Location": "https://elsewhere.example.com/v1"},
        b"",
        "sends on to elsewhere.example.com, where nobody is asked",
    ),
    (400, _PROBLEM, _said("where: expected less"), r"^where: expected less \(said http"),
    (401, _PROBLEM, _said("who?"), "does not know the token: expected token=..."),
    (403, _PROBLEM, _said("not \x1b[31myours"), r"refuses \(403\): not [^\x1b]*yours$"),
    (
        404,
        _PROBLEM,
        _said("Not Found"),
        "has no /v1/usage/span: expected a costspan serve of this version or a later one",
    ),
    (404, {"Content-Type": "text/plain"}, b"nothing", "HTTP status 404 and text/plain: expected the JSON"),
    (
        429,
        {**_PROBLEM, "Retry-After": "7"},
        _said("too many"),
        "was asked too often: expected the question again in 7 s",
    ),
    (
        503,
        {**_PROBLEM, "Retry-After": "1"},
        _said("busy"),
        r"refuses \(503\): busy: expected the question again in 1 s",
    ),
    (500, {}, b"{}", "answers with HTTP status 500"),
    (200, {"Content-Length": "99"}, b"{", "cannot be asked.*: expected a costspan serve there"),
]


def test_an_answer_that_is_none_is_told() -> None:
    """With the address and what was expected, and no value is made of it."""
    with stub() as server:
        usage = costspan.usage(url=f"{server.url}/", token="secret-token")
        for status, headers, content, told in BAD:
            server.answers[SPAN] = status, headers, content
            with pytest.raises(ValueError if status == 400 else ServerError, match=told) as refused:
                usage.last_used()
            assert server.url in str(refused.value)
            assert "secret" not in str(refused.value)
            if isinstance(refused.value, ServerError):
                assert refused.value.retry_after_s == (
                    int(headers["Retry-After"]) if "Retry-After" in headers else None
                )
        assert {path for _, path, _ in server.asked} == {f"{SPAN}?"}
        server.answers[SPAN] = 200, {}, _NEVER
        assert usage.last_used() is None
        with pytest.raises(ValueError, match=r"the question is too long for http.*expected fewer or shorter values"):
            costspan.usage(url=server.url, session=[f"{number:0100}" for number in range(600)]).total()
    with pytest.raises(
        ServerError, match=rf"^{server.url} cannot be asked \(.*refused.*\): expected a costspan serve there"
    ):
        usage.total()


def test_a_server_that_does_not_answer_is_waited_for_so_long() -> None:
    """And no longer."""
    with stub() as server, ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        usage = costspan.usage(url=f"http://127.0.0.1:{silent.server_port}", timeout_s=0.05)
        with pytest.raises(ServerError, match=r"did not answer within 0\.05 s: expected an answer, or timeout_s="):
            usage.total()
    assert server.asked == []


def test_who_answers_has_to_be_whom_the_token_is_for(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an authority, or of the file; a proxy carries HTTPS and never the token of plain HTTP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with stub(context) as server, stub() as proxy, stub() as plain:
        for each in (server, plain):
            each.answers[SPAN] = 200, {}, _NEVER
        assert costspan.usage(url=server.url, token="secret-token", ca_file=certificate).last_used() is None
        assert server.asked == [("GET", f"{SPAN}?", "Bearer secret-token")]
        with pytest.raises(
            ServerError,
            match=r"certificate that is not trusted .*expected one of this system's authorities, or ca_file=",
        ):
            costspan.usage(url=server.url, token="secret-token").last_used()
        with pytest.raises(ServerError, match="certificate that is not trusted"):
            costspan.usage(url=server.url.replace("127.0.0.1", "localhost"), ca_file=certificate).last_used()
        with pytest.raises(ValueError, match=r"ca_file=.*expected certificates in PEM"):
            costspan.usage(url=server.url, ca_file=__file__).last_used()
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert costspan.usage(url=plain.url, token="secret-token").last_used() is None
        assert (proxy.asked, len(plain.asked), len(server.asked)) == ([], 1, 1)
        with pytest.raises(ServerError, match="cannot be asked"):
            costspan.usage(url=server.url, token="secret-token", ca_file=certificate).last_used()
        assert [(how, token) for how, _, token in proxy.asked] == [("CONNECT", None)]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert costspan.usage(url=server.url, ca_file=certificate).last_used() is None
        assert len(proxy.asked) == 1
