"""sdk/private_names.py: what costspan uses of the SDK beyond its public API is there, or is named where it is not."""
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from opentelemetry.sdk import trace
from opentelemetry.sdk.metrics import MeterProvider

import costspan
from costspan.cli import doctor
from costspan.cli.findings import NOTE, OK
from costspan.sdk import private_names

_ROOM = Path(costspan.__file__).parent / "sdk"


@pytest.mark.parametrize("each", private_names.PRIVATE_NAMES, ids=lambda each: f"{each.of}.{each.name}")
def test_the_installed_sdk_has_every_private_name(each: private_names.PrivateName) -> None:
    """The canary: a release of the SDK that moves one fails here, by the name and with what costspan does without it."""
    assert each not in private_names.missing(), each.without


@pytest.mark.parametrize("each", private_names.PRIVATE_NAMES, ids=lambda each: f"{each.of}.{each.name}")
def test_every_name_of_the_table_is_used_in_its_room(each: private_names.PrivateName) -> None:
    """What nothing looks up any more leaves the table."""
    sources = [path.read_text() for path in _ROOM.glob("*.py") if path.stem != "private_names"]
    pattern = (
        each.name.replace("temporality", "{what}").replace("aggregation", "{what}")
        if "class" in each.name
        else each.name
    )
    assert any(pattern in source for source in sources)


def test_a_name_that_has_gone_is_told_by_doctor_with_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs a newer SDK learns what costspan does in another way there, and the rest is looked at as ever."""
    assert [finding.level for finding in doctor.the_sdk()] == [OK]
    monkeypatch.delattr(trace.Tracer, "_is_enabled")
    found = list(doctor.the_sdk())
    assert [finding.level for finding in found] == [NOTE]
    assert re.search(r"has no Tracer\._is_enabled: spans are opened by Tracer\.start_span", found[0].sentence)


def test_an_sdk_that_cannot_be_looked_into_lacks_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constructor that changed stops the look: what was not reached is named, the caller goes on."""
    monkeypatch.setattr(private_names.guard, "raise_again", False)
    monkeypatch.setattr(MeterProvider, "__init__", lambda *_, **__: 1 / 0)
    assert {each.of for each in private_names.missing()} >= {"MeterProvider", "Tracer", "Logger"}


def test_only_this_room_names_private_attributes_of_the_sdk() -> None:
    """Elsewhere no module of opentelemetry.sdk is entered by a private name that stands in the table."""
    names = {each.name for each in private_names.PRIVATE_NAMES} - {"_lock", "_exporter", "_attributes", "_resource"}
    found = [
        f"{path.relative_to(_ROOM.parent)}:{node.lineno}: {node.attr}"
        for path in _ROOM.parent.rglob("*.py")
        if path.parent != _ROOM
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in names
    ]
    assert not found
