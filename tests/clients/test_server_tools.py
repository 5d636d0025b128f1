"""Tools that a server runs by itself, which are charged beside the tokens and which no usage counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ways
from answers import CUT, chat_chunks, completion, events, response, whole
from caller import KINDS, Caller
from costspan.clients import openai_body, server_tools
from costspan.facts.call import Call
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
KIMI = "kimi-k2-0905-preview"
FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {}}}


def search(index: int = 0) -> dict[str, Any]:
    """A call of Moonshot's own search."""
    return {
        "index": index,
        "id": f"c{index}",
        "type": "builtin_function",
        "function": {"name": "$web_search", "arguments": "{}"},
    }


def own(index: int = 0) -> dict[str, Any]:
    """A call of a tool of the user's own."""
    return {**search(index), "type": "function", "function": {"name": "web_search", "arguments": "{}"}}


EXECUTED = [{"index": 0, "type": "browser_search", "arguments": "{}", "output": "x"}]
FOUND = [{"title": "x", "link": "y", "refer": "ref_1"}]
# A message, what stands beside the choices; who sells; the model, the tool that was asked for; what is made of it.
SAID: list[tuple[str, dict[str, Any], dict[str, Any], str, str, dict[str, Any], int | None, str, tuple[str, ...]]] = [
    ("a search",      {"tool_calls": [search()]},            {}, "moonshot_ai", KIMI, {"type": "builtin_function"}, 1, "exact", ()),
    ("two searches",  {"tool_calls": [search(), search(1)]}, {}, "moonshot_ai", KIMI, {"type": "builtin_function"}, 2, "exact", ()),
    ("own and theirs", {"tool_calls": [own(), search(1)]},   {}, "moonshot_ai", KIMI, {"type": "builtin_function"}, 1, "exact", ()),
    ("own tool",      {"tool_calls": [own()]},               {}, "moonshot_ai", KIMI, FUNCTION, None, "exact", ()),
    ("elsewhere",     {"tool_calls": [search()]},            {}, "zai", "glm-4.6", {"type": "builtin_function"}, 1, "incomplete", ()),  # it has no price in the table
    ("executed",      {"executed_tools": EXECUTED},          {}, "groq", "openai/gpt-oss-120b", {"type": "browser_search"}, None, "incomplete", ("executed_tools",)),
    ("none executed", {"executed_tools": []},                {}, "groq", "openai/gpt-oss-120b", {"type": "browser_search"}, None, "exact", ()),
    ("null executed", {"executed_tools": None},              {}, "groq", "openai/gpt-oss-120b", {"type": "browser_search"}, None, "exact", ()),
    ("found",         {},              {"web_search": FOUND},  "zai", "glm-4.6", {"type": "web_search"}, None, "incomplete", ("web_search",)),
    ("found nothing", {},              {"web_search": []},     "zai", "glm-4.6", {"type": "web_search"}, None, "exact", ()),
]  # fmt: skip
LISTED = {KIMI: 850_000, "openai/gpt-oss-120b": 210_000, "glm-4.6": 820_000}  # nano-USD: the tokens alone
IDS = [row[0] for row in SAID]


def _call(provider: Provider, way: Callable[[Caller], Any], seller: str, arguments: dict[str, Any], mode: str) -> Call:
    kind = KINDS["chat"]
    asking = kind._replace(arguments={**kind.arguments, **arguments})
    with Watched(hosts=f"127.0.0.1={seller}") as watched:
        Caller(asking, provider.url, mode).run(way)
        return watched.call()


