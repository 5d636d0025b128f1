"""Asking a chat stream for its usage (`stream_options.include_usage`) on behalf of a caller who did not.

Where the API is known to report usage only to those who ask, it is asked at once. What answers on this machine may
report it to everybody, and then the event is the caller's: its first stream goes out as the caller wrote it, and shows.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from costspan import guard
from costspan.calls.messages import NOTHING
from costspan.facts.sellers import seller_at

if TYPE_CHECKING:
    from costspan.clients.dialects.stainless_call import StainlessCall, StainlessStream

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_OPTIONS: Final = "stream_options"
_INCLUDE: Final = "include_usage"
_REFUSALS: Final = frozenset({400, 422})
_MOST_LEARNED: Final = 1_024
_LONGEST_ERROR: Final = 65_536
_MOST_SAID: Final = 100

#: What is remembered is remembered of one model at one base URL: gateways have models of several vendors behind one URL.
Place: TypeAlias = tuple[str, str | None]


class Asking:
    """Where streams are asked for their usage; None stands for "not known yet": look at the next one."""

    def __init__(self, setting: str) -> None:
        self._is_on = setting != "never"
        self._learned: OrderedDict[Place, bool] = OrderedDict()

    def stop(self) -> None:
        """Ask nobody any more: what was asked for could not be taken out of a stream."""
        self._is_on = False

    def is_asked(self, place: Place, *, known: bool | None) -> bool | None:
        """Whether a stream is asked here; `known` is what is known of its server beforehand."""
        return self._is_on and self._learned.get(place, known)

    def learn(self, place: Place, *, is_asked: bool) -> None:
        """Remember whether streams are to be asked here."""
        self._learned[place] = is_asked
        if len(self._learned) > _MOST_LEARNED:
            self._learned.popitem(last=False)

    def refused(self, place: Place, host: str) -> None:
        """Remember that a request went through here only without our question."""
        self.learn(place, is_asked=False)
        guard.tell_once(
            f"refused:{host}",
            "costspan: %s refuses stream_options, so its chat streams are booked as estimates; "
            "ask for usage yourself if it reports usage in another way",
            host,
        )


def is_needed(host: str, told: str | None, known: tuple[str, ...]) -> bool | None:
    """Whether a host is known to report usage only to those who ask; None if it may be either.

    `known` are the hosts of which that is known, by their ends; `told` is whom the user says to answer here.
    """
    if host.endswith(known):
        return True
    if host not in _LOOPBACK:
        return False
    return True if told in {seller_at(end.lstrip(".")).provider for end in known} else None


def has_own_word(body: Mapping[str, Any], extra: Mapping[str, Any] | None) -> bool:
    """Whether the caller himself says if he wants the usage."""
    options = body.get(_OPTIONS)
    return (type(options) is dict and _INCLUDE in options) or _OPTIONS in (extra or NOTHING)


def asking(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same body with our question in it."""
    return {**body, _OPTIONS: {**(body.get(_OPTIONS) or {}), _INCLUDE: True}}


class Refusable:
    """Within it a refused question ends in nothing; behind it the call is made anew, with no trace of the refusal.

    No handler around the second call: what that raises would show the refusal as its `__context__`.
    """

    __slots__ = ("_watch",)

    def __init__(self, observed: StainlessCall | StainlessStream) -> None:
        self._watch = observed

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        """Stop the refusal that was found (`is_refused`)."""
        return not self._watch.asked


def is_refused(observed: StainlessCall | StainlessStream, error: BaseException) -> bool:
    """Whether the server refuses what we added to a request, which is then asked no more; if we fail to say, it does."""
    if observed.asked and getattr(error, "status_code", None) in _REFUSALS:
        observed.asked = names_our_question(error, observed.body) is False
        return not observed.asked
    return False


@guard.guarded("calls.refused")
def names_our_question(error: BaseException, body: Mapping[str, Any]) -> bool:
    """Whether an error is about what we added to a request: it names it as the fault, not as part of a quotation.

    Everything else is the caller's own, and a request is never sent again to find out.
    """
    words = [_plain(word) for word in ((_INCLUDE,) if _OPTIONS in body else (_OPTIONS, _INCLUDE))]
    fields, sentences = _said(getattr(error, "body", None))
    # Where the caller's own text has our words in it, a sentence with them may be about that text.
    if not _has(json.dumps(body, default=str), words):
        fields += [_without_quotations(sentence) for sentence in sentences]
    return any(_has(text, words) for text in fields)


# Where errors name the field that is at fault: OpenAI, FastAPI and pydantic, RFC 9457 and JSON:API, Google.
_FAULTY_FIELD: Final = frozenset({"param", "loc", "field", "path", "pointer", "name"})
_SENT_BACK: Final = frozenset({"input", "body", "request", "ctx", "context"})


def _said(body: Any) -> tuple[list[str], list[str]]:
    """The fields that the body of an error names as faulty, and its sentences; without what it sends back."""
    fields: list[str] = []
    sentences: list[str] = []
    waiting = [body]
    while waiting and len(fields) + len(sentences) < _MOST_SAID:
        said = waiting.pop()
        if isinstance(said, str):
            sentences.append(said)
        elif isinstance(said, list):
            waiting += cast("list[Any]", said)
        elif isinstance(said, Mapping):
            parts = cast("Mapping[Any, Any]", said)
            fields += [str(value) for name, value in parts.items() if name in _FAULTY_FIELD]
            waiting += [value for name, value in parts.items() if name not in _FAULTY_FIELD | _SENT_BACK]
    return fields, sentences


def _has(text: str, words: list[str]) -> bool:
    text = _plain(text)
    return any(word in text for word in words)


def _plain(text: str) -> str:
    """Without what spellings differ in: `stream_options`, `streamOptions`, `stream options`."""
    return re.sub(r"[\s_-]", "", text[:_LONGEST_ERROR]).lower()


_QUOTED_QUESTION: Final = re.compile(r"streamoptions[\\\"']*[:=].{0,80}?includeusage[\\\"']*[:=]\w+")
_QUOTED_STREAM: Final = re.compile(r"stream[\\\"']*[:=][\\\"']*true")


def _without_quotations(text: str) -> str:
    """A text without our question as part of a quoted request; whoever quotes the request quotes `stream`, too."""
    text = _plain(text)
    return _QUOTED_QUESTION.sub("", text) if _QUOTED_STREAM.search(text) else text
