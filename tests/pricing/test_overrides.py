"""The user's own prices: what they do to a call, and what is said about a mistake in the file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from costspan.facts.call import Answer
from costspan.facts.money import Cost, Price, Unpriced
from costspan.facts.usage import Usage
from costspan.pricing import OverrideError, Prices
from places import ROOT

ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"


def prices(folder: Path, text: str) -> Prices:
    file = folder / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    return Prices.load(file)


def one(rule: str) -> str:
    return f"prices:\n  - {{{rule}}}\n"


EFFECTS = [
    # rule                                                                     call: provider, model, said        nano-USD, quality
    ("match: {model: gpt-4o}, usd_per_million: {input: 1, output: 2}",         "openai gpt-4o",                   (1_400_000, "override")),
    ("match: {model: gpt-4o}, usd_per_million: {input: 1, output: 2}",         "openai gpt-4o-mini",              (270_000, "exact")),
    ("match: {model: 'gpt-4o*'}, usd_per_million: {input: 1, output: 2}",      "openai gpt-4o-mini",              (1_400_000, "override")),
    ("match: {model: '/mini$/'}, usd_per_million: {input: 1, output: 2}",      "openai gpt-4o-mini",              (1_400_000, "override")),
    ("match: {model: GPT-4O}, usd_per_million: {input: 1, output: 2}",         "openai gpt-4o",                   (1_400_000, "override")),
    ("match: {provider: x-ai}, multiplier: 0",                                 "x_ai grok-4",                     (0, "override")),
    ("match: {provider: ollama}, usd_per_million: {input: 0, output: 0}",      "ollama llama3.2",                 (0, "override")),
    ("match: {model: gpt-4o}, multiplier: 0.8",                                "openai gpt-4o",                   (3_600_000, "override")),
    ("match: {model: gpt-4o}, multiplier: 0.8",                                "openai gpt-4o tier=flex",         (3_600_000, "incomplete")),
    ("match: {model: gpt-5}, multiplier: 0.5",                                 "openai gpt-5 tier=priority",      (3_250_000, "override")),
    ("match: {model: gpt-5, tier: flex}, multiplier: 0",                       "openai gpt-5 tier=flex",          (0, "override")),
    ("match: {model: gpt-5, tier: default}, multiplier: 0",                    "openai gpt-5",                    (0, "override")),
    ("match: {model: gpt-5, tier: flex}, multiplier: 0",                       "openai gpt-5",                    (3_250_000, "exact")),
    ("match: {deployment: ours}, alias_of: openai/gpt-4o",                     "azure.ai.openai ours",            (4_500_000, "override")),
    ("match: {deployment: ours}, alias_of: openai/gpt-4o, multiplier: 1.1",    "azure.ai.openai ours",            (4_950_000, "override")),
    (f"match: {{arn: '{ARN}'}}, alias_of: aws.bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                                                                               f"aws.bedrock {ARN}",              (6_600_000, "override")),
    ("match: {arn: '*:application-inference-profile/*', region: eu-central-1}, usd_per_million: {input: 1, output: 1}",
                                                                               f"aws.bedrock {ARN}",              (1_200_000, "override")),
    ("match: {region: eu-west-1}, multiplier: 0",                              f"aws.bedrock {ARN}",              "unknown_model"),
    ("match: {region: eu}, multiplier: 2",                                     "openai gpt-4o host=eu.api.openai.com", (9_000_000, "override")),
    ("match: {host: llm.corp}, alias_of: openai",                              "unknown gpt-4o host=llm.corp:8000", (4_500_000, "override")),
    ("match: {host: llm.corp}, alias_of: openai",                              "unknown claude-haiku-4-5 host=llm.corp", "unknown_model"),
    ("match: {host: 'llm.corp:8000'}, alias_of: openai/gpt-4o",                "unknown ours host=llm.corp:8000", (4_500_000, "override")),
    ("match: {host: 'llm.corp:8000'}, alias_of: openai/gpt-4o",                "unknown ours host=llm.corp:8001", "unknown_seller"),
    ("match: {host: '10.*'}, usd_per_million: {input: 1, output: 0}",          "unknown ours host=10.1.2.3",      (1_000_000, "override")),
    ("match: {model: new}, multiplier: 2",                                     "openai new",                      "unknown_model"),
    ("match: {model: gpt-4o}, usd_per_million: {input: 1}",                    "openai gpt-4o",                   (1_000_000, "incomplete")),
    ("match: {model: gpt-4o}, usd_per_unit: {requests: 0.001}",                "openai gpt-4o",                   (1_000_000, "incomplete")),
    ("match: {model: gpt-4o}, usd_per_million: {input: 0.0000015, output: 0}", "openai gpt-4o",                   (2, "override")),
    ("match: {model: gpt-4o}, usd_per_million: {input: 0.3333333333333, output: 0}", "openai gpt-4o",             (333_333, "override")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "call", "expected"), EFFECTS)
def test_a_rule_prices_the_calls_that_it_matches(rule: str, call: str, expected: object, tmp_path: Path) -> None:
    """1,000 tokens in, 200 out. A rule goes before the table; what it leaves open stays open."""
    provider, model, *said = call.split()
    more = dict(word.split("=") for word in said)
    answer = Answer(Usage(input=1_000, output=200), tier=more.get("tier"))
    cost = prices(tmp_path, one(rule)).price(provider, more.get("host"), model, answer, 1_795_348_800.0)
    found = cost.reason if isinstance(cost, Unpriced) else (cost.nano_usd, cost.quality)
    assert found == expected


def nano_usd(price: Price) -> int | None:
    return price.nano_usd if isinstance(price, Cost) else None


def day(moment: str) -> float:
    return dt.datetime.fromisoformat(moment).replace(tzinfo=dt.timezone.utc).timestamp()


def test_rules_hold_from_their_first_day_to_their_last(tmp_path: Path) -> None:
    """Both days are included, in UTC; before and after them the table holds."""
    table = prices(
        tmp_path,
        """