@pytest.mark.parametrize(
    ("message", "beside", "seller", "model", "tool", "searches", "quality", "unread"),
    [row[1:] for row in SAID],
    ids=IDS,
)
def test_a_tool_that_the_server_ran_is_counted_or_named(
    message: dict[str, Any], beside: dict[str, Any], seller: str, model: str, tool: dict[str, Any],
    searches: int | None, quality: str, unread: tuple[str, ...], provider: Provider,
) -> None:  # fmt: skip
    """In a whole answer, and in a long stream where a single event in its middle tells of it."""
    said = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    provider.replies.append(whole(completion(model=model, usage=USAGE, choices=[choice], **beside)))
    first, *chunks, finish, last, done = chat_chunks(model, usage=USAGE)
    told = {**first, "choices": [{"index": 0, "delta": message, "finish_reason": None}], **beside}
    provider.replies.append(events([first, *chunks * 4, told, *chunks * 8, finish, last, done]))
    provider.replies.append(events([first, *chunks * 4, told, *chunks * 8, finish, last, done]))
    arguments = {"model": model, "tools": [tool]}
    for way, mode in ((ways.whole, "sync"), (ways.to_the_end, "sync"), (ways.stream_along("iter_bytes"), "async")):
        call = _call(provider, way, seller, arguments, mode)
        assert call.usage is not None
        assert call.usage.counts.get("web_searches") == searches
        assert isinstance(call.price, Cost)
        assert (call.answer.unread, call.price.quality) == (unread, quality)
        fee = 5_000_000 * (searches or 0) if seller == "moonshot_ai" else 0
        assert call.price.nano_usd == LISTED[model] + fee


def test_searches_that_a_stream_tells_of_one_by_one_are_a_lower_bound(provider: Provider) -> None:
    """Each comes in an event of its own; one is counted, and it is told that there are more."""
    first, *chunks, last, done = chat_chunks(KIMI, usage=USAGE)
    told = [
        {**first, "choices": [{"index": 0, "delta": {"tool_calls": [search(n)]}, "finish_reason": None}]}
        for n in (0, 1)
    ]
    provider.replies.append(events([first, *told, *chunks * 8, last, done]))
    call = _call(
        provider,
        ways.to_the_end,
        "moonshot_ai",
        {"model": KIMI, "tools": [{"type": "builtin_function"}]},
        "sync",
    )
    assert isinstance(call.price, Cost)
    assert (call.answer.unread, call.price.quality) == (("tool_calls.web_search",), "incomplete")


@pytest.mark.parametrize("place", ["extra_body", "both"])
def test_what_is_asked_beside_the_declared_arguments_is_read(place: str, provider: Provider) -> None:
    """`extra_body` is sent in the body, and wins over an argument of that name: tools, and the model that is charged."""
    first, *chunks, last, done = chat_chunks(KIMI, usage=USAGE)
    told = {**first, "choices": [{"index": 0, "delta": {"tool_calls": [search()]}, "finish_reason": None}]}
    provider.replies.append(events([first, *chunks * 4, told, *chunks * 8, last, done]))
    beside = {"model": KIMI, "tools": [{"type": "builtin_function"}]}
    declared = {"model": "another", "tools": [FUNCTION]} if place == "both" else {"model": "another"}
    call = _call(provider, ways.to_the_end, "moonshot_ai", {**declared, "extra_body": beside}, "sync")
    assert provider.asked[-1].body["model"] == call.request_model == KIMI
    assert provider.asked[-1].body["tools"] == beside["tools"]
    assert provider.asked[-1].body["stream_options"] == {"include_usage": True}
    assert call.usage is not None
    assert call.usage.counts["web_searches"] == 1
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == LISTED[KIMI] + 5_000_000


def _spent(model: str, of_input: int, output: int) -> dict[str, Any]:
    usage = {"prompt_tokens": of_input, "completion_tokens": output, "total_tokens": of_input + output}
    return {"model": model, "usage": usage}


_ASKED_TWO = [_spent("openai/gpt-oss-120b", 600, 200), _spent("llama-3.1-8b-instant", 400, 100)]
BROKEN_DOWN = [
    ("all of it", {"models": _ASKED_TWO}, "exact", ()),
    ("a part of it", {"models": _ASKED_TWO[:1]}, "incomplete", ("usage_breakdown",)),
    ("more than it", {"models": [*_ASKED_TWO, _spent("openai/gpt-oss-20b", 0, 1)]}, "incomplete", ("usage_breakdown",)),
]


