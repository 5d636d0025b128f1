"""report/table.py, naming.py: at any width every figure is whole, every name harmless and not to be taken for another."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from costspan.cli.commands import costspan
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.report import Page
from costspan.report.naming import Names, harmless
from costspan.report.table import Column, Table
from ledger_calls import call, write

HOSTILE = (
    "会話セッション" * 9 + "の一", "会話セッション" * 9 + "の二", "e\u0301" * 30, "\u00e9" * 30, "Z" + "\u0351" * 60 + "algo", "\u0301alone",
    "\u202eright to left\u202c", "\u2066isolated\u2069", "שיחה" * 9, "محادثة" * 9, "\x1b[2J\x1b[31mred", "\x9b31mred", "a\nb", "a\r\nb",
    "a\tb", "a\x00b", "a\x01b", "a\\x01b", "[bold]loud[/bold]", "[/]", "[link=http://x]y[/link]", "(not set)", "", " ", "  ", "a", "a ",
    " a", "a\u200b", "a\ufeff", "\u3164", "\u2800", "\U0001f469\u200d\U0001f4bb" * 9, "\u2764\ufe0f", "\u2764", "Total", "3 more", "x" * 500,
    "x" * 250 + "y" + "x" * 249, "x" * 250 + "z" + "x" * 249, "\ud83d", "\U000e0041", "\uff21", "A", "ﬁ", "fi",
    *(f"ft:gpt-4.1-mini-2025-04-14:acme-corporation:support-{n:03}:B{n}xYz" for n in range(12)),
    *(f"tenant-{n:05}-conversation-with-a-customer-in-production" for n in range(12)),
)  # fmt: skip

#: Letters of all kinds, signs that steer, and the same names again and again but for a letter.
names = st.one_of(
    st.none(),
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(st.characters(categories=["Cc", "Cf", "Mn", "Me", "Lo", "Zs", "Sk"]), max_size=60),
    st.builds("{}{}{}".format, st.just("a" * 40), st.text("xy", max_size=3), st.just("b" * 40)),
)
figures = st.integers(0, 10**18).map("{:,}".format)
rows_of_names = st.lists(st.tuples(names, figures, figures), unique_by=lambda row: row[0], max_size=30)
COLUMNS = (Column("Session", is_name=True), Column("Requests"), Column("Cost USD"), Column("Share", leave_out=1))


def printed(rows: Sequence[Any], width: int | None, columns: Sequence[Column] = COLUMNS, **more: Any) -> list[str]:
    out = io.StringIO()
    Page(out, width).table(Table(columns, lambda: rows, **more))
    return out.getvalue().splitlines()


@given(rows=rows_of_names, width=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_every_figure_is_whole_and_every_name_its_own(rows: list[Any], width: int) -> None:
    """Whatever the names and the width: figures in their order, one line a row, names apart, nothing that steers."""
    foot = ("Total", "1,234", "5,678", "100.0 %")
    lines = printed([(*row, "50.0 %") for row in rows], width, foot=foot)
    assert all(line.isprintable() for line in lines)
    if not lines[0].startswith(" Session"):
        told = [word for row in [*rows, foot] for word in row[1:3]]
        assert Counter(told) <= Counter(" ".join(lines).split())
        return
    body = [line for line in lines[2:] if "──" not in line and not line.startswith("Not shown")][: len(rows)]
    shown: list[str] = []
    for line, (_, requests, cost) in zip(body, rows, strict=True):
        found = re.fullmatch(rf" (.*?) +{requests} +{cost}(  +50.0 %)?", line)
        assert found, line
        shown.append(found[1].strip())
    assert len(set(map(looks, shown))) == len(rows)
    assert all(cell_len(line) <= width for line in lines[: len(rows) + 4] if "Not shown" not in line)


def looks(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize("width", [9, 12, 16, 25, 80, 120])
def test_hostile_names_are_told_apart(width: int) -> None:
    """Wide, combining, turning, steering, empty, blank and alike: each is one harmless text within the width."""
    column = Names()
    for name in (None, *HOSTILE):
        column.meet(name)
    column.fit(width)
    shown = [column.text(name) for name in (None, *HOSTILE)]
    assert len(set(map(looks, shown))) == len(shown)
    assert all(text.isprintable() and text.strip() and cell_len(text) <= width for text in shown)
    assert shown[0] == "(not set)"


def test_more_names_than_are_compared_carry_a_mark_each() -> None:
    """The names of a very long table are not kept in memory; who is shortened is still not taken for another."""
    many = [f"conversation-{n:06}-of-a-customer" for n in range(10_050)]
    column = Names()
    for name in (None, "short", *many):
        column.meet(name)
    column.fit(20)
    shown = [column.text(name) for name in (None, "short", *many)]
    assert len(set(shown)) == len(shown)
    assert shown[:2] == ["(not set)", "short"]
    assert max(map(len, shown)) == 20


NAMES = [
    # name                      as it is shown
    ("[red]x[/]",               "[red]x[/]"),
    ("a\x1b[2Jb\n",             r"a\x1b[2Jb\n"),
    ("\u202eevil",              r"\u202eevil"),
    ("a" + "\u0301" * 9,        "a" + "\u0301" * 3),
    ("\u0301a",                 "\u25cc\u0301a"),
    ("日本",                     "日本"),
    ("a\u3164b",                r"a\u3164b"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_a_name_is_one_harmless_line(name: str, shown: str) -> None:
    """Names come from programs: they cannot steer the terminal, nor break the table."""
    assert harmless(name) == shown


def test_a_name_is_shortened_in_its_middle_or_where_it_differs() -> None:
    """Beginning and end say most; where they are alike, what is between."""
    column = Names()
    for n in (1, 2):
        column.meet(f"tenant-{n:05}-conversation-with-a-customer")
        column.meet(f"{n}-conversation-with-a-customer")
    column.fit(17)
    assert column.text("1-conversation-with-a-customer") == "1-conver…customer"
    apart = [column.text(f"tenant-{n:05}-conversation-with-a-customer") for n in (1, 2)]
    assert apart == ["…001-con…customer", "…002-con…customer"]


def test_names_shorten_before_columns_go_and_what_goes_is_said() -> None:
    """First names down to a comfortable width, then columns in their order, at last rows as lists."""
    rows = [("a-rather-long-name-of-a-session", "1,234,567", "9,876.54", "100.0 %")]
    widths = [cell_len(printed(rows, width)[2]) for width in (80, 60, 50)]
    assert [one > other for one, other in pairwise(widths)] == [True, True]
    assert "100.0 %" in printed(rows, 50)[2]
    narrow = printed(rows, 40)
    assert "100.0 %" not in narrow[2]
    assert " ".join(narrow[3:]) == "Not shown for want of room: Share (--json has all)."
    assert printed(rows, 24)[1:4] == ["   Requests  1,234,567", "   Cost USD  9,876.54", "   Share     100.0 %"]


def test_a_name_that_is_read_from_the_right_turns_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is told where such a name ends; a file has nothing in it that nobody sees."""
    rows = [("שיחה", "1", "2", "3"), ("שיחה 7", "4", "5", "6"), ("a", "7", "8", "9")]
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    Page(out, 80).table(Table(COLUMNS, lambda: rows))
    marked = out.getvalue().splitlines()[2:]
    assert [line.count("\u200e") for line in marked] == [1, 1, 0]
    assert [line.replace("\u200e", "") for line in marked] == printed(rows, 80)[2:]


