"""scripts/make_site.py: every page is on the site and in its menu, and links lead somewhere. `make lint` builds it."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import pytest

import make_site
from places import ROOT


def in_menu() -> set[str]:
    """The pages that the menu leads to."""
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = toml.loads(make_site.SETTINGS.read_text())["project"]
    return set(re.findall(r"'([\w./-]+\.md)'", str(project["nav"])))


def test_every_page_is_in_the_menu() -> None:
    """Decisions are reached from their list."""
    pages = {place for place in make_site.on_site().values() if not re.match(r"decisions/\d", place)}
    assert pages == in_menu()


def test_links_lead_to_the_site_or_to_the_forge() -> None:
    """To a page of the site where there is one, from where it lies there; a link that leads nowhere ends the build."""
    places = make_site.on_site()
    stack = ROOT / "docs" / "stack.md"
    text = "[a](pricing.md#proof) [b](../prometheus/runbooks/LlmLedgerLoss.md) [c](../LICENSE) [d](https://e.org/x.md) [e](#f)"
    assert make_site.relinked(stack, text, places) == (
        f"[a](pricing.md#proof) [b](runbooks/LlmLedgerLoss.md) [c]({make_site.FORGE}/LICENSE) [d](https://e.org/x.md) [e](#f)"
    )
    runbook = ROOT / "prometheus" / "runbooks" / "LlmLedgerLoss.md"
    assert make_site.relinked(runbook, "[a](../../docs/ledger.md)", places) == "[a](../ledger.md)"
    with pytest.raises(SystemExit, match=r"docs/stack.md: the link nowhere.md leads nowhere"):
        make_site.relinked(stack, "[a](nowhere.md)", places)
