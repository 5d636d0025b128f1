"""scripts/pictures: the pictures on the site say what the pages say, need nobody else, and are placed where pages name them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from test_architecture import section, spoken

import make_site
from pictures import album, drawing, report, way_of_a_call
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


def drawing_of(name: str, scheme: str, folder: Path) -> str:
    """One of the pictures that are drawn."""
    album.draw(folder)
    return (folder / f"{name}-{scheme}.svg").read_text()


@pytest.mark.parametrize("name", [name for subject in album.DRAWN for name in subject.NAMES])
def test_a_drawing_is_whole_in_itself(name: str, tmp_path: Path) -> None:
    """Well-formed, in the colours of its scheme; it loads nothing from anywhere."""
    drawn = {scheme: drawing_of(name, scheme, tmp_path) for scheme in drawing.COLOURS}
    assert drawn["light"] != drawn["dark"]
    for text in drawn.values():
        assert ET.fromstring(text).tag == f"{SVG}svg"  # noqa: S314 - our own
        loaded = re.findall(r"(?:href|src)=.|url\([^#]|@import|@font-face|<script|<image", text)
        assert loaded == []


def test_the_way_of_a_call_is_there_in_words(tmp_path: Path) -> None:
    """For whoever does not see it, and for whoever searches."""
    picture = ET.fromstring(drawing_of("way-of-a-call", "light", tmp_path))  # noqa: S314 - our own
    said = "".join(picture.find(f"{SVG}desc").itertext())  # type: ignore[union-attr]
    assert all(step.happens in said for step in (*way_of_a_call.BEFORE, *way_of_a_call.AFTER))


def test_the_picture_of_the_report_has_every_word_of_it(tmp_path: Path) -> None:
    """Of what the README shows, which is what the demo prints."""
    picture = ET.fromstring(drawing_of("report", "dark", tmp_path))  # noqa: S314 - our own
    drawn = "".join(picture.itertext()).replace("\xa0", " ").split()
    words = report.shown().split()
    assert [word for word in words if word not in drawn] == []
    assert len(words) > 100


def test_every_picture_is_on_a_page_and_every_page_gets_its_pictures() -> None:
    """Each once, and with words for whoever does not see it."""
    named = [
        (Path(name).stem, said)
        for page in make_site.on_site()
        for name, said in re.findall(r"^<!-- picture (\S+): (.*?) -->", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(name for name, _ in named) == sorted(
        name for subject in (*album.DRAWN, *album.PHOTOGRAPHED) for name in subject.NAMES
    )
    assert all(len(said.split()) >= 8 for _, said in named)


def test_words_of_a_step_fit_into_its_box() -> None:
    """A box has room for 44 letters of 13 px, and 56 of code of 10 px."""
    for step in (*way_of_a_call.BEFORE, *way_of_a_call.AFTER):
        assert len(step.happens) <= 44
        assert len("  ".join(step.by)) <= 56


def test_a_page_gets_the_pictures_that_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each a link to itself, in which a phone shows it larger; in both schemes where there are two, from where the page
    lies; a photograph, which has more points than what it shows, as wide as that; one that was not made stays a comment.
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
    photographs = [
        f"[![B, c](../pictures/two-{scheme}.png#only-{scheme}){{ width=300 }}](../pictures/two-{scheme}.png#only-{scheme})"
        for scheme in ("light", "dark")
    ]
    assert page.read_text().splitlines() == [
        "[![A](../pictures/one.svg)](../pictures/one.svg)", *photographs, "<!-- picture three.svg: D -->",
    ]  # fmt: skip


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
