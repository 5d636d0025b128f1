"""What a usage object says beside the plain counts: read where it is known, named where it is not, never passed over."""

from __future__ import annotations

from typing import Any

import pytest

import ways
from answers import chat_chunks, completion, events, message, message_events, response, whole
from comparing import compared
from costspan.clients import anthropic_body, openai_body
from costspan.facts.call import Answer, Call
from provider import Provider

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_WAYS = pytest.mark.parametrize("way", ["whole", "read along by read", "stream"])

P, C, T = "prompt_tokens", "completion_tokens", "total_tokens"
PD, CD = "prompt_tokens_details", "completion_tokens_details"
GEMINI = "gemini-3-flash"

# fmt: off
CHAT: list[tuple[str, dict[str, Any], dict[str, int], tuple[str, ...]]] = [
    # model    usage                                                                   counts other than 0                                  not understood
    ("m", {P: 40, C: 9, T: 49},                                                        {"input": 40, "output": 9},                           ()),
    # totals that prove the reading
    (GEMINI, {P: 40, C: 9, T: 449},                                                    {"input": 40, "output": 409},                         ()),
    ("models/gemini-3-pro", {P: 40, C: 0, T: 100},                                     {"input": 40, "output": 60},                          ()),
    (GEMINI, {P: 40, C: 9, T: 49, CD: {"reasoning_tokens": 30}},                       {"input": 40, "output": 39, "reasoning": 30},         ()),
    ("m", {P: 40, C: 9, T: 449},                                                       {"input": 40, "output": 9},                           (T,)),
    ("m", {P: 40, C: 9, T: 30},                                                        {"input": 40, "output": 9},                           (T,)),
    ("m", {P: 40, C: 9, T: 79, CD: {"reasoning_tokens": 30}},                          {"input": 40, "output": 39, "reasoning": 30},         ()),
    ("m", {P: 40, C: 9, CD: {"reasoning_tokens": 30}},                                 {"input": 40, "output": 39, "reasoning": 30},         ()),
    ("m", {P: 40, C: 90, T: 130, CD: {"reasoning_tokens": 95}},                        {"input": 40, "output": 90, "reasoning": 95},         ("reasoning",)),
    ("m", {P: 5, C: 9, T: 389, PD: {"audio_tokens": 375}, "prompt_audio_seconds": 30}, {"input": 380, "output": 9, "input_audio": 375, "input_audio_ms": 30_000}, ()),
    ("m", {P: 5, C: 9, T: 419, PD: {"audio_tokens": 375}, CD: {"reasoning_tokens": 30}}, {"input": 380, "output": 39, "input_audio": 375, "reasoning": 30}, ()),
    ("m", {P: 5, C: 9, T: 2014, "cache_read_input_tokens": 2000},                      {"input": 2005, "output": 9, "cache_read": 2000},     ()),
    ("m", {P: 5, C: 9, T: 14, "cache_read_input_tokens": 2000},                        {"input": 5, "output": 9, "cache_read": 2000},        ("cache_read",)),
    ("m", {P: 40, T: 49},                                                              {"input": 40, "output": 9},                           ()),
    ("m", {C: 9, T: 49},                                                               {"input": 40, "output": 9},                           ()),
    # cache counts in a gateway's words
    ("m", {P: 90, C: 9, T: 99, PD: {"cached_tokens": 0}, "cache_read_input_tokens": 80},  {"input": 90, "output": 9, "cache_read": 80},      ()),
    ("m", {P: 90, C: 9, T: 99, "cache_creation_input_tokens": 80, PD: {"cached_tokens": 0}}, {"input": 90, "output": 9, "cache_write": 80},   ()),
    ("m", {P: 90, C: 9, PD: {"cached_tokens": 20, "cache_creation_tokens": 60}},       {"input": 90, "output": 9, "cache_read": 20, "cache_write": 60}, ()),
    ("m", {P: 90, C: 9, "cache_creation": {"ephemeral_1h_input_tokens": 60, "ephemeral_5m_input_tokens": 0}}, {"input": 90, "output": 9, "cache_write": 60, "cache_write_1h": 60}, ()),
    ("m", {P: 90, C: 9, PD: {"cache_creation_tokens": 80, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 60}}}, {"input": 90, "output": 9, "cache_write": 80, "cache_write_1h": 80}, ("cache_creation",)),
    ("m", {P: 90, C: 9, "cache_creation": {"ephemeral_24h_input_tokens": 60}},         {"input": 90, "output": 9},                           ("cache_creation.ephemeral_24h_input_tokens",)),
    ("m", {P: 90, C: 9, "cache_write_tokens_details": {"ttl_12h_tokens": 60}},         {"input": 90, "output": 9, "cache_write": 60, "cache_write_12h": 60}, ()),
    ("m", {P: 90, C: 9, "num_cached_tokens": 64},                                      {"input": 90, "output": 9, "cache_read": 64},         ()),
    ("m", {P: 90, C: 9, "num_cached_tokens": 64, PD: {"cached_tokens": 32}},           {"input": 90, "output": 9, "cache_read": 64},         (f"{PD}.cached_tokens",)),
    ("m", {P: 90, C: 9, "input_tokens": 0, "output_tokens": 0},                        {"input": 90, "output": 9},                           ()),
    # what nobody knows
    ("m", {P: 90, C: 9, "hologram_tokens": 64},                                        {"input": 90, "output": 9},                           ("hologram_tokens",)),
    ("m", {P: 90, C: 9, "hologram_tokens": 0, "note": "12 of them", "is_fast": True},  {"input": 90, "output": 9},                           ()),
    ("m", {P: 90, C: 9, PD: {"hologram_tokens": 64}},                                  {"input": 90, "output": 9},                           (f"{PD}.hologram_tokens",)),
    ("m", {P: 90, C: 9, "grounding": {"calls": [{"number": 2}]}},                      {"input": 90, "output": 9},                           ("grounding.calls.number",)),
    ("m", {P: 90, C: 9, "my key sk-1234": 64},                                         {"input": 90, "output": 9},                           ("other",)),
    ("m", {P: 90, C: 9, "compute_seconds": 0.5, "audio_time": 3},                      {"input": 90, "output": 9},                           ("compute_seconds", "audio_time")),
    ("m", {P: 90, C: 9, PD: [{"modality": "AUDIO", "tokens": 5}]},                     {"input": 90, "output": 9},                           (f"{PD}.tokens",)),
    # what costs nothing of its own
    ("m", {P: 90, C: 9, "queue_time": 0.01, "ttft_ms": 95.6, "tokens_per_second": 118.0, "market_cost": 0.1, "num_sources_used": 0}, {"input": 90, "output": 9}, ()),
    ("m", {P: 90, C: 9, "num_sources_used": 3}, {"input": 90, "output": 9}, ("num_sources_used",)),
    ("m", {P: 90, C: 9, "num_sources_used": 3, "cost": 0.1}, {"input": 90, "output": 9}, ()),
    ("m", {P: 90, C: 9, PD: {"text_tokens": 90}, CD: {"accepted_prediction_tokens": 4}, "prompt_cache_miss_tokens": 90}, {"input": 90, "output": 9}, ()),
    # what is no count, or none that can be
    ("m", {P: 90, C: 2**63},                                                           {"input": 90},                                        (C,)),
    ("m", {P: 90, C: 1e300, T: 2**70},                                                 {"input": 90},                                        (C, T)),
    ("m", {P: 90, C: 9, PD: {"cached_tokens": 2**40}},                                 {"input": 90, "output": 9},                           (f"{PD}.cached_tokens",)),
    ("m", {P: 90, C: 9, "cost": 1e308},                                                {"input": 90, "output": 9},                           ("cost",)),
    ("m", {P: 90, C: 9, "cost": "1e999980"},                                           {"input": 90, "output": 9},                           ("cost",)),
    ("m", {P: 90, C: 9, "cost_in_usd_ticks": 2**70},                                   {"input": 90, "output": 9},                           ("cost_in_usd_ticks",)),
    ("m", {P: 90, C: 9, "cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": 1e300}}, {"input": 90, "output": 9},        ("cost_details.upstream_inference_cost",)),
]
# fmt: on


