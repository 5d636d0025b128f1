"""What is generated from a bad file: nothing, and the file, the line and the reason are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from grafana.source import health
from grafana.source.__main__ import main
from grafana.source.dashboard import Dashboard
from grafana.source.promql import ALL_FILTERS, selector
from stack.compose import ROOT

from costspan.names import SESSION_COST_USD

SOURCES = ("collector-config/allow-list.yaml", "prometheus/alertmanager.yml", "prometheus/receivers.yml")

# A file, what is changed in it, and what is said.
BROKEN = [
    ("collector-config/allow-list.yaml", ("    allowed_keys:\n", "    allowed:\n"), "allow-list.yaml:1: allowed_keys:"),
    ("collector-config/allow-list.yaml", ("set(span.status.message", "\tset("), "allow-list.yaml:{line}: is not valid YAML"),
    ("collector-config/allow-list.yaml", ('"session.id"\n', '"session.id",\n]\n'), "keep_keys(datapoint.attributes, [: 0 lists of names"),
    ("prometheus/receivers.yml", ("- name: default", "- name: [default"), "receivers.yml:{line}: yaml: is not valid YAML"),
    ("prometheus/receivers.yml", ("name: default", "name: team"), "receivers.yml:1: receivers: expected a list"),
    ("examples/budgets/budgets.yaml", ("period: day", "period: year"), "budgets.yaml:{line}: budgets[0].period: is 'year'"),
]  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `python -m stack generate` reads and writes, and its code."""
    for folder in ("stack", "collector-config", "prometheus", "examples/budgets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "go"))
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    stale = tmp_path / "prometheus" / "alertmanager.yml"
    stale.write_text("# stale\n")
    return tmp_path


def generate(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stack", "generate"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=60)


def test_generation_writes_what_is_committed(tree: Path) -> None:
    """The files that were stale or lost their names are whole again."""
    allowed = tree / "collector-config" / "allow-list.yaml"
    allowed.write_text(allowed.read_text().replace('              "session.id"\n', '              "session"\n', 1))
    assert generate(tree).returncode == 0
    for path in SOURCES[:2]:
        assert (tree / path).read_text() == (ROOT / path).read_text()


@pytest.mark.parametrize(("path", "change", "said"), BROKEN, ids=[row[2] for row in BROKEN])
def test_a_bad_file_stops_generation_before_anything_is_written(
    path: str, change: tuple[str, str], said: str, tree: Path
) -> None:
    """File, line and reason, in one line; every other file stays as it was, and no draft is left."""
    file = tree / path
    text = file.read_text().replace(*change, 1)
    assert text != file.read_text()
    file.write_text(text)
    before = {
        each: each.read_bytes() for each in tree.rglob("*") if each.is_file() and each.suffix in {".yml", ".yaml"}
    }
    done = generate(tree)
    assert done.returncode == 1
    line = text[: text.index(change[1])].count("\n") + 1
    told = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert any(said.format(line=near) in told for near in range(line - 1, line + 3)), told
    assert {each: each.read_bytes() for each in before} == before
    assert not list(tree.rglob(".alertmanager*")) + list(tree.rglob(".allow-list*"))


def test_a_mistaken_panel_leaves_the_dashboards_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A filter that a metric has no label for is told, and no dashboard is touched."""

    def mistaken() -> Dashboard:
        selector(SESSION_COST_USD, ALL_FILTERS)
        raise AssertionError("a metric without the label was accepted")

    monkeypatch.setattr(health, "dashboard", mistaken)
    (tmp_path / "usage.json").write_text("{}")
    assert main(["--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told == (
        "llm.session.cost.usd has no gen_ai.provider.name: it cannot be shown under the filter 'provider'; "
        "no dashboard was written\n"
    )
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"usage.json": "{}"}
