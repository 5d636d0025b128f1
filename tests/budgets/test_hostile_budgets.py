"""Budgets with hostile strings: each is written literally, or refused with line and key. The real tools read them."""

from __future__ import annotations

import ast
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_rules import amtool

import costspan.alerting
from costspan.alerting import compiled, literals
from costspan.alerting.rules import OWNER_LABEL
from costspan.budgets.policy import COUNTED_DIMENSIONS, DIMENSIONS, Budget, Policy, PolicyError
from costspan.budgets.reading import parse
from costspan.budgets.receivers import receivers
from costspan.names import COST_USD, prometheus_label
from promtools import program, prometheus, promtool

WRITERS = sorted(Path(costspan.alerting.__file__).parent.glob("*.py"))

#: Strings that end a string, a matcher, a line, a template or a document somewhere.
HOSTILE = [
    'x",severity=~".*', '"', "'", "''", "\\", "\\\\", '\\"', "a\\nb", "a|b", ".*", "(", "[", "x{y}", "}", "{", "{}", "$1", "${x}", "`", "x`y",
    "# no comment", "a: b", "- a", "? a", "&a", "*a", "!!int 1", "%x", "@x", "|", ">", "~", "null", "true", "1", "1e3", "0x10", "<<",
    " led", "trailed ", "ünïcödé", "日本語", "😀", "a,b", "a=b", "a=~b", 'a"} or vector(1) #', "$labels.owner", "}}", "--", "---",
]  # fmt: skip
REFUSED = [
    "",
    "{{ $value }}",
    "{{",
    "a\nb",
    "a\rb",
    "a\tb",
    "\x00",
    "\x1b[31m",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "x" * 201,
]
#: Printable text that a budgets.yaml may hold, with the signs that mean something drawn often.
TEXT = st.text(
    st.one_of(st.sampled_from("\"'\\{}$|.*+?()[]^`#:,=~!&%@ -"), st.characters(exclude_categories=("C", "Z"))),
    min_size=1,
    max_size=12,
).filter(lambda text: text.isprintable() and "{{" not in text)
TEXTS = st.lists(TEXT, min_size=4, max_size=4, unique=True)
#: Each example starts real programs.
by_real_programs = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_file(*budgets: dict[str, Any], **more: Any) -> str:
    """A budgets.yaml: JSON is YAML."""
    few = {"period": "month", "limit_usd": 10, "thresholds": [100]}
    usual = [{"name": f"b{number}", **few, **each} for number, each in enumerate(budgets)]
    content = json.dumps({"budgets": usual, **more}, ensure_ascii=False)
    # YAML knows no pairs of surrogates; and a sign that cannot be seen stands there as an escape.
    return content if max(content) > "\uffff" else json.dumps(json.loads(content))


def made(content: str, folder: Path, names: list[str] | None = None) -> Path:
    """The folder with all that is compiled from a budgets.yaml; with receivers where some are named."""
    policy = parse(content)
    compiled.write(compiled.compiled(policy, "budgets.yaml"), folder)
    if names is not None:
        below = yaml.safe_dump({"receivers": [{"name": name} for name in ("default", *names)]}, allow_unicode=True)
        whole = compiled.with_receivers(policy, "budgets.yaml", receivers(below, "receivers.yml"), below)
        (folder / "alertmanager.yml").write_text(whole, encoding="utf-8")
    return folder


def alerts(folder: Path) -> list[dict[str, Any]]:
    text = (folder / compiled.BUDGET_RULES).read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule]


# -- what is refused ----------------------------------------------------------------------------------------------------

FIELDS = ["runbooks", "time_zone", "name", "period", "each", "owner", *(f"scope.{word}" for word in DIMENSIONS)]
NUMBERS = ["limit_usd", "limit_tokens", "thresholds", "anomaly"]