prices:
  - {match: {model: gpt-4o}, multiplier: 2, valid_from: 2026-02-01, valid_to: 2026-02-28}
  - {match: {model: gpt-4o}, multiplier: 3, valid_from: 2026-03-01}
""",
    )
    answer = Answer(Usage(input=1_000), "gpt-4o")
    moments = ["2026-01-31T23:59:59", "2026-02-01", "2026-02-28T23:59:59", "2026-03-01", "2030-01-01"]
    costs = [table.price("openai", None, None, answer, day(moment)) for moment in [*moments, *reversed(moments)]]
    times = [1, 2, 2, 3, 3]
    assert [nano_usd(cost) for cost in costs] == [2_500_000 * each for each in [*times, *reversed(times)]]


def test_the_first_rule_that_matches_is_taken(tmp_path: Path) -> None:
    table = prices(
        tmp_path,
        """
prices:
  - {match: {model: gpt-4o, tier: flex}, multiplier: 5}
  - {match: {model: gpt-4o}, multiplier: 2}
  - {match: {model: "gpt-4*"}, multiplier: 3}
""",
    )
    said = [Answer(Usage(input=1_000), "gpt-4o", tier="flex"), Answer(Usage(input=1_000), "gpt-4o")]
    costs = [table.price("openai", None, None, answer, 1_795_348_800.0) for answer in said]
    assert [nano_usd(cost) for cost in costs] == [12_500_000, 5_000_000]


def test_the_version_of_the_prices_tells_which_file_was_in_force(tmp_path: Path) -> None:
    """Two files have two versions; the table's own stands before it."""
    first = prices(tmp_path, one("match: {model: a}, multiplier: 1"))
    second = prices(tmp_path, one("match: {model: a}, multiplier: 2"))
    assert first.version.startswith(Prices.load().version + " overrides:")
    assert first.version != second.version


def test_an_explanation_names_the_rule(tmp_path: Path) -> None:
    table = prices(tmp_path, one("match: {model: gpt-4o}, multiplier: 0.8"))
    explained = table.explain("openai", None, None, Answer(Usage(input=1), "gpt-4o"), 1_795_348_800.0)
    assert "the user's rule, line 2" in explained.notes
    assert "x 4/5 by the user's rule" in explained.notes


