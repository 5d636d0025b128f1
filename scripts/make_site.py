"""Build the documentation's site into .cache/site/html, and fail at a link that leads nowhere.

    python scripts/make_site.py [--no-pictures]

The pages are those of docs/, of the runbooks, and what they link to; site.toml and site.css beside this say how the site
looks. Links to other files of the repository become links to the forge. Pictures are made of what they show: pictures/album.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from pages import ROOT
from pictures import album
from pictures.photographing import photograph_width

BUILT: Final = ROOT / ".cache" / "site"
PAGES: Final = BUILT / "pages"
SETTINGS: Final = ROOT / "scripts" / "site.toml"
FORGE: Final = "https://github.com/costspan/costspan/blob/main"
#: Pages from elsewhere than docs/, and what they are called on the site.
OTHERS: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/RESULTS.md": "benchmark-results.md",
    "examples/agent/README.md": "example-agent.md",
    "examples/in_code/README.md": "examples-in-code.md",
    "collector-config/README.md": "collector.md",
}
_LINK: Final = re.compile(r"(!?\[[^\]]*\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_site() -> dict[Path, str]:
    """Each page of the repository that the site has, and its path there."""
    found = {path: path.relative_to(ROOT / "docs").as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))}
    found |= {path: f"runbooks/{path.name}" for path in sorted((ROOT / "prometheus" / "runbooks").glob("*.md"))}
    found |= {ROOT / name: place for name, place in OTHERS.items()}
    return {path: place.replace("README.md", "index.md") for path, place in found.items()}


def relinked(page: Path, text: str, places: dict[Path, str]) -> str:
    """The text of a page with its links as they are on the site: to a page there, else to the forge."""
    here = Path(places[page]).parent

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[2]).resolve()
        if target in places:
            return f"{found[1]}{os.path.relpath(places[target], here)}{found[3] or ''}"
        if not target.exists():
            sys.exit(f"{page.relative_to(ROOT)}: the link {found[2]} leads nowhere")
        return f"{found[1]}{FORGE}/{target.relative_to(ROOT).as_posix()}{found[3] or ''}"

    return _LINK.sub(link, text)


def lay_out() -> None:
    """Write every page below PAGES."""
    shutil.rmtree(BUILT, ignore_errors=True)
    places = on_site()
    for page, place in places.items():
        target = PAGES / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(relinked(page, page.read_text(encoding="utf-8"), places), encoding="utf-8")


def place_pictures() -> None:
    """Put each picture that was made where a page has `<!-- picture NAME: what it shows -->`; the others stay comments.

    `NAME.svg` is also there as `NAME-light.svg` and `NAME-dark.svg`, of which the page's scheme chooses. A picture is a link
    to itself, in which it can be made larger.
    """
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        up = os.path.relpath(PAGES / "pictures", page.parent)

        def picture(found: re.Match[str], up: str = up) -> str:
            name = Path(found[1])
            schemes = {scheme: f"{name.stem}-{scheme}{name.suffix}" for scheme in ("light", "dark")}
            made = {f"{each}#only-{scheme}": each for scheme, each in schemes.items()} | {found[1]: found[1]}
            there = [
                f"[![{found[2]}]({up}/{address}){_size(each)}]({up}/{address})"
                for address, each in made.items()
                if _picture(each).exists()
            ]
            return "\n".join(there) or found[0]

        page.write_text(re.sub(r"<!-- picture ([\w.-]+): (.*?) -->", picture, text), encoding="utf-8")


def _picture(name: str) -> Path:
    return PAGES / "pictures" / name


def _size(name: str) -> str:
    """What a photograph's width is on a page: as wide as what was photographed. Drawings say so themselves."""
    is_photograph = name.endswith(".png")
    return f"{{ width={photograph_width(_picture(name).read_bytes())} }}" if is_photograph else ""


def build() -> None:
    """Run the generator; it fails at a link or an anchor that leads nowhere. It keeps a `.cache` beside its settings."""
    shutil.copyfile(SETTINGS, BUILT / "zensical.toml")
    shutil.copyfile(SETTINGS.with_suffix(".css"), PAGES / "site.css")
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    ended = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)
    print(f"The site: {BUILT / 'html' / 'index.html'}")


if __name__ == "__main__":
    lay_out()
    album.draw(PAGES / "pictures")
    if "--no-pictures" not in sys.argv[1:]:
        album.photograph(PAGES / "pictures")
    place_pictures()
    build()