def counts_of(answer: Answer | Call) -> dict[str, int]:
    usage = answer.usage
    return {unit: count for unit, count in usage if count} if usage is not None else {}


def quality(call: Call) -> str | None:
    return getattr(call.price, "quality", None)


@_MODES
@_WAYS
@pytest.mark.parametrize(
    ("model", "usage", "counts", "unread"), CHAT, ids=[f"{number}" for number, _ in enumerate(CHAT)]
)
def test_a_usage_is_read_to_its_end(
    model: str, usage: Any, counts: dict[str, int], unread: tuple[str, ...], way: str, provider: Provider, mode: str
) -> None:
    """Every number in a usage is counted, known to cost nothing, or named; in every way of calling alike."""

    def prepare(provider: Provider) -> None:
        *chunks, last, done = chat_chunks(model, usage=None)
        stream = events([*chunks, {**last, "usage": usage}, done])
        provider.replies.append(stream if way == "stream" else whole(completion(usage=usage, model=model)))

    call = compared(ways.READ_TO_THE_END[way], "chat", provider, mode, prepare=prepare)
    complete = {} if call.usage is None or call.usage.complete else {"output": call.usage.get("output")}
    assert (counts_of(call), call.answer.unread) == ({**counts, **complete}, unread)


@_MODES
def test_usage_in_a_choice_is_found(provider: Provider, mode: str) -> None:
    """Moonshot reports the usage of a stream within the choice of its last event."""

    def prepare(provider: Provider) -> None:
        *chunks, done = chat_chunks(usage=None)
        chunks[-1]["choices"][0]["usage"] = {P: 70, C: 8, T: 78}
        provider.replies.append(events([*chunks, done]))

    call = compared(ways.READ_TO_THE_END["stream"], "chat", provider, mode, prepare=prepare)
    assert call.usage is not None
    assert (counts_of(call), call.usage.complete) == ({"input": 70, "output": 8}, True)


