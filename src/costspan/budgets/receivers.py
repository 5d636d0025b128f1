"""A piece of Alertmanager configuration: the names of the receivers in it, so that owners can be routed to them."""

from __future__ import annotations

from typing import Any

from costspan.budgets.nodes import composed, is_list, is_mapping, is_word, line_of, pairs, starts_explicitly
from costspan.budgets.policy import Mistake, PolicyError


def receivers(content: str, path: str) -> tuple[str, ...]:
    """The names of the receivers in a piece of Alertmanager configuration. Raises PolicyError."""
    root = composed(content, path)
    values = dict(pairs(root)) if is_mapping(root) else {}
    if values:
        _continues(content, root, path)
    for word in ("route", "inhibit_rules"):
        if word in values:
            fault = Mistake(
                line_of(values[word]), word, "is written by costspan: expected only receivers, global, templates"
            )
            raise PolicyError(path, [fault])
    listed = values.get("receivers")
    entries: list[Any] = listed.value if listed is not None and is_list(listed) else []
    names = [dict(pairs(entry)).get("name") for entry in entries if is_mapping(entry)]
    found = tuple(str(name.value) for name in names if name is not None and is_word(name))
    if "default" not in found:
        raise PolicyError(path, [Mistake(1, "receivers", "expected a list of receivers with one named `default`")])
    return found


def _continues(content: str, root: Any, path: str) -> None:
    """Refuse what would be another document, or none, below the routes that are written above it."""
    if root.flow_style or root.start_mark.column or starts_explicitly(content):
        expected = "has to stand below the routes: expected `receivers:` in the first column, without `---` and braces"
        raise PolicyError(path, [Mistake(1, "receivers", expected)])
