"""What is said of a call before it is sent: by its words, by the calls before it, and what cannot be said."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import costspan
import measure_before_sending
import recordings
from costspan.calls.estimating import tokens_by_words
from costspan.facts.usage import Usage
from costspan.forecast.history import BOUNDED_FROM, spread
from costspan.ledger.faults import LedgerError
from ledger_calls import at_ns, call, write

TEXT = "Which of these seven invoices is due first, and who has to pay it?"
SAID = {"role": "user", "content": TEXT}
LOOK_UP = {"name": "look_up", "parameters": {"type": "object", "properties": {"number": {"type": "string"}}}}
#: A request as each library takes it, and how much of it is more than the text alone: none, or a description of a tool.
REQUESTS: dict[str, dict[str, Any]] = {
    "chat": {"messages": [SAID]},
    "chat with objects": {"messages": [SimpleNamespace(**SAID)]},
    "responses": {"input": TEXT},
    "responses with a tool": {"input": [SAID], "tools": [{"type": "function", **LOOK_UP}]},
    "messages": {"messages": [SAID], "system": "Be brief."},
    "completions": {"prompt": TEXT},
    "google": {"contents": TEXT},
    "google with config": {"contents": [TEXT], "config": SimpleNamespace(system_instruction="Be brief.", max_output_tokens=50)},
    "google over the wire": {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]},
    "bedrock": {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": [{"text": TEXT}]}]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No history but that of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)


@pytest.mark.parametrize("form", REQUESTS)
def test_the_text_of_every_api_is_counted(form: str) -> None:
    """Whatever the library calls it: its fifteen words and signs, and a little around."""
    request = REQUESTS[form]
    found = costspan.estimate(request, **({} if "modelId" in request else {"model": "gpt-5-mini"}))
    tokens = found.expected.tokens["input"]
    assert 15 <= tokens <= 50
    assert tokens < found.bound.tokens["input"] < 900
    assert found.basis["input"].expected == "words"
    assert "output" not in found.expected.tokens  # no call was made: it is not known, and so no cost is
    assert found.expected.cost_usd is None
    assert found.quality == "default"


def test_words_are_counted_in_every_alphabet() -> None:
    """About what tokenizers of today make of them; a long text is told by its beginning and its end."""
    told = {
        "Hello, world!": (3, 5),
        "Donaudampfschifffahrt": (3, 6),
        "2026-11-30": (5, 6),
        "今天天气很好": (4, 7),
        "": (0, 0),
    }
    assert {text: lowest <= tokens_by_words(text) <= highest for text, (lowest, highest) in told.items()} == dict.fromkeys(told, True)  # fmt: skip
    assert tokens_by_words(TEXT * 10_000) == pytest.approx(10_000 * tokens_by_words(TEXT), rel=0.01)


def history(path: Path, outputs: range, **words: Any) -> None:
    """Calls that came to so many output tokens."""
    write(path, *(call(usage=Usage(input=100, output=count), **words) for count in outputs))


def test_answers_before_tell_how_long_the_next_one_is(tmp_path: Path) -> None:
    """The median, and what 95 of 100 stay below; of the task type where it has enough calls, within the request's limit."""
    ledger = tmp_path / "ledger.db"
    history(ledger, range(101, 141), model="gpt-5-mini", task_type="sort")
    history(ledger, range(1_001, 1_012), model="gpt-5-mini", task_type="write")
    history(ledger, range(9_000, 9_100), model="gpt-5-mini", task_type="sort", outcome="error")
    history(ledger, range(9_000, 9_100), model="gpt-5", task_type="sort")
    write(ledger, call(usage=Usage(input=1, output=7_000), model="gpt-5-mini", client="costspan.item"))
    write(
        ledger, call(usage=Usage({"input": 1, "output": 7_000}, complete=False), model="gpt-5-mini", task_type="sort")
    )

    def told(**words: Any) -> tuple[int, int, int]:
        found = costspan.estimate(ledger=ledger, messages=[SAID], model="gpt-5-mini", **words)
        return found.expected.tokens["output"], found.bound.tokens["output"], found.basis["output"].calls

    assert told(task_type="sort") == (120, 139, 40)
    assert told(task_type="write") == told() == (126, 1_010, 51)  # 11 of its own are too few for a bound
    assert told(task_type="sort", max_completion_tokens=130) == (120, 130, 40)
    assert told(task_type="sort", max_tokens=60, n=2) == (120, 120, 40)  # two answers of 60 at most
    with costspan.attribution(task_type="sort"):
        assert told() == (120, 139, 40)


@pytest.mark.parametrize(("calls", "expected", "bound"), [(4, None, None), (5, 3, None), (BOUNDED_FROM - 1, 9.5, None), (BOUNDED_FROM, 10, 19), (99, 50, 95)])  # fmt: skip
def test_few_calls_tell_nothing(calls: int, expected: float | None, bound: float | None) -> None:
    """No median of four calls; and no bound that one of twenty next ones may pass."""
    assert spread(range(1, calls + 1)) == (expected, bound)


