"""Usage times price: exact amounts, each token charged once, and a word for everything that has no price."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.facts import usage as u
from costspan.facts.call import Answer
from costspan.facts.money import Cost, Unpriced, nano_from_pico
from costspan.facts.usage import Usage
from costspan.pricing import Prices
from costspan.pricing.calculate import careful, half_even, quick
from costspan.pricing.catalog import Rates
from costspan.pricing.plan import INSIDE, Plan, plan_of

PRICES = Prices.load()
NOW_S = 1_795_348_800.0  # 2026-11-22 12:00 UTC


def price(provider: str, answer: Answer) -> Cost | Unpriced:
    return PRICES.price(provider, None, None, answer, NOW_S)


AMOUNTS = [
    # provider      model                 nano-USD     quality       usage
    ("openai",    "gpt-4o",               4_500_000,  "exact",      {"input": 1_000, "output": 200}),
    ("openai",    "gpt-4o",               3_375_000,  "exact",      {"input": 1_000, "cache_read": 500, "output": 150}),
    ("openai",    "gpt-4o",               3_375_000,  "exact",      {"input": 1_000, "cache_read": 500, "output": 150, "reasoning": 90}),
    ("openai",    "gpt-4o",               0,          "exact",      {"input": 0, "output": 0}),
    ("openai",    "gpt-4o",               2_500_000,  "exact",      {"input": 1_000, "input_image": 765, "input_audio": 0}),
    ("openai",    "text-embedding-3-small", 20,       "exact",      {"input": 1}),
    ("openai",    "gpt-4o-audio-preview", 2_500_000,  "incomplete", {"input": 1_000, "input_audio": 500}),
    ("openai",    "gpt-4o-mini-transcribe", 3_525_000, "exact",     {"input": 1_100, "input_audio": 1_000, "output": 80, "input_audio_ms": 60_000}),
    ("openai",    "whisper-1",            6_000_000,  "exact",      {"input_audio_ms": 60_000}),
    ("openai",    "gpt-live-1",           75_000_000, "exact",      {"session_ms": 90_000}),
    ("openai",    "gpt-live-1.1",         75_000_000, "exact",      {"session_ms": 90_000}),
    ("openai",    "sora-2",               800_000_000, "exact",     {"output_video_ms": 8_000}),
    ("openai",    "tts-1",                15_000_000, "exact",      {"characters": 1_000}),
    ("openai",    "gpt-image-1",          47_600_000, "exact",      {"input": 1_200, "input_image": 320, "output": 1_000, "output_image": 1_000}),
    ("openai",    "gpt-image-1.5",        38_960_000, "exact",      {"input": 1_200, "input_image": 320, "output": 1_000, "output_image": 1_000, "images": 1}),
    ("openai",    "gpt-4o",               30_025_000, "exact",      {"input": 10, "web_searches": 3}),
    ("openai",    "gpt-5.1-codex-mini",   2_500,      "incomplete", {"input": 10, "code_executions": 1}),
    ("anthropic", "claude-sonnet-4-5",    38_300_000, "exact",      {"input": 5_000, "cache_read": 500, "cache_write": 1_000, "cache_write_5m": 600, "cache_write_1h": 400, "output": 200, "web_searches": 2}),
    ("anthropic", "claude-sonnet-4-5",    600_000_000, "exact",     {"input": 200_000}),
    ("anthropic", "claude-sonnet-4-5",    1_200_006_000, "exact",   {"input": 200_001}),
    ("anthropic", "claude-sonnet-4-5",    3_000,      "exact",      {"input": 1, "web_fetches": 2}),
    ("anthropic", "claude-2",             16_000,     "incomplete", {"input": 2, "cache_write": 1, "cache_write_1h": 1}),
    ("groq",      "whisper-large-v3-turbo", 111_111,  "exact",      {"input_audio_ms": 1}),
    ("groq",      "whisper-large-v3-turbo", 111_122,  "exact",      {"input_audio_ms": 10_001}),
    ("perplexity", "sonar",               14_000_000, "exact",      {"input": 1_000, "output": 1_000}),
    ("perplexity", "sonar-deep-research", 25_000_000, "exact",      {"input": 1_000, "output": 3_000, "output_citation": 1_000, "reasoning": 1_000, "web_searches": 2}),
    ("gcp.gemini", "gemini-2.5-flash",    2_589_000,  "exact",      {"input": 3_000, "input_audio": 1_000, "input_image": 258, "cache_read": 500, "cache_read_audio": 200, "output": 500, "reasoning": 300}),
    ("gcp.gemini", "gemini-2.5-pro",      1_250_000,  "exact",      {"input": 1_000, "input_audio": 900}),
    ("openrouter", "deepseek/deepseek-r1:free", 0,    "exact",      {"input": 10, "output": 10, "input_audio": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "nano_usd", "quality", "counts"), AMOUNTS)
def test_a_price_is_exact(provider: str, model: str, nano_usd: int, quality: str, counts: dict[str, int]) -> None:
    """Amounts worked out by hand from the providers' pages, to the nano-dollar."""
    cost = price(provider, Answer(Usage(counts), model))
    assert isinstance(cost, Cost)
    assert (cost.nano_usd, cost.quality) == (nano_usd, quality)