USED = {"input_tokens": 40, "output_tokens": 9, T: 49}
SEARCH, OPEN = {"type": "search", "query": "x"}, {"type": "open_page", "url": "https://example.com"}


def _search(action: Any) -> dict[str, Any]:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    return item if action is None else {**item, "action": action}


def _code(container: str) -> dict[str, Any]:
    item = {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "outputs": None}
    return {**item, "container_id": container}


DRAWN = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}
RESPONSES: list[tuple[list[Any], Any, dict[str, int], tuple[str, ...]]] = [
    # items of the output                                          tool_usage                               counted beside the tokens  not understood
    ([_search(SEARCH), _search(OPEN), _search(SEARCH)],            None,                                    {"web_searches": 2},       ()),
    ([{**_search(SEARCH), "ranking": "fresh"}] * 3,                 None,                                    {"web_searches": 3},       ()),
    ([_search(OPEN), _search({"type": "find_in_page"})],           None,                                    {},                        ()),
    ([_search(OPEN), _search({"type": "dream"})],                  None,                                    {},                        ("web_search_call.action",)),
    ([_search({"type": "dream"})],                                 {"web_search": {"num_requests": 0}},     {},                        ()),
    ([],                                                           {"hologram": {"num_requests": 4}},       {},                        ("tool_usage.hologram.num_requests",)),
    ([_search(None)],                                              None,                                    {"web_searches": 1},       ()),
    ([_search(SEARCH)],                                            {"web_search": {"num_requests": 4}},     {"web_searches": 4},       ()),
    ([_search(SEARCH)],                                            {"web_search": {"num_requests": 2**70}}, {"web_searches": 1}, ("tool_usage.web_search.num_requests",)),
    ([{**_search(SEARCH), "status": "failed"}],                    None,                                    {"web_searches": 1},       ("web_search_call.status",)),
    ([{**_search(SEARCH), "status": "failed"}],                    {"web_search": {"num_requests": 1}},     {"web_searches": 1},       ()),
    ([_code("a"), _code("a"), _code("b")],                         None,                                    {"code_executions": 2},    ()),
    ([DRAWN],                                                      None,                                    {},                        ("tool_usage.image_gen",)),
    ([DRAWN],                                                      {"image_gen": {"input_tokens": 5, "output_tokens": 6, T: 11}}, {},  ()),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(
    ("items", "used", "counts", "unread"), RESPONSES, ids=[f"{number}" for number, _ in enumerate(RESPONSES)]
)
def test_an_item_is_counted_by_what_it_did(
    items: list[Any], used: Any, counts: dict[str, int], unread: tuple[str, ...], provider: Provider, mode: str
) -> None:
    """A search tool opens pages without charge, a container serves many runs, a drawn picture is never free."""

    def prepare(provider: Provider) -> None:
        more = {} if used is None else {"tool_usage": used}
        provider.replies.append(whole(response(output=items, usage=USED, **more)))

    call = compared(ways.READ_TO_THE_END["whole"], "responses", provider, mode, prepare=prepare)
    assert (counts_of(call), call.answer.unread) == ({"input": 40, "output": 9, **counts}, unread)


MILLION = {"usage": {T: 12}}
EMBEDDED: list[tuple[Any, dict[str, int] | None, tuple[str, ...]]] = [
    ({T: 12},                              {"input": 12}, ()),
    ({P: 12, T: 12},                       {"input": 12}, ()),
    ({P: 12, T: 15},                       {"input": 12}, (T,)),
    ({T: 12, "image_pixels": 2_000_000},   {"input": 12}, ("image_pixels",)),
    ({},                                   None,          ()),
    ({"hologram_tokens": 3},               None,          ("hologram_tokens",)),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "counts", "unread"), EMBEDDED)
