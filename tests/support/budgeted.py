"""A watched process that obeys a budgets.yaml, with ledger and reservations in a folder of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costspan.budgets.opening import store_beside
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Reserved
from watching import Watched

if TYPE_CHECKING:
    import openai

MESSAGES: Any = [{"role": "user", "content": "How are you?"}]
NOTHING_LEFT = """
budgets:
  - {name: nothing, period: month, limit_usd: 0, hard: true, overage: false, on_failure: closed}
"""


@contextmanager
def budgeted(folder: Path, text: str, **settings: Any) -> Generator[Watched]:
    """Costspan, installed with these budgets."""
    path = folder / "budgets.yaml"
    path.write_text(text)
    settings.setdefault("ledger", folder / "ledger.db")
    with Watched(None, budgets=path, **settings) as watched:
        yield watched


def store_of(folder: Path) -> SqliteStore:
    """The reservations of that folder's ledger."""
    return SqliteStore(store_beside(folder / "ledger.db"))


def reserved_in(folder: Path) -> list[Reserved]:
    """What is reserved beside that folder's ledger."""
    with closing(store_of(folder)) as store:
        return store.reservations()


def ask(client: openai.OpenAI, **more: Any) -> Any:
    """A call that may cost at most 64 tokens of output."""
    create: Any = client.chat.completions.create
    return create(**{"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 64, **more})
