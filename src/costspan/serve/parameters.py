"""Parameters of a query: how each is read, and a query as a question to the ledger. The only place that does this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from costspan.facts.attribution_words import WORDS as ATTRIBUTION
from costspan.facts.periods import offset, zone
from costspan.ledger.columns import COLUMNS
from costspan.report import period
from costspan.report import words as asking
from costspan.report.answers import MOST_ROWS
from costspan.report.words import SIGNS, WORDS, Filter, groups, nearest
from costspan.serve.problems import RequestError, mistaken

_IS: Final = SIGNS[2]
_TEXT: Final[Mapping[str, Any]] = {"type": "string"}


class Parameter(NamedTuple):
    """One parameter of a query. `read` makes a value of its text, or raises ValueError with what was expected.

    One with `is_many` may come several times; its value is the list of all. `default` is text as it may be given.
    """

    name: str
    description: str
    read: Callable[[str], Any] = str
    schema: Mapping[str, Any] = _TEXT
    is_many: bool = False
    default: str | None = None


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def one_of(words: Iterable[str]) -> Callable[[str], str]:
    """A reader of some words."""
    known = tuple(words)

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}{nearest(text, known)}")
        return text

    return read


def _group(text: str) -> str:
    if text == "total":
        return text
    return one_of(WORDS)(text)


def _zone(text: str) -> tzinfo:
    try:
        return offset(text) or zone(text)
    except ValueError:
        raise ValueError(
            "a name of the tz database such as UTC or Europe/Berlin, or an offset such as UTC+02:00"
        ) from None


def _filter(word: str) -> Parameter:
    said = ATTRIBUTION[word][1] if word in ATTRIBUTION else f"The {word.replace('_', ' ')} of the calls."
    return Parameter(
        word, f"{said} To the letter; several are alternatives; empty for calls without one.", is_many=True
    )


def _where(text: str) -> Filter:
    return asking.filters([text])[0]


WHERE: Final = Parameter(
    "where",
    f"A filter as `costspan usage --where` takes it: a word, one of {', '.join(SIGNS)}, and a value. With = and != a star stands for "
    "anything, and upper and lower case are alike.",
    _where,
    is_many=True,
)
#: Which calls, by every word of the ledger.
FILTERS: Final = (*map(_filter, COLUMNS), WHERE)
TIME_ZONE: Final = Parameter(
    "time_zone",
    "The zone in which days and months begin, of the tz database, or an offset such as UTC+02:00; else that of the server.",
    _zone,
)
PERIOD: Final = Parameter("period", f"When: {period.EXPECTED}. In the place of `from` and `until`.")
FROM: Final = Parameter("from", f"From the beginning of {period.EXPECTED_MOMENT}.")
UNTIL: Final = Parameter("until", "To the end of such a time: a day is included.")
#: Which calls, and when.
CHOICE: Final = (*FILTERS, PERIOD, FROM, UNTIL, TIME_ZONE)
BY: Final = Parameter(
    "by",
    "The words to group by; `total` for none.",
    _group,
    {"type": "string", "enum": [*WORDS, "total"]},
    is_many=True,
)
TOP: Final = Parameter(
    "top", "So many groups, the most expensive first; the total is of all.", whole(1, MOST_ROWS),
    {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, default="1000",
)  # fmt: skip


def read(given: Sequence[tuple[str, str]], known: Sequence[Parameter]) -> dict[str, Any]:
    """The values of a query by name; those that were not given have their default, or are missing.

    Raises RequestError with the field for a name that nobody knows, one that comes twice, and a value that is none.
    """
    by_name = {each.name: each for each in known}
    values: dict[str, Any] = {}
    for name, text in given:
        parameter = by_name.get(name)
        if parameter is None:
            expected = f"one of {', '.join(by_name)}" if by_name else "no parameter"
            raise mistaken(name, text, f"{expected}{nearest(name, by_name)}")
        if not parameter.is_many:
            if name in values:
                raise mistaken(name, text, "the parameter once")
            values[name] = _read(parameter, text)
            continue
        texts = text.split(",") if name == BY.name else [text]
        values.setdefault(name, []).extend(_read(parameter, each) for each in texts)
    defaults = [each for each in known if each.default is not None and each.name not in values]
    return {**values, **{each.name: each.read(each.default or "") for each in defaults}}


def _read(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.read(text)
    except (ValueError, OverflowError) as fault:
        raise mistaken(parameter.name, text, str(fault).rpartition("expected ")[2]) from None


def filters(values: Mapping[str, Any]) -> tuple[Filter, ...]:
    """The filters among the values."""
    exact = tuple(Filter(word, _IS, text) for word in COLUMNS for text in values.get(word, ()))
    return (*exact, *values.get(WHERE.name, ()))


def grouped(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The words to group by among the values."""
    words = values.get(BY.name, ())
    if len(words) > 1 and "total" in words:
        raise mistaken(BY.name, "total", "it alone: it stands for no group")
    return groups(words) if words else ()


def asked_period(values: Mapping[str, Any], where: tzinfo, now_s: float, default: str = "all") -> period.Period:
    """The period among the values."""
    said, since, until = (values.get(each.name) for each in (PERIOD, FROM, UNTIL))
    if since is None and until is None:
        return _told(PERIOD, lambda: period.parse(default if said is None else said, where, now_s))
    if said is not None:
        raise mistaken(PERIOD.name, said, "either period, or from and until")
    if since is not None:
        _told(FROM, lambda: period.between(since, None, where, now_s))
    return _told(UNTIL, lambda: period.between(since, until, where, now_s))


def _told(parameter: Parameter, make: Callable[[], period.Period]) -> period.Period:
    """What `make` makes. Its sentence says what was expected after a colon."""
    try:
        return make()
    except ValueError as fault:
        said = str(fault)
        expected = said.partition("expected ")[2] or "a time that is not before the other"
        raise RequestError(400, f"{parameter.name}: {said}", field=parameter.name, expected=expected) from None
