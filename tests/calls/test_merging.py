"""calls/merging.py: what comes later in a stream takes the place of what came before, field by field."""

from __future__ import annotations

from typing import Any, Final

import pytest

from costspan.calls.merging import merged
from costspan.facts.call import Answer
from costspan.facts.usage import Usage

#: A field, what an earlier and a later message say of it, and what the answer says. The id is the first one's.
FIELDS: Final[list[tuple[str, Any, Any, Any]]] = [
    (field, earlier, later, found)
    for field, one, two in (
        ("model", "one", "two"),
        ("tier", "one", "two"),
        ("geo", "one", "two"),
        ("speed", "one", "two"),
        ("processing", "one", "two"),
        ("error", "one", "two"),
        ("finish_reasons", ("one",), ("two",)),
        ("parts", (("one", Usage(input=1)),), (("two", Usage(input=2)),)),
        ("reported_nano_usd", 1, 0),
        ("usage", Usage(input=1), Usage(input=2)),
    )
    for earlier, later, found in ((one, None, one), (None, two, two), (one, two, two))
]
OTHERS = [
    ("id", "one", "two", "one"),
    ("id", None, "two", "two"),
    ("id", "one", None, "one"),
    ("unread", ("a", "b"), ("b", "c"), ("a", "b", "c")),
    ("unread", (), ("c",), ("c",)),
    ("unread", ("a",), (), ("a",)),
]


def _said(field: str, value: Any) -> Answer:
    return Answer() if value is None else Answer(**{field: value})


@pytest.mark.parametrize(("field", "earlier", "later", "found"), [*FIELDS, *OTHERS])
def test_a_later_word_takes_the_place_of_an_earlier_one(field: str, earlier: Any, later: Any, found: Any) -> None:
    """And silence takes nothing away: a reported cost of 0 is a word."""
    assert getattr(merged(_said(field, earlier), _said(field, later)), field) == found


def test_usage_is_replaced_unit_by_unit() -> None:
    """Anthropic's last event repeats the totals without the cache details of the first; the last one is the final word."""
    first = Answer(Usage(input=11, output=1, cache_read=3, complete=False))
    answer = merged(first, Answer(Usage(output=7)))
    assert answer.usage == Usage(input=11, output=7, cache_read=3)
