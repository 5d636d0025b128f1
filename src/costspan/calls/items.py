"""Answers that are fetched together: the results of a batch. What fetches them is no call; each of them is one.

A list of answers comes as the lines of a file, as the events of a library's iterator, or within one message. Each is told by
its own id, or by that of the list and its name there: it is booked once, however often it is fetched.
"""
# pyright: basic
# Proxies of foreign objects fight strict checking.

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from costspan import guard
from costspan.calls.engine import ObservedCall, begin
from costspan.calls.messages import NOTHING
from costspan.facts.call import Answer

#: Where the body of what fetches a list has the id of that list.
_LIST: Final = "costspan.list"
#: What a line says that is no JSON: there is an answer, and nothing is known of it.
_UNREADABLE: Final = "line"


class ObservedItem(ObservedCall):
    """One of the answers."""

    __slots__ = ("list_id",)
    list_id: str | None


def body_of(list_id: str | None) -> Mapping[str, Any]:
    """The body of what fetches this list."""
    return {_LIST: list_id} if list_id else NOTHING


@guard.guarded_positional("calls.item")
def take(fetching: ObservedCall, item: Any, number: int = 0) -> None:
    """An item, the one of this number: a call of its own, within the scope that reads it. None is one that cannot be read."""
    endpoint, call = fetching.endpoint, fetching.call
    answer = endpoint.read(item) if item is not None else Answer(unread=(_UNREADABLE,))
    if answer is None:
        return
    list_id = fetching.body.get(_LIST)
    if answer.id is None and list_id is not None:
        answer.id = f"{list_id}/{answer.key or number}"
    recorder = fetching.recorder
    if answer.id is not None and recorder.is_booked(call.provider, answer.id):
        return
    observed: Any = begin(recorder, endpoint, call.client, call, NOTHING, ObservedItem, answer.model, call.attribution)
    observed.list_id = list_id
    observed.call.operation = answer.operation or endpoint.operation
    recorder.began(observed)
    recorder.left(observed)
    observed.answered(answer)


def iterated(fetching: ObservedCall, source: Any) -> Any:
    """The items that a library's iterator gives, each taken as it passes."""
    fetching.claim()
    return _async_items(fetching, source) if hasattr(source, "__anext__") else _items(fetching, source)


def _items(fetching: ObservedCall, source: Iterator[Any]) -> Iterator[Any]:
    for number, item in enumerate(source):
        take(fetching, item, number)
        yield item


async def _async_items(fetching: ObservedCall, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    number = 0
    async for item in source:
        take(fetching, item, number)
        number += 1
        yield item


def within(fetching: ObservedCall, message: Any) -> None:
    """The items within one message, and the ids by which the message says that they will be fetched."""
    fetching.claim()
    endpoint = fetching.endpoint
    if endpoint.names is not None:
        fetching.recorder.handed_in(fetching, tuple(endpoint.names(message)))
    if endpoint.items is not None:
        for number, item in enumerate(endpoint.items(message)):
            take(fetching, item, number)
