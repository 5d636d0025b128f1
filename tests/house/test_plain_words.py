"""Pages and messages are in plain technical English: short sentences, and no phrase that a reader has to guess."""

from __future__ import annotations

import ast
import itertools
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from places import ROOT

#: What users read. Decisions are notes for developers, and the changelog is a list.
PAGES: Final = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "docs/*.md", "docs/start/*.md", "prometheus/runbooks/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip
SPOKEN: Final = [*PAGES, *sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "src").rglob("*.html"))]
#: Riddles that stood on our pages, or might have. A term that a reader can search for says the same.
ODD: Final = re.compile(
    r"what (?:a|the|this|their|every|each) series ha(?:s|ve) reached|stays? unsaid|stands? in the figures|of long life|tells? no more|knocks? at|takes? points (?:of LLM calls )?away|sends? what cannot be counted"
    r"|the dearest first|is no ledger of|counted as such|shows? each as such",
    re.IGNORECASE,
)
_MOST_WORDS: Final = 25


def sentences(text: str) -> Iterator[int]:
    """How many words each sentence of a page has. Code, tables, headings and comments are left out."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^( {4}.*|\|.*|#.*)$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "Code", text))
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?:;])\s+(?=[A-Z(*\"])", " ".join(paragraph.split())):
            words = len(re.findall(r"[\w'.-]*\w", sentence))
            if words > 1:
                yield words


def test_sentences_are_short() -> None:
    """On the median page nine of ten sentences have at most 25 words; on every page half of them have fewer than 20; none has 60."""
    counted = {path: list(sentences(path.read_text())) for path in PAGES}
    long_shares = [sum(each > _MOST_WORDS for each in words) / len(words) for words in counted.values() if words]
    assert statistics.median(long_shares) <= 0.1
    assert {str(path): words for path, words in counted.items() if words and statistics.median(words) >= 20} == {}
    assert {str(path): max(words) for path, words in counted.items() if words and max(words) >= 60} == {}


@pytest.mark.parametrize("text", ["One two three. Four five six!\n\n- a b c\n- d e f", "A `b c d e` f. [G h](i) j."])
def test_sentences_are_counted(text: str) -> None:
    """By their words, with code as one of them."""
    assert set(sentences(text)) == {3}


#: What is counted in sentences that users read.
NOUNS: Final = re.compile(
    r" (?:more )?(?:budget|call|request|record|model|file|sum|session|row|day|rule|item|value|program|crossing)s\b"
)


def plurals(module: ast.Module) -> list[int]:
    """The lines of texts in which a number that may be 1 stands before a plural. Constants are written in capitals."""
    return [
        text.lineno
        for text in ast.walk(module)
        if isinstance(text, ast.JoinedStr)
        for value, after in itertools.pairwise(text.values)
        if isinstance(value, ast.FormattedValue)
        and re.fullmatch(r"len\(.*\)|[\w.]*[a-z]\w*(?:\[.*\])?", ast.unparse(value.value))
        and isinstance(after, ast.Constant)
        and NOUNS.match(str(after.value))
    ]


@pytest.mark.parametrize(
    ("code", "is_mistaken"),
    [
        ("f'{count} budgets, {zone}'", True),
        ("f'{len(rows):,} more rows'", True),
        ("f'{found.calls:,} calls'", True),
        ("f'{_MOST:,} calls'", False),
        ("f'{number(count, \"call\")} of {name}'", False),
    ],
)
def test_a_plural_of_one_is_seen(code: str, is_mistaken: bool) -> None:  # noqa: FBT001  # a column of the table
    """`1 budgets` in a text that is made."""
    assert bool(plurals(ast.parse(code))) is is_mistaken


def test_one_is_no_plural() -> None:
    """`number(count, "budget")` writes a count with its noun."""
    found = {
        path.relative_to(ROOT).as_posix(): plurals(ast.parse(path.read_text()))
        for path in SPOKEN
        if path.suffix == ".py"
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_no_phrase_is_a_riddle() -> None:
    """Neither on a page nor in the program."""
    odd = [
        f"{path.relative_to(ROOT)}:{number}: {found.group()}"
        for path in SPOKEN
        for number, line in enumerate(Path(path).read_text().splitlines(), 1)
        if (found := ODD.search(line))
    ]
    assert odd == []
