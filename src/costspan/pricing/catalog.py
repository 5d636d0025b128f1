"""The bundled price table: which model an id names, and which rates hold for it at a moment.

The table is compiled from genai-prices, and from LiteLLM's map for what that lacks, by scripts/compile_prices.py; the
header of prices.jsonl and the rows are described there. A provider's rows are decoded when the first of its models is priced.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, cast

from costspan.facts.money import ALIAS, EXACT

TABLE: Final = Path(__file__).parent / "prices.jsonl"
DAY_S: Final = 86_400
EVER: Final = float("inf")

#: Pico-USD per unit: a whole number, or a fraction where none is exact.
Rate: TypeAlias = "int | Fraction"
#: Rates by size of the prompt: (0, base), then (tokens, rate): the rate for all tokens of a longer prompt.
Steps: TypeAlias = "tuple[tuple[int, Rate], ...]"
Rates: TypeAlias = "dict[str, Steps]"

#: A version at the end of an id: a date, a number of a revision, or Vertex' word for the current one.
_VERSION: Final = re.compile(r"([-@:]20\d{6}|-20\d\d-\d\d-\d\d|-v\d+(:\d+)?|-00\d|@default)+$")
_COMPACT_DATE: Final = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Found(NamedTuple):
    """A model of the table and how its id was reached: `quality` EXACT or ALIAS, `how` in words."""

    model: Model
    quality: str
    how: str


class Dated(NamedTuple):
    """The rates of a moment, and the span of time (seconds since the epoch) in which they hold."""

    rates: Rates
    since_s: float
    until_s: float
    context: frozenset[str]


class Model:
    """One row of the table."""

    def __init__(self, provider: str, row: list[Any]) -> None:
        self.provider = provider
        self.id: str = row[0]
        self.words: list[Any] = row[1]
        self._prices: list[Any] = row[2]
        self._variants: list[Any] = row[3]
        self.is_free: bool = row[4].get("free", False)
        self.least: dict[str, int] = row[4].get("least", {})
        self.covers: frozenset[str] = frozenset(row[4].get("covers", ()))
        self.lacks: frozenset[str] = frozenset(row[4].get("lacks", ()))
        self.charges_more: bool = row[4].get("charges_more", False)
        #: Who compiled the rates and where they were read, of a model that the first source does not have.
        self.origin: str = ", read at ".join(filter(None, (row[4].get("by"), row[4].get("origin"))))
        added = row[4].get("added", {"by": "", "variants": ()})
        #: Who compiled the rates for some contexts only, and which.
        self.added_by: str = added["by"]
        self.added: frozenset[tuple[str, str]] = frozenset((key, value) for key, value in added["variants"])

    def matches(self, ref: str) -> bool:
        """Whether a model id means this model, by the words of the table."""
        return any(_is_match(word, ref) for word in self.words)

    def names(self, ref: str) -> bool:
        """Whether `ref` is this model's own name or a dated name of it, not merely a longer one."""
        plain = _VERSION.sub("", ref)
        names = {self.id.lower(), *(word[1:] for word in self.words if isinstance(word, str) and word[0] in "=^")}
        return ref in names or plain in names or plain in {_VERSION.sub("", name) for name in names}

    def has_rates_for(self, key: str, value: str) -> bool:
        """Whether the table has rates of its own for something that may be said of a call."""
        return any(variant[0] == key and variant[1] == value for variant in self._variants)

    def at(self, at_s: float, context: dict[str, str]) -> Dated:
        """The rates at a moment for a context such as {"service_tier": "flex"}."""
        constraints = [each[0] for each in self._prices] + [variant[2] for variant in self._variants]
        since_s, until_s = _span(constraints, at_s)
        rates = _steps_of(self._standard(at_s))
        chosen: dict[str, Any] = {}
        said: set[str] = set()
        for key, value, constraint, prices in self._variants:
            if context.get(key) == value and _is_active(constraint, at_s):
                said.add(key)
                for unit, price in prices.items():
                    chosen.setdefault(unit, price)
        return Dated({**rates, **_steps_of(chosen)}, since_s, until_s, frozenset(said))

    def history(self) -> Iterator[Rates]:
        """The standard rates of each time and each hour of the day."""
        return (_steps_of(prices) for _, prices in self._prices)

    def _standard(self, at_s: float) -> dict[str, Any]:
        """The last price whose constraint holds, else the first (the rule of genai-prices)."""
        active = [prices for constraint, prices in self._prices if _is_active(constraint, at_s)]
        return active[-1] if active else self._prices[0][1]


