"""Sections and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def section(title: str, text: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A heading, a sentence, and a table, or that there is none yet."""
    return f"## {title}\n\n{text}\n\n" + (table(head, lines) if lines else "Not measured yet.")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table, its columns of numbers to the right."""
    body = [list(line) for line in lines]
    rule = ["---:" if all(_is_number(cell) for cell in column) else "---" for column in zip(*body, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def _is_number(cell: str) -> bool:
    return cell[:1] in "+-0123456789"
