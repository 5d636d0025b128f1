"""One of the user's own prices: which calls it is for, and what it says about them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from costspan.pricing.catalog import EVER, Catalog, Rates
from costspan.pricing.item_rates import ItemRate
from costspan.pricing.lookup import TABLE_NAMES, host_of

#: Provider, host (with its port, unless that is the usual one), model asked for, model of the answer, tier, geo, speed, processing.
Asked: TypeAlias = "tuple[str, str | None, str | None, str | None, str | None, str | None, str | None, str | None]"

WORDS: Final = ("provider", "model", "deployment", "arn", "region", "tier", "host")
_REGION_IN_HOST: Final = re.compile(
    r"(?:^bedrock(?:-runtime)?\.([a-z0-9-]+)\.amazonaws\.com$)|(?:^([a-z0-9-]+)-aiplatform\.googleapis\.com$)"
    r"|(?:^([a-z]{2})\.api\.openai\.com$)"
)
_REGION_IN_MODEL: Final = re.compile(r"^arn:[^:]*:bedrock:([a-z0-9-]+):|^([a-z-]+)\.[a-z]+\.")


class Pattern:
    """A word of a rule: the value itself, a glob (with * or ?), or a regular expression between slashes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_regex = len(text) > 2 and text.startswith("/") and text.endswith("/")  # noqa: PLR2004 - "//" is no regex
        self.is_literal = not self.is_regex and not any(sign in text for sign in "*?")
        source = text[1:-1] if self.is_regex else fnmatch.translate(text.lower().replace("[", "[[]"))
        self._pattern = re.compile(source, re.IGNORECASE)

    def matches(self, value: str) -> bool:
        """Whether the pattern fits a value; letters count the same in both cases."""
        if self.is_literal:
            return value.lower() == self.text.lower()
        return (self._pattern.search if self.is_regex else self._pattern.match)(value) is not None

    def covers(self, other: Pattern) -> bool:
        """Whether each value of the other is surely one of this."""
        return self.text.lower() == other.text.lower() or (other.is_literal and self.matches(other.text))


class Rule(NamedTuple):
    """A price of the user's own. Times in seconds since the epoch, `until_s` excluded."""

    line: int
    match: dict[str, Pattern]
    rates: Rates | None = None
    alias_of: tuple[str, str] | None = None
    times: Fraction = Fraction(1)
    since_s: float = -EVER
    until_s: float = EVER

    def is_for(self, values: dict[str, tuple[str, ...]]) -> bool:
        """Whether a call with these values is meant, at whatever time."""
        return all(any(pattern.matches(value) for value in values[word]) for word, pattern in self.match.items())

    def hides(self, later: Rule) -> bool:
        """Whether this rule takes calls that the later one is written for, at some time, wherever both could."""
        if self.since_s >= later.until_s or later.since_s >= self.until_s:
            return False
        return all(word in later.match and pattern.covers(later.match[word]) for word, pattern in self.match.items())


class Overrides(NamedTuple):
    """The rules of a file, in its order, a digest of its text, and the table that it chooses, if it does, and the rates of items
    that are no call.
    """

    rules: tuple[Rule, ...] = ()
    digest: str = ""
    table: Catalog | None = None
    rates: Mapping[str, ItemRate] = MappingProxyType({})


class OverrideError(ValueError):
    """A file of prices that cannot be used. `mistakes` are all of them, each with file, line and what was expected."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def values_of(asked: Asked) -> dict[str, tuple[str, ...]]:
    """What a call has to offer for each word of a match."""
    provider, address, request_model, model, tier, geo, _, _ = asked
    host = host_of(address)
    models = tuple(dict.fromkeys(each for each in (model, request_model) if each))
    return {
        "provider": (provider, TABLE_NAMES.get(provider, provider)),
        "host": (host, address or host) if host else (),
        "model": models,
        "deployment": (request_model,) if request_model else (),
        "arn": tuple(each for each in models if each.startswith("arn:")),
        "region": tuple(_regions(host, geo, models)),
        "tier": (tier or "default",),
    }


def _regions(host: str | None, geo: str | None, models: Sequence[str]) -> Iterator[str]:
    if geo:
        yield geo
    for pattern, text in ((_REGION_IN_HOST, host or ""), *((_REGION_IN_MODEL, model) for model in models)):
        if found := pattern.search(text):
            yield next(group for group in found.groups() if group)


def first(rules: Sequence[Rule], asked: Asked, at_s: float) -> tuple[Rule | None, float, float]:
    """The first rule for a call at a moment, and the span of time in which the answer stays the same."""
    if not rules:
        return None, -EVER, EVER
    values = values_of(asked)
    meant = [rule for rule in rules if rule.is_for(values)]
    edges = [edge for rule in meant for edge in (rule.since_s, rule.until_s)]
    since_s = max((edge for edge in edges if edge <= at_s), default=-EVER)
    until_s = min((edge for edge in edges if edge > at_s), default=EVER)
    rule = next((rule for rule in meant if rule.since_s <= at_s < rule.until_s), None)
    return rule, since_s, until_s