def written_in(field: str, value: Any) -> str:
    """A file with a value in a field, in its second budget where the field is one of a budget."""
    if field in {"runbooks", "time_zone", "anomaly"}:
        return as_file({}, **{field: {"factor": value} if field == "anomaly" else value})
    word, _, dimension = field.partition(".")
    return as_file({}, {word: {dimension: [value]} if dimension else [value] if word == "thresholds" else value})


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
@pytest.mark.parametrize("field", [*FIELDS, *NUMBERS])
def test_what_cannot_be_written_is_refused_with_line_and_key(field: str, text: str) -> None:
    """Signs that cannot be seen, templates, nothing and too much: in no field."""
    with pytest.raises(PolicyError) as refused:
        parse(written_in(field, text))
    assert {mistake.line for mistake in refused.value.mistakes} == {1}
    assert any(field.rpartition(".")[2] in mistake.key for mistake in refused.value.mistakes)
    assert str(refused.value).isprintable() or str(refused.value).count("\n") == len(refused.value.mistakes) - 1


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["time_zone", "name", "period", "each", *NUMBERS])
def test_a_field_of_few_words_takes_no_others(field: str, text: str) -> None:
    """Names, periods, dimensions, zones and numbers."""
    if (field, text) in {("name", "1"), ("name", "1e3"), ("name", "0x10"), ("name", "null"), ("name", "true")}:
        assert parse(written_in(field, text))  # quoted in the file, and as good as any name
        return
    with pytest.raises(PolicyError, match=r"^budgets\.yaml:1: "):
        parse(written_in(field, text))


# -- what is written, read by the real programs --------------------------------------------------------------------------


def crosses(folder: Path, texts: list[str]) -> None:
    """Prometheus' own tester: rules are valid, each budget sees its spend, each alert has its owner's label."""
    promtool("check", "rules", folder / compiled.BUDGET_RULES, folder / compiled.METER_RULES)
    owned = [
        {
            "labels": f"{{llm_budget={json.dumps(f'b{number}')}, owner={json.dumps(text, ensure_ascii=False)}}}",
            "value": 1,
        }
        for number, text in enumerate(texts)
    ]
    spent = [
        {"series": _spend(text), "values": "20x200"} for text in texts
    ]  # fmt: skip
    asked = {"expr": 'count by (llm_budget, owner) (ALERTS{threshold="100"})', "eval_time": "90m", "exp_samples": owned}
    story = {"interval": "30m", "input_series": spent, "promql_expr_test": [asked]}
    tests = {"rule_files": [compiled.BUDGET_RULES], "evaluation_interval": "30m", "tests": [story]}
    (folder / "owners.yml").write_text(json.dumps(tests, ensure_ascii=False))
    promtool("test", "rules", "owners.yml", cwd=folder)


def _spend(text: str) -> str:
    chosen = ", ".join(
        f"{prometheus_label(label)}={json.dumps(text, ensure_ascii=False)}" for label in COUNTED_DIMENSIONS.values()
    )
    return f'{COST_USD.prometheus}{{llm_period="197001", {chosen}}}'


def told_alone(folder: Path, owners: list[str]) -> None:
    """Alertmanager's own tester: each owner's alerts come to the receiver of that name, and nobody else's do."""
    amtool("check-config", folder / "alertmanager.yml")
    test = ["config", "routes", "test", f"--config.file={folder / 'alertmanager.yml'}"]
    for owner in owners:
        label = f"owner={json.dumps(owner, ensure_ascii=False)}"
        assert amtool(*test, "component=llm-budget", label).strip() == owner.strip()
    for stranger in ("nobody", "x"):
        heard = amtool(*test, "component=llm-budget", f"owner={stranger}", "severity=critical").strip()
        assert heard == (stranger if stranger in owners else "default")


def everywhere(text: str) -> dict[str, Any]:
    """A budget that has a text wherever it may have one: alone and beside another in a list."""
    values = [text, "another"]
    return {"owner": text, "scope": {word: text if at % 2 else values for at, word in enumerate(COUNTED_DIMENSIONS)}}


def proved(texts: list[str], folder: Path) -> None:
    """All of the promise, for budgets that have these texts in every field that takes them."""
    made(as_file(*map(everywhere, texts), runbooks=texts[0]), folder, texts)
    crosses(folder, texts)
    told_alone(folder, texts)


@pytest.mark.parametrize("start", range(0, len(HOSTILE), 8))
def test_hostile_strings_are_written_literally(start: int, tmp_path: Path) -> None:
    """Quotes, backslashes, braces, signs of YAML, PromQL and regular expressions, in every field at once."""
    proved(HOSTILE[start : start + 8], tmp_path)


def test_compiled_tests_with_hostile_strings_pass(tmp_path: Path) -> None:
    """Each budget crosses its thresholds beside spend of others, all named with hostile strings."""
    texts = ['x",severity=~".*', "a\\nb", "{}$1[(|.*"]
    promtool("test", "rules", compiled.BUDGET_TESTS, cwd=made(as_file(*map(everywhere, texts)), tmp_path))