def test_a_total_alone_is_the_input_of_embeddings(
    usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]
) -> None:
    """Voyage reports nothing but the total."""
    answer = openai_body.embeddings({"object": "list", "model": "voyage-4", "data": [], "usage": usage})
    assert answer is not None
    assert (answer.usage is None) == (counts is None)
    assert (counts_of(answer), answer.unread) == (counts or {}, unread)


# --- Anthropic ------------------------------------------------------------------------------------------------

IN, OUT = "input_tokens", "output_tokens"
W, R = "cache_creation_input_tokens", "cache_read_input_tokens"
M5, H1 = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"


def _hop(kind: str, model: str, **counts: int) -> dict[str, Any]:
    return {"type": kind, "model": model, W: 0, R: 0, **counts}


MESSAGES: list[tuple[str, dict[str, Any], dict[str, int], tuple[str, ...]]] = [
    # stop        usage                                                                 counts other than 0                                not understood
    ("end_turn", {IN: 30, OUT: 9, "hologram_tokens": 4},                                   {"input": 30, "output": 9},                        ("hologram_tokens",)),
    ("end_turn", {IN: 30, OUT: 9, "server_tool_use": {"hologram_requests": 4}},            {"input": 30, "output": 9},                        ("server_tool_use.hologram_requests",)),
    ("end_turn", {IN: 2**63, OUT: 9},                                                      {"output": 9},                                     (IN,)),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 50, H1: 0}},               {"input": 80, "output": 9, "cache_write": 50, "cache_write_5m": 50}, ()),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 20, H1: 0}},               {"input": 80, "output": 9, "cache_write": 50, "cache_write_5m": 20}, ()),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 0, H1: 20}},               {"input": 80, "output": 9, "cache_write": 50, "cache_write_1h": 50}, ("cache_creation",)),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 10, H1: 20}},              {"input": 80, "output": 9, "cache_write": 50, "cache_write_5m": 10, "cache_write_1h": 20}, ("cache_creation",)),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 0, H1: 70}},               {"input": 80, "output": 9, "cache_write": 50, "cache_write_1h": 70}, ("cache_creation",)),
    ("end_turn", {IN: 30, OUT: 9, W: 50, "cache_creation": {M5: 0, H1: 0}},                {"input": 80, "output": 9, "cache_write": 50},     ("cache_creation",)),
    ("refusal",  {IN: 30, OUT: 0, R: 400, W: 0},                                           {},                                                ()),
    ("refusal",  {IN: 30, OUT: 0, "server_tool_use": {"web_search_requests": 2}},          {"web_searches": 2},                               ()),
    ("refusal",  {IN: 30, OUT: 9},                                                         {"input": 30, "output": 9},                        ("stop_reason",)),
    ("end_turn", {IN: 30, OUT: 0},                                                         {"input": 30},                                     ()),
    ("end_turn", {IN: 20, OUT: 9, "iterations": [_hop("message", "a", input_tokens=30, output_tokens=0), _hop("fallback_message", "b", input_tokens=20, output_tokens=9)]}, {"input": 20, "output": 9}, ()),
    ("end_turn", {IN: 20, OUT: 9, "iterations": [_hop("message", "a", input_tokens=30, output_tokens=4), _hop("fallback_message", "b", input_tokens=20, output_tokens=9)]}, {"input": 50, "output": 13}, ()),
    ("refusal",  {IN: 20, OUT: 0, "iterations": [_hop("message", "a", input_tokens=30, output_tokens=0), _hop("message", "b", input_tokens=20, output_tokens=0)]}, {}, ()),
    ("end_turn", {IN: 20, OUT: 9, W: 50, "iterations": [{**_hop("fallback_message", "b", input_tokens=20, output_tokens=9), W: 50}]}, {"input": 70, "output": 9, "cache_write": 50}, ("fallback_credit",)),
    ("end_turn", {IN: 30, OUT: 9, "fallback_credit": {"status": {"type": "redeemed"}}},    {"input": 30, "output": 9},                        ("fallback_credit",)),
    ("end_turn", {IN: 30, OUT: 9, "fallback_credit": {"status": {"type": "not_applied", "reason": "expired"}}}, {"input": 30, "output": 9},   ()),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize("way", ["whole", "read along by read"])
