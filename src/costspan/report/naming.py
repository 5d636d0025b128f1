"""Names as people read them: one harmless line each, shortened to a width, and no two alike."""

from __future__ import annotations

import hashlib
import os.path
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

NOT_SET: Final = "(not set)"
EMPTY: Final = '""'

_ELLIPSIS: Final = "…"
# Letters and signs by Unicode that nothing is seen of: fillers of Hangul, the empty pattern of Braille.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_ACCENTS: Final = frozenset({"Mn", "Me"})
_DOTTED_CIRCLE: Final = "\u25cc"
_MARKS_KEPT: Final = 3
# Of more names than this nobody compares all short forms: each of them carries its mark, so that none is kept in mind.
_COMPARED: Final = 10_000
_MARK_DIGITS: Final = (4, 10, 32)


def harmless(text: str) -> str:
    """The text with every character that steers a terminal, turns the direction or is invisible written as an escape.

    Accents beyond a few on one letter, and selectors between two pictures of one sign, are left out.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for sign in text:
        is_mark = unicodedata.category(sign) in _ACCENTS
        marks = marks + 1 if is_mark else 0
        if is_mark and not kept:
            kept.append(_DOTTED_CIRCLE)
        if not sign.isprintable() or sign in _BLANK:
            kept.append(sign.encode("unicode_escape").decode())
        elif marks <= _MARKS_KEPT and not "\ufe00" <= sign <= "\ufe0f":
            kept.append(sign)
    return "".join(kept)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, width: int) -> str:
    """The text, its middle left out where it is wider."""
    if cells(text) <= width:
        return text
    tail = (width - 1) // 2
    return _start(text, width - 1 - tail) + _ELLIPSIS + _end(text, tail)


def padded(text: str, width: int) -> str:
    """The text with spaces up to the width."""
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int | None) -> Iterator[str]:
    """The text in lines, broken between words only: a word that is wider stays whole."""
    begun = ""
    for word in text.split(" ") if width is not None and cells(text) > width else [text]:
        longer = f"{begun} {word}" if begun else word
        if begun and width is not None and cells(longer) > width:
            yield begun
            longer = word
        begun = longer
    yield begun


class Names:
    """The names of one column: met one after the other, then fitted into a width."""

    def __init__(self) -> None:
        self.widest = 0
        self._met: dict[str | None, str] = {}
        self._shown: dict[str | None, str] = {}
        self._width = 0

    def meet(self, name: str | None) -> None:
        """Take note of a name that will be shown."""
        text = _whole(name)
        self.widest = max(self.widest, cells(text))
        if len(self._met) <= _COMPARED:
            self._met[name] = text

    def fit(self, width: int) -> None:
        """Choose the short forms for this width."""
        self._width = width
        if len(self._met) <= _COMPARED:
            self._shown = _apart(self._met, width)

    def text(self, name: str | None) -> str:
        """The name in its chosen form."""
        if len(self._met) <= _COMPARED:
            return self._shown[name]
        whole = _whole(name)
        is_plain = name is None or (whole == name and whole.isascii() and whole == " ".join(whole.split()))
        return whole if is_plain and len(whole) <= self._width else _marked(name, whole, self._width, _MARK_DIGITS[1])


def _whole(name: str | None) -> str:
    if name is None:
        return NOT_SET
    return harmless(name) or EMPTY


def _apart(names: dict[str | None, str], width: int) -> dict[str | None, str]:
    """The short forms, distinct: by their ends, else by where they begin to differ, else by a mark of each name."""
    shown = {name: shortened(text, width) for name, text in names.items()}
    for group in _alike(shown):
        begin = len(os.path.commonprefix([names[name] for name in group]))  # noqa: RUF071 - sign by sign is meant
        shown |= {name: _from(names[name], begin, width) for name in group if name is not None}
    for digits in _MARK_DIGITS:
        for group in _alike(shown):
            shown |= {name: _marked(name, names[name], width, digits) for name in group if name is not None}
    return shown


def _alike(shown: dict[str | None, str]) -> Iterable[Sequence[str | None]]:
    """The names whose short forms cannot be told from each other's by the eye."""
    groups: dict[str, list[str | None]] = defaultdict(list)
    for name, text in shown.items():
        groups[" ".join(unicodedata.normalize("NFKC", text).split())].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _from(text: str, begin: int, width: int) -> str:
    if cells(text) <= width:
        return text
    return shortened(_ELLIPSIS + _without_accent(text[max(begin - 2, 1) :]), width)


def _marked(name: str | None, text: str, width: int, digits: int) -> str:
    mark = "~" + hashlib.sha256((name or "").encode(errors="surrogatepass")).hexdigest()[:digits]
    room = width - len(mark)
    return shortened(text, room) + mark if room > 0 else mark[: max(width, _MARK_DIGITS[0] + 1)]


def _start(text: str, width: int) -> str:
    """As much of the beginning as has room."""
    if text.isascii():
        return text[:width]
    used = 0
    for at, sign in enumerate(text):
        used += cells(sign)
        if used > width:
            return text[:at]
    return text


def _end(text: str, width: int) -> str:
    """As much of the end as has room, beginning with no accent of what is left out."""
    if text.isascii():
        return text[len(text) - width :]
    used, at = 0, len(text)
    while at and used + cells(text[at - 1]) <= width:
        at -= 1
        used += cells(text[at])
    return _without_accent(text[at:])


def _without_accent(text: str) -> str:
    """The text from its first sign that is no accent on what stood before."""
    return next((text[at:] for at, sign in enumerate(text) if unicodedata.category(sign) not in _ACCENTS), "")
