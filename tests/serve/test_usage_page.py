"""The usage page: every figure added up by SQL, filters that live in the address, names of strangers as text."""

from __future__ import annotations

import hashlib
import random
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costspan.facts.money import ESTIMATED, EXACT, INCOMPLETE, Cost
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from costspan.report.naming import NOT_SET
from costspan.serve import page_choice
from costspan.serve.app import STATIC
from costspan.serve.asked import Caller
from costspan.serve.tokens import Tokens
from ledger_calls import UNPRICED, at_ns, call, write
from read_page import ReadPage
from served import client

HOSTILE: Final = "</td><script>alert(1)</script>\"'&amp;\u202e\x00\x1b[31m=1+1\n~7e;"
DAYS: Final = 40
SUMS: Final = (
    "COUNT(*), COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cache_read_tokens), 0),"
    " COALESCE(SUM(input_tokens), 0) + COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cost_nano_usd), 0),"
    " COALESCE(SUM(unpriced_reason IS NOT NULL), 0)"
)


def random_ledger(path: Path, seed: int, count: int = 300) -> None:
    """Calls of the last days, of few names, some without a price, some that failed."""
    chance = random.Random(seed)  # noqa: S311 - a ledger that can be made again
    now = datetime.now(timezone.utc).timestamp()
    write(path, *[_random_call(chance, now) for _ in range(count)])


def _random_call(chance: random.Random, now: float) -> Any:
    amount = Cost(chance.randrange(10**12), chance.choice((EXACT, ESTIMATED, INCOMPLETE)))
    usage = Usage(input=chance.randrange(10**6), output=chance.randrange(10**5), cache_read=chance.randrange(99))
    is_failed = chance.random() < 0.1
    return call(
        started_ns=int((now - chance.random() * DAYS * 86_400) * 10**9),
        provider=chance.choice(("openai", "anthropic")),
        model=chance.choice(("gpt-5", "claude-opus-5", HOSTILE)),
        team=chance.choice(("search", "ads", None)),
        account=chance.choice(("acme", "zeta")),
        session=f"s-{chance.randrange(9)}",
        usage=None if is_failed else usage,
        price=None if is_failed else chance.choice((amount, amount, amount, UNPRICED)),
    )


def added_up(path: Path, where: str, *values: object) -> list[Decimal]:
    """The figures of a row by SQL: as the page has them, without a cost where none is known."""
    with Store.read(path) as store:
        (found,) = store.select(f"SELECT {SUMS} FROM calls WHERE {where}", values)  # noqa: S608 - of this test
    *counts, nano_usd, unpriced = found
    cost = [] if unpriced and not nano_usd else [Decimal(nano_usd).scaleb(-9)]
    return [*map(Decimal, counts), *cost]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati"])
@pytest.mark.parametrize("team", [None, "search"])
def test_every_figure_is_the_sum_of_its_calls(tmp_path: Path, seed: int, zone: str, team: str | None) -> None:
    """Cards, days and groups, in any zone, with and without a filter."""
    path = tmp_path / "ledger.db"
    random_ledger(path, seed)
    midnight = datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    since, where = midnight - timedelta(days=29), "started_ns >= ? AND (? IS NULL OR team = ?)"
    chosen = f"&team={team}" if team else ""
    page = ReadPage(client(path).get(f"/?period=30d&time_zone={zone}{chosen}").text)

    def sums(start: datetime, more: str = "1", *values: object) -> list[Decimal]:
        return added_up(path, f"{where} AND {more}", _ns(start), team, team, *values)

    total = sums(since)
    assert page.rows["groups"]["Total"] == total
    assert page.figures["card-requests"] == total[:1]
    assert page.figures["card-tokens"] == [total[4], total[1], total[2], total[3]]
    assert page.figures["card-cost"] == total[5:]
    month = sums(midnight.replace(day=1))
    assert page.figures["card-month"] == [*month[5:], month[0]]
    assert page.rows["days"]
    for day, figures in page.rows["days"].items():
        start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
        assert figures == sums(start, "started_ns < ?", _ns(start + timedelta(days=1))), day
    assert sum(row[0] for row in page.rows["days"].values()) == total[0]
    for model in ("gpt-5", "claude-opus-5"):
        for provider in ("openai", "anthropic"):
            name, more = f"{provider}|{model}", "provider = ? AND request_model = ?"
            assert page.rows["groups"][name] == sums(since, more, provider, model)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


