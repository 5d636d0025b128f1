"""pricing/renewed.py and `costspan prices update`: a table that the user names, pinned, whole, and only when told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from costspan.cli.commands import costspan
from costspan.pricing import OverrideError, Prices, renewed
from costspan.pricing.catalog import TABLE, Catalog
from ledger_calls import call, write

BUNDLED = Catalog.bundled()


def table(date: str = "2099-01-01", *, keep: int | None = None) -> bytes:
    """The bundled table of another day, in which gpt-4o-mini costs ten times as much; with so many models."""
    head, *lines = TABLE.read_text().splitlines()
    header = json.loads(head) | {"date": date, "sha256": "f" * 64}
    if keep is not None:
        header["providers"] = dict(list(header["providers"].items())[:keep])
    lines = [line.replace('"input":150000', '"input":1500000') if '"gpt-4o-mini"' in line else line for line in lines]
    return "\n".join([json.dumps(header), *lines, ""]).encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def update(folder: Path, content: bytes, *words: str, sha256: str = "") -> Result:
    (folder / "newer.jsonl").write_bytes(content)
    calls = folder / "ledger.db"
    if not calls.exists():
        write(calls, call(model="gpt-4o-mini"), call(model="gpt-5"))
    return CliRunner().invoke(
        costspan,
        ["prices", "update", str(folder / "newer.jsonl"), "--sha256", sha256 or digest(content), "--ledger", str(calls),
         "--prices", str(folder / "prices.yaml"), *words],
    )  # fmt: skip


def test_a_table_is_used_by_who_names_it_and_by_nobody_else(tmp_path: Path) -> None:
    """It shows what changes for the ledger's own models; the file of prices names it, and keeps what it had."""
    own = tmp_path / "prices.yaml"
    own.write_text("# mine\nprices:\n  - match: {model: ours}\n    usd_per_million: {input: 1, output: 1}\n")
    tried = update(tmp_path, table(), "--dry-run")
    assert (tried.exit_code, "gpt-4o-mini" in tried.output, "gpt-5 " in tried.output) == (0, True, False), tried.output
    assert own.read_text().startswith("# mine")

    for _ in range(2):  # the second time there is nothing to change
        assert update(tmp_path, table()).exit_code == 0
    text = own.read_text()
    assert (text.count("table:"), text.count("# mine"), text.count("model: ours")) == (1, 1, 1)
    assert Prices.load(own).version.startswith(f"{BUNDLED.source} 2099-01-01 ")
    assert BUNDLED.date in Prices.load().version
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        "newer.jsonl",
        f"price-table-2099-01-01-{digest(table())[:8]}.jsonl",
    }
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("content", "sha256", "why"),
    [
        (table(), "0" * 64, "this is not the table that was chosen"),
        (b"<html>Not found</html>", "", "it is no price table"),
        (table("2020-01-01"), "", "an older table is not taken"),
        (table(keep=3), "", "something is missing in it"),
    ],
    ids=["another digest", "no table", "older", "cut"],
)
def test_a_table_that_is_not_the_one_that_was_meant_is_refused(
    tmp_path: Path, content: bytes, sha256: str, why: str
) -> None:
    """And nothing is written."""
    refused = update(tmp_path, content, sha256=sha256)
    assert (refused.exit_code, why in " ".join(refused.output.split())) == (1, True), refused.output
    assert {path.name for path in tmp_path.iterdir()} <= {
        "newer.jsonl",
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "ledger.db-lock",
    }


def test_a_table_that_was_changed_afterwards_is_refused_by_its_line(tmp_path: Path) -> None:
    """The digest is looked at whenever the file of prices is read."""
    update(tmp_path, table())
    (written,) = tmp_path.glob("price-table-*.jsonl")
    written.write_bytes(written.read_bytes() + b"\n")
    with pytest.raises(OverrideError, match=r"prices.yaml:2: the table cannot be used: its SHA-256 is"):
        Prices.load(tmp_path / "prices.yaml")
    (tmp_path / "prices.yaml").write_text("table: {file: gone.jsonl, sha256: abc}\n")
    with pytest.raises(OverrideError, match="64 hexadecimal digits"):
        Prices.load(tmp_path / "prices.yaml")


def test_only_paths_and_https_are_read(tmp_path: Path) -> None:
    """A digest over plain HTTP would do; a credential in it would not."""
    asked = CliRunner().invoke(costspan, ["prices", "update", "http://example.org/t", "--sha256", "0" * 64])
    assert (asked.exit_code, "expected a path or an https URL" in asked.output) == (2, True)
    asked = CliRunner().invoke(costspan, ["prices", "update", str(tmp_path / "none"), "--sha256", "0" * 64])
    assert (asked.exit_code, "cannot be read" in asked.output) == (1, True)


def test_the_bundled_table_is_one_that_would_be_taken() -> None:
    """As the workflow that renews it publishes it."""
    content = TABLE.read_bytes()
    renewed.refuse_a_step_back(renewed.checked(content, digest(content)), BUNDLED)
    assert CliRunner().invoke(costspan, ["prices"]).output.startswith(BUNDLED.version)
