"""Measure estimates of calls that are not sent yet (`costspan.estimate`) over recorded traffic: learned on a half, judged on the other.

    COSTSPAN_CORPUS=../shared/corpus python scripts/measure_before_sending.py

Prints the table "measured" of docs/estimates.md. Each recorded call is estimated by what the other half of the recordings
holds of its model; the halves are told by the ids of the recordings. Requests that say themselves that a part of them cannot be
estimated (pictures, files, tools of the provider) are counted apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from costspan.budgets.bounds import PROMPTS
from costspan.facts import usage as units
from costspan.forecast.estimate import Estimate, made
from costspan.forecast.history import Known, Told
from costspan.forecast.request import read
from costspan.pricing import Prices
from measure_estimates import exchanges
from pages import table
from recordings import apis

_OF_CHAT = re.compile(r"(chat|chat_v1|responses|messages|completions|generate_content|converse)$")
_IN_PATH = re.compile(r"models?/([^/:]+)")


class Recorded(NamedTuple):
    """A request, and what its provider counted."""

    id: str
    model: str
    request: dict[str, Any]
    input: int
    output: int


class Judged(NamedTuple):
    """An estimate beside what came."""

    estimate: Estimate
    came: Recorded


def recorded() -> Iterator[Recorded]:
    """Every recorded call of a model that writes text, with its counts."""
    for api in apis():
        for exchange in exchanges(api) if _OF_CHAT.search(api) else ():
            request: dict[str, Any] = exchange["request"]["json"]
            usage: dict[str, Any] = exchange["expected"]["usage"]
            if not usage["input_total"] or usage["output_total"] is None or not set(PROMPTS) & set(request):
                continue
            in_path = _IN_PATH.search(exchange["path"])
            model = request.get("model") or (in_path[1] if in_path else exchange["expected"]["request_model"])
            yield Recorded(exchange["id"], str(model), request, usage["input_total"], usage["output_total"])


def half(one: Recorded) -> int:
    """In which half a recording is."""
    return hashlib.sha256(one.id.encode()).digest()[0] & 1


def judged() -> list[Judged]:
    """Each recording estimated by the half that it is not in."""
    prices, found = Prices.load(), list[Judged]()
    every = list(recorded())
    outputs: dict[tuple[int, str], list[int]] = {}
    inputs: dict[tuple[int, str], list[Told]] = {}
    for one in every:
        outputs.setdefault((half(one), one.model), []).append(one.output)
        estimate = made(read({**one.request, "model": one.model}), None, None, Known(), prices, 0.0)
        if not estimate.left_out:
            words, tools = estimate.expected.tokens[units.INPUT], bool(one.request.get("tools"))
            inputs.setdefault((half(one), one.model), []).append(Told(words, tools, one.input))
    for one in every:
        asked = read({**one.request, "model": one.model})
        other = (1 - half(one), one.model)
        history = Known(sorted(outputs.get(other, ())), one.model, inputs.get(other, ()), one.model)
        found.append(Judged(made(asked, None, None, history, prices, 0.0), one))
    return found


def errors(pairs: Sequence[tuple[float, int]]) -> tuple[str, str, str]:
    """How many, and by how much of what came estimates are off: the median and the 90th percentile, in percent."""
    found = sorted(abs(expected - came) / max(1, came) for expected, came in pairs)
    if not found:
        return "0", "", ""
    return str(len(found)), f"{found[len(found) // 2]:.1%}", f"{found[len(found) * 9 // 10]:.1%}"


def held(every: Sequence[Judged], kind: str) -> tuple[str, str]:
    """How many estimates have a bound, and how many of these came to no more."""
    pairs = [
        (each.estimate.bound.tokens[kind], each.came.input if kind == units.INPUT else each.came.output)
        for each in every
        if kind in each.estimate.bound.tokens
    ]
    share = sum(came <= bound for bound, came in pairs) / len(pairs) if pairs else 0.0
    return str(len(pairs)), f"{share:.1%}"


def rows(every: Sequence[Judged]) -> Iterator[tuple[str, ...]]:
    """By kind, and by what the expected number is told from."""
    for kind in (units.INPUT, units.OUTPUT):
        for word in sorted({each.estimate.basis[kind].expected for each in every}):
            chosen = [each for each in every if each.estimate.basis[kind].expected == word]
            pairs = [
                (each.estimate.expected.tokens[kind], each.came.input if kind == units.INPUT else each.came.output)
                for each in chosen
                if kind in each.estimate.expected.tokens
            ]
            yield (f"{kind}, {word}", *errors(pairs), *held(chosen, kind))


def main() -> None:
    """Print the table."""
    every = judged()
    whole = [each for each in every if not each.estimate.left_out]
    headings = ("told from", "calls", "median error", "90th percentile", "with a bound", "came to no more")
    apart = [(f"left out: {row[0]}", *row[1:]) for row in rows([each for each in every if each.estimate.left_out])]
    print(table(headings, [*rows(whole), *apart]))


if __name__ == "__main__":
    main()