def test_a_cost_is_that_of_the_price_table(tmp_path: Path) -> None:
    """Expected and highest, exact; nothing is 0 because it is not known."""
    ledger = tmp_path / "ledger.db"
    history(ledger, range(200, 240), provider="anthropic", host="api.anthropic.com", model="claude-sonnet-4-5")
    found = costspan.estimate(ledger=ledger, messages=[SAID], model="claude-sonnet-4-5")
    tokens = found.expected.tokens
    assert found.provider == "anthropic"
    assert found.expected.cost_usd == Decimal(tokens["input"] * 3 + tokens["output"] * 15) / 10**6
    assert (found.expected.cost_usd or 0) < (found.bound.cost_usd or 0)
    assert (found.price_quality, found.unpriced) == ("exact", "")
    unknown = costspan.estimate(messages=[SAID], model="my-own", max_tokens=10)
    assert (unknown.provider, unknown.price_quality, unknown.bound.cost_usd) == ("unknown", None, None)
    assert "'my-own'" in unknown.unpriced
    assert unknown.bound.tokens["output"] == 10
    own = costspan.estimate(messages=[SAID], model="my-own", provider="openai")
    assert "my-own" in own.unpriced
    assert dict(own.expected.tokens).keys() == {"input"}  # of a model that nobody knows, there is no limit of output
    assert dict(own.bound.tokens).keys() == {"input"}
    embedded = costspan.estimate(input=TEXT, model="text-embedding-3-small", provider="openai")
    assert (embedded.bound.tokens["output"], embedded.expected.cost_usd is None) == (0, False)


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "a picture of chat": ({"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}, PICTURE]}]}, "1 image"),
    "pictures of messages": ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"data": "x" * 9_000}}] * 2}]}, "2 images"),
    "sound": ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}]}, "1 audio clip"),
    "a picture of Google": ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}]}, "1 image"),
    "a file of Google": ({"contents": [{"parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "x"}}]}]}, "1 file"),
    "a picture of Bedrock": ({"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]}, "1 image"),
    "a former answer": ({"input": TEXT, "previous_response_id": "resp_1"}, "what previous_response_id refers to"),
    "a tool of OpenAI": ({"input": TEXT, "tools": [{"type": "web_search"}]}, "what the provider's tool web_search adds"),
    "a tool of Google": ({"contents": TEXT, "tools": [{"googleSearch": {}}]}, "what the provider's tool googleSearch adds"),
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_no_text_is_named(what: str) -> None:
    """It is in no figure: the expected input is a part, and no amount is called the highest."""
    request, name = LEFT_OUT[what]
    found = costspan.estimate(request, model="gpt-5-mini", max_output_tokens=10)
    assert (found.left_out, found.quality) == ((name,), "incomplete")
    assert found.expected.tokens["input"] < 60
    assert "input" not in found.bound.tokens
    assert found.bound.cost_usd is None


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no prompt": ({"message": [SAID]}, "nothing to estimate: expected one of messages"),
    "no messages": ({"messages": []}, "messages is empty"),
    "a blank prompt": ({"prompt": "  "}, "prompt is empty"),
    "a text for messages": ({"messages": "hi"}, "messages is a text"),
    "a number for messages": ({"messages": 7}, "messages is 7"),
    "a text among messages": ({"messages": [SAID, "hi"]}, r"messages\[1\] is 'hi'"),
    "no model": ({"messages": [SAID], "model": ""}, "no model"),
    "a negative limit": ({"messages": [SAID], "max_tokens": -1}, "max_tokens is -1"),
    "an absurd limit": ({"messages": [SAID], "max_output_tokens": 10**12}, "max_output_tokens is 1000000000000"),
    "no number": ({"messages": [SAID], "max_completion_tokens": float("nan")}, "max_completion_tokens is nan"),
    "a limit of Google": ({"contents": TEXT, "config": {"max_output_tokens": 0}}, "max_output_tokens is 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_request_is_told(mistake: str) -> None:
    """With the place and what was expected."""
    request, message = MISTAKES[mistake]
    with pytest.raises(costspan.EstimateError, match=message):
        costspan.estimate({"model": "gpt-5-mini", **request})


def test_history_is_kept_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that estimates each of its calls does not read the ledger each time; a ledger that is broken tells nothing."""
    ledger = tmp_path / "own.db"
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(ledger))
    ledger.write_text("no ledger")
    request = {"messages": [SAID], "model": f"gpt-5-{at_ns('2026-11-30')}"}
    assert costspan.estimate(request).basis["output"].calls == 0
    with pytest.raises(LedgerError):
        costspan.estimate(request, ledger=ledger)
    ledger.unlink()
    history(ledger, range(1, 31), model=request["model"])
    assert costspan.estimate(request).basis["output"].calls == 0
    monkeypatch.setattr("costspan.estimating.KEPT_S", 0.0)
    assert costspan.estimate(request).basis["output"].calls == 30


@pytest.mark.skipif(not recordings.CORPUS.is_dir(), reason="no recorded traffic")
def test_recorded_calls_are_met() -> None:
    """The figures of docs/estimates.md hold, with room for a recording or two."""
    every = measure_before_sending.judged()
    told = {row[0]: row for row in measure_before_sending.rows([each for each in every if not each.estimate.left_out])}
    assert float(told["input, learned"][2].rstrip("%")) < 10
    assert float(told["input, learned"][5].rstrip("%")) > 97
    assert float(told["input, words"][2].rstrip("%")) < 21
    assert float(told["input, words"][5].rstrip("%")) >= 95
    assert float(told["output, learned"][5].rstrip("%")) > 95
