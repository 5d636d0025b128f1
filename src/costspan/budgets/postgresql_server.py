"""PostgreSQL as a server of reservations: one function for each operation (`postgresql_store.sql`), in a schema of its own."""

from __future__ import annotations

import contextlib
import json
import select
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg import pq

from costspan.budgets.address import Address
from costspan.budgets.link import DeclinedError, LostError

_SCHEMA: Final = "costspan_budgets"
_QUESTION: Final = f"SELECT array_to_json({_SCHEMA}.ask($1, $2))::text".encode()
#: Only one process at a time makes the schema.
_MAKING: Final = "SELECT pg_advisory_xact_lock(4857306581239)"
_IS_THERE: Final = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
#: libpq takes no less.
_LEAST_CONNECT_S: Final = 2


class PostgresServer:
    """The server at an address."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.shown = address.shown

    def connect(self, patience_s: float) -> PostgresConnection:
        """See Server."""
        connection: Any = None
        try:
            connection = psycopg.connect(
                self._address.url, connect_timeout=max(_LEAST_CONNECT_S, round(patience_s)), autocommit=True
            )
            for name in ("lock_timeout", "statement_timeout"):  # it does not go on when nobody waits any more
                connection.execute("SELECT set_config(%s, %s, false)", (name, f"{patience_s * 1_000:.0f}ms"))
            _make_schema(connection)
        except psycopg.Error as fault:
            if connection is not None:
                connection.close()
            raise DeclinedError(self._address.told(fault)) from fault
        return PostgresConnection(connection, self._address, patience_s)


def _make_schema(connection: Any) -> None:
    if connection.execute(_IS_THERE, (_SCHEMA,)).fetchone():
        return
    with connection.transaction():
        connection.execute(_MAKING)
        if not connection.execute(_IS_THERE, (_SCHEMA,)).fetchone():
            text = Path(__file__).with_name("postgresql_store.sql").read_text("utf-8")
            connection.execute(text.replace("S.", f"{_SCHEMA}."))


class PostgresConnection:
    """See Connection. It asks by libpq's own functions without waiting: psycopg's wait has no limit of time."""

    def __init__(self, connection: Any, address: Address, patience_s: float) -> None:
        self._connection = connection
        self._pgconn: pq.abc.PGconn = connection.pgconn
        self._address = address
        self._patience_s = patience_s

    def ask(self, operation: str, question: str) -> Sequence[str]:
        """See Connection."""
        try:
            result = self._result([operation.encode(), question.encode()])
        except psycopg.Error as fault:
            raise LostError(self._address.told(fault)) from fault
        value = result.get_value(0, 0) if result is not None and result.status == pq.ExecStatus.TUPLES_OK else None
        if value is not None:
            return json.loads(value)
        said = "no answer" if result is None else result.error_message.decode("utf-8", "replace")
        if result is None or self._pgconn.status != pq.ConnStatus.OK:
            raise LostError(self._address.told(psycopg.OperationalError(said)))
        raise DeclinedError(self._address.told(psycopg.OperationalError(said)))

    def _result(self, words: Sequence[bytes]) -> pq.abc.PGresult | None:
        give_up_s = monotonic() + self._patience_s
        self._pgconn.send_query_params(_QUESTION, words)
        while self._pgconn.flush():
            self._wait(select.POLLIN | select.POLLOUT, give_up_s)
            self._pgconn.consume_input()
        result = None
        while True:
            while self._pgconn.is_busy():
                self._wait(select.POLLIN, give_up_s)
                self._pgconn.consume_input()
            found = self._pgconn.get_result()
            if found is None:
                return result
            result = found

    def _wait(self, events: int, give_up_s: float) -> None:
        poll = select.poll()
        poll.register(self._pgconn.socket, events)
        if not poll.poll(max(0.0, give_up_s - monotonic()) * 1_000):
            raise LostError(f"no answer within {self._patience_s:g} s")

    def close(self) -> None:
        """See Connection."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def doubts(self) -> tuple[str, list[str]]:
        """See Connection."""
        names = ("server_version", "fsync", "synchronous_commit")
        try:
            version, fsync, commit = (self._connection.execute(f"SHOW {name}").fetchone()[0] for name in names)
        except psycopg.Error as fault:
            raise LostError(self._address.told(fault)) from fault
        told: list[str] = []
        if fsync == "off":
            told.append("its fsync is off: a crash of its machine loses what was reserved and spent, or all")
        elif commit == "off":
            told.append("its synchronous_commit is off: a crash loses what was reserved and spent in its last second")
        return f"PostgreSQL {version}", told
