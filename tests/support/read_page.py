"""What a reader finds on the usage page: its figures by section, its text, its addresses."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser
from typing import Final

_VOID: Final = {"meta", "link", "input", "br", "path", "circle"}


class ReadPage(HTMLParser):
    """A page taken apart. `figures` are the exact values of each element with an id, `rows` those of each row of a table within,
    by the text of its heads; `texts` is the text of each element with an id; `addresses` all that a browser may follow or load.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: dict[str, list[Decimal]] = {}
        self.texts: dict[str, str] = {}
        self.rows: dict[str, dict[str, list[Decimal]]] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.options: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._select = ""
        self._row: tuple[list[str], list[Decimal]] = ([], [])
        self._head: list[str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what begins here."""
        said = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.addresses += [said[name] for name in ("href", "src", "action", "xlink:href", "srcset") if name in said]
        if tag == "select":
            self._select = said["name"]
            self.options[self._select] = []
        if tag == "option" and self._select:
            self.options[self._select].append(said["value"])
        if tag == "tr":
            self._row = ([], [])
        if tag == "th":
            self._head = []
        if tag == "data":
            value = Decimal(said["value"])
            self._row[1].append(value)
            for at in filter(None, self._open):
                self.figures.setdefault(at, []).append(value)
        if tag not in _VOID:
            self._open.append(said.get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        """Note what ends here."""
        if tag in _VOID:
            return
        self._open.pop()
        if tag == "select":
            self._select = ""
        if tag == "th" and self._head is not None:
            self._row[0].append("".join(self._head))
            self._head = None
        if tag == "tr" and self._row[1]:
            for at in filter(None, self._open):
                self.rows.setdefault(at, {})["|".join(self._row[0])] = self._row[1]
            self._row = ([], [])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        """Text belongs to everything that is open."""
        if self._head is not None:
            self._head.append(data)
        for at in filter(None, self._open):
            self.texts[at] = self.texts.get(at, "") + data
