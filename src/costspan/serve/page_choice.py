"""What the page is asked for: which calls, when, by which words; read from a query, and written as a link."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final
from urllib.parse import urlencode

from costspan.facts.attribution_words import ACCOUNT, SESSION, SOURCE, TASK_TYPE, TEAM
from costspan.ledger.columns import COLUMNS
from costspan.report.words import nearest
from costspan.serve import parameters
from costspan.serve.problems import mistaken

PROVIDER: Final = "provider"
MODEL: Final = "model"
#: The words of the form, in its order. Other words of the ledger are kept where a link names them.
IN_FORM: Final = (PROVIDER, MODEL, TEAM, TASK_TYPE, SOURCE, SESSION, ACCOUNT)
#: Those that may have very many values: they are typed, and some are offered.
TYPED: Final = (SESSION, ACCOUNT)
PRESETS: Final = {
    "today": "Today", "yesterday": "Yesterday", "7d": "Last 7 days", "30d": "Last 30 days", "this-month": "This month",
    "last-month": "Last month",
}  # fmt: skip
#: What the page shows when nobody says when.
USUAL: Final = "30d"
#: The table of single calls, in the place of groups.
CALL: Final = "call"
QUALITY: Final = "quality"
#: What the table may be by.
GROUPS: Final = {
    MODEL: (PROVIDER, MODEL), TEAM: (TEAM,), TASK_TYPE: (TASK_TYPE,), SOURCE: (SOURCE,), ACCOUNT: (ACCOUNT,),
    SESSION: (SESSION,), "kind": ("kind", "instance"), CALL: (),
}  # fmt: skip
_PERIOD, _FROM, _UNTIL = parameters.PERIOD.name, parameters.FROM.name, parameters.UNTIL.name
_ZONE, _BY = parameters.TIME_ZONE.name, parameters.BY.name
#: Fields of the form that no link has: a preset that was pressed, and the provider that the models were shown of.
_PRESSED: Final = "preset"
_SHOWN_PROVIDER: Final = "models_of"
_AFTER: Final = "after"
_NAMES: Final = (*COLUMNS, _PERIOD, _FROM, _UNTIL, _ZONE, _BY, _AFTER, _PRESSED, _SHOWN_PROVIDER)
_NOT_SET: Final = "~"
#: No provider was chosen: no name is written like that.
ANY: Final = "~any"
_ESCAPE: Final = re.compile(r"~([0-9a-f]{1,6});")
_SURROGATES: Final = range(0xD800, 0xE000)


def written(name: str | None) -> str:
    """A name as a value of the form: no sign is in it that a browser would change, and what is not set has its own."""
    if name is None:
        return _NOT_SET
    return "".join(f"~{ord(sign):x};" if sign == "~" or not sign.isprintable() else sign for sign in name)


def understood(value: str) -> str | None:
    """The name of a value of the form."""
    return None if value == _NOT_SET else _ESCAPE.sub(_sign, value)


def _sign(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if code in _SURROGATES or code > sys.maxunicode else chr(code)


@dataclass(frozen=True)
class Choice:
    """What is shown. `words` has the values that calls must have, None for calls without one."""

    period: str = ""
    since: str = ""
    until: str = ""
    zone: str = ""
    by: str = MODEL
    after: str = ""
    words: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])

    @property
    def is_custom(self) -> bool:
        """Whether two dates say when."""
        return bool(self.since or self.until)

    @property
    def when(self) -> str:
        """The word of the period; empty where two dates say it."""
        return "" if self.is_custom else self.period or USUAL

    def asked(self, *, is_of_all: bool = False) -> Sequence[tuple[str, str]]:
        """The question for the ledger, as the API is asked; with `is_of_all` about all calls of the time."""
        dates = [(_FROM, self.since), (_UNTIL, self.until)] if self.is_custom else [(_PERIOD, self.when)]
        words = [] if is_of_all else [(word, value or "") for word, value in self.words.items()]
        return [*((name, value) for name, value in (*dates, (_ZONE, self.zone)) if value), *words]

    def link(self, path: str = "/") -> str:
        """The address of the page, or of another path that is asked the same way."""
        said = [(_PERIOD, self.period), (_FROM, self.since), (_UNTIL, self.until), (_ZONE, self.zone)]
        said += [(_BY, self.by if self.by != MODEL else ""), (_AFTER, self.after)]
        said += [(word, written(value)) for word, value in self.words.items()]
        query = urlencode([(name, value) for name, value in said if value])
        return f"{path}?{query}" if query else path

    def within(self, period: str) -> Choice:
        """The same in another period."""
        return replace(self, period=period, since="", until="", after="")

    def of_days(self, first: date, last: date) -> Choice:
        """The same from one day to another, which is included."""
        return self.within(f"{first}" if first == last else f"{first}..{last}")

    def with_words(self, words: Mapping[str, str | None]) -> Choice:
        """The same with these words besides."""
        return replace(self, words={**self.words, **words}, after="")

    def without(self, *words: str) -> Choice:
        """The same without these words."""
        left = {word: value for word, value in self.words.items() if word not in words}
        return replace(self, words=left, after="")

    def grouped(self, by: str) -> Choice:
        """The same by another word."""
        return replace(self, by=by, after="")

    def following(self, after: str) -> Choice:
        """The page of calls after this one."""
        return replace(self, after=after)

    def into(self, words: Mapping[str, str | None]) -> Choice:
        """One group alone: a session by its calls, others by what they were by."""
        chosen = self.with_words(words)
        return chosen.grouped(CALL) if SESSION in words else chosen

    def export(self) -> str:
        """All calls of the choice as a file, from the API."""
        return f"/v1/export?{urlencode(self.asked())}"


def call_link(call_id: str, choice: Choice) -> str:
    """The address of one call."""
    return f"/call?{urlencode([('id', call_id), *([(_ZONE, choice.zone)] if choice.zone else [])])}"


def titled(choice: Choice) -> str:
    """When, in words."""
    if choice.is_custom:
        return f"{choice.since or 'the beginning'} to {choice.until or 'now'}"
    return {**PRESETS, "all": "All time"}.get(choice.when, choice.when)


def read(given: Iterable[tuple[str, str]]) -> tuple[Choice, bool]:
    """What a query asks for, and whether it is written as a link is: a form sends more.

    Raises RequestError with the field for a name that nobody knows, and one that comes twice.
    """
    values: dict[str, str] = {}
    for name, value in given:
        if name not in _NAMES:
            raise mistaken(name, value, f"one of {', '.join(_NAMES)}{nearest(name, _NAMES)}")
        if name in values:
            raise mistaken(name, value, "the parameter once")
        values[name] = value
    is_link = all(values.values()) and not {_PRESSED, _SHOWN_PROVIDER} & set(values)
    values = {name: value.strip() if name not in COLUMNS else value for name, value in values.items() if value}
    words = {word: understood(values[word]) for word in COLUMNS if word in values}
    if _is_of_another(values):
        words.pop(MODEL, None)
    by = values.get(_BY, MODEL)
    if by not in GROUPS:
        raise mistaken(_BY, by, f"one of {', '.join(GROUPS)}{nearest(by, GROUPS)}")
    choice = Choice(zone=values.get(_ZONE, ""), by=by, after=values.get(_AFTER, ""), words=words)
    if _PRESSED in values:
        return choice.within(values[_PRESSED]), False
    since, until = values.get(_FROM, ""), values.get(_UNTIL, "")
    return replace(choice, period="" if since or until else values.get(_PERIOD, ""), since=since, until=until), is_link


def _is_of_another(values: Mapping[str, str]) -> bool:
    """Whether another provider was chosen in the form than the one whose models were shown: its model goes."""
    return _SHOWN_PROVIDER in values and values[_SHOWN_PROVIDER] != values.get(PROVIDER, ANY)
