"""Pictures by Chromium: of templates that are filled in, and of pages that somebody serves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from pictures.drawing import COLOURS, drawn

#: Points of the screen that become one of the picture's width: what is written small stays sharp on a phone.
SCALE = 2


def photograph_width(content: bytes) -> int:
    """How wide what was photographed is, by the header of the PNG: https://www.w3.org/TR/png-3/#11IHDR."""
    return int.from_bytes(content[16:20], "big") // SCALE


class Photographer:
    """Takes each picture in light and in dark: `NAME-light.png` and `NAME-dark.png` in its folder."""

    def __init__(self, folder: Path, browser: Browser) -> None:
        self._folder = folder
        self._browser = browser

    def of_page(self, name: str, size: tuple[int, int], come: Callable[[Page, str], object], *, is_whole: bool) -> None:
        """A page of this width and height, once `come` has brought it to where it is to be; whole, or its first screen."""
        for scheme in COLOURS:
            page = self._browser.new_page(
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": size[0], "height": size[1]},
                device_scale_factor=SCALE,
            )
            come(page, scheme)
            page.screenshot(path=self._folder / f"{name}-{scheme}.png", full_page=is_whole)
            page.close()

    def of_template(self, name: str, width: int, template: str, /, **said: Any) -> None:
        """A template of HTML, filled in, as high as it is."""
        self.of_page(
            name, (width, 1), lambda page, scheme: page.set_content(drawn(template, scheme, **said)), is_whole=True
        )


@contextmanager
def photographer(folder: Path) -> Generator[Photographer]:
    """Somebody who takes pictures into a folder. Raises FileNotFoundError without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("no chromium on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield Photographer(folder, browser)
        finally:
            browser.close()
