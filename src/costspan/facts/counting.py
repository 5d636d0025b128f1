"""Counts as people write them, each with its noun."""

from __future__ import annotations


def number(count: int, noun: str) -> str:
    """A count with its noun: `1 call`, `1,204 tokens`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