MISTAKES = [
    # file                                                                    what is said
    ("",                                                                      ["1: the file is no mapping: expected the keys prices"]),
    ("prices: 5",                                                             ["1: \"prices\" is no list: expected a list of rules, each beginning with '- match:'"]),
    ("costs: []",                                                             ['1: "costs" is unknown in the file: expected one of prices', '1: there is no "prices": expected "prices:" and a list of rules under it']),
    ("prices: [a: {",                                                         ["1: is no YAML"]),
    ("prices:\n - multiplier: 2",                                            ['2: the rule has no "match": expected match: with one or more of provider, model']),
    ("prices:\n - match: {}\n   multiplier: 2",                             ['2: "match" is empty: expected one or more of']),
    ("prices:\n - match: {modle: x}\n   multiplier: 2",                     ['2: "modle" is unknown in "match": expected one of provider, model']),
    ("prices:\n - match: {model: x}",                                        ["2: the rule says no price: expected alias_of, usd_per_million, usd_per_unit, usd_per_second or multiplier"]),
    ("prices:\n - match: {model: x}\n   multiplier: -1",                    ['3: "multiplier" is -1: expected 0 (free) or more']),
    ("prices:\n - match: {model: x}\n   multiplier: '2'",                   ['3: "multiplier" is no number: expected an amount such as 2.5']),
    ("prices:\n - match: {model: x}\n   multiplier: yes",                   ['3: "multiplier" is no number']),
    ("prices:\n - match: {model: x}\n   multiplier: .nan",                  ['3: "multiplier" is no number']),
    ("prices:\n - match: {model: x}\n   usd_per_million:\n     input: -2",  ['4: "input" is -2: expected 0 (free) or more']),
    ("prices:\n - match: {model: x}\n   usd_per_million:\n     inptu: 2",   ['4: "inptu" is unknown in "usd_per_million": expected one of']),
    ("prices:\n - match: {model: x}\n   usd_per_million: {input: 1, input: 2}", ['3: "input" comes twice in "usd_per_million": expected once']),
    ("prices:\n - match: {model: x}\n   usd_per_million: {cache_read: 1}",   ['2: "cache_read" has a rate and "input", which it is part of, has none: expected both']),
    ("prices:\n - match: {model: x}\n   usd_per_million: {input: 1, cache_read: 1, input_audio: 1}", ['2: "input_audio" and "cache_read" have rates and "cache_read_audio" has none: expected all three']),
    ("prices:\n - match: {model: x}\n   usd_per_unit: {input: 1}",           ['3: "input" is unknown in "usd_per_unit"']),
    ("prices:\n - match: {model: x}\n   usd_per_second: {input: 1}",         ['3: "input" is unknown in "usd_per_second": expected one of input_audio_ms, output_audio_ms, output_video_ms, session_ms']),
    ("prices:\n - match: {model: x}\n   usd_per_unit: {output_video_ms: 1}\n   usd_per_second: {output_video_ms: 1}",
                                                                            ['4: "output_video_ms" has two rates: expected one']),
    ("prices:\n - match: {model: x}\n   alias_of: gpt-4o",                   ["3: \"alias_of\" is 'gpt-4o', which the price table does not have: expected provider/model"]),
    ("prices:\n - match: {model: x}\n   alias_of: openai/gpt-99",            ["3: \"alias_of\" is 'openai/gpt-99', which the price table does not have"]),
    ("prices:\n - match: {model: x}\n   alias_of: openai/gpt-4o\n   usd_per_million: {input: 1}", ['3: "alias_of" stands beside rates: expected one of the two']),
    ("prices:\n - match: {model: x}\n   multiplier: 1\n   valid_from: soon", ["4: the day is no day: expected YYYY-MM-DD"]),
    ("prices:\n - match: {model: x}\n   multiplier: 1\n   valid_from: 2026-02-02\n   valid_to: 2026-02-01", ['5: "valid_to" is before "valid_from"']),
    ("prices:\n - match: {model: '/(/'}\n   multiplier: 1",                 ['2: "model" is no regular expression']),
    ("prices:\n - match: {model: [a]}\n   multiplier: 1",                   ['2: "model" is no text']),
    ("prices:\n - {match: {model: x}, multiplier: 1}\n - {match: {model: x}, multiplier: 2}", ["3: overlaps the rule of line 2, which comes first"]),
    ("prices:\n - {match: {model: 'x*'}, multiplier: 1}\n - {match: {model: xy, tier: flex}, multiplier: 2}", ["3: overlaps the rule of line 2"]),
    ("prices:\n - {match: {model: x}, multiplier: 1, valid_to: 2026-02-01}\n - {match: {model: x}, multiplier: 2, valid_from: 2026-02-01}", ["3: overlaps the rule of line 2"]),
    ("prices:\n - match: {model: x}\n   multiplier: -1\n - match: {modle: x}\n   multiplier: a", ['3: "multiplier" is -1', '4: "modle" is unknown', '5: "multiplier" is no number']),
    ("prices: &a\n - *a",                                                    ["1: a rule is no mapping"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(text: str, expected: list[str], tmp_path: Path) -> None:
    """All mistakes of a file at once, in their order."""
    with pytest.raises(OverrideError) as told:
        prices(tmp_path, text)
    assert len(told.value.mistakes) == len(expected)
    for mistake, beginning in zip(told.value.mistakes, expected, strict=True):
        assert mistake.startswith(f"prices.yaml:{beginning}")


def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    """Not there, a directory, no UTF-8."""
    (tmp_path / "latin").write_bytes(b"prices: \xe9")
    for path, said in (
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "latin", "UTF-8"),
    ):
        with pytest.raises(OverrideError, match=said):
            Prices.load(path)


def test_the_example_in_the_documentation_is_accepted(tmp_path: Path) -> None:
    documentation = (ROOT / "docs" / "pricing.md").read_text(encoding="utf-8")
    examples = documentation.split("```yaml\n")[1:]
    assert len(examples) == 2
    of_an_hour = prices(tmp_path, examples[1].partition("```")[0]).item("uptime", "a100", 3_600_000)
    assert isinstance(of_an_hour, Cost)
    assert of_an_hour.nano_usd == 2_500_000_000
    table = prices(tmp_path, examples[0].partition("```")[0])
    cost = table.price("azure.ai.openai", None, "our-assistant", Answer(Usage(input=1_000)), 1_795_348_800.0)
    assert isinstance(cost, Cost)
    assert (cost.nano_usd, cost.quality) == (1_062_500, "override")