@pytest.mark.parametrize(
    ("said", "quality", "unread"), [row[1:] for row in BROKEN_DOWN], ids=[row[0] for row in BROKEN_DOWN]
)
def test_each_model_of_a_compound_answer_has_its_own_price(
    said: dict[str, Any], quality: str, unread: tuple[str, ...], provider: Provider
) -> None:
    """Groq's systems have no price of their own: whole, and in the last event of a stream."""
    usage = _spent("", 1_000, 300)["usage"]
    provider.replies.append(whole(completion(model="groq/compound", usage=usage, usage_breakdown=said)))
    first, *chunks, last, done = chat_chunks("groq/compound", usage=None)
    provider.replies.append(
        events([first, *chunks * 8, {**last, "x_groq": {"usage": usage, "usage_breakdown": said}}, done])
    )
    rates = {"openai/gpt-oss-120b": (150, 600), "llama-3.1-8b-instant": (50, 80), "openai/gpt-oss-20b": (75, 300)}
    for way in (ways.whole, ways.to_the_end):
        call = _call(provider, way, "groq", {"model": "groq/compound"}, "sync")
        assert call.usage is not None
        assert (call.usage.get("input"), call.usage.get("output")) == (1_000, 300)
        assert isinstance(call.price, Cost)
        assert (call.price.quality, call.answer.unread) == (quality, unread)
        assert call.price.nano_usd == sum(
            each["usage"]["prompt_tokens"] * rates[each["model"]][0]
            + each["usage"]["completion_tokens"] * rates[each["model"]][1]
            for each in said["models"]
        )


@pytest.mark.parametrize("odd", [7, [], {"models": 7}, {"models": [7]}, {"models": [{"model": "m", "usage": 7}]}, None])
def test_a_breakdown_that_is_not_understood_is_named(odd: Any) -> None:
    """Unless it is empty."""
    answer = openai_body.chat(completion(model="groq/compound", usage=USAGE, usage_breakdown=odd))
    assert answer is not None
    assert answer.parts == ()
    assert ("usage_breakdown" in answer.unread) == bool(odd)


def test_a_stream_that_breaks_off_after_a_search_has_the_search_and_an_estimate(provider: Provider) -> None:
    """The search alone is no usage of the model."""
    first, *chunks, _, _ = chat_chunks(KIMI, usage=USAGE)
    told = {**first, "choices": [{"index": 0, "delta": {"tool_calls": [search()]}, "finish_reason": None}]}
    provider.replies.append(events([first, told, *chunks * 8, CUT]))
    arguments = {"model": KIMI, "tools": [{"type": "builtin_function"}]}
    call = _call(provider, ways.to_the_end, "moonshot_ai", arguments, "sync")
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.get("web_searches") == 1
    assert call.usage.get("input") > 0
    assert call.usage.get("output") > 0


CONTAINER = {"type": "container_reference", "container_id": "cntr_1"}


RUN: list[tuple[list[tuple[str, dict[str, Any]]], int | None]] = [
    ([("shell_call", {"environment": CONTAINER})], 1),
    ([("shell_call", {"environment": CONTAINER}), ("shell_call", {"environment": CONTAINER})], 1),
    ([("shell_call", {"environment": CONTAINER}), ("code_interpreter_call", {"container_id": "cntr_1"})], 1),
    ([("shell_call", {"environment": CONTAINER}), ("code_interpreter_call", {"container_id": "cntr_2"})], 2),
    ([("shell_call", {"environment": {"type": "local"}})], None),
    ([("shell_call", {"environment": None}), ("local_shell_call", {})], None),
]


