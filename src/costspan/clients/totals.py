"""Totals and their parts: what a usage says twice must fit together, and where it does, it proves how it is to be read.

Reasoning, sound and cached prompts are inside the prompt and the completion with most servers, and beside them with a
few (xAI chat, Mistral's sound and connectors, gateways to Anthropic). The total that the same usage reports tells which.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from costspan.facts import usage as units

_TOTAL: Final = "total_tokens"
_WRITES: Final = "cache_creation"
#: What may stand beside a total instead of inside it.
_BESIDE: Final = (
    (units.OUTPUT, (units.REASONING,)),
    (units.INPUT, (units.INPUT_AUDIO,)),
    (units.INPUT, (units.INPUT_TOOL,)),
    (units.INPUT, (units.CACHE_READ, units.CACHE_WRITE)),
    (units.INPUT, (units.CACHE_WRITE,)),
    (units.OUTPUT, (units.OUTPUT_CITATION,)),
)
_KEPT_FOR: Final = (units.CACHE_WRITE_5M, units.CACHE_WRITE_30M, units.CACHE_WRITE_1H, units.CACHE_WRITE_12H)


def settle(counts: dict[str, int], total: int | None, unread: list[str], model: object = None) -> None:
    """Fill in what the total alone tells, and add what it proves to stand beside; name it where it fits neither way."""
    reasoning = counts.get(units.REASONING, 0)
    if total is None:
        if reasoning > counts.get(units.OUTPUT, 0):
            counts[units.OUTPUT] = counts.get(units.OUTPUT, 0) + reasoning
        return
    _fill(counts, total)
    if units.INPUT not in counts or units.OUTPUT not in counts:
        if total:
            unread.append(_TOTAL)
        return
    gap = total - counts[units.INPUT] - counts[units.OUTPUT]
    if gap:
        if not _is_beside(counts, gap):
            _take_gap(counts, gap, unread, model)
    elif reasoning > counts[units.OUTPUT] and _is_of_google(model):
        counts[units.OUTPUT] += reasoning


def _fill(counts: dict[str, int], total: int) -> None:
    """Of prompt, completion and total any two tell the third."""
    for known, lacking in ((units.INPUT, units.OUTPUT), (units.OUTPUT, units.INPUT)):
        if known in counts and lacking not in counts and total >= counts[known]:
            counts[lacking] = total - counts[known]


def _is_beside(counts: dict[str, int], gap: int) -> bool:
    found = [(total, sum(counts.get(part, 0) for part in parts)) for total, parts in _BESIDE]
    found = [(total, number) for total, number in found if number]
    for together in (1, 2):
        for chosen in combinations(found, together):
            if sum(number for _, number in chosen) == gap:
                for total, number in chosen:
                    counts[total] += number
                return True
    return False


def _take_gap(counts: dict[str, int], gap: int, unread: list[str], model: object) -> None:
    if gap > 0 and _is_of_google(model):
        counts[units.OUTPUT] += gap
    else:
        unread.append(_TOTAL)


def _is_of_google(model: object) -> bool:
    """Google reports thoughts beside the answer: its OpenAI endpoint in the total only, gateways not even there.

    https://ai.google.dev/gemini-api/docs/openai, https://github.com/vercel/ai/issues/6082 (2026-11)
    """
    return isinstance(model, str) and "gemini" in model


_WHOLE: Final = dict.fromkeys(units.INPUT_PARTS, units.INPUT) | dict.fromkeys(units.OUTPUT_PARTS, units.OUTPUT)


def name_excess(counts: dict[str, int], unread: list[str]) -> None:
    """Name each part that is more than its total."""
    for unit, count in counts.items():
        if count and unit in _WHOLE and count > counts.get(_WHOLE[unit], count):
            unread.append(unit)


def settle_writes(counts: dict[str, int], unread: list[str]) -> None:
    """Cache writes that are more than their split by lifetime tells.

    Anthropic's server tools add writes to the total alone, of the one lifetime that the request has: five minutes
    unless it asks for more. Where longer ones are split off, the rest is presumed to be as long-lived, and it is told;
    where both stand there, the rest is charged at the lower rate. A split of nothing tells no lifetime.
    """
    parts = [unit for unit in _KEPT_FOR if counts.get(unit)]
    if not parts:
        if counts.get(units.CACHE_WRITE) and not counts.keys().isdisjoint(_KEPT_FOR):
            unread.append(_WRITES)
        return
    sum_ = sum(counts[unit] for unit in parts)
    rest = counts.setdefault(units.CACHE_WRITE, sum_) - sum_
    if not rest or (rest > 0 and parts == [units.CACHE_WRITE_5M]):
        return
    unread.append(_WRITES)
    if rest > 0 and len(parts) == 1:
        counts[parts[0]] += rest
