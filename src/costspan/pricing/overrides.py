"""The user's own prices: a YAML file, checked as a whole, every mistake told with its line.

    prices:
      - match: {provider: azure.ai.openai, deployment: my-deployment}
        alias_of: openai/gpt-5
        multiplier: 0.9
      - match: {provider: openai, model: "ft:gpt-4.1*"}
        usd_per_million: {input: 3, cache_read: 0.75, output: 12}
        usd_per_unit: {web_searches: 0.01}
        valid_from: 2026-01-01
        valid_to: 2026-12-31

docs/pricing.md explains each key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from costspan.facts.money import PICO_PER_USD
from costspan.facts.usage import CACHE_READ, PIECES, UNITS
from costspan.pricing import renewed
from costspan.pricing.catalog import EVER, Catalog, Rates
from costspan.pricing.item_rates import SAID_BY, ItemRate, rate_of
from costspan.pricing.lookup import table_name
from costspan.pricing.plan import CACHED_OF, INSIDE, REQUESTS, TOKENS
from costspan.pricing.rule import WORDS, OverrideError, Overrides, Pattern, Rule

MILLION: Final = 1_000_000
#: The keys that say rates, each with the units that it is for and how many of them an amount is for.
_RATES: Final = {
    "usd_per_million": (sorted(UNITS - PIECES | {"characters"}), MILLION),
    "usd_per_unit": (sorted(PIECES | {REQUESTS}), 1),
    "usd_per_second": (sorted(unit for unit in PIECES if unit.endswith("_ms")), 1_000),
}
_RULE_KEYS: Final = ("match", "alias_of", *_RATES, "multiplier", "valid_from", "valid_to", "note")
_DAY_S: Final = 86_400
#: No amount in USD and no multiplier is as large, nor, but for 0, as small as one over this.
_MOST: Final = 10**12


def read_overrides(path: Path, catalog: Catalog | None = None) -> Overrides:
    """Read a file of prices. Raises OverrideError with every mistake in it."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as fault:
        raise OverrideError([f"{path}: cannot be read: {fault.strerror}"]) from None
    except UnicodeDecodeError:
        raise OverrideError([f"{path}: is not UTF-8 text: a YAML file is expected"]) from None
    except yaml.YAMLError as fault:
        raise OverrideError([_syntax_mistake(path, fault)]) from None
    except RecursionError:
        raise OverrideError([f"{path.name}:1: is nested too deeply: a YAML mapping is expected"]) from None
    reading = _Reading(path, catalog or Catalog.bundled())
    rules = reading.file(root)
    if reading.mistakes:
        begin = len(f"{path.name}:")
        raise OverrideError(sorted(reading.mistakes, key=lambda mistake: int(mistake[begin:].split(":")[0])))
    return Overrides(
        tuple(rules), hashlib.sha256(text.encode()).hexdigest()[:8], reading.table, rates=reading.item_rates
    )


