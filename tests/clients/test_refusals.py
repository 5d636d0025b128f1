"""A hard budget refuses a call before anything is sent: by every client, sync and async, whole and streamed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import bedrock_caller
import http_caller
from budgeted import NOTHING_LEFT, budgeted, reserved_in
from caller import KINDS, Caller
from costspan import BudgetExceeded, names
from costspan.facts.call import REFUSED
from provider import Provider
from watching import Watched

_PROMPT = "How are you?"
_MESSAGES = [{"role": "user", "content": _PROMPT}]


def _is_refused_once(watched: Watched, provider: Provider, folder: Path, error: BudgetExceeded) -> None:
    assert error.budget == "nothing"
    if error.reason != "unbounded":  # a seller without a price of this model
        assert (error.spent, error.would_fit, error.reason) == (0, 0, "limit")
        assert error.asked is not None
        assert error.asked > 0
    assert provider.asked == []
    call = watched.call()
    assert (call.outcome, call.error_type, call.price) == (REFUSED, "BudgetExceeded", None)
    (span,) = watched.spans()
    assert span.attributes is not None
    assert span.attributes[names.OUTCOME] == REFUSED
    assert watched.total(names.REQUESTS, llm__outcome=REFUSED) == 1
    assert watched.total(names.BUDGET_REFUSED) == 1
    assert watched.total(names.COST_USD) == 0
    assert reserved_in(folder) == []


async def _plain(c: Caller) -> None:
    await c.create()


async def _streamed(c: Caller) -> None:
    async for _ in c.each(await c.create(stream=True)):
        pass


async def _raw(c: Caller) -> None:
    await c.get(c.methods.with_raw_response.create(**c.arguments))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", [_plain, _streamed, _raw], ids=["whole", "stream", "raw"])
def test_libraries_of_one_request_method(
    kind: str, mode: str, way: Callable[[Caller], Coroutine[Any, Any, None]], provider: Provider, tmp_path: Path
) -> None:
    """OpenAI, Anthropic and the libraries that were made as theirs were."""
    pytest.importorskip(KINDS[kind].module)
    with budgeted(tmp_path, NOTHING_LEFT) as watched:
        found: list[BudgetExceeded] = []

        async def refused(c: Caller) -> None:
            with pytest.raises(BudgetExceeded) as caught:
                await way(c)
            found.append(caught.value)

        assert Caller(KINDS[kind], provider.url, mode).run(refused) == []
        _is_refused_once(watched, provider, tmp_path, found[0])


async def _ask_google(c: Any, *, is_stream: bool) -> None:
    asked = {"model": "gemini-2.5-flash", "contents": _PROMPT}
    if not is_stream:
        await c.get(c.of.models.generate_content(**asked))
        return
    given = c.of.models.generate_content_stream(**asked)
    stream = await given if hasattr(given, "__await__") else given
    if c.is_async:
        await anext(aiter(stream))
    else:
        next(iter(stream))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_google(mode: str, is_stream: bool, provider: Provider, tmp_path: Path) -> None:  # noqa: FBT001
    """A stream is asked for with its first event."""
    google = importlib.import_module("google_caller")
    found: list[BudgetExceeded] = []

    async def refused(c: Any) -> None:
        with pytest.raises(BudgetExceeded) as caught:
            await _ask_google(c, is_stream=is_stream)
        found.append(caught.value)

    with budgeted(tmp_path, NOTHING_LEFT) as watched:
        assert google.Asker(provider.url, mode).run(refused) == []
        _is_refused_once(watched, provider, tmp_path, found[0])


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_bedrock(mode: str, method: str, provider: Provider, tmp_path: Path) -> None:
    """AWS's library, through which every service goes."""
    if not bedrock_caller.is_there(mode):
        pytest.skip("the library is not installed in this form")
    asked = {
        "modelId": "anthropic.claude-haiku-4-5-20251001-v1:0",
        "messages": [{"role": "user", "content": [{"text": _PROMPT}]}],
        "inferenceConfig": {"maxTokens": 64},
    }
    found: list[BudgetExceeded] = []

    async def refused(c: bedrock_caller.Asker) -> None:
        with pytest.raises(BudgetExceeded) as caught:
            await c.get(getattr(c.of, method)(**asked))
        found.append(caught.value)

    with budgeted(tmp_path, NOTHING_LEFT) as watched:
        assert bedrock_caller.Asker(provider.url, mode).run(refused) == []
        _is_refused_once(watched, provider, tmp_path, found[0])


