"""What all pictures share: templates, and the colours of light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
#: Of each scheme: what is behind all, surfaces on it, lines, text, text of less weight, and what is to be seen first.
COLOURS: Final[Mapping[str, Mapping[str, str]]] = {
    "light": {
        "behind": "#f4f5f5", "surface": "#ffffff", "line": "#c8ccd2", "text": "#24292e", "quiet": "#5c6370",
        "accent": "#1f60c4", "on_accent": "#ffffff",
    },
    "dark": {
        "behind": "#111217", "surface": "#1b1d23", "line": "#3d424b", "text": "#e4e6ea", "quiet": "#a6adb8",
        "accent": "#5794f2", "on_accent": "#0b0c0e",
    },
}  # fmt: skip


def drawn(template: str, scheme: str, /, **said: Any) -> str:
    """A template filled in, in the colours of a scheme. What is said is escaped."""
    return _TEMPLATES.get_template(template).render(colours=COLOURS[scheme], scheme=scheme, **said)


def in_both_schemes(folder: Path, name: str, template: str, /, **said: Any) -> None:
    """Write `NAME-light.svg` and `NAME-dark.svg` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in COLOURS:
        (folder / f"{name}-{scheme}.svg").write_text(drawn(template, scheme, **said), encoding="utf-8")