class Provider:
    """One provider of the table."""

    def __init__(self, name: str, header: dict[str, Any], lines: list[str]) -> None:
        self.id = name
        self.fallback: list[str] = header["fallback"]
        self._model_words: list[Any] = header["models"]
        self._name_words: list[Any] = header["names"]
        self.api: str = header["api"]
        self._lines = lines

    @cached_property
    def models(self) -> list[Model]:
        """The models in the order in which they are tried; decoded with the first use."""
        rows = json.loads(f"[{','.join(self._lines)}]")
        return [Model(self.id, row) for row in rows]

    def claims(self, ref: str) -> bool:
        """Whether a model id is by its looks one of this provider's."""
        return any(_is_match(word, ref) for word in self._model_words)

    def is_called(self, name: str) -> bool:
        """Whether a name means this provider."""
        return any(_is_match(word, name) for word in self._name_words)

    def find(self, ref: str) -> Found | None:
        """The first model of the table that the id matches."""
        for model in self.models:
            if model.matches(ref):
                is_named = model.names(ref)
                how = f"{ref} {'is' if is_named else 'looks like'} {model.provider}/{model.id}"
                return Found(model, EXACT if is_named else ALIAS, how)
        return None


class Catalog:
    """The whole table."""

    def __init__(self, text: str) -> None:
        head, *lines = text.splitlines()
        header = json.loads(head)
        self.source: str = header["source"]
        self.date: str = header["date"]
        self.sha256: str = header["sha256"]
        self.multipliers: list[dict[str, str]] = header["multipliers"]
        self.routers: list[dict[str, Any]] = header["routers"]
        self.providers = {
            name: Provider(name, each, lines[each["first"] - 1 : each["first"] - 1 + each["count"]])
            for name, each in header["providers"].items()
        }

    @classmethod
    def bundled(cls) -> Catalog:
        """The table of the installed package."""
        return cls(TABLE.read_text(encoding="utf-8"))

    @property
    def version(self) -> str:
        """Source, day and the beginning of the digest: what every record keeps."""
        return f"{self.source} {self.date} sha256:{self.sha256[:8]}"

    def find(self, provider: str, ref: str) -> Found | None:
        """A model by its id at a provider or at one that the provider sells models of (the rule of genai-prices).

        The id is tried as it is, then with its compact date written out.
        """
        sellers = [self.providers[name] for name in (provider, *self.providers[provider].fallback)]
        for each in dict.fromkeys((ref, _with_dashed_date(ref))):
            for seller in sellers:
                if found := seller.find(each):
                    return found if seller.id == provider else found._replace(quality=ALIAS)
        return None


def fraction(text: int | str) -> Rate:
    """A rate as the table writes it."""
    return text if isinstance(text, int) else Fraction(text)


def _steps_of(prices: dict[str, Any]) -> Rates:
    return {unit: _steps(price) for unit, price in prices.items()}


def _steps(price: Any) -> Steps:
    if not isinstance(price, list):
        return ((0, fraction(price)),)
    base, *tiers = cast("list[Any]", price)
    return ((0, fraction(base)), *((start, fraction(rate)) for start, rate in tiers))


def _is_match(word: Any, ref: str) -> bool:
    if isinstance(word, list):
        return all(any(_is_match(each, ref) for each in words) for words in cast("list[list[Any]]", word))
    sign, text = word[0], word[1:]
    if sign == "=":
        return ref == text
    if sign == "^":
        return ref.startswith(text)
    if sign == "~":
        return text in ref
    if sign == "$":
        return ref.endswith(text)
    return re.search(text, ref) is not None


def _with_dashed_date(ref: str) -> str:
    """`gpt-5.2-20251211`, as LiteLLM and OpenRouter write it, as `gpt-5.2-2025-12-11` (the rule of genai-prices)."""
    return _COMPACT_DATE.sub(r"\1\2-\3-\4", ref)


def _is_active(constraint: Any, at_s: float) -> bool:
    if constraint is None:
        return True
    if isinstance(constraint, str):
        return at_s >= day_start_s(constraint)
    start, end = constraint
    second = at_s % DAY_S
    return start <= second < end if start <= end else second >= start or second < end


def _span(constraints: list[Any], at_s: float) -> tuple[float, float]:
    """The longest time around a moment in which no constraint begins or ceases to hold."""
    edges = [edge for constraint in constraints if constraint is not None for edge in _edges(constraint, at_s)]
    since_s = max((edge for edge in edges if edge <= at_s), default=-EVER)
    until_s = min((edge for edge in edges if edge > at_s), default=EVER)
    return since_s, until_s


def _edges(constraint: Any, at_s: float) -> list[float]:
    if isinstance(constraint, str):
        return [day_start_s(constraint)]
    midnight = at_s // DAY_S * DAY_S
    return [midnight + day * DAY_S + second for day in (-1, 0, 1) for second in constraint]


def day_start_s(day: str) -> float:
    """Midnight UTC of a day `YYYY-MM-DD`, in seconds since the epoch."""
    year, month, date = map(int, day.split("-"))
    return dt.datetime(year, month, date, tzinfo=dt.timezone.utc).timestamp()
