"""Usage that is not understood: it lowers the quality, never the amount, and its fields are named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from costspan.calls.merging import merged
from costspan.cli import doctor
from costspan.cli.commands import costspan
from costspan.facts.call import Answer
from costspan.facts.money import INCOMPLETE, REPORTED, Cost, Unpriced
from costspan.facts.usage import MOST_NAMES, ODD_NAME, Usage, bounded_names
from costspan.ledger import migrations
from costspan.ledger.inspection import examine
from costspan.ledger.store import Store
from costspan.pricing import Prices
from costspan.settings import Settings
from ledger_calls import call, write

PRICES = Prices.load()
FIELD = "prompt_tokens_details.new_tokens"
COMPLETE = Usage(input=10, output=5)


def price(answer: Answer) -> Cost | Unpriced:
    return PRICES.price("openai", None, "gpt-4o", answer, 1_790_000_000)


@pytest.mark.parametrize("usage", [COMPLETE, Usage(input=10, output=5, complete=False), Usage(input=10, input_audio=3)])
def test_a_field_that_was_not_understood_lowers_the_quality_and_not_the_amount(usage: Usage) -> None:
    """The amount is that of the fields that were understood, and called a lower bound."""
    understood, not_understood = price(Answer(usage)), price(Answer(usage, unread=(FIELD,)))
    assert isinstance(understood, Cost)
    assert isinstance(not_understood, Cost)
    assert (not_understood.nano_usd, not_understood.quality) == (understood.nano_usd, INCOMPLETE)


def test_a_reported_cost_stands_whatever_else_was_not_understood() -> None:
    """The provider's own amount does not depend on what we make of the usage."""
    cost = price(Answer(COMPLETE, reported_nano_usd=7, unread=(FIELD,)))
    assert isinstance(cost, Cost)
    assert (cost.nano_usd, cost.quality) == (7, REPORTED)


def test_no_price_is_made_of_usage_that_was_not_understood() -> None:
    """Unknown stays unknown."""
    assert isinstance(price(Answer(None, unread=(FIELD,))), Unpriced)


def test_every_message_of_a_stream_adds_what_was_not_understood() -> None:
    """What one event could not be read for, no later event makes good."""
    answer = merged(Answer(COMPLETE, unread=("a", "b")), Answer(COMPLETE, unread=("b", "c")))
    assert answer.unread == ("a", "b", "c")


def test_names_from_outside_are_short_plain_and_few() -> None:
    """A field's name comes from outside too: it may be a secret, a novel or a terminal's control sequence."""
    names = ["input_tokens", "usage.x-1", "sk key", "a" * 65, "\x1b[31m", 7, "", *(f"n{i}" for i in range(100))]
    kept = bounded_names(names)
    assert kept[:3] == ("input_tokens", "usage.x-1", ODD_NAME)
    assert len(kept) == MOST_NAMES


def test_doctor_and_explain_name_the_fields_of_another_process(tmp_path: Path) -> None:
    """The ledger keeps the names, never a value; `doctor` sums them up, `explain` shows those of one call."""
    path = tmp_path / "ledger.db"
    unread = (FIELD, "total_tokens")
    write(path, call(), call(unread=unread, price=price(Answer(COMPLETE, unread=unread))), call(unread=unread))
    findings = [
        finding for finding in doctor.the_ledger(examine(path), Settings.read({}), {}) if finding.topic == "usage"
    ]
    (finding,) = findings
    assert f"2 calls of openai with usage that costspan does not understand: {FIELD}, total_tokens." in finding.sentence
    shown = CliRunner().invoke(costspan, ["explain", "--last", "--ledger", str(path)]).output
    assert f"not understood: {FIELD}, total_tokens" in " ".join(shown.split())


def test_a_ledger_of_an_older_version_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first new record an older file reads as one that understood everything; after it, it is a newer one."""
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", migrations.STEPS[:1])
        Store.open(path).close()
    assert examine(path).fault == ""
    with Store.read(path) as store:
        assert store.select("SELECT unread FROM calls") == []
    write(path, call(unread=("new_tokens",)))
    with Store.read(path) as store:
        assert store.select("SELECT unread FROM calls") == [("new_tokens",)]


def test_the_view_says_which_columns_each_step_added() -> None:
    """`migrations.ADDED` is kept up to date by hand: an older file must lack no column that is asked for."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in migrations.STEPS[0]:
        connection.execute(statement)
    first = {row[1] for row in connection.execute("PRAGMA table_info(calls)")}
    connection.close()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(connection)
    latest = {row[1] for row in connection.execute("PRAGMA table_info(calls)")}
    connection.close()
    assert latest - first == {column for columns in migrations.ADDED for column in columns}
    assert len(migrations.ADDED) == len(migrations.STEPS)
