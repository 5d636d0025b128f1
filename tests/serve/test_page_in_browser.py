"""The usage page in a real Chromium: light, dark, on a phone, without script; clean by axe; it asks nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from costspan.facts.money import ESTIMATED, Cost
from ledger_calls import UNPRICED, call, write
from places import ROOT
from served import serving

NOW_NS: Final = int(datetime.now(timezone.utc).timestamp()) * 10**9
DAY_NS: Final = 86_400 * 10**9
PHONE: Final = {"width": 390, "height": 844}
#: How the page is looked at; each leaves a picture in .cache/page.
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
}
VIEWS: Final = ("", "?period=7d&by=session", "?by=call&session=s-1", "?team=nobody", "?teem=1", "call?id=one")


def _missing(what: str) -> None:
    """Skip aloud; in CI fail."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to look at the page in a browser: {what}")
    pytest.skip(f"the page is not looked at in a browser: {what}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's browser."""
    program = shutil.which("chromium")
    if program is None:
        _missing("chromium is missing (apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, kept in .cache."""
    source, kept = ROOT / "tests" / "axe", ROOT / ".cache" / "axe"
    script = kept / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            _missing("npm is missing, which brings axe-core")
        shutil.copytree(source, kept, dirs_exist_ok=True)
        done = subprocess.run(
            [str(npm), "ci", "--ignore-scripts"], cwd=kept, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            _missing(f"npm could not install axe-core: {done.stderr[-300:]}")
    return script.read_text()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`costspan serve` over a ledger of a month."""
    path = tmp_path_factory.mktemp("page") / "ledger.db"
    write(
        path,
        *[call(started_ns=NOW_NS - n * DAY_NS // 3, session=f"s-{n % 5}", source=("main_agent", "heartbeat", "cron")[n % 3], provider=("openai", "anthropic")[n % 2],
               model=("gpt-5", "claude")[n % 2], price=Cost(10**8 * (n + 1), ESTIMATED if n % 7 == 0 else "exact"))
          for n in range(80)],
        call(id="one", started_ns=NOW_NS, session="s-1"),
        call(started_ns=NOW_NS, session="<b>\u202e", model="own", price=UNPRICED),
    )  # fmt: skip
    with serving("--ledger", str(path)) as (url, _):
        yield url


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own, which fails for a request to anybody else and for whatever the policy of the server refused."""
    context = chromium.new_context(**getattr(request, "param", {}))
    told: list[str] = []
    opened = context.new_page()
    opened.on("request", lambda sent: told.append(sent.url) if "//127.0.0.1:" not in sent.url else None)
    opened.on("console", lambda said: told.append(said.text) if "status of 400" not in said.text else None)
    opened.on("pageerror", lambda fault: told.append(str(fault)))
    yield opened
    context.close()
    assert told == []


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_is_clean_and_fits(chromium: Browser, axe: str, address: str, look: str) -> None:
    """No violation of axe in any view; nothing wider than the screen. The pictures lie in .cache/page."""
    pictures = ROOT / ".cache" / "page"
    # The policy forbids scripts of others, axe among them: it is let in here, and the fixture `page` watches the policy.
    context = chromium.new_context(bypass_csp=True, **LOOKS[look])
    opened = context.new_page()
    for number, view in enumerate(VIEWS):
        opened.goto(address + view)
        opened.screenshot(path=pictures / f"{look}-{number}.png", full_page=True)
        opened.evaluate(axe)
        found = opened.evaluate("axe.run()")["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], view
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    context.close()


@pytest.mark.parametrize("page", [{}, {"java_script_enabled": False}], indirect=True, ids=["script", "no-script"])
def test_filters_work_with_and_without_script(page: Page, address: str) -> None:
    """Choosing and pressing changes address and figures; another provider clears the model."""
    page.goto(address)
    page.select_option("select[name=provider]", "openai")
    page.click("text=Show")
    assert page.url == f"{address}?provider=openai"
    page.select_option("select[name=model]", "gpt-5")
    page.click("text=Last 7 days")
    assert page.url == f"{address}?period=7d&provider=openai&model=gpt-5"
    requests = page.locator("#card-requests .figure").inner_text()
    assert 0 < int(requests) < 82
    page.select_option("select[name=provider]", "anthropic")
    page.click("#refresh")
    assert page.url == f"{address}?period=7d&provider=anthropic"
    page.goto(f"{address}?period=all&by=session")
    page.click("#groups >> text=s-1")
    page.locator("#calls a").first.click()
    assert "Step by step" in page.content()


def test_buttons_rest_while_the_page_loads(page: Page, address: str) -> None:
    """And work again when somebody comes back."""
    page.goto(address)
    # The page stays, so that somebody can look at it; a timer that is set later comes later.
    pressed = """() => new Promise(told => {
        const button = document.getElementById("refresh");
        button.form.addEventListener("submit", event => event.preventDefault());
        button.click();
        setTimeout(() => told(button.disabled));
    })"""
    assert page.evaluate(pressed)
    assert page.evaluate(
        "() => { dispatchEvent(new Event('pageshow')); return !document.getElementById('refresh').disabled }"
    )


@pytest.mark.parametrize("page", [{"timezone_id": "Pacific/Kiritimati"}], indirect=True)
def test_the_zone_of_the_browser_is_offered(page: Page, address: str) -> None:
    """Where it is not the one that is shown."""
    page.goto(address)
    page.click("#own-zone a")
    assert "time_zone=Pacific%2FKiritimati" in page.url
    assert not page.is_visible("#own-zone")
