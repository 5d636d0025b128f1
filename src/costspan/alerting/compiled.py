"""All files that come from a budgets.yaml, written together or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from costspan.alerting import as_yaml
from costspan.alerting.own_alerts import meter_rules
from costspan.alerting.routes import alertmanager
from costspan.alerting.rule_tests import budget_tests
from costspan.alerting.rules import budget_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from costspan.budgets.policy import Policy

BUDGET_RULES: Final = "rules/budgets.yml"
METER_RULES: Final = "rules/meter.yml"
BUDGET_TESTS: Final = "rules-tests/budgets.yml"
ROUTES: Final = "alertmanager-routes.yml"
ALERTMANAGER: Final = "alertmanager.yml"
#: Every file that is written, the last one where there are receivers.
NAMES: Final = (BUDGET_RULES, METER_RULES, BUDGET_TESTS, ROUTES, ALERTMANAGER)


def compiled(policy: Policy, source: str) -> dict[str, str]:
    """The text of every file by its path. `source` is the name of the file that they come from.

    Of a budget whose spend no rule can see there are the alerts that programs tell (`crossings`): `unruled` names it.
    """
    title = f"Compiled by `costspan budgets compile` from {source}: edit that file and compile again."
    return {
        BUDGET_RULES: as_yaml.dump(budget_rules(policy), title=title),
        METER_RULES: as_yaml.dump(meter_rules(policy), title=title),
        BUDGET_TESTS: as_yaml.dump(budget_tests(policy, f"../{BUDGET_RULES}"), title=title),
        ROUTES: as_yaml.dump(alertmanager(policy), title=title),
    }


def with_receivers(policy: Policy, source: str, names: Sequence[str], content: str) -> str:
    """A whole Alertmanager configuration: route and inhibition, and under them the user's receivers as they are."""
    title = (
        f"Compiled by `costspan budgets compile` from {source} and a file of receivers: edit those and compile again.\n"
        "Run Alertmanager with --data.retention=768h, or a month's alert is told every five days, and with\n"
        "--dispatch.start-delay=100s, or a restart tells what a higher threshold silences."
    )
    return as_yaml.dump(alertmanager(policy, names), title=title) + "\n" + content


def stale(files: Mapping[str, str], folder: Path) -> list[str]:
    """The paths whose files are missing or have another content."""
    return [path for path, text in files.items() if _content(folder / path) != text]


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write the files. Each is replaced whole, and none before all of them are on the disk. Raises OSError."""
    drafts: list[tuple[Path, Path]] = []
    try:
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            drafts.append((draft(target, text.encode()), target))
        for written, target in drafts:
            written.replace(target)
    finally:
        for written, _ in drafts:
            written.unlink(missing_ok=True)


def draft(target: Path, content: bytes) -> Path:
    """The content in a file beside its target, on the disk and readable like a file made by hand. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