@pytest.mark.parametrize(
    ("items", "containers"),
    RUN,
    ids=["one", "twice the same", "shared with code", "two", "local", "own"],
)
def test_a_container_is_charged_whatever_runs_in_it(
    items: list[tuple[str, dict[str, Any]]], containers: int | None, provider: Provider
) -> None:
    """A shell of theirs is in one, a shell on the user's own machine is not."""
    output = [
        {"type": kind, "id": f"i{number}", "status": "completed", **more} for number, (kind, more) in enumerate(items)
    ]
    usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
    provider.replies.append(whole(response(model="gpt-5.1-2025-11-13", output=output, usage=usage)))
    with Watched() as watched:
        Caller(KINDS["responses"], provider.url, "sync").run(ways.whole)
        call = watched.call()
    assert call.usage is not None
    assert call.usage.counts.get("code_executions") == containers
    assert isinstance(call.price, Cost)
    assert call.price.quality == ("exact" if containers is None else "incomplete")


@pytest.mark.parametrize(
    ("within", "nano_usd", "quality"),
    [
        ({"speed": "fast", "inference_geo": "global"}, 12_000_000, "alias"),
        ({"speed": "standard", "inference_geo": "us"}, 6_600_000, "alias"),
        ({"speed": None, "inference_geo": None}, 6_000_000, "alias"),
    ],
    ids=["fast", "us", "none"],
)
def test_speed_and_place_are_heard_of_a_gateway_too(
    within: dict[str, Any], nano_usd: int, quality: str, provider: Provider
) -> None:
    """LiteLLM passes on what Anthropic says of them, within a usage of OpenAI's form."""
    provider.replies.append(whole(completion(model="anthropic/claude-opus-5-5", usage={**USAGE, **within})))
    call = _call(provider, ways.whole, "litellm", {"model": "anthropic/claude-opus-5-5"}, "sync")
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (nano_usd, quality)


@pytest.mark.parametrize(
    ("within", "quality", "unread"),
    [
        ({"num_sources_used": 5}, "incomplete", ("num_sources_used",)),
        ({"num_sources_used": 0}, "exact", ()),
        (
            {"num_sources_used": 5, "server_side_tool_usage_details": {"web_search_calls": 0}},
            "incomplete",
            ("num_sources_used",),
        ),
        (
            {"num_sources_used": 5, "server_side_tool_usage_details": {"web_search_calls": 1}},
            "incomplete",
            (),
        ),  # it has no price in the table
        ({"num_sources_used": 5, "cost_in_usd_ticks": 37_756_000}, "reported", ()),
    ],
    ids=["sources", "none", "no tool", "a tool", "with a cost"],
)
def test_sources_of_a_live_search_are_charged_each(
    within: dict[str, Any], quality: str, unread: tuple[str, ...], provider: Provider
) -> None:
    """An answer that tells its cost has them in there; without one the tokens are a part of it."""
    provider.replies.append(whole(completion(model="grok-4-0709", usage={**USAGE, **within})))
    call = _call(provider, ways.whole, "x_ai", {"model": "grok-4"}, "sync")
    assert isinstance(call.price, Cost)
    assert (call.price.quality, call.answer.unread) == (quality, unread)


ODD: list[Any] = [
    None,
    7,
    "x",
    True,
    [],
    {},
    [[]],
    [{}],
    [None],
    [{"function": []}],
    [{"function": {"name": ["$web_search"]}}],
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_has_another_form_tells_nothing(odd: Any) -> None:
    """Whatever stands there, the answer is read, and so is the request."""
    for name in ("message", "delta"):
        said = {"tool_calls": odd, "executed_tools": None}
        answer = openai_body.chat({"choices": [{name: said}, {name: odd}], "usage": USAGE, "web_search": 7})
        assert answer is not None
        assert answer.usage is not None
        assert answer.usage.counts == {"input": 1_000, "output": 100}
    assert server_tools.telling({"tools": odd, "model": odd}) is None or odd
    call = {**search(), "index": odd}
    answer = openai_body.chat({"choices": [{"delta": {"tool_calls": [call]}}]})
    assert answer is not None
    assert answer.usage is not None
    assert answer.usage.counts == {"web_searches": 1}