IMPOSSIBLE = [
    # usage of gpt-4o (2.5, cached 1.25, output 10)                                       lower bound, nano-USD
    ({"input": 100, "cache_read": 150},                                                   125_000),
    ({"input": 100, "cache_read": -5},                                                    250_000),
    ({"input": -5, "output": 10},                                                         100_000),
    ({"cache_read": 100},                                                                 125_000),
    ({"output": 10, "reasoning": 11},                                                     100_000),
    ({"input": 100, "cache_read": "many"},                                                250_000),
    ({"input": 100.0, "output": 1.5},                                                     250_000),
    ({"input": 100, "bananas": 3},                                                        250_000),
    ({"input": 100, "input_audio": 101},                                                  250_000),
    ({"input": 100, "cache_read_image": -1},                                              250_000),
    ({"input": None, "output": 1},                                                         10_000),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "nano_usd"), IMPOSSIBLE)
def test_usage_that_cannot_be_is_priced_as_a_lower_bound(counts: dict[str, int], nano_usd: int) -> None:
    """Nothing raises; what contradicts itself is cut down, and the amount is marked `incomplete`."""
    cost = price("openai", Answer(Usage(counts), "gpt-4o"))
    assert isinstance(cost, Cost)
    assert (cost.nano_usd, cost.quality) == (nano_usd, "incomplete")


NOTHING = [
    (Answer(None, "gpt-4o"), "no_usage"),
    (Answer(Usage(), "gpt-4o"), "no_usage"),
    (Answer(Usage(input=1), "gpt-4o", pending=True), "no_usage"),
    (Answer(Usage(input=1), "gpt-4o", pending=True, reported_nano_usd=5), "no_usage"),
    (Answer(Usage(images=2), "gpt-4o"), "no_price"),
    (Answer(Usage(input=5), "whisper-1"), "no_price"),
    (Answer(Usage(search_units=5), "gpt-4o"), "no_price"),
    (Answer(Usage(input=1), "gpt-99"), "unknown_model"),
]


@pytest.mark.parametrize(("answer", "reason"), NOTHING)
def test_unknown_is_not_zero(answer: Answer, reason: str) -> None:
    """An answer of which nothing can be priced has no cost, and a reason."""
    unpriced = price("openai", answer)
    assert isinstance(unpriced, Unpriced)
    assert unpriced.reason == reason


def test_a_reported_cost_goes_first_and_the_computed_one_stands_beside_it() -> None:
    cost = price("openai", Answer(Usage(input=1_000), "gpt-4o", reported_nano_usd=2_400_000))
    assert cost == Cost(2_400_000, "reported", "provider", PRICES.version, 2_500_000)


def test_a_reported_cost_needs_neither_price_nor_usage() -> None:
    assert price("openrouter", Answer(None, "x", reported_nano_usd=7)) == Cost(
        7, "reported", "provider", PRICES.version, None
    )


BROKEN_OFF = [
    # reported so far, usage of gpt-4o, cost
    (None, Usage(input=1_000, complete=False), (2_500_000, "estimated", "local")),
    (100, Usage(input=1_000, complete=False), (2_500_000, "estimated", "local")),
    (9_000_000, Usage(input=1_000, complete=False), (9_000_000, "estimated", "provider")),
    (None, Usage(input=1_000, input_audio=5, complete=False), (2_500_000, "incomplete", "local")),
]


@pytest.mark.parametrize(("reported", "usage", "expected"), BROKEN_OFF)
def test_a_stream_cut_short_is_an_estimate(reported: int | None, usage: Usage, expected: tuple[int, str, str]) -> None:
    """A cost that was reported before the end is not the final word: the greater amount stands."""
    cost = price("openai", Answer(usage, "gpt-4o", reported_nano_usd=reported))
    assert isinstance(cost, Cost)
    assert (cost.nano_usd, cost.quality, cost.source) == expected


