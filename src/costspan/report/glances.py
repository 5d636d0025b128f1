"""What is asked of calls beside their sums: the first and the last of them, and what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from costspan.facts.attribution_words import ACCOUNT, SESSION, WORDS
from costspan.ledger import cover, rolled
from costspan.ledger.columns import COLUMNS, IS_CALL
from costspan.ledger.store import Store
from costspan.report import period, words
from costspan.report.usage import Question, narrowed

# Of so many calls, the last ones, sessions and accounts are offered.
_NEWEST: Final = 1_000
# Accounts have sums of their own, and sessions none.
_FEW_WORDS: Final = tuple(word for word in WORDS if word not in {ACCOUNT, SESSION})


def last_used_ns(store: Store, filters: Iterable[words.Filter]) -> int | None:
    """When the last of the calls began, in nanoseconds since the epoch; None of none."""
    return _used_ns(store, tuple(filters), "MAX")


def first_used_ns(store: Store, filters: Iterable[words.Filter]) -> int | None:
    """When the first of the calls began, in nanoseconds since the epoch; None of none."""
    return _used_ns(store, tuple(filters), "MIN")


def _used_ns(store: Store, filters: Sequence[words.Filter], which: str) -> int | None:
    store.define("FOLDED", words.folded, 1)
    condition = words.conditions(filters, period.ALL)
    if not filters and which == "MIN":
        return rolled.first_ns(store)
    with store.at_one_moment():
        asked_of = cover.source(store, words.wanted((), filters)._replace(is_each=True)).sql
        question = f"SELECT {which}(started_ns) FROM ({asked_of}) WHERE {condition.sql}"  # noqa: S608 - words of our own
        ((about_ns,),) = store.select(question, condition.values)
        if about_ns is None or about_ns < rolled.until_ns(store):
            return about_ns
        # Of sums it is when their slot begins: the call is one of those within it.
        exactly = f"SELECT {which}(started_ns) FROM calls WHERE started_ns BETWEEN ? AND ? AND {condition.sql}"  # noqa: S608
        ((found_ns,),) = store.select(exactly, (about_ns, about_ns + cover.LONGEST_NS, *condition.values))
    return about_ns if found_ns is None else found_ns


def without_word(store: Store, filters: Sequence[words.Filter], asked: period.Period) -> dict[str, int]:
    """For each word of the attribution, how many of the calls have none."""
    store.define("FOLDED", words.folded, 1)
    found: dict[str, int] = {}
    with store.at_one_moment():
        for some in (_FEW_WORDS, (ACCOUNT,)):
            source = cover.source(store, words.wanted(some, filters, asked))
            # Of accounts there are many label sets, and those without one are few.
            is_any = not any(one.word == ACCOUNT for one in filters)
            lacks = [words.Filter(word, words.SIGNS[2], "") for word in some if word == ACCOUNT and is_any]
            asked_of = narrowed(source, Question(some, (*filters, *lacks), asked))
            condition = words.conditions(filters, asked)
            sums = ", ".join(
                f"COALESCE(SUM(CASE WHEN {COLUMNS[word]} IS NULL AND {IS_CALL} THEN calls END), 0)" for word in some
            )
            (counts,) = store.select(f"SELECT {sums} FROM ({asked_of}) WHERE {condition.sql}", condition.values)  # noqa: S608
            found.update(zip(some, counts, strict=True))
        condition = words.conditions([*filters, words.Filter(SESSION, words.SIGNS[2], "")], asked)
        lacking = f"SELECT COUNT(*) FROM calls WHERE {condition.sql} AND {IS_CALL}"  # noqa: S608 - words of our own
        ((found[SESSION],),) = store.select(lacking, condition.values)
    return {word: found[word] for word in WORDS}


def newest(store: Store, filters: Sequence[words.Filter], asked: period.Period) -> dict[str, list[str | None]]:
    """The sessions and accounts of the last calls: of those that may be many, some to choose from."""
    store.define("FOLDED", words.folded, 1)
    condition = words.conditions(filters, asked)
    found = store.select(
        f"SELECT {SESSION}, {ACCOUNT} FROM calls WHERE {condition.sql} ORDER BY started_ns DESC LIMIT {_NEWEST}",  # noqa: S608
        condition.values,
    )
    columns = zip(*found, strict=True) if found else ((), ())
    return {
        word: [None if one is None else str(one) for one in dict.fromkeys(column)]
        for word, column in zip((SESSION, ACCOUNT), columns, strict=True)
    }
