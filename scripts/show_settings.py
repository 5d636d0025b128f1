"""Write the table of settings into docs/settings.md.

python scripts/show_settings.py [--check]
"""

from __future__ import annotations

from costspan.settings import SETTINGS, Setting
from pages import ROOT, code, deliver, table, with_parts

PAGE = ROOT / "docs" / "settings.md"


def values(setting: Setting) -> str:
    """What may stand there: the words in which a mistake is refused."""
    try:
        read = setting.read("\N{REPLACEMENT CHARACTER}")
    except ValueError as expected:
        return str(expected)
    return "words with commas between" if isinstance(read, tuple) else "text"


def flag(setting: Setting) -> str:
    """The option that `opentelemetry-instrument` makes of a variable: its own rule."""
    return "--" + setting.name.removeprefix("OTEL_").lower()


def shown(page: str) -> str:
    """The page with every setting as it is."""
    rows = [
        (code(each.name), each.sentence, values(each), code(each.default) if each.default else "", code(flag(each)))
        for each in SETTINGS
    ]
    return with_parts(page, {"settings": table(("variable", "meaning", "value", "default", "launcher's flag"), rows)})


if __name__ == "__main__":
    deliver({PAGE: shown}, str(__doc__))