def test_portions_by_other_models_are_priced_by_their_own_model_and_rounded_once() -> None:
    """Anthropic's advisor: the top-level usage is ignored, but searches that only it reports are not."""
    parts = (
        (None, Usage(input=1_000, output=100)),
        ("claude-opus-4-8", Usage(input=2_000, output=18)),
        (None, Usage(input=1_283, output=10)),
    )
    whole = Usage(input=2_283, output=110, web_searches=1)
    cost = price("anthropic", Answer(whole, "claude-sonnet-4-5", parts=parts))
    sonnet = 1_000 * 3_000 + 100 * 15_000 + 1_283 * 3_000 + 10 * 15_000 + 10_000_000
    assert cost == Cost(sonnet + 2_000 * 5_000 + 18 * 25_000, "exact", "local", PRICES.version)


def test_a_portion_without_a_price_makes_the_sum_incomplete() -> None:
    parts = ((None, Usage(input=1_000)), ("someone-new", Usage(input=1_000)))
    cost = price("openai", Answer(Usage(input=2_000), "gpt-4o", parts=parts))
    assert cost == Cost(2_500_000, "incomplete", "local", PRICES.version)


@pytest.mark.parametrize(
    ("dividend", "rounded"), [(0, 0), (1, 0), (4, 0), (5, 0), (6, 1), (14, 1), (15, 2), (16, 2), (25, 2), (35, 4)]
)
def test_a_tie_is_rounded_to_the_even_number(dividend: int, rounded: int) -> None:
    """Of tenths: 0.5 is 0, 1.5 is 2, 2.5 is 2. The same wherever money is rounded."""
    assert half_even(dividend, 10) == rounded
    assert nano_from_pico(dividend * 100) == rounded


def test_an_explanation_adds_up_to_the_price_and_names_what_is_missing() -> None:
    answer = Answer(Usage(input=1_000, cache_read=200, input_audio=7, output=10), "gpt-4o-audio-preview", tier="flex")
    explained = PRICES.explain("openai", None, None, answer, NOW_S)
    assert isinstance(explained.price, Cost)
    assert half_even(int(sum(step.amount_pico_usd for step in explained.steps)), 1_000) == explained.price.nano_usd
    assert [(step.unit, step.count) for step in explained.steps] == [("input", 1_000), ("output", 10)]
    assert "input_audio = 7 has no price of its own beyond that of its total" in explained.faults
    assert any("service_tier 'flex'" in note for note in explained.notes)


# --- properties ---------------------------------------------------------------------------------------------

RATES: dict[str, int | Fraction] = {
    "input": 3_000_000, "cache_read": 300_000, "cache_write": 3_750_000, "cache_write_1h": 6_000_000,
    "input_audio": 40_000_000, "cache_read_audio": 2_500_000, "output": 15_000_000, "reasoning": Fraction(46_000_001, 3),
    "output_audio": 80_000_000, "web_searches": 10_000_000_000,
}  # fmt: skip


def plan(rates: dict[str, int | Fraction] = RATES, long: dict[str, int] | None = None) -> Plan:
    more = long or {}
    steps: Rates = {
        unit: ((0, rate), *([(200_000, more[unit])] if unit in more else ())) for unit, rate in rates.items()
    }
    return plan_of(steps, quality="exact", version="test")


UNITS = st.sampled_from(sorted(u.UNITS))
ANY_USAGE = st.dictionaries(UNITS, st.integers(-5, 500_000))


@st.composite
def whole_usage(draw: st.DrawFn) -> dict[str, int]:
    """Usage that fits together: disjoint shares and the totals over them."""
    share = st.integers(0, 300_000)
    n = {
        unit: draw(share)
        for unit in ("cache_write_5m", "cache_write_1h", "cache_read_audio", "reasoning", "output_audio")
    }
    n["cache_write"] = n["cache_write_5m"] + n["cache_write_1h"]
    n["cache_read"] = draw(share) + n["cache_read_audio"]
    n["input_audio"] = draw(share) + n["cache_read_audio"]
    n["input"] = draw(share) + n["cache_write"] + n["cache_read"] + n["input_audio"] - n["cache_read_audio"]
    n["output"] = draw(share) + n["reasoning"] + n["output_audio"]
    return n


