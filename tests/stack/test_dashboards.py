"""The dashboards are fresh, are what Grafana expects, ask only for what exists, and show what was truly spent."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from grafana.source.__main__ import main
from grafana.source.signals import EACH_LABEL

from costspan import names
from costspan.alerting.series import FOREIGN_LABELS, FOREIGN_METRICS, RECORDED
from costspan.budgets.reading import load
from costspan.names import METRICS, prometheus_label
from dashboard_page import grafanas_code
from panel_queries import Query, filters, queries
from promtools import ROOT

FOLDER = ROOT / "grafana" / "dashboards"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
QUERIES = [query for dashboard in FILES.values() for query in queries(dashboard)]
PANELS = [panel for dashboard in FILES.values() for panel in dashboard["panels"] if panel["type"] != "row"]

# -- the files -------------------------------------------------------------------------------------------------


def test_the_committed_dashboards_are_the_generated_ones() -> None:
    """Nobody edits the JSON; `--check` says so."""
    assert main(["--check"]) == 0
    assert FILES.keys() == {"usage", "budgets", "sessions", "health"}


def test_a_stale_dashboard_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names the stale file and writes nothing."""
    for name in FILES:
        shutil.copy(FOLDER / f"{name}.json", tmp_path)
    (tmp_path / "usage.json").write_text("{}")
    assert main(["--check", "--out", str(tmp_path)]) == 1
    assert f"{tmp_path / 'usage.json'} is not up to date" in capsys.readouterr().err
    assert (tmp_path / "usage.json").read_text() == "{}"


@pytest.fixture(scope="module")
def grafanas_types() -> Path:
    """A folder with Grafana's own types and a TypeScript compiler."""
    return grafanas_code()


def mistakes(types: Path, files: Mapping[str, str]) -> list[str]:
    """What TypeScript says against the files."""
    written = [f"export const {name}_json: File = {text};\n" for name, text in files.items()]
    (types / "check.ts").write_text((types / "dashboard.ts").read_text() + "".join(written))
    compiler = types / "node_modules" / ".bin" / "tsc"
    done = subprocess.run([compiler, "-p", "."], cwd=types, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in {0, 2}, done.stderr
    return [line for line in done.stdout.splitlines() if ": error TS" in line]


def test_grafanas_types_accept_the_dashboards_and_refuse_broken_ones(grafanas_types: Path) -> None:
    """Every property is known to Grafana 13 and of the right type; the check sees what is not."""
    good = {name: (FOLDER / f"{name}.json").read_text() for name in FILES}
    assert mistakes(grafanas_types, good) == []
    usage = good["usage"]
    breaks = [
        ('"graphMode": "none"', '"graphMod": "none"'), ('"barAlignment": 1', '"barAlignment": 7'),
        ('"schemaVersion": 42,', ""), ('"cellHeight": "sm"', '"cellHeight": "xl"'), ('"multi": true', '"multy": true'),
        ('"noValue"', '"novalue"'), ('"reducers"', '"reducer"'), ('"drawStyle": "bars"', '"drawStyle": "bar"'),
    ]  # fmt: skip
    broken = {f"broken{number}": usage.replace(*each, 1) for number, each in enumerate(breaks)}
    assert all(text != usage for text in broken.values())
    said = mistakes(grafanas_types, broken)
    lines = (grafanas_types / "check.ts").read_text().splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("export const broken")]
    wrong = {sum(int(line.split("(")[1].split(",")[0]) >= start for start in starts) for line in said}
    assert wrong == set(range(1, len(breaks) + 1))


def test_panels_lie_side_by_side_and_say_what_they_show() -> None:
    """No two panels overlap, none sticks out; each has its own number, a title, a description, a word for nothing."""
    for dashboard in FILES.values():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len({*numbers}) == len(numbers)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_grafana_finds_the_dashboards_where_compose_puts_them() -> None:
    """Provisioning, the mounted folder and the home page name the same place, and the links stay valid."""
    compose = (ROOT / "docker-compose.yml").read_text()
    inside = "/etc/grafana/dashboards"
    assert f"./grafana/dashboards:{inside}:ro" in compose
    assert f"path: {inside}\n" in (ROOT / "grafana/provisioning/dashboards/costspan.yaml").read_text()
    home = re.search(r"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: (\S+)", compose)
    assert home is not None
    assert (FOLDER / Path(home[1]).name).is_file()
    links = re.findall(r"/d/([\w-]+)", json.dumps(FILES))
    assert {*links} <= {dashboard["uid"] for dashboard in FILES.values()}
    assert {f"costspan-{name}" for name in FILES} == {dashboard["uid"] for dashboard in FILES.values()}