def _ask_mistral(c: Any) -> Any:
    return c._method("chat.complete")(model="mistral-small-latest", messages=_MESSAGES)


def _ask_cohere(c: Any) -> Any:
    return c.of.chat(model="command-a-03-2025", messages=_MESSAGES)


def _ask_voyage(c: Any) -> Any:
    return c.of.embed([_PROMPT], model="voyage-3.5")


def _ask_litellm(c: Any) -> Any:
    return c.ask(model="openai/gpt-4o-mini", messages=_MESSAGES)


_OTHERS: dict[str, Callable[[Any], Any]] = {
    "mistral": _ask_mistral,
    "cohere": _ask_cohere,
    "voyage": _ask_voyage,
    "litellm": _ask_litellm,
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("library", _OTHERS)
def test_other_libraries(library: str, mode: str, provider: Provider, tmp_path: Path) -> None:
    """Each by its own shape."""
    asker = importlib.import_module(f"{library}_caller")
    found: list[BudgetExceeded] = []

    async def refused(c: Any) -> None:
        with pytest.raises(BudgetExceeded) as caught:
            await c.get(_OTHERS[library](c))
        found.append(caught.value)

    with warnings.catch_warnings(), budgeted(tmp_path, NOTHING_LEFT) as watched:
        if hasattr(asker, "WARNINGS"):  # which its own tests ignore: here they would be taken for its answer
            warnings.simplefilter("ignore")
        assert asker.Asker(provider.url, mode).run(refused) == []
        _is_refused_once(watched, provider, tmp_path, found[0])


# --- libraries of other shapes, and the HTTP libraries themselves ----------------------------------------------

_BODY = {"model": "gpt-4o-mini", "messages": _MESSAGES, "max_tokens": 64}


def _of_ollama(c: Any, *, is_stream: bool) -> Any:
    return c.of.chat(model="llama3.3", messages=_MESSAGES, stream=is_stream, options={"num_predict": 64})


def _of_huggingface(c: Any, *, is_stream: bool) -> Any:
    return c.of.chat_completion(_MESSAGES, max_tokens=64, stream=is_stream)


def _of_azure(c: Any, *, is_stream: bool) -> Any:
    return c.of.complete({**_BODY, "stream": is_stream})


_SHAPES: dict[str, Callable[..., Any]] = {"ollama": _of_ollama, "huggingface": _of_huggingface, "azure": _of_azure}
_OF_SHAPES = [(library, mode) for library in _SHAPES for mode in ("sync", "async")]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("library", "mode"), [*_OF_SHAPES, *http_caller.LIBRARIES])
def test_libraries_by_their_own_functions(
    library: str, mode: str, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_stream: bool
) -> None:
    """Whole, and the first item of a stream; the HTTP libraries where the user has them watched."""
    monkeypatch.setenv("OTEL_COSTSPAN_HTTP_CLIENTS", "true")  # below the others it refuses nothing more
    found: list[BudgetExceeded] = []

    async def refused(c: Any) -> None:
        with pytest.raises(BudgetExceeded) as caught:
            await (_of_shape if library in _SHAPES else _by_http)(c, library, is_stream=is_stream)
        found.append(caught.value)

    with budgeted(tmp_path, NOTHING_LEFT) as watched:
        assert _asker(library, provider.url, mode).run(refused) == []
        _is_refused_once(watched, provider, tmp_path, found[0])


async def _of_shape(c: Any, library: str, *, is_stream: bool) -> None:
    given = _SHAPES[library](c, is_stream=is_stream)
    if is_stream:
        await c.stream(await given if hasattr(given, "__await__") else given)
    else:
        await c.get(given)


async def _by_http(c: Any, library: str, *, is_stream: bool) -> None:
    path, read = "/v1/chat/completions", http_caller.KINDS[library].READS[0]
    await (c.along(path, {**_BODY, "stream": True}, read) if is_stream else c.post(path, _BODY))


def _asker(library: str, url: str, mode: str) -> Any:
    if library not in _SHAPES:
        pytest.importorskip(library)
        return http_caller.KINDS[library](library, url, mode)
    return importlib.import_module(f"{library}_caller").Asker(url, mode)