@pytest.mark.parametrize(
    ("stop", "usage", "counts", "unread"), MESSAGES, ids=[f"{number}" for number, _ in enumerate(MESSAGES)]
)
def test_a_message_is_charged_for_what_is_billed(
    stop: str, usage: Any, counts: dict[str, int], unread: tuple[str, ...], way: str, provider: Provider, mode: str
) -> None:
    """What is refused before any output is not billed; what cannot be told apart is a lower or an upper bound, named."""

    def prepare(provider: Provider) -> None:
        body = message(stop_reason=stop, usage=usage)
        provider.replies.append(whole({**body, "content": []} if stop == "refusal" else body))

    call = compared(ways.READ_TO_THE_END[way], "beta messages", provider, mode, prepare=prepare)
    assert (counts_of(call), call.answer.unread) == (counts, unread)


STREAMS: list[tuple[dict[str, Any], str, dict[str, Any], dict[str, int], tuple[str, ...]]] = [
    # first event's usage                                       stop        last event's usage                 counts other than 0                               not understood
    ({IN: 3, OUT: 1, W: 20, "cache_creation": {M5: 0, H1: 20}},    "end_turn", {IN: 3, OUT: 9, W: 50, R: 40},        {"input": 93, "output": 9, "cache_read": 40, "cache_write": 50, "cache_write_1h": 50}, ("cache_creation",)),
    ({IN: 3, OUT: 1, W: 20, "cache_creation": {M5: 20, H1: 0}},    "end_turn", {IN: 3, OUT: 9, W: 50, R: 40},        {"input": 93, "output": 9, "cache_read": 40, "cache_write": 50, "cache_write_5m": 20}, ()),
    ({IN: 3, OUT: 1, W: 20, "cache_creation": {M5: 0, H1: 20}},    "end_turn", {OUT: 9},                            {"input": 23, "output": 9, "cache_write": 20, "cache_write_1h": 20}, ()),
    ({IN: 3, OUT: 1, W: 0, "cache_creation": {M5: 0, H1: 0}},      "end_turn", {IN: 3, OUT: 9, W: 50},              {"input": 53, "output": 9, "cache_write": 50},    ("cache_creation",)),
    # a form that the server has not filled in
    ({IN: 30, OUT: 1},                                             "end_turn", {IN: 0, OUT: 9},                     {"input": 30, "output": 9},                       ("usage",)),
    ({IN: 3, OUT: 1, R: 40},                                       "end_turn", {IN: 0, OUT: 9, R: 0, W: 0},         {"input": 43, "output": 9, "cache_read": 40},     ("usage",)),
    ({IN: 0, OUT: 0},                                              "end_turn", {IN: 30, OUT: 9},                    {"input": 30, "output": 9},                       ()),
    ({IN: 30, OUT: 1},                                             "refusal",  {IN: 30, OUT: 0},                     {},                                               ()),
    ({IN: 30, OUT: 1},                                             "refusal",  {OUT: 0},                            {},                                               ()),
    ({IN: 30, OUT: 1},                                             "refusal",  {OUT: 12},                           {"input": 30, "output": 12},                      ()),
    ({IN: 30, OUT: 1, "hologram_tokens": 4},                       "end_turn", {OUT: 12},                           {"input": 30, "output": 12},                      ("hologram_tokens",)),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(
    ("first", "stop", "last", "counts", "unread"), STREAMS, ids=[f"{number}" for number, _ in enumerate(STREAMS)]
)
def test_the_last_event_of_a_message_may_say_more_than_the_first(
    first: Any, stop: str, last: Any, counts: dict[str, int], unread: tuple[str, ...], provider: Provider, mode: str
) -> None:
    """A total that grew beyond its split is not charged as the cheapest kind in silence."""

    def prepare(provider: Provider) -> None:
        said = message_events()
        said[0]["message"]["usage"] = first
        said[-2].update(delta={"stop_reason": stop, "stop_sequence": None}, usage=last)
        provider.replies.append(events(said, named=True))

    call = compared(ways.READ_TO_THE_END["stream"], "messages", provider, mode, prepare=prepare)
    assert (counts_of(call), call.answer.unread) == (counts, unread)
    if unread:
        assert quality(call) in {None, "incomplete"}


@_MODES
@pytest.mark.parametrize("way", ["stream", "stream along by iter_bytes"])
def test_a_message_without_its_last_usage_is_an_estimate(way: str, provider: Provider, mode: str) -> None:
    """The first event knows one token of the output: without a later total the text that was shown tells it."""

    def prepare(provider: Provider) -> None:
        said = message_events()
        said[-2]["usage"] = None
        provider.replies.append(events(said, named=True))

    call = compared(ways.READ_TO_THE_END[way], "messages", provider, mode, prepare=prepare)
    assert call.usage is not None
    assert call.usage.get("output") > 1
    assert quality(call) in {None, "estimated"}
    assert not call.usage.complete


@_MODES
def test_a_last_usage_of_zeros_takes_nothing_back(provider: Provider, mode: str) -> None:
    """Totals that were reported stay, and are a lower bound, where the last event has them all as 0."""

    def prepare(provider: Provider) -> None:
        *chunks, last, done = chat_chunks(usage=None)
        zeros = {P: 0, C: 0, T: 0}
        provider.replies.append(
            events([*chunks, {**last, "usage": {P: 70, C: 8, T: 78}}, {**last, "usage": zeros}, done])
        )

    call = compared(ways.READ_TO_THE_END["stream"], "chat", provider, mode, prepare=prepare)
    assert (counts_of(call), call.answer.unread) == ({"input": 70, "output": 8}, ("usage",))


def test_readers_answer_for_whatever_they_are_given() -> None:
    """A reader never raises, whatever stands where the usage should."""
    for odd in (None, 0, 7, "x", [], [1], {}, {"a": {"b": {"c": {"d": {"e": 1}}}}}, {str(n): n for n in range(1_000)}):
        for read in (openai_body.chat, openai_body.responses, openai_body.embeddings, openai_body.images):
            read({"usage": odd, "choices": odd, "output": odd, "tool_usage": odd, "data": odd})
        anthropic_body.message({"type": "message", "usage": odd, "content": odd})
        anthropic_body.message(
            {"type": "message", "usage": {"input_tokens": 1, "iterations": odd, "cache_creation": odd}}
        )