def test_no_dashboard_knows_a_budgets_file() -> None:
    """Names, owners and time zone come from series and preferences: the same files for everybody who compiles budgets."""
    policies = [load(path) for path in sorted((ROOT / "examples" / "budgets").glob("*.yaml"))]
    named = {word for policy in policies for budget in policy.budgets for word in (budget.name, budget.owner) if word}
    assert "all-per-day" in named
    for name, dashboard in FILES.items():
        texts = set(re.findall(r"[\w-]+", json.dumps(dashboard)))
        assert not named & texts, name
        assert dashboard["timezone"] == ""


# -- the words of the queries ----------------------------------------------------------------------------------

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"(?<![\w$.:])[A-Za-z_][\w:]*(?![\w:]*\s*\()(?!\w)")
_LISTS = re.compile(r"\b(by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")
_BRACES = re.compile(r"\{([^}]*)\}")
_KEYWORDS = {"and", "or", "unless", "offset", "bool", "by", "on", "ignoring", "without", "group_left", "group_right"}


def words(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that a query names."""
    text = re.sub(r"\[[^\]]*\]", "", re.sub(r"offset\s+\S+", "", expression))
    labels = set(re.findall(r'count_values\(\s*"(\w+)"', text))
    text = _STRING.sub('""', text)
    for _, inner in _LISTS.findall(text):
        labels |= {label.strip() for label in inner.split(",") if label.strip()}
    for inner in _BRACES.findall(text):
        labels |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inner))
    text = _BRACES.sub("", _LISTS.sub("", text))
    metrics = {name for name in _NAME.findall(text) if name not in _KEYWORDS}
    return metrics, labels


def allowed_labels() -> dict[str, set[str]]:
    """The labels that each metric may be asked for."""
    known = {metric.prometheus: {*map(prometheus_label, metric.labels), *FOREIGN_LABELS} for metric in METRICS}
    for metric in METRICS:
        if metric.kind == names.HISTOGRAM:
            of = known.pop(metric.prometheus)
            known |= {f"{metric.prometheus}_bucket": of | {"le"}, f"{metric.prometheus}_count": of}
    known |= {series.name: {*series.labels, EACH_LABEL} for series in RECORDED}
    return known | {name: {*FOREIGN_LABELS} for name in FOREIGN_METRICS}


def test_the_words_of_a_query_are_found() -> None:
    """The check below sees metrics and labels wherever PromQL may have them."""
    said = (
        'sum by (a, b) (last_over_time(m_total{c="x", d=~"$e"}[$__range]) - n:o:p offset 1d) / on (f) group_left (g) q'
    )
    assert words(said) == ({"m_total", "n:o:p", "q"}, {"a", "b", "c", "d", "f", "g"})
    assert words('x and on (w) count_values("w", (day_of_week(vector(time() + 1)) + 6) % 7)') == ({"x"}, {"w"})


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}, {query.panel}, {query.name}")
def test_a_query_asks_only_for_what_is_emitted(query: Query) -> None:
    """Every metric is one of ours (or a named foreign one), every label one that such a metric has."""
    known = allowed_labels()
    metrics, labels = words(query.expression)
    assert metrics
    assert metrics <= known.keys()
    assert labels <= set[str]().union(*(known[name] for name in metrics))
    guessed = re.findall(r"\b(?:increase|rate|irate|delta)\s*\((\w+)", query.expression)
    assert set(guessed) <= set(FOREIGN_METRICS)  # services that begin at zero again; never money
    assert "vector(0)" not in query.expression.replace(" ", "")


@pytest.mark.parametrize("name", FILES)
def test_filters_are_chained_and_every_query_obeys_them(name: str) -> None:
    """A filter offers what those before it leave; no panel of a dashboard with filters ignores one."""
    offered = filters(FILES[name])
    for index, (word, asked) in enumerate(offered.items()):
        assert [other for other in offered if f"${other}" in asked] == [*offered][:index], word
    for query in queries(FILES[name]):
        for series in re.findall(r"\w+_total\{[^}]*\}|\w+_(?:bucket|count)\{[^}]*\}", query.expression):
            assert [word for word in offered if f'"${word}"' in series] == [*offered], query
