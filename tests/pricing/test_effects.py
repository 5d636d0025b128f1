"""Rules of the user's that take no effect are told, with the reason; those that may take one are not."""

from __future__ import annotations

from pathlib import Path

import pytest

import ways
from caller import KINDS, Caller
from costspan.cli import doctor
from costspan.facts.money import Cost, Unpriced
from costspan.pricing import Prices
from costspan.settings import Settings
from provider import Provider
from watching import Watched

NOW_S = 1_795_310_400.0  # 2026-11-22
RATES = "usd_per_million: {input: 1, output: 2}"
RULES = [
    # rule                                                                                why it takes no effect
    ("match: {provider: openrouter}, multiplier: 0.92",                                  "answers of openrouter carry"),
    (f"match: {{provider: perplexity, model: sonar}}, {RATES}",                          "answers of perplexity carry"),
    ("match: {provider: /^(x_ai|openrouter)$/}, alias_of: openai/gpt-4o",                "answers of openrouter, x_ai carry"),
    ("match: {provider: opnai}, multiplier: 0.9",                                        "did you mean openai?"),
    (f"match: {{provider: acme-gw}}, {RATES}",                                           "no provider is called 'acme-gw'"),
    ("match: {provider: ollama}, multiplier: 0.9",                                       "no prices of ollama to multiply"),
    ("match: {provider: chatgpt}, multiplier: 0.9",                                      "no prices of chatgpt to multiply"),
    ("match: {provider: writer}, multiplier: 0.9",                                       "no prices of writer to multiply"),
    ("match: {provider: venice}, multiplier: 0.9",                                       "answers of venice carry"),
    ("match: {provider: groq, model: 'gpt-9*'}, multiplier: 0.9",                        "no model 'gpt-9*' to multiply"),
    ("match: {provider: openai, model: claude-haiku-4-5}, multiplier: 0.9",              "no model 'claude-haiku-4-5' to multiply"),
    ("match: {provider: openai}, multiplier: 1",                                         "a multiplier of 1 changes nothing"),
    ("match: {host: '10.0.0.7:8000'}, multiplier: 2",                                    "nothing at 10.0.0.7:8000 has a price"),
    (f"match: {{host: 'https://llm.corp.example/v1'}}, {RATES}",                         "neither a scheme nor a path"),
    (f"match: {{arn: my-profile}}, {RATES}",                                             'begins with "arn:"'),
    (f"match: {{model: gpt-4o}}, {RATES}, valid_to: 2026-11-21",                         '"valid_to" is over'),
    # What may take effect.
    (f"match: {{model: gpt-4o}}, {RATES}, valid_to: 2026-11-22",                         None),
    (f"match: {{model: gpt-4o}}, {RATES}, valid_from: 2027-01-01",                       None),
    ("match: {provider: anthropic}, multiplier: 0.75",                                   None),
    ("match: {provider: openai, model: 'gpt-4o-mini*'}, multiplier: 0.2",                None),
    ("match: {provider: openai, model: gpt-4o-2024-08-06}, multiplier: 0.2",             None),
    ("match: {provider: azure.ai.openai, model: our-deployment}, multiplier: 0.9",       None),
    ("match: {provider: unknown, model: fast}, multiplier: 0.9",                         None),
    ("match: {provider: 'open*'}, multiplier: 0.9",                                      None),
    ("match: {model: 'anything*'}, multiplier: 0.9",                                     None),
    ("match: {provider: ollama}, alias_of: openai/gpt-4o",                               None),
    (f"match: {{host: 10.0.0.7}}, {RATES}",                                              None),
    ("match: {host: llm.corp.example}, multiplier: 2",                                   None),
    ("match: {provider: ours}, alias_of: openai",                                        None),
    ("match: {arn: 'arn:aws:*'}, multiplier: 2",                                         None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_a_rule_that_takes_no_effect_is_told_with_the_reason(rule: str, expected: str | None, tmp_path: Path) -> None:
    """`named` are the providers that OTEL_COSTSPAN_HOSTS names: here one called "ours"."""
    file = tmp_path / "prices.yaml"
    file.write_text(f"prices:\n  - {{{rule}}}\n")
    idle = Prices.load(file).idle(NOW_S, ["ours"])
    assert [one.line for one in idle] == ([2] if expected else [])
    assert all(expected in one.why for one in idle if expected)


NAMED = [
    # provider in OTEL_COSTSPAN_HOSTS, what is meant
    ("openia",       "openai"),
    ("OpenAI",       "openai"),
    ("antropic",     "anthropic"),
    ("vendr",        "vendor"),
    ("openrouterr",  "openrouter"),
    # Known ones, and names of the user's own.
    ("openai",       None),
    ("vendor",       None),
    ("unknown",      None),
    ("vllm",         None),
    ("our-gateway",  None),
    ("anthropics",   None),  # a rule of the user's own is about it
]  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), NAMED)
def test_a_provider_that_may_be_misspelt_is_questioned(name: str, meant: str | None, tmp_path: Path) -> None:
    """Only what is almost a known name: other names are the user's own, whose rates a rule says."""
    file = tmp_path / "prices.yaml"
    file.write_text(f"prices:\n  - {{match: {{provider: anthropics}}, {RATES}}}\n")
    asked = Prices.load(file).questions([name, name])
    assert len(asked) == (meant is not None)
    assert all(f"a provider {name!r}, which has no prices: did you mean {meant}?" in sentence for sentence in asked)


@pytest.mark.parametrize(("name", "times"), [("openia", 1), ("openai", 0)])
def test_it_is_questioned_once_in_a_process(
    name: str, times: int, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """With the first call that wants a price, on the log; `doctor` says it whenever it is asked."""
    with Watched(hosts=f"127.0.0.1={name}") as watched:
        for _ in range(2):
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert isinstance(watched.calls()[0].price, Unpriced if times else Cost)
    assert caplog.text.count("did you mean openai?") == times
    settings = Settings.read({"OTEL_COSTSPAN_HOSTS": f"127.0.0.1={name}"})
    assert sum("did you mean openai?" in one.sentence for one in doctor.prices(settings, NOW_S)) == times
