"""One call of LiteLLM under way. Only when it is over is it known who was asked, by what, and whether somebody else counts it."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, fields, text
from costspan.calls.observed_stream import ObservedStream
from costspan.calls.servers import Servers
from costspan.clients import litellm_body
from costspan.facts import call as outcomes
from costspan.facts.call import Answer
from costspan.facts.usage import Usage

#: Who is asked where LiteLLM names no address, by its own words for them.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai", "azure_ai": "azure.ai.inference", "bedrock": "aws.bedrock", "cohere_chat": "cohere",
    "fireworks_ai": "fireworks", "gemini": "gcp.gemini", "mistral": "mistral_ai", "together_ai": "together",
    "vertex_ai": "gcp.vertex_ai", "vertex_ai_beta": "gcp.vertex_ai", "xai": "x_ai",
}  # fmt: skip
#: Servers of one's own, wherever they are.
_LOCAL: Final = {"ollama": "ollama", "ollama_chat": "ollama", "hosted_vllm": "vllm"}
_TEXTS: Final = frozenset({"chat", "text_completion"})


def expected(model: str | None) -> tuple[str | None, str | None]:
    """Who will be asked, as far as the name of a model says (`anthropic/claude-...`), and the model without that."""
    word, slash, name = (model or "").partition("/")
    if slash:
        return {**_PROVIDERS, **_LOCAL}.get(word, word), name
    families = (("claude", "anthropic"), ("gpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"))
    return next((provider for start, provider in families if word.startswith(start)), None), model


class _Layer:
    """What is the same of a call and of its stream."""

    CARRIED = (*ObservedCall.CARRIED, "chunks", "context", "logged", "passed_on", "servers")
    passed_on = False  # another call was begun within this one
    logged: Any = None  # LiteLLM's own record of the call
    servers: Servers | None = None
    context: contextvars.Context | None = None  # the caller's
    chunks: list[Any] | None = None  # the events of a stream as LiteLLM keeps them, with the usage that was reported

    def within(self, _: ObservedCall) -> None:
        """It is made through another library, or through another function of this one."""
        self.passed_on = True

    @property
    def details(self) -> Mapping[str, Any]:
        """What is known of the call by now."""
        return getattr(self.logged, "model_call_details", None) or NOTHING

    def finish(self: Any, answer: Answer | None, outcome: str, ended: int | None = None) -> None:
        """Hand it over, unless it is counted elsewhere, or failed before anybody was asked."""
        was_made = outcome in {outcomes.OK, outcomes.REFUSED} or "log_event_type" in self.details
        if self.passed_on or not was_made:
            self.recorder.dropped(self)
            return
        self.call.outcome = outcome
        self._complete()
        super().finish(answer, outcome, ended)  # type: ignore[misc]

    @guard.guarded("calls.layer")
    def _complete(self: Any) -> None:
        """Who was asked for what; and a span, in the context of who made the call."""
        if self.call.outcome != outcomes.REFUSED:
            self._identify()
        self.native = False
        self.context.run(self._show)

    def _identify(self: Any) -> None:
        details, call = self.details, self.call
        word = text(details.get("custom_llm_provider")) or ""
        places = (fields(details.get("litellm_params")), fields(details.get("additional_args")))
        base = next((base for place in places if (base := text(place.get("api_base")))), "").partition("?")[0]
        vendor = _PROVIDERS.get(word, word)
        server = self.servers.at(base, _LOCAL.get(word) or (None if base else vendor or None))
        call.host, call.port = server.host, server.port
        call.provider = vendor if vendor and server.provider == call.client else server.provider
        call.request_model = text(details.get("model")) or call.request_model

    def _show(self: Any) -> None:
        token = self.token  # of the caller's context, which may not have been left yet
        self.recorder.began(self)
        self.recorder.left(self)
        self.token = token

    def said(self: Any, result: Any) -> Answer | None:
        """What the answer says: the provider's own body before LiteLLM's object."""
        own = litellm_body.own(self.details.get("original_response")) if self.endpoint.operation in _TEXTS else None
        return own or (None if result is None else self.endpoint.read(result))

    @guard.guarded_positional("calls.read_response")
    def withheld(self) -> Answer | None:
        """What was answered that LiteLLM could not make an object of."""
        return self.said(None)


class LayerCall(_Layer, ObservedCall):
    """A call that is answered at once, as far as is known."""


class LayerStream(_Layer, ObservedStream):
    """A call whose answer turned out to be a stream."""

    at_work = False  # an item is being fetched: what is closed meanwhile, LiteLLM closes
    told_model: Any = None  # the provider's own word for the model, where this release keeps it

    def answer_so_far(self) -> Answer | None:
        """What the provider reported. Where it did not, LiteLLM counts by itself, and does not say so: an estimate."""
        answer = super().answer_so_far()
        if self.chunks is None:
            return answer
        answer = answer or Answer()
        told = litellm_body.reported(self.chunks)
        if told is not None:
            answer.usage, answer.unread = told.usage, told.unread
            answer.tier = told.tier or answer.tier
        elif answer.usage is not None:
            guessed = {unit: number for unit, number in answer.usage if number}
            answer.usage = Usage(guessed, complete=False) if guessed else None
        answer.model = text(self.told_model) or answer.model
        return answer