def test_text_goes_on_below() -> None:
    """The last column may be prose: it is broken between words, and the figures in it stay whole."""
    columns = (Column("Model", is_name=True), Column("Input"), Column("Others", is_text=True))
    lines = printed([("m", "3", "cache_write 3.75, cache_read 0.3, web_searches 0.01 each")], 44, columns)
    assert lines[2:] == [" m          3  cache_write 3.75, cache_read", "               0.3, web_searches 0.01 each"]


MANY_MODELS = tuple(
    f"models/a-vendor/of-large-language-models/llama-{n:03}-instruct-preview-2026-11" for n in range(200)
)
MANY_TEAMS = tuple(f"team-of-the-department-for-research-{n:02}" for n in range(38))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of 200 models and of names that steer, and a file of 40 budgets with long names."""
    folder = tmp_path_factory.mktemp("many")
    odd = tuple(name for name in HOSTILE if name.strip() and not any("\ud800" <= sign <= "\udfff" for sign in name))
    write(folder / "ledger.db", *(
        call(model=model, team=MANY_TEAMS[n % 38], price=Cost((1_234_567 + n) * 10**9 + 5 * 10**7, "exact"))
        for n, model in enumerate((*MANY_MODELS, *odd))
    ))  # fmt: skip
    limits = ("limit_usd: 0.004", "limit_usd: 999_999_999", "limit_tokens: 1_000_000_000_000", "limit_usd: 12.5")
    written = [
        f"  - name: budget-of-a-department-with-a-long-name-{n:02}\n    period: {('month', 'day')[n % 2]}\n"
        f"    {limits[n % 4]}\n    scope: {{team: {team}}}\n"
        for n, team in enumerate(MANY_TEAMS)
    ]
    each = (
        "  - {name: each-model, period: month, limit_usd: 12, each: model}\n"
        "  - {name: each-team, period: day, limit_usd: 0.5, each: team}\n"
    )
    (folder / "budgets.yaml").write_text("time_zone: UTC\nbudgets:\n" + "".join(written) + each)
    return folder


def asked_of(many: Path, columns: str, *words: str) -> str:
    """What a command prints into a pipe, for a terminal of some width."""
    where = ["--ledger", str(many / "ledger.db")]
    done = CliRunner().invoke(costspan, [*words, *where], env={"COLUMNS": columns}, catch_exceptions=False)
    assert done.exit_code == 0
    assert re.sub(r"\n", "", done.output).isprintable()  # no colour, and nothing that steers
    return done.output


@pytest.mark.parametrize("columns", ["80", "60", "40", "20", ""])
def test_forty_budgets_of_many_teams_and_models(many: Path, columns: str) -> None:
    """Every amount to its last digit, every row its own name, at 80 columns and less, without colour, into a file."""
    words = ("budgets", "status", str(many / "budgets.yaml"), "--at", "2026-11-20T13:00")
    told = json.loads(asked_of(many, columns, *words, "--json"))
    printed_text = asked_of(many, columns, *words)
    shown = Counter(printed_text.split())
    usd = [each for each in told if each["unit"] == "usd"]
    assert len(told) > 40 + 200
    for word in ("spent", "limit"):
        amounts = Counter(f"{each[word]:,.{2 if each['limit'] >= 1 else 6}f}" for each in usd)
        amounts += Counter(f"{each[word]:,.0f}" for each in told if each["unit"] == "tokens")
        assert amounts <= shown
    assert "0.004000" in shown
    lines = printed_text.splitlines()
    if columns == "80":  # below, rows are lists: so wide are these figures
        assert max(map(cell_len, lines)) <= 80
        body = lines[3 : 3 + len(told)]
        firsts = [re.split(r" +2026-11", line)[0] for line in body]
        assert len({*map(looks, firsts)}) == len(told)


@pytest.mark.parametrize("columns", ["80", "60", "40", "20", ""])
def test_two_hundred_models(many: Path, columns: str) -> None:
    """The same table as that of the budgets: amounts whole, models apart."""
    told = json.loads(asked_of(many, columns, "usage", "--json"))["rows"]
    text = asked_of(many, columns, "usage")
    shown = Counter(text.split())
    assert len(told) > 200
    assert Counter(f"{float(each['cost_usd']):,.2f}" for each in told) <= shown
    if columns in {"80", "60"}:
        lines = text.splitlines()
        assert max(map(cell_len, lines[: len(told) + 5])) <= int(columns)
        firsts = [line[: 1 + int(columns)].rsplit("  1  ", 1)[0] for line in lines[3 : 3 + len(told)]]
        assert len({*map(looks, firsts)}) == len(told)


@pytest.mark.parametrize("words", ["usage --by session", "usage --by session,model,team", "usage --by model --top 3"])
@pytest.mark.parametrize("columns", ["80", "40", "20", ""])
def test_a_report_of_hostile_names_and_large_amounts(tmp_path: Path, words: str, columns: str) -> None:
    """At 80 columns, piped, and in a file: every figure of the report is there to its last digit."""
    ledger = tmp_path / "ledger.db"
    calls = [
        call(session=name or None, model=name[::-1] or None, price=Cost(10**17 + 7 * n * 10**9, "exact"),
             usage=Usage(input=10**12 + n, output=n))
        for n, name in enumerate(name for name in HOSTILE if name.isprintable() or name.isascii())
    ]  # fmt: skip
    write(ledger, *calls)
    environ = {"COLUMNS": columns}
    done = CliRunner().invoke(costspan, [*words.split(), "--ledger", str(ledger)], env=environ, catch_exceptions=False)
    assert done.exit_code == 0
    figures = {f"{10**12 + n:,}" for n in range(3 if "--top" in words else len(calls))}
    if "--top" not in words:
        assert figures <= set(done.output.split())
    total = sum(10**17 + 7 * n * 10**9 for n in range(len(calls))) // 10**9
    assert f"{total:,}.00" in done.output.split()
    assert re.sub(r"[\n]", "", done.output).isprintable()
