"""budgets/reading.py: a good file is read as written, a bad one is refused with every mistake and its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from costspan.budgets.policy import Anomaly, Budget, Policy, PolicyError, Threshold
from costspan.budgets.reading import load, parse
from costspan.budgets.receivers import receivers
from json_schema import violations
from places import ROOT

EXAMPLES = sorted((ROOT / "examples" / "budgets").glob("*.yaml"))
SCHEMA: dict[str, Any] = json.loads((files("costspan.budgets") / "budgets.schema.json").read_text())


def one(*lines: str) -> str:
    """A file with one budget: a name, a period, a limit, unless a line says otherwise."""
    said = {line.split(":")[0] for line in lines}
    limit = () if said & {"limit_usd", "limit_tokens", "limit_requests"} else ("limit_usd: 5",)
    period = () if "rolling" in said else ("period: day",)
    usual = [line for line in ("name: a", *period, *limit) if line.split(":")[0] not in said]
    return "budgets:\n" + "".join(f"  {'-' if n == 0 else ' '} {line}\n" for n, line in enumerate([*usual, *lines]))


def also(*lines: str) -> str:
    """A further budget."""
    return one(*lines).removeprefix("budgets:\n")


FULL = (Threshold(Decimal(100)),)
READ = [
    (one(), Policy((Budget("a", "day", "usd", Decimal(5)),))),
    (one("limit_usd: 0.1"), Policy((Budget("a", "day", "usd", Decimal("0.1")),))),
    (one("limit_usd: 0"), Policy((Budget("a", "day", "usd", Decimal(0)),))),
    (one("limit_tokens: 5_000_000", "period: month"), Policy((Budget("a", "month", "tokens", Decimal(5_000_000)),))),
    (
        one("thresholds: [79.9]"),
        Policy((Budget("a", "day", "usd", Decimal(5), thresholds=(Threshold(Decimal("79.9")),)),)),
    ),
    (one("owner: finance"), Policy((Budget("a", "day", "usd", Decimal(5), owner="finance"),))),
    (one("each: team"), Policy((Budget("a", "day", "usd", Decimal(5), each="team"),))),
    (
        one("scope: {team: search, model: [gpt-5, 'o3']}"),
        Policy((Budget("a", "day", "usd", Decimal(5), scope={"team": ("search",), "model": ("gpt-5", "o3")}),)),
    ),
    ("anomaly: {factor: 2}", Policy((), anomaly=Anomaly(Decimal(2), actions=("log", "alert")))),
    (
        "anomaly: {floor_usd: 0, session_factor: 4.5, loop_calls: 5, do: callback}",
        Policy((), anomaly=Anomaly(Decimal(3), Decimal(0), Decimal("4.5"), 5, ("callback",))),
    ),
    (one("period: week"), Policy((Budget("a", "week", "usd", Decimal(5)),))),
    (one("rolling: 24h"), Policy((Budget("a", "24h", "usd", Decimal(5)),))),
    (one("period: session"), Policy((Budget("a", "session", "usd", Decimal(5), each="session"),))),
    (one("period: month", "begins_on: 15"), Policy((Budget("a", "month-15", "usd", Decimal(5)),))),
    (one("period: month", "begins_on: 1"), Policy((Budget("a", "month", "usd", Decimal(5)),))),
    (one("limit_requests: 7"), Policy((Budget("a", "day", "requests", Decimal(7)),))),
    (
        one("limit_requests: 7", "limit_usd: 5", "limit_tokens: 9"),
        Policy(
            (
                Budget("a:usd", "day", "usd", Decimal(5)),
                Budget("a:tokens", "day", "tokens", Decimal(9)),
                Budget("a:requests", "day", "requests", Decimal(7)),
            )
        ),
    ),
    (
        one("scope: {account: acme}", "each: session"),
        Policy((Budget("a", "day", "usd", Decimal(5), {"account": ("acme",)}, "session"),)),
    ),
    (one("hard: true"), Policy((Budget("a", "day", "usd", Decimal(5), hard=True, overage=False),))),
    (one("overage: false"), Policy((Budget("a", "day", "usd", Decimal(5), hard=True, overage=False),))),
    (one("overage: true"), Policy((Budget("a", "day", "usd", Decimal(5)),))),
    (
        one("hard: true", "on_failure: closed"),
        Policy((Budget("a", "day", "usd", Decimal(5), hard=True, overage=False, on_failure="closed"),)),
    ),
    (
        one("hard: true", "thresholds: [50, {at: 80}, {at: 90, do: [refuse, log]}, {at: 95, do: callback}]"),
        Policy(
            (
                Budget(
                    "a",
                    "day",
                    "usd",
                    Decimal(5),
                    hard=True,
                    overage=False,
                    thresholds=(
                        Threshold(Decimal(50)),
                        Threshold(Decimal(80)),
                        Threshold(Decimal(90), ("log", "refuse")),
                        Threshold(Decimal(95), ("callback",)),
                    ),
                ),
            )
        ),
    ),
    (
        "max_usd_per_session: 2\nmax_calls_per_minute: 60\n" + one(),
        Policy(
            (
                Budget("a", "day", "usd", Decimal(5)),
                Budget(
                    "max-usd-per-session",
                    "session",
                    "usd",
                    Decimal(2),
                    each="session",
                    thresholds=FULL,
                    hard=True,
                    overage=False,
                ),
                Budget(
                    "max-calls-per-minute",
                    "1m",
                    "requests",
                    Decimal(60),
                    each="session",
                    thresholds=FULL,
                    hard=True,
                    overage=False,
                ),
            )
        ),
    ),
    (
        "time_zone: Europe/Berlin\nrunbooks: https://wiki.example\nanomaly: {factor: 2.5}\n" + one(),
        Policy(
            (Budget("a", "day", "usd", Decimal(5)),),
            "Europe/Berlin",
            Anomaly(Decimal("2.5"), actions=("log", "alert")),
            "https://wiki.example",
        ),
    ),
]


@pytest.mark.parametrize(("content", "policy"), READ)
def test_a_good_file_is_read_as_written(content: str, policy: Policy) -> None:
    """Amounts are exact, and what is not said has its default."""
    assert parse(content) == policy
    assert violations(SCHEMA, yaml.safe_load(content)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_good(path: Path) -> None:
    """Every example is taken by the checker and by the schema."""
    assert load(path)
    assert violations(SCHEMA, yaml.safe_load(path.read_text())) == []


SCHEMA_TOO = True
CHECKER_ONLY = False  # what a schema cannot say, or YAML has hidden from it
REFUSED: list[tuple[str, str, bool | None]] = [
    (
        one() + also("name: y", "hard: true", "limit_usd: 4"),
        "b:8: budgets[1].limit_usd: refuses below the limit of `a`",
        CHECKER_ONLY,
    ),
    # content, what the message says, whether the schema refuses it, too
    ("", "b:1: file: is no mapping", SCHEMA_TOO),
    ("- a", "b:1: file: is no mapping", SCHEMA_TOO),
    ("{}", "b:1: budgets: is missing", SCHEMA_TOO),
    ("budgets: []", "b:1: budgets: is a list: expected a list with at least one", SCHEMA_TOO),
    ("budgets: 5", "b:1: budgets: is '5': expected a list", SCHEMA_TOO),
    ("budgets: [x]", "b:1: budgets[0]: is 'x': expected a budget with name", SCHEMA_TOO),
    ("budget: []\n" + one(), "b:1: budget: is no key here: expected one of time_zone, budgets", SCHEMA_TOO),
    (one("owner: x", "colour: red"), "b:6: budgets[0].colour: is no key here", SCHEMA_TOO),
    (one('"a\\nb": 1'), "b:5: budgets[0].'a\\nb': is no key here", SCHEMA_TOO),
    (one("hard: 1"), "b:5: budgets[0].hard: is '1': expected true or false", SCHEMA_TOO),
    (one("hard: yes"), "b:5: budgets[0].hard: is 'yes': expected true or false", CHECKER_ONLY),
    (one("hard: 'true'"), "b:5: budgets[0].hard: is 'true': expected true or false", SCHEMA_TOO),
    (one("hard: true", "overage: true"), "b:6: budgets[0].overage: is true beside `hard: true`", SCHEMA_TOO),
    (one("hard: false", "overage: false"), "b:5: budgets[0].hard: is false beside `overage: false`", SCHEMA_TOO),
    (one("on_failure: closed"), "b:5: budgets[0].on_failure: is for budgets that refuse", SCHEMA_TOO),
    (
        one("hard: true", "on_failure: shut"),
        "b:6: budgets[0].on_failure: is 'shut': expected one of open, closed",
        SCHEMA_TOO,
    ),
    (
        one("thresholds: [{at: 90, do: refuse}]"),
        "b:5: budgets[0].thresholds: refuse at 90 in a soft budget",
        CHECKER_ONLY,
    ),
    (
        one("hard: true", "thresholds: [{at: 120, do: refuse}]"),
        "b:6: budgets[0].thresholds: refuse at 120, which is never",
        CHECKER_ONLY,
    ),
    (one("thresholds: [{do: log}]"), "b:5: budgets[0].thresholds[0].at: is missing", SCHEMA_TOO),
    (one("thresholds: [{at: 0}]"), "b:5: budgets[0].thresholds[0].at: is 0: expected a percentage above 0", SCHEMA_TOO),
    (one("thresholds: [{at: 5, do: []}]"), "b:5: budgets[0].thresholds[0].do: has none or one twice", SCHEMA_TOO),
    (
        one("thresholds: [{at: 5, do: [log, log]}]"),
        "b:5: budgets[0].thresholds[0].do: has none or one twice",
        SCHEMA_TOO,
    ),
    (
        one("thresholds: [{at: 5, do: [log, page]}]"),
        "b:5: budgets[0].thresholds[0].do[1]: is 'page': expected one of log",
        SCHEMA_TOO,
    ),
    (one("thresholds: [{at: 5, when: now}]"), "b:5: budgets[0].thresholds[0].when: is no key here", SCHEMA_TOO),
    (one("rolling: 24h", "period: day"), "b:4: budgets[0].rolling: stands beside period", SCHEMA_TOO),
    (one("rolling: 32d"), "b:4: budgets[0].rolling: is '32d': expected minutes, hours or days up to 31d", CHECKER_ONLY),
    (one("rolling: 0h"), "b:4: budgets[0].rolling: is '0h': expected minutes", SCHEMA_TOO),
    (one("rolling: 24"), "b:4: budgets[0].rolling: is '24': expected minutes", SCHEMA_TOO),
    (one("begins_on: 2"), "b:5: budgets[0].begins_on: is for months", SCHEMA_TOO),
    (one("period: month", "begins_on: 0"), "b:5: budgets[0].begins_on: is 0: expected a day of the month", SCHEMA_TOO),
    (
        one("period: month", "begins_on: 32"),
        "b:5: budgets[0].begins_on: is 32: expected a day of the month",
        SCHEMA_TOO,
    ),
    (
        one("period: month", "begins_on: 1.5"),
        "b:5: budgets[0].begins_on: is 1.5: expected a day of the month",
        SCHEMA_TOO,
    ),
    (one("period: session", "each: team"), "b:5: budgets[0].each: stands beside `period: session`", SCHEMA_TOO),
    (
        one("limit_requests: 0.5"),
        "b:4: budgets[0].limit_requests: is 0.5: expected a whole number of calls",
        SCHEMA_TOO,
    ),
    (one("limit_requests: 2_000_000_000_000"), "b:4: budgets[0].limit_requests: is 2_000_000_000_000", SCHEMA_TOO),
    (one("limit_tokens: -1", "limit_usd: 1"), "b:4: budgets[0].limit_tokens: is -1", SCHEMA_TOO),
    ("anomaly: {session_factor: 1}", "b:1: anomaly.session_factor: is 1: expected a factor above 1", SCHEMA_TOO),
    ("anomaly: {loop_calls: 4}", "b:1: anomaly.loop_calls: is 4: expected a whole number of calls from 5", SCHEMA_TOO),
    (
        "anomaly: {do: [log, refuse]}",
        "b:1: anomaly.do[1]: is 'refuse': expected one of log, alert, callback",
        SCHEMA_TOO,
    ),
    ("anomaly: {loops: 4}", "b:1: anomaly.loops: is no key", SCHEMA_TOO),
    ("max_usd_per_session: -1\n" + one(), "b:1: max_usd_per_session: is -1: expected an amount", SCHEMA_TOO),
    (
        "max_calls_per_minute: lots\n" + one(),
        "b:1: max_calls_per_minute: is 'lots': expected a whole number",
        SCHEMA_TOO,
    ),
    (
        "max_usd_per_session: 1\n" + one("name: max-usd-per-session"),
        "b:1: max_usd_per_session: is a budget",
        CHECKER_ONLY,
    ),
    (
        one("name: x") + also("name: y", "limit_usd: 6"),
        "b:7: budgets[1].limit_usd: is not the limit that `x` in line 3 has on the same calls",
        CHECKER_ONLY,
    ),
    (
        one("hard: true") + also("hard: true", "name: y", "limit_usd: 6"),
        "b:9: budgets[1].limit_usd: is a second hard limit on the calls of `a` in line 4",
        CHECKER_ONLY,
    ),
    (
        one("hard: true") + also("name: y", "limit_usd: 6"),
        "b:8: budgets[1].limit_usd: is never reached: `a` in line 4 refuses the same calls before",
        CHECKER_ONLY,
    ),
    (
        one("period: session", "hard: true")
        + also("name: y", "limit_usd: 6", "period: day", "scope: {team: [a, b]}")
        + also("name: z", "limit_usd: 7", "period: day", "scope: {team: [b, a]}"),
        "b:11: budgets[2].limit_usd: is not the limit that `y`",
        CHECKER_ONLY,
    ),
    (
        "budgets:\n  - name: a\n    period: day\n",
        "b:2: budgets[0]: has no limits: expected limit_usd, limit_tokens",
        SCHEMA_TOO,
    ),
    ("budgets:\n  - period: day\n    limit_usd: 1\n", "b:2: budgets[0].name: is missing", SCHEMA_TOO),
    (one("name: Big Spender"), "b:4: budgets[0].name: is 'Big Spender': expected 1 to 63 small letters", SCHEMA_TOO),
    (one("name: ''"), "b:4: budgets[0].name: is empty", SCHEMA_TOO),
    (one("name: 7"), "budgets[0].name: is '7': expected a text (in quotes: \"7\")", SCHEMA_TOO),
    (one() + one().removeprefix("budgets:\n"), "b:5: budgets[1].name: 'a' stands already in line 2", CHECKER_ONLY),
    (one("period: year"), "b:4: budgets[0].period: is 'year': expected one of day, week, month, session", SCHEMA_TOO),
    (one("period: [day]"), "b:4: budgets[0].period: is a list: expected one of day, week, month", SCHEMA_TOO),
    (one("limit_usd: -5"), "b:4: budgets[0].limit_usd: is -5: expected an amount of USD from 0", SCHEMA_TOO),
    (one("limit_usd: 5 USD"), "b:4: budgets[0].limit_usd: is '5 USD': expected an amount", SCHEMA_TOO),
    (one("limit_usd: '5'"), "b:4: budgets[0].limit_usd: is '5': expected an amount of USD", SCHEMA_TOO),
    (one("limit_usd: .nan"), "b:4: budgets[0].limit_usd: is '.nan': expected an amount", CHECKER_ONLY),
    (one("limit_usd: .inf"), "b:4: budgets[0].limit_usd: is '.inf': expected an amount", SCHEMA_TOO),
    (one("limit_usd: true"), "b:4: budgets[0].limit_usd: is 'true': expected an amount", SCHEMA_TOO),
    (one("limit_usd:"), "b:4: budgets[0].limit_usd: is empty: expected an amount", SCHEMA_TOO),
    (one("limit_usd: 1e9"), "b:4: budgets[0].limit_usd: is '1e9': expected an amount", SCHEMA_TOO),
    (one("limit_usd: 2_000_000_000"), "b:4: budgets[0].limit_usd: is 2_000_000_000: expected an amount", SCHEMA_TOO),
    (one("limit_usd: 0o7"), "b:4: budgets[0].limit_usd: is '0o7': expected an amount", SCHEMA_TOO),
    (one("limit_usd: 010"), "b:4: budgets[0].limit_usd: is '010': expected an amount", CHECKER_ONLY),
    (one("limit_usd: 1:30"), "b:4: budgets[0].limit_usd: is '1:30': expected an amount", CHECKER_ONLY),
    (one("limit_tokens: 1.5"), "b:4: budgets[0].limit_tokens: is 1.5: expected a whole number", SCHEMA_TOO),
    (one("limit_tokens: -1"), "b:4: budgets[0].limit_tokens: is -1: expected a whole number", SCHEMA_TOO),
    (one("scope: search"), "b:5: budgets[0].scope: is 'search': expected one or more of team, task_type", SCHEMA_TOO),
    (one("scope: {}"), "b:5: budgets[0].scope: is a mapping: expected one or more", SCHEMA_TOO),
    (one("scope: {tema: x}"), "b:5: budgets[0].scope.tema: is no key here: expected one of team", SCHEMA_TOO),
    (one("scope: {team: []}"), "b:5: budgets[0].scope.team: is an empty list", SCHEMA_TOO),
    (one("scope: {team: [a, a]}"), "b:5: budgets[0].scope.team: has a value twice", SCHEMA_TOO),
    (one("scope: {team: [a, 3]}"), "b:5: budgets[0].scope.team[1]: is '3': expected a text", SCHEMA_TOO),
    (one("scope: {team: no}"), "b:5: budgets[0].scope.team: is 'no': expected a text (in quotes: \"no\")", SCHEMA_TOO),
    (one("each: host"), "b:5: budgets[0].each: is 'host': expected one of team, task_type", SCHEMA_TOO),
    (one("thresholds: 80"), "b:5: budgets[0].thresholds: is '80': expected a list of percentages", SCHEMA_TOO),
    (one("thresholds: []"), "b:5: budgets[0].thresholds: is a list: expected a list of percentages", SCHEMA_TOO),
    (one("thresholds: [0]"), "b:5: budgets[0].thresholds[0]: is 0: expected a percentage above 0", SCHEMA_TOO),
    (one("thresholds: [1001]"), "b:5: budgets[0].thresholds[0]: is 1001: expected a percentage", SCHEMA_TOO),
    (one("thresholds: [80%]"), "b:5: budgets[0].thresholds[0]: is '80%': expected a percentage", SCHEMA_TOO),
    (one("thresholds: [80, 50]"), "b:5: budgets[0].thresholds: are not in order", CHECKER_ONLY),
    (one("thresholds: [80, 80]"), "b:5: budgets[0].thresholds: are not in order", SCHEMA_TOO),
    (one("owner: ''"), "b:5: budgets[0].owner: is empty: expected 1 to 200 printable", SCHEMA_TOO),
    (one(f"owner: {'x' * 201}"), "b:5: budgets[0].owner: is 'xxx", SCHEMA_TOO),
    (one("owner: '{{ x }}'"), "b:5: budgets[0].owner: is '{{ x }}': expected 1 to 200", SCHEMA_TOO),
    (one('owner: "a\\nb"'), "b:5: budgets[0].owner: is 'a\\nb': expected 1 to 200 printable", CHECKER_ONLY),
    (one("owner: x", "owner: y"), "b:6: budgets[0].owner: comes twice", CHECKER_ONLY),
    ("time_zone: Europe/Atlantis\n" + one(), "b:1: time_zone: 'Europe/Atlantis' is no known time zone", CHECKER_ONLY),
    ("time_zone: 1\n" + one(), "b:1: time_zone: is '1': expected a text", SCHEMA_TOO),
    ("anomaly: 3\n" + one(), "b:1: anomaly: is '3': expected the keys factor, floor_usd", SCHEMA_TOO),
    ("anomaly: {factor: 1}\n" + one(), "b:1: anomaly.factor: is 1: expected a factor above 1", SCHEMA_TOO),
    ("anomaly: {floor_usd: -1}\n" + one(), "b:1: anomaly.floor_usd: is -1: expected an amount", SCHEMA_TOO),
    ("budgets:\n  - name: a\n   period: day\n", "b:3: yaml: is not valid YAML", None),
    ("budgets: [\n", "b:2: yaml: is not valid YAML", None),
    ("a: 1\n---\nb: 2\n", "b:2: yaml: is not valid YAML", None),
    ("budgets: \x07\n", "b:1: yaml: is not valid YAML", None),
    ("[" * 5_000, "b:1: yaml: is nested too deeply", None),
    ("budgets: &a [*a]\n", "b:1: budgets[0]: is a list: expected a budget", None),
]


@pytest.mark.parametrize(("content", "said", "_"), REFUSED, ids=[repr(row[1]) for row in REFUSED])
def test_a_mistake_is_refused_with_its_line_its_key_and_what_was_expected(content: str, said: str, _: object) -> None:
    """One mistake, one line of message."""
    with pytest.raises(PolicyError) as refused:
        parse(content, "b")
    assert said in str(refused.value)
    assert re.fullmatch(r"b:\d+: [^ ]+: .{10,}", str(refused.value).splitlines()[0])
    assert len(refused.value.mistakes) == 1


@pytest.mark.parametrize(
    ("content", "is_refused"), [(row[0], row[2]) for row in REFUSED if row[2] is not None], ids=repr
)
def test_the_schema_refuses_what_the_checker_refuses(content: str, is_refused: bool) -> None:  # noqa: FBT001
    """Schema and checker agree, but for what a schema cannot say."""
    assert bool(violations(SCHEMA, yaml.safe_load(content))) is is_refused


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    """Nobody has to run the checker five times."""
    content = "time_zone: Mars\nbudgets:\n  - name: A\n    period: year\n    limit_usd: x\n    scope: 1\n  - 3\n"
    with pytest.raises(PolicyError) as refused:
        parse(content, "b")
    assert [mistake.line for mistake in refused.value.mistakes] == [1, 3, 4, 5, 6, 7]


UNREADABLE: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.parent.exists(), ": cannot be read: No such file"),
    (lambda path: path.mkdir(), ": cannot be read: Is a directory"),
    (lambda path: path.write_bytes(b"\xff\xfe\xff"), ":1: yaml: is not valid YAML"),
    (lambda path: path.write_bytes(b"# " + b"x" * 1_000_001), ": has more than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("make", "said"), UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_with_its_name(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    """Missing, a folder, not a text, too large: told like any other mistake, with a line where it is in one."""
    path = tmp_path / "budgets.yaml"
    make(path)
    with pytest.raises(PolicyError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}{said}")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from([
            "budgets", "name", "period", "limit_usd", "limit_tokens", "scope", "team", "thresholds", "hard", "rolling", "at", "do",
        ]),
        inner, max_size=5),
    max_leaves=12,
))  # fmt: skip
def test_whatever_stands_in_the_file_it_is_read_or_refused(content: Any) -> None:
    """No content raises anything but a PolicyError, and what the schema refuses the checker refuses, too."""
    text = yaml.safe_dump(content)
    try:
        parse(text)
    except PolicyError:
        return
    assert violations(SCHEMA, yaml.safe_load(text)) == []


RECEIVERS = "receivers:\n  - name: default\n  - name: finance\n"


def test_the_names_of_receivers_are_read() -> None:
    """Owners are told by the receiver of their name."""
    assert receivers(RECEIVERS, "r") == ("default", "finance")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "r:1: receivers: expected a list of receivers with one named `default`"),
        ("{receivers: [{name: default}]}", "r:1: receivers: has to stand below the routes"),
        ("---\n" + RECEIVERS, "r:1: receivers: has to stand below the routes"),
        ("  receivers: [{name: default}]", "r:1: receivers: has to stand below the routes"),
        ("receivers: [{name: x}]", "r:1: receivers: expected a list of receivers with one named `default`"),
        (RECEIVERS + "route: {}\n", "r:4: route: is written by costspan"),
        (RECEIVERS + "inhibit_rules: []\n", "r:4: inhibit_rules: is written by costspan"),
    ],
)
def test_a_file_of_receivers_with_a_mistake_is_refused(content: str, said: str) -> None:
    """Routes are compiled, and the default receiver has to exist."""
    with pytest.raises(PolicyError, match=re.escape(said)):
        receivers(content, "r")


KEPT = [
    # two budgets on the same calls that both have a meaning
    one("owner: x") + also("name: y", "limit_usd: 6", "owner: y"),  # each owner is told about his own
    one() + also("name: y", "limit_usd: 6", "hard: true"),  # told at 5, refused at 6
    one("hard: true") + also("name: y", "limit_usd: 4"),
    one() + also("name: y"),  # the same limit twice
    one() + also("name: y", "limit_usd: 6", "each: team"),
    one() + also("name: y", "limit_usd: 6", "period: week"),
    one() + also("name: y", "limit_usd: 6", "scope: {team: a}"),
    one("limit_tokens: 5") + also("name: y", "limit_requests: 6"),
]


@pytest.mark.parametrize("content", KEPT)
def test_two_budgets_that_both_mean_something_are_kept(content: str) -> None:
    """Other owners, other units, other periods, other calls, or a word before the refusal."""
    assert len(parse(content).budgets) == 2


def test_a_hard_budget_refuses_from_its_limit_or_the_threshold_that_refuses() -> None:
    """In the unit of the limit; a soft budget refuses nothing."""
    soft, hard, early = parse(
        one() + also("name: y", "hard: true", "limit_usd: 7", "scope: {team: a}")
        + also("name: z", "hard: true", "limit_tokens: 50", "thresholds: [{at: 90, do: [refuse]}]")
    ).budgets  # fmt: skip
    assert [each.refuses_from for each in (soft, hard, early)] == [None, Decimal(7), Decimal(45)]
    assert [each.percent for each in soft.reached(4_000_000_000)] == [50, 80]
    assert [each.percent for each in soft.reached(3_999_999_999)] == [50]


def test_a_limit_knows_where_it_stands() -> None:
    """The line and key of the limit, and the name of its budget, are kept for what is said of it later."""
    one_of_two, other = parse(one("limit_usd: 5", "limit_tokens: 6")).budgets
    assert (one_of_two.declared, one_of_two.place) == ("a", (4, "budgets[0].limit_usd"))
    assert (other.declared, other.place) == ("a", (5, "budgets[0].limit_tokens"))