def _syntax_mistake(path: Path, fault: Any) -> str:
    mark = getattr(fault, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 1
    return f"{path.name}:{line}: is no YAML: {getattr(fault, 'problem', None) or fault}: a YAML mapping is expected"


class _Reading:
    """One pass over the nodes of a file: it keeps the mistakes and goes on."""

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self.name = path.name
        self.folder = path.parent
        self.catalog = catalog
        self.table: Catalog | None = None
        self.mistakes: list[str] = []
        self.item_rates: dict[str, ItemRate] = {}

    def wrong(self, node: Any, what: str, expected: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 1
        self.mistakes.append(f"{self.name}:{line}: {what}: {expected}")

    def file(self, root: Any) -> list[Rule]:
        top = self.mapping(root, ("prices", "table", "rates"), "the file")
        if top is None:
            return []
        if "table" in top:
            self.chosen_table(top["table"])
        if "rates" in top:
            self.rates_of_items(top["rates"])
        if "prices" not in top:
            if not top:
                self.wrong(root, 'there is no "prices"', 'expected "prices:" and a list of rules under it')
            return []
        if not _is(top["prices"], "seq"):
            self.wrong(top["prices"], '"prices" is no list', "expected a list of rules, each beginning with '- match:'")
            return []
        rules = [rule for node in top["prices"].value if (rule := self.rule(node))]
        self.overlaps(rules)
        return rules

    def chosen_table(self, node: Any) -> None:
        """Another table than the bundled one: rules name its models."""
        entries = self.mapping(node, ("file", "sha256"), "the table")
        if entries is None:
            return
        try:
            file, sha256 = renewed.pin_of(entries)
            self.table = self.catalog = renewed.read(self.folder / file, sha256)
        except renewed.TableError as fault:
            self.wrong(node, "the table cannot be used", str(fault))

    def rates_of_items(self, node: Any) -> None:
        """Rates of machines, storage and pieces, by the names that programs call them by."""
        if not _is(node, "map"):
            self.wrong(node, '"rates" is no mapping', "expected names, and under each one of " + _listed(SAID_BY))
            return
        names: set[str] = set()
        for key, value in node.value:
            what = f'the rate "{key.value}"'
            if key.value in names:
                self.wrong(key, f"{what} comes twice", "expected once")
            names.add(key.value)
            said = self.mapping(value, SAID_BY, what)
            if said is None:
                continue
            if len(value.value) != 1:
                self.wrong(value, f"{what} says {len(value.value)} amounts", f"expected one of {_listed(SAID_BY)}")
            for said_by, amount in said.items():
                usd = self.number(amount, f'"{said_by}"')
                if usd is not None:
                    self.item_rates[key.value] = rate_of(said_by, usd)

    def overlaps(self, rules: list[Rule]) -> None:
        for index, later in enumerate(rules):
            earlier = next((rule for rule in rules[:index] if rule.hides(later)), None)
            if earlier is not None:
                self.mistakes.append(
                    f"{self.name}:{later.line}: overlaps the rule of line {earlier.line}, which comes first for the same "
                    "calls at the same time: put the narrower rule first, or let one end before the other begins"
                )

    def mapping(self, node: Any, allowed: Collection[str], what: str) -> dict[str, Any] | None:
        """The entries of a mapping, without the keys that nobody knows and the ones that come twice."""
        if not _is(node, "map"):
            self.wrong(node, f"{what} is no mapping", f"expected the keys {_listed(allowed)}")
            return None
        entries: dict[str, Any] = {}
        for key, value in node.value:
            if key.value not in allowed:
                self.wrong(key, f'"{key.value}" is unknown in {what}', f"expected one of {_listed(allowed)}")
            elif key.value in entries:
                self.wrong(key, f'"{key.value}" comes twice in {what}', "expected once")
            else:
                entries[key.value] = value
        return entries

    def rule(self, node: Any) -> Rule | None:
        before = len(self.mistakes)
        entries = self.mapping(node, _RULE_KEYS, "a rule")
        if entries is None:
            return None
        match = self.match(node, entries.get("match"))
        rates = self.rates(node, entries)
        alias_of = self.alias(entries["alias_of"]) if "alias_of" in entries else None
        if rates is not None and "alias_of" in entries:
            self.wrong(entries["alias_of"], '"alias_of" stands beside rates', "expected one of the two")
        if rates is None and not {"alias_of", "multiplier"} & entries.keys():
            self.wrong(node, "the rule says no price", f"expected alias_of, {_listed(_RATES)} or multiplier")
        times = self.number(entries["multiplier"], '"multiplier"') if "multiplier" in entries else Fraction(1)
        since_s = self.day(entries["valid_from"], 0) if "valid_from" in entries else -EVER
        until_s = self.day(entries["valid_to"], 1) if "valid_to" in entries else EVER
        if since_s is not None and until_s is not None and since_s >= until_s:
            self.wrong(entries["valid_to"], '"valid_to" is before "valid_from"', "expected the same day or a later one")
        if len(self.mistakes) > before or match is None or times is None or since_s is None or until_s is None:
            return None
        return Rule(node.start_mark.line + 1, match, rates, alias_of, times, since_s, until_s)

    def match(self, rule: Any, node: Any) -> dict[str, Pattern] | None:
        if node is None:
            self.wrong(rule, 'the rule has no "match"', f"expected match: with one or more of {_listed(WORDS)}")
            return None
        entries = self.mapping(node, WORDS, '"match"')
        if entries is not None and not entries and not node.value:
            self.wrong(node, '"match" is empty', f"expected one or more of {_listed(WORDS)}")
        patterns = {word: self.pattern(value, word) for word, value in (entries or {}).items()}
        return {word: pattern for word, pattern in patterns.items() if pattern is not None}

    def pattern(self, node: Any, word: str) -> Pattern | None:
        text = self.text(node, f'"{word}"', "expected a value, a glob such as gpt-4o*, or a /regular expression/")
        try:
            return Pattern(text) if text else None
        except re.error as fault:
            self.wrong(node, f'"{word}" is no regular expression: {fault}', "expected one between two slashes")
            return None

    def text(self, node: Any, what: str, expected: str) -> str | None:
        if not _is(node, "scalar") or not node.value or node.tag.endswith(":null"):
            self.wrong(node, f"{what} is no text", expected)
            return None
        return node.value

    def alias(self, node: Any) -> tuple[str, str] | None:
        expected = (
            "expected provider/model of the price table, such as openai/gpt-5 (see `costspan prices show`), or a provider "
            "alone for the prices of whichever of its models is called"
        )
        text = self.text(node, '"alias_of"', expected)
        if text is None:
            return None
        provider, slash, model = text.partition("/")
        name = table_name(self.catalog, provider)
        if name is None or (slash and self.catalog.find(name, model.lower()) is None):
            self.wrong(node, f'"alias_of" is {text!r}, which the price table does not have', expected)
            return None
        return name, model.lower()

    def rates(self, rule: Any, entries: dict[str, Any]) -> Rates | None:
        if not _RATES.keys() & entries.keys():
            return None
        found: Rates = {}
        for key, (units, per) in _RATES.items():
            if key not in entries:
                continue
            for unit, node in (self.mapping(entries[key], units, f'"{key}"') or {}).items():
                usd = self.number(node, f'"{unit}"')
                if unit in found:
                    self.wrong(node, f'"{unit}" has two rates', "expected one")
                elif usd is not None:
                    found[unit] = ((0, _pico(usd, per)),)
        self.whole(rule, found)
        return found

    def whole(self, rule: Any, rates: Rates) -> None:
        """A part with a rate needs its total to have one, and cached sound beside sound and cache one of its own."""
        for part in sorted(TOKENS & rates.keys()):
            for wider in sorted(INSIDE.get(part, frozenset()) - rates.keys()):
                self.wrong(rule, f'"{part}" has a rate and "{wider}", which it is part of, has none', "expected both")
        for cached, whole in CACHED_OF.items():
            if whole in rates and CACHE_READ in rates and cached not in rates:
                self.wrong(
                    rule, f'"{whole}" and "{CACHE_READ}" have rates and "{cached}" has none', "expected all three"
                )

    def number(self, node: Any, what: str) -> Fraction | None:
        """A number of at least 0, exactly as it is written."""
        try:
            value = Decimal(node.value) if _is(node, "scalar") and node.style is None else None
        except InvalidOperation:
            value = None
        if value is None or not value.is_finite():
            self.wrong(node, f"{what} is no number", "expected an amount such as 2.5")
        elif value < 0:
            self.wrong(node, f"{what} is {value}", "expected 0 (free) or more")
        elif value and not 1 / Decimal(_MOST) <= value <= _MOST:
            self.wrong(node, f"{what} is {value}", f"expected 0, or an amount from 1/{_MOST:,} to {_MOST:,}")
        else:
            return Fraction(value)
        return None

    def day(self, node: Any, later_days: int) -> float | None:
        """The start of a day, or of the day after it, in UTC."""
        try:
            day = dt.datetime.strptime(node.value, "%Y-%m-%d").replace(tzinfo=dt.timezone.utc)
        except (TypeError, ValueError):
            self.wrong(node, "the day is no day", "expected YYYY-MM-DD, such as 2026-01-31 (UTC)")
            return None
        # Not as a date: the day after 9999-12-31 has none.
        return day.timestamp() + later_days * _DAY_S


def _pico(usd: Fraction, per: int) -> int | Fraction:
    value = usd * PICO_PER_USD / per
    return value.numerator if value.denominator == 1 else value


def _is(node: Any, kind: str) -> bool:
    return node is not None and node.id == {"map": "mapping", "seq": "sequence", "scalar": "scalar"}[kind]


def _listed(words: Collection[str]) -> str:
    return ", ".join(words)