@given(whole_usage())
def test_no_token_is_charged_twice_or_left_out(counts: dict[str, int]) -> None:
    """The buckets of a bill add up to the totals."""
    steps = {step.unit: step.count for step in careful(plan(), counts).steps}
    inputs = sum(count for unit, count in steps.items() if unit == "input" or "input" in INSIDE.get(unit, ()))
    outputs = sum(count for unit, count in steps.items() if unit == "output" or "output" in INSIDE.get(unit, ()))
    assert (inputs, outputs) == (counts["input"], counts["output"])


@given(whole_usage())
def test_the_sum_is_exact(counts: dict[str, int]) -> None:
    """Whole numbers all the way, also where a rate is none: quick and careful agree, and so do the lines."""
    bill = careful(plan(), counts)
    fast = quick(plan(), counts)
    assert fast == bill.sum or (fast is None and counts["cache_read_audio"] + counts["input_audio"] > 0)
    assert Fraction(bill.sum, plan().divisor) == Fraction(sum(step.amount_pico_usd for step in bill.steps), 1_000)
    assert bill.faults == ()


@settings(max_examples=500)
@given(ANY_USAGE)
def test_any_usage_at_all_is_priced_without_an_exception(counts: dict[str, int]) -> None:
    """Where the quick way has an answer, the careful one has the same; a bill is never negative."""
    bill = careful(plan(), counts)
    assert bill.sum >= 0
    assert all(step.count > 0 for step in bill.steps)
    if (fast := quick(plan(), counts)) is not None:
        assert (fast, bill.faults) == (bill.sum, ())


@given(ANY_USAGE)
def test_a_bill_never_charges_more_tokens_than_were_used(counts: dict[str, int]) -> None:
    """Parts that exceed their total are cut down to it."""
    steps = {step.unit: step.count for step in careful(plan(), counts).steps}
    for total in ("input", "output"):
        if counts.get(total, -1) >= 0:
            charged = sum(count for unit, count in steps.items() if unit == total or total in INSIDE.get(unit, ()))
            assert charged <= counts[total]


@given(whole_usage(), st.sampled_from(["input", "output", "web_searches"]), st.integers(0, 1_000_000))
def test_more_usage_never_costs_less(counts: dict[str, int], unit: str, more: int) -> None:
    long = {unit: int(rate) * 2 for unit, rate in RATES.items()}
    larger = {**counts, unit: counts.get(unit, 0) + more}
    assert careful(plan(long=long), larger).sum >= careful(plan(long=long), counts).sum


@given(whole_usage(), st.sampled_from(["cache_read", "input_image", "input_tool", "output_rejected", "reasoning"]))
def test_a_part_without_a_rate_costs_what_its_total_costs(counts: dict[str, int], part: str) -> None:
    """Telling more about the same tokens does not add to them."""
    plain = plan({"input": 3, "output": 15})
    counts = {"input": counts["input"], "output": counts["output"]}
    told = {**counts, part: min(counts.values())}
    assert quick(plain, told) == quick(plain, counts) == counts["input"] * 3 + counts["output"] * 15


PLAIN = {unit: rate for unit, rate in RATES.items() if "audio" not in unit or unit == "output_audio"}


@given(whole_usage(), st.integers(0, 3_000_000), st.integers(0, 20_000))
def test_usage_that_fits_together_is_priced_the_quick_way(counts: dict[str, int], longer: int, image: int) -> None:
    """Every usage without cached sound: a slow path that is taken too often is a fault as well."""
    counts = {unit: count for unit, count in counts.items() if unit not in {"input_audio", "cache_read_audio"}}
    counts |= {"input": counts["input"] + longer + image, "input_image": image, "input_audio": 0}
    rates = plan(PLAIN, long={"input": 7_000_000, "cache_read": 500_000})
    assert quick(rates, counts) == careful(rates, counts).sum


@given(whole_usage())
def test_an_overlap_nobody_reported_is_placed_for_the_least_sum(counts: dict[str, int]) -> None:
    """Cached sound that was not told apart: no possible overlap makes the bill smaller."""
    known = careful(plan(), counts)
    untold = {unit: count for unit, count in counts.items() if unit != "cache_read_audio"}
    assert careful(plan(), untold).sum <= known.sum


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_a_record_is_rounded_once_half_to_even(dividend: int, divisor: int) -> None:
    assert half_even(dividend, divisor) == round(Fraction(dividend, divisor))
