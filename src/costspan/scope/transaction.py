"""Under which reservation calls are made: it follows them as the attribution does."""

from __future__ import annotations

from typing import Final, NamedTuple

from opentelemetry import context as otel_context

_KEY: Final = otel_context.create_key("costspan-transaction")


class Transaction(NamedTuple):
    """A reservation that stands. `key` is what it is known by, `id` what the records of its calls carry."""

    key: str
    id: str


def current() -> Transaction | None:
    """The reservation under which calls are made here and now."""
    found = otel_context.get_value(_KEY)
    return found if isinstance(found, Transaction) else None


def entered(transaction: Transaction) -> object:
    """Have calls made under it from here on; gives what `left` needs."""
    return otel_context.attach(otel_context.set_value(_KEY, transaction))


def left(token: object) -> None:
    """Have them made as before."""
    otel_context.detach(token)  # type: ignore[arg-type]  # what `attach` gave
