"""scripts/pictures: the pictures on the site say what the pages say, need nobody else, and are placed where pages name them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from test_architecture import section, spoken

import make_site
from pictures import drawing, way_of_a_call
from receiving import Mail, Slack, slack_parts

PNG_600_WIDE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (600).to_bytes(4, "big")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_way_of_a_call_is_that_of_the_page() -> None:
    """The same steps in the same order, each by functions that the page names in that step."""
    told = dict(enumerate(re.split(r"^\d+\. ", section("The way of a whole call"), flags=re.MULTILINE)))
    drawn = (
        *way_of_a_call.BEFORE,
        way_of_a_call.Step((5,), "The library's own function runs", ()),
        *way_of_a_call.AFTER,
    )
    numbers = [number for step in drawn for number in step.steps]
    assert numbers == sorted(numbers)
    assert {*numbers} == {*told} - {0}
    assert "The library's own function runs" in told[5]
    for step in drawn:
        assert {*step.by} <= {name for number in step.steps for name in spoken(told[number])}, step


def test_a_drawing_is_whole_in_itself(tmp_path: Path) -> None:
    """Well-formed, with its words for who does not see it, in the colours of its scheme; it loads nothing from anywhere."""
    way_of_a_call.draw(tmp_path)
    for scheme, colours in drawing.COLOURS.items():
        text = (tmp_path / f"way-of-a-call-{scheme}.svg").read_text()
        picture = ET.fromstring(text)  # noqa: S314 - our own
        said = "".join(picture.find(f"{SVG}desc").itertext())  # type: ignore[union-attr]
        assert all(step.happens in said for step in (*way_of_a_call.BEFORE, *way_of_a_call.AFTER))
        assert colours["behind"] in text
        assert re.findall(r"https?://[^\"]+|url\(|@import|<script", text) == ["http://www.w3.org/2000/svg"]


def test_words_of_a_step_fit_into_its_box() -> None:
    """A box has room for 44 letters of 13 px, and 56 of code of 10 px."""
    for step in (*way_of_a_call.BEFORE, *way_of_a_call.AFTER):
        assert len(step.happens) <= 44
        assert len("  ".join(step.by)) <= 56


def test_a_page_gets_the_pictures_that_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both schemes where there are two, from where the page lies; a photograph, which has more points than what it
    shows, as wide as that; one that was not made stays a comment.
    """
    monkeypatch.setattr(make_site, "PAGES", tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "start").mkdir()
    (tmp_path / "pictures" / "one.svg").touch()
    for name in ("two-light.png", "two-dark.png"):
        (tmp_path / "pictures" / name).write_bytes(PNG_600_WIDE)
    page = tmp_path / "start" / "page.md"
    page.write_text("<!-- picture one.svg: A -->\n<!-- picture two.png: B, c -->\n<!-- picture three.svg: D -->\n")
    make_site.place_pictures()
    assert page.read_text() == (
        "![A](../pictures/one.svg)\n![B, c](../pictures/two-light.png#only-light){ width=300 }\n"
        "![B, c](../pictures/two-dark.png#only-dark){ width=300 }\n<!-- picture three.svg: D -->\n"
    )


def words(page: str) -> str:
    """What somebody reads of a page of HTML, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.partition("<body>")[2])).split())


def test_a_notification_is_drawn_with_every_word_that_was_sent() -> None:
    """As it is, whatever it may mean to a browser; a link of Slack without its brackets."""
    hostile = "[critical] <b>80 %</b> & more"
    text = "CRITICAL: &lt;!channel&gt; &amp; co\nWhat to do: <https://wiki/a?b=c&amp;d>"
    slack = Slack("Alertmanager", "#llm-spend", hostile, "https://grafana/d", "#e01e5a", text)
    shown = words(drawing.drawn("slack.html", "light", message=slack, parts=slack_parts(text)))
    assert f"Alertmanager in #llm-spend {hostile} CRITICAL: <!channel> & co What to do: https://wiki/a?b=c&d " in shown
    mail = Mail("costspan@example.com", "finance@example.com", hostile, f"WARNING: {hostile}\n\nSilence: https://a/#b")
    shown = words(drawing.drawn("mail.html", "dark", mail=mail))
    assert f"{hostile} From: {mail.sender}To: {mail.to} WARNING: {hostile} Silence: https://a/#b " in shown
