"""The words a client file is written in: which library, where it is watched, what its endpoints answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from costspan.calls.merging import merged
from costspan.facts.call import Answer
from costspan.facts.usage import Usage

if TYPE_CHECKING:
    from costspan.calls.connections import Conversation

#: Takes one message, a whole response or one event of a stream, and answers what it says, or nothing.
#: It never adds, never logs, never catches.
Reader: TypeAlias = Callable[[Any], Answer | None]
Merge: TypeAlias = Callable[[Answer, Answer], Answer]

#: In `Endpoint.path`: one segment of a path, such as an id.
SEGMENT: Final = "{}"

# Before the path: a host and a prefix such as /api/v1, which differ by version and provider. A job that is only
# handed in (`/async/...`) is no call yet. After it: a query.
_BEFORE: Final = r"(?:https?://[^/]+)?(?:/(?!async/)[^/?]+)*?"
_AFTER: Final = r"/?(?:\?.*)?"
_MOST_PATHS: Final = 1_000


def always(_: Mapping[str, Any]) -> bool:
    """For `Endpoint.is_later`: whatever the request says."""
    return True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of an API, by the end of the path that the client library asks for.

    `read` reads a response or a stream event; `merge` joins the messages of a stream. `asks_usage` is True where
    a stream reports usage only to those who ask, in events that are all of one type. `request_usage` reads the usage
    off the request where the response reports none (speech is billed by its input). `ends` tells the event of a
    stream after which no usage comes. `fetches` is True where a stored answer is fetched: it is booked only if it
    was still pending when it was made. `each` is True where every item of the answer is a call of its own, and asking for
    them is none (`calls.items`). Of these, `is_item` tells from a line of a file whether it is such an item, where the path
    serves other files, too; `items` gives the items that one message holds; `names` gives the ids of a job that a message
    tells of, by which its items will be fetched.
    `adds` is True where each event of a stream reports what was used for it alone: all are read, and joined as they come.
    `is_later` tells from a request that the answer will only be begun, and fetched later.
    `keeps` gives from a request what tells which events of its stream are kept for what they say beside the usage, wherever
    they stand; None where there are none.
    `extras` names what a request asks for that is charged beside the usage and that no answer reports.
    For estimates: `shown` gives what an event of a stream shows the caller (texts in any nesting, or `Shown`),
    `prompt` what a request has of the prompt (texts, or `Prompt`); without them, nothing (`clients.estimates` has those
    of the forms that many APIs share).
    """

    path: str
    operation: str
    read: Reader
    merge: Merge = merged
    asks_usage: bool = False
    request_usage: Callable[[Mapping[str, Any]], Usage | None] | None = None
    ends: Callable[[Any], bool] | None = None
    method: str = "post"
    fetches: bool = False
    each: bool = False
    is_item: Callable[[bytes], bool] | None = None
    items: Callable[[Any], Iterable[Any]] | None = None
    names: Callable[[Any], Iterable[str]] | None = None
    adds: bool = False
    is_later: Callable[[Mapping[str, Any]], bool] | None = None
    keeps: Callable[[Mapping[str, Any]], Callable[[Any], bool] | None] | None = None
    extras: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    shown: Callable[[Any], Any] | None = None
    prompt: Callable[[Mapping[str, Any]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Socket:
    """A connection that a client library opens, on which many answers come (`calls.connections`).

    `method` is the one that a program opens it with, `module` holds the classes of the `connection` and of what opens it
    (`opener`); those with `Async` before their names are their asynchronous twins. `endpoints` are those of its answers.
    `lanes` are classes, by their modules, that send on a connection past its own methods.
    """

    method: str
    module: str
    connection: str
    opener: str
    conversation: Callable[[], Conversation]
    endpoints: tuple[Endpoint, ...]
    lanes: tuple[tuple[str, str], ...] = ()


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_BEFORE + re.escape(path).replace(re.escape(SEGMENT), "([^/?]+)") + _AFTER)


@dataclass(frozen=True, slots=True)
class Client:
    """A client library. `dialect` is the file of `clients/dialects` that knows its shape.

    `versions` states what was tested, as a version specifier; outside it the library is watched all the same and
    `costspan doctor` says so. `module` is the one that is waited for: where it is imported, the library is patched. `provider` is the vendor
    whose library it is; who answers is told by the address (`facts.sellers`), or by the class of the client (`classes`).
    `other_modules` are where other versions and variants of it have what `module` has.
    `native_tracer` names the attribute of a client that holds its own tracer, if the library emits spans itself.
    `uncounted` are the paths of requests (POST) that cost and are not counted, `uncounted_functions` functions of that kind, each by
    the name that it is told by, its module and its name there: the first use of one is told of.
    """

    name: str
    distribution: str
    versions: str
    module: str
    provider: str
    endpoints: tuple[Endpoint, ...]
    dialect: str = "stainless"
    classes: tuple[tuple[str, str], ...] = ()
    asks_usage_of: tuple[str, ...] = ()
    native_tracer: str | None = None
    sockets: tuple[Socket, ...] = ()
    other_modules: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    uncounted_functions: tuple[tuple[str, str, str], ...] = ()
    _known: dict[str, Endpoint | None] = field(default_factory=dict[str, "Endpoint | None"], repr=False, compare=False)
    _patterns: list[tuple[re.Pattern[str], Endpoint]] = field(
        default_factory=list["tuple[re.Pattern[str], Endpoint]"], repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            self._patterns.append((_pattern(endpoint.path), endpoint))

    @property
    def modules(self) -> tuple[str, ...]:
        """Where versions and variants of the library have what is watched; a program imports one of them."""
        return (self.module, *self.other_modules)

    def endpoint(self, path: str, method: str) -> Endpoint | None:
        """The endpoint at this path, or None for one that costs nothing (models, files, token counts)."""
        try:
            endpoint = self._known[path]
        except KeyError:
            if len(self._known) >= _MOST_PATHS:  # ids in paths: do not keep them all
                self._known.clear()
            endpoint = self._known[path] = self._find(path)
        return endpoint if endpoint is not None and endpoint.method == method.lower() else None

    def uncounted_at(self, path: str, method: str) -> str | None:
        """The name of what costs at this path and is not counted (`evals.runs`), if anything. For a path that has no endpoint."""
        if not self.uncounted or method.lower() != "post":
            return None
        found = next((each for each in self.uncounted if _pattern(each).fullmatch(path)), None)
        return None if found is None else found.replace(f"/{SEGMENT}", "").strip("/").replace("/", ".")

    def _find(self, path: str) -> Endpoint | None:
        return next((endpoint for pattern, endpoint in self._patterns if pattern.fullmatch(path)), None)

    def segment(self, path: str) -> str | None:
        """What stands in a path where that of its endpoint has any segment: the id of what is asked for."""
        found = next((found for pattern, _ in self._patterns if (found := pattern.fullmatch(path))), None)
        return found[1] if found is not None and found.lastindex else None