@pytest.mark.parametrize("by", ["team", "account", "session", "task_type", "source"])
def test_the_table_is_by_other_words_too(tmp_path: Path, by: str) -> None:
    """Each row is the sum of its calls; what nobody said is a row of its own."""
    path = tmp_path / "ledger.db"
    random_ledger(path, 7)
    rows = ReadPage(client(path).get(f"/?period=all&by={by}").text).rows["groups"]
    with Store.read(path) as store:
        names = [name for (name,) in store.select(f"SELECT DISTINCT {by} FROM calls")]  # noqa: S608 - of this test
    assert set(rows) == {"Total", *(NOT_SET if name is None else name for name in names)}
    for name in names:
        assert rows[NOT_SET if name is None else name] == added_up(path, f"{by} IS ?", name)


def test_days_are_told_by_source_where_there_are_several(tmp_path: Path) -> None:
    """Each of the known ones, then all others, those without one included; nothing of one source alone."""
    path = tmp_path / "ledger.db"
    alone = [call(started_ns=at_ns("2026-01-05 10:00"), source="heartbeat") for _ in range(2)]
    some = ("main_agent", "task_agent", "task_agent", "cron", None)
    write(path, *alone, *[call(started_ns=at_ns("2026-02-03 10:00"), source=source) for source in some])
    asked = client(path)
    assert "sources" not in ReadPage(asked.get("/?period=2026-01").text).texts
    page = ReadPage(asked.get("/?period=2026").text)
    each = 812 + 96
    shown = {"2026-01-05": [0, 0, 2 * each, 0], "2026-02-03": [each, 2 * each, 0, 2 * each]}
    days = ReadPage(asked.get("/?period=2026-02").text).rows["sources"]
    assert days == {"2026-02-03": shown["2026-02-03"]}
    sums = [sum(column) for column in zip(*page.rows["sources"].values(), strict=True)]
    assert sums == [sum(column) for column in zip(*shown.values(), strict=True)]


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    """Markup, quotes, signs that turn the direction or steer: in rows, lists, chips and mistakes; and they can be chosen."""
    path = tmp_path / "ledger.db"
    write(path, *[call(session=HOSTILE, model=HOSTILE, team=HOSTILE, account=HOSTILE, price=UNPRICED)])
    asked = client(path)
    for by in page_choice.GROUPS:
        html = asked.get(f"/?period=all&by={by}").text
        page = ReadPage(html)
        assert page.tags.count("script") == 1
        assert not re.search("[\u202e\x00\x1b]", html)
        if by not in {"task_type", "source", "kind"}:
            assert "</td><script>" in page.texts["calls" if by == page_choice.CALL else "groups"]
        for address in page.addresses:
            assert asked.get(address).status_code == 200, address
        (value,) = (value for value in page.options["team"] if value)
        assert ReadPage(asked.get("/", params={"period": "all", "team": value}).text).figures["card-requests"] == [1]
    refused = asked.get(f"/?{quote(HOSTILE)}=1")
    assert (refused.status_code, refused.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "<script>alert" not in refused.text


@given(st.text(st.characters(exclude_categories=("Cs",))) | st.none())
@example("~")
@example("~7e;")
@example("~d800;")
@example("a\r\nb")
def test_a_name_comes_back_from_the_form(name: str | None) -> None:
    """Whatever it holds; and nothing is in it that a browser changes when it sends a form."""
    value = page_choice.written(name)
    assert page_choice.understood(value) == name
    assert value.isprintable()


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """Every address is one of this server; style and script are in files of their own, as the policy asks."""
    path = tmp_path / "ledger.db"
    random_ledger(path, 1, 30)
    asked = client(path)
    for query in ("", "?period=all&by=session", "?team=none", "?teem=1"):
        told = asked.get(f"/{query}")
        page = ReadPage(told.text)
        assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in page.addresses)
        assert not re.search(r"\son\w+=|\sstyle=|<style", told.text)
        assert "default-src 'none'" in told.headers["content-security-policy"]
    for name in ("page.css", "page.js", "icon.svg"):
        assert asked.get(f"/static/{name}").status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\((?!#)", (STATIC / name).read_text())


def test_a_page_weighs_little(tmp_path: Path) -> None:
    """With a year of calls of many long names; style and script included."""
    path = tmp_path / "ledger.db"
    start = _ns(datetime.now(timezone.utc)) - 364 * 86_400 * 10**9
    names: list[dict[str, str]] = [
        {word: f"{word}-of-a-long-name-{number}" for word in ("team", "account", "session", "task_type", "model")}
        for number in range(400)
    ]
    write(path, *[call(started_ns=start + n * 78_000 * 10**9, **names[n]) for n in range(400)])
    shipped = sum(file.stat().st_size for file in STATIC.iterdir())
    for query in ("?period=365d", "?period=all&by=session", "?period=100d", "?period=93d&team=none"):
        weight = len(client(path).get(f"/{query}").content) + shipped
        assert weight < 150_000, query


def test_each_empty_state_says_what_to_do(tmp_path: Path) -> None:
    """No call at all, none that matches, none with anything to draw."""
    unused = ReadPage(client(tmp_path / "none.db").get("/").text)
    assert "costspan run python" in unused.texts["unused"]
    assert f"costspan demo --ledger {tmp_path}/none.db" in unused.texts["unused"]
    path = tmp_path / "ledger.db"
    write(path, call(started_ns=at_ns("2026-01-05 10:00"), price=None, usage=None, outcome="error"))
    unmatched = ReadPage(client(path).get("/?period=2026-02").text)
    assert {"nothing"} == {"unused", "nothing", "nothing-to-chart"} & set(unmatched.texts)
    assert unmatched.figures["card-cost"] == [0]
    assert (unmatched.figures["card-requests"], unmatched.figures["card-tokens"][0]) == ([0], 0)
    bare = ReadPage(client(path).get("/?period=2026-01").text)
    assert {"nothing-to-chart"} == {"unused", "nothing", "nothing-to-chart"} & set(bare.texts)
    assert bare.rows["days"]["2026-01-05"][0] == 1


def test_what_has_no_price_is_never_zero(tmp_path: Path) -> None:
    """It says so, and how to price it; with others it makes a lower bound."""
    path = tmp_path / "ledger.db"
    write(path, call(started_ns=at_ns("2026-01-05 10:00"), model="own", price=UNPRICED), call(price=Cost(0, EXACT)))
    page = ReadPage(client(path).get("/?period=2026-01").text)
    assert "no price" in page.texts["card-cost"]
    assert "0.00" not in page.texts["card-cost"]
    assert "no price" in page.texts["groups"]
    assert "0.00" not in page.texts["groups"]
    assert "own of openai: 1 request with 908 tokens" in page.texts["unpriced"]
    assert "OTEL_COSTSPAN_PRICES" in page.texts["unpriced"]
    free = ReadPage(client(path).get("/?period=2026-11-20").text)
    assert "0.00" in free.texts["card-cost"]
    write(path, call(started_ns=at_ns("2026-01-06 10:00"), price=Cost(2 * 10**9, EXACT), id="priced", response_id=None))
    mixed = ReadPage(client(path).get("/?period=2026-01").text)
    assert "2.00 USD a request that has a price on average" in " ".join(mixed.texts["card-cost"].split())


@pytest.mark.parametrize(
    ("sent", "link"),
    [
        ("team=&model=&from=&until=&period=7d&time_zone=", "/?period=7d"),
        ("provider=openai&model=claude&models_of=~any", "/?provider=openai"),
        ("provider=&model=claude&models_of=openai", "/"),
        ("provider=openai&model=gpt-5&models_of=openai", "/?provider=openai&model=gpt-5"),
        ("preset=today&period=7d&from=2026-01-01&until=&team=ads", "/?period=today&team=ads"),
        ("period=7d&from=2026-01-01&until=", "/?from=2026-01-01"),
        ("team=~&by=team&session=", "/?by=team&team=~"),
    ],
)
def test_a_form_becomes_a_link(tmp_path: Path, sent: str, link: str) -> None:
    """What was left empty is not in the address; another provider lets go of the model; a preset goes before dates."""
    told = client(tmp_path / "none.db").get(f"/?{sent}", follow_redirects=False)
    assert told.status_code == 303
    found = urlsplit(told.headers["location"])
    assert (found.path, sorted(parse_qsl(found.query))) == ("/", sorted(parse_qsl(urlsplit(link).query)))
    assert client(tmp_path / "none.db").get(told.headers["location"], follow_redirects=False).status_code == 200


def test_models_are_those_of_the_provider(tmp_path: Path) -> None:
    """In the data of this time; names of other times are not offered."""
    path = tmp_path / "ledger.db"
    write(
        path, call(model="gpt-5"), call(provider="anthropic", model="claude"),
        call(started_ns=at_ns("2025-01-01 00:00"), model="old"),
    )  # fmt: skip
    page = ReadPage(client(path).get("/?period=2026-11-20").text)
    assert set(page.options["model"]) == {"", "gpt-5", "claude"}
    page = ReadPage(client(path).get("/?period=2026-11-20&provider=anthropic").text)
    assert page.options["model"] == ["", "claude"]
    assert set(page.options["provider"]) == {"", "openai", "anthropic"}


@pytest.mark.parametrize(
    ("query", "field"),
    [("teem=1", "teem"), ("period=soon", "period"), ("from=x", "from"), ("time_zone=Mars", "time_zone"), ("by=day", "by"),
     ("team=a&team=b", "team"), ("from=2026-02-01&until=2026-01-01", "until")],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, query: str, field: str) -> None:
    """As a page, with 400."""
    told = client(tmp_path / "none.db").get(f"/?{query}")
    assert (told.status_code, told.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert re.search(rf"{field}.*(expected|ends before)", told.text)


def test_a_token_sees_its_own(tmp_path: Path) -> None:
    """Figures, lists and the file's name: nothing of others."""
    path = tmp_path / "ledger.db"
    write(path, call(account="acme", team="ours"), call(account="zeta", team="theirs", session="secret", model="m"))
    token = "a-token-of-acme-0123456789"
    digest = hashlib.sha256(token.encode()).hexdigest()
    asked = client(path, tokens=Tokens({digest: Caller("portal", {"account": "acme"})}))
    assert asked.get("/").status_code == 401
    asked.headers["Authorization"] = f"Bearer {token}"
    told = asked.get("/?period=all&by=session").text
    assert ReadPage(told).figures["card-requests"] == [1]
    assert not re.search("zeta|theirs|secret", told)
    assert str(path) not in asked.get("/?period=today").text
    refused = asked.get("/?account=zeta")
    assert (refused.status_code, "account is not yours to see" in refused.text) == (403, True)


def test_days_begin_in_the_zone(tmp_path: Path) -> None:
    """A day of 23 or of 25 hours has all of its calls, and no other's."""
    path = tmp_path / "ledger.db"
    hours = [at_ns("2026-03-28 22:30") + hour * 3_600 * 10**9 for hour in range(27)]
    write(path, *[call(started_ns=hour) for hour in hours])
    rows = ReadPage(client(path).get("/?period=2026-03&time_zone=Europe/Berlin").text).rows["days"]
    assert {day: row[0] for day, row in rows.items()} == {"2026-03-28": 1, "2026-03-29": 23, "2026-03-30": 3}