@given(TEXTS)
@by_real_programs
def test_any_string_is_written_literally(texts: list[str]) -> None:
    """The same with strings that nobody thought of."""
    with tempfile.TemporaryDirectory() as folder:
        proved(texts, Path(folder))


def test_an_owner_adds_no_matcher(tmp_path: Path) -> None:
    """What broke the configuration: the route of this owner caught everything that was critical."""
    owner = 'x",severity=~".*'
    made(as_file({"owner": owner}), tmp_path, [owner])
    told_alone(tmp_path, [owner])
    (budgets,) = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["route"]["routes"]
    assert budgets["routes"][:-1] == [{"matchers": ['owner="x\\",severity=~\\".*"'], "receiver": owner}]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_address_of_runbooks_is_written_literally(text: str, tmp_path: Path) -> None:
    """Template signs included: what Prometheus prints is what stands in the file."""
    made(as_file({}, runbooks=text), tmp_path)
    links = {alert["annotations"]["runbook_url"] for alert in alerts(tmp_path)}
    assert f"{literals.as_template(text.rstrip('/'))}/LlmBudgetThreshold.md" in links


@given(TEXTS, st.sampled_from(["", "{{ "]))
@by_real_programs
def test_a_text_beside_templates_is_printed_as_it_is(texts: list[str], before: str) -> None:
    """Prometheus expands the label beside the text, never the text, whatever braces it has."""
    texts = [before + text for text in texts]
    rules = [
        {
            "alert": f"A{at}",
            "expr": "vector(1)",
            "annotations": {"said": f"{literals.as_template(text)}{{{{ $value }}}}"},
        }
        for at, text in enumerate(texts)
    ]
    wanted = [
        {"alertname": f"A{at}", "eval_time": "1m", "exp_alerts": [{"exp_annotations": {"said": f"{text}1"}}]}
        for at, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yml").write_text(
            json.dumps({"groups": [{"name": "g", "rules": rules}]}, ensure_ascii=False)
        )
        tests = {
            "rule_files": ["rules.yml"],
            "tests": [{"interval": "1m", "input_series": [], "alert_rule_test": wanted}],
        }
        (Path(folder) / "tests.yml").write_text(json.dumps(tests, ensure_ascii=False))
        promtool("test", "rules", "tests.yml", cwd=Path(folder))


def test_matchers_choose_their_values_alone(tmp_path: Path) -> None:
    """A real Prometheus with a series for each hostile value: each is found by its matcher, and by no other's."""
    samples = "".join(
        f"cost{{team={json.dumps(text, ensure_ascii=False)}}} {at} 1000\n" for at, text in enumerate(HOSTILE)
    )
    with prometheus(tmp_path, "# TYPE cost gauge\n" + samples) as server:
        for at, text in enumerate(HOSTILE):
            found = server.query(literals.selector("cost", literals.one_of("team", [text])), 1000)
            assert list(found.values()) == [at], text
            both = server.query(literals.selector("cost", literals.one_of("team", [text, HOSTILE[0]])), 1000)
            assert sorted(both.values()) == sorted({0, at}), text


def test_a_hostile_file_name_stays_in_its_comment() -> None:
    """The title of a generated file names its source."""
    texts = compiled.compiled(Policy((Budget("a", "day", "usd", Decimal(1)),)), "a\nb: c\x1b[31m\u2028d.yaml")
    for path in (compiled.BUDGET_RULES, compiled.ROUTES):
        assert "b" not in yaml.safe_load(texts[path])


@pytest.mark.parametrize("text", ["\x00", "\x1b", "\u202e", "\ud800"], ids=ascii)
def test_a_literal_refuses_what_no_label_may_hold(text: str) -> None:
    """The writer does not rely on who calls it."""
    with pytest.raises(ValueError, match="cannot be printed"):
        literals.equals(OWNER_LABEL, text)


@pytest.mark.parametrize(
    "file", [file for file in WRITERS if file.stem not in {"literals", "as_yaml"}], ids=lambda file: file.stem
)
def test_no_other_file_puts_a_value_between_quotes(file: Path) -> None:
    """An f-string with a quote right before a value is a literal that nobody escaped."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for before, value in zip(node.values, node.values[1:], strict=False):
                is_quote = isinstance(before, ast.Constant) and str(before.value).endswith(('"', "'"))
                assert not (is_quote and isinstance(value, ast.FormattedValue)), f"{file.name}:{node.lineno}"


def test_the_programs_are_real() -> None:
    """No stand-in reads what is written here."""
    assert all(Path(program(name)).exists() for name in ("promtool", "amtool", "prometheus"))
