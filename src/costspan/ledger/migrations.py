"""The shape of the ledger's file, in numbered steps that are applied once and never edited.

A step only adds. So an older costspan goes on writing to a file that a newer one has stepped forward.
"""

from __future__ import annotations

import sqlite3
from typing import Final

#: `PRAGMA application_id` of a ledger: the letters "Cost".
APPLICATION_ID: Final = 0x436F7374

# Money is whole nano-USD, time whole nanoseconds since the epoch. NULL is "not known" everywhere, never 0. No column
# of a call is NOT NULL: a record with an odd value in it is kept, not refused.
STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # What many calls share. Every process writes its own; equal rows are no fault. It keeps a call at half the
        # size and a third of the time that one wide row takes (docs/ledger.md).
        """
        CREATE TABLE kinds (
            n INTEGER PRIMARY KEY,
            day TEXT, period TEXT,
            client TEXT, provider TEXT, host TEXT, operation TEXT, request_model TEXT, response_model TEXT,
            task_type TEXT, source TEXT, team TEXT,
            is_stream INTEGER, outcome TEXT, error_type TEXT, http_status INTEGER, finish_reason TEXT,
            tier TEXT, geo TEXT, speed TEXT, processing TEXT, is_complete INTEGER,
            quality TEXT, cost_source TEXT, price_version TEXT, unpriced_reason TEXT, unpriced_detail TEXT
        )
        """,
        """
        CREATE TABLE records (
            n INTEGER PRIMARY KEY,
            kind INTEGER,
            id TEXT,
            started_ns INTEGER,
            session TEXT, account TEXT,
            response_id TEXT, answer_key TEXT,
            duration_s REAL, first_chunk_s REAL,
            input_tokens INTEGER, output_tokens INTEGER,
            cache_read_tokens INTEGER, cache_write_tokens INTEGER, reasoning_tokens INTEGER,
            units TEXT, parts TEXT,
            cost_nano_usd INTEGER, computed_nano_usd INTEGER, price_lines TEXT,
            trace_id TEXT, span_id TEXT
        )
        """,
        "CREATE UNIQUE INDEX records_id ON records (id)",
        "CREATE UNIQUE INDEX records_answer ON records (answer_key) WHERE answer_key IS NOT NULL",
        "CREATE INDEX records_started ON records (started_ns)",
        """
        CREATE VIEW calls AS
        SELECT r.n, r.id, r.started_ns, k.day, k.period, k.client, k.provider, k.host, k.operation,
            k.request_model, k.response_model, r.response_id,
            r.session, k.task_type, k.source, k.team, r.account,
            k.is_stream, k.outcome, k.error_type, k.http_status, k.finish_reason,
            k.tier, k.geo, k.speed, k.processing, r.duration_s, r.first_chunk_s,
            r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.reasoning_tokens,
            r.units, r.parts, k.is_complete,
            r.cost_nano_usd, k.quality, k.cost_source, k.price_version, r.price_lines, r.computed_nano_usd,
            k.unpriced_reason, k.unpriced_detail, r.trace_id, r.span_id
        FROM records AS r JOIN kinds AS k ON k.n = r.kind
        """,
        """
        CREATE TABLE losses (
            n INTEGER PRIMARY KEY,
            noted_ns INTEGER NOT NULL,
            records INTEGER NOT NULL,
            nano_usd INTEGER NOT NULL,
            reason TEXT NOT NULL
        )
        """,
    ),
    (
        # Names of usage fields that were not understood, joined by commas; NULL where everything was.
        "ALTER TABLE records ADD COLUMN unread TEXT",
        "DROP VIEW calls",
        """
        CREATE VIEW calls AS
        SELECT r.n, r.id, r.started_ns, k.day, k.period, k.client, k.provider, k.host, k.operation,
            k.request_model, k.response_model, r.response_id,
            r.session, k.task_type, k.source, k.team, r.account,
            k.is_stream, k.outcome, k.error_type, k.http_status, k.finish_reason,
            k.tier, k.geo, k.speed, k.processing, r.duration_s, r.first_chunk_s,
            r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.reasoning_tokens,
            r.units, r.parts, k.is_complete, r.unread,
            r.cost_nano_usd, k.quality, k.cost_source, k.price_version, r.price_lines, r.computed_nano_usd,
            k.unpriced_reason, k.unpriced_detail, r.trace_id, r.span_id
        FROM records AS r JOIN kinds AS k ON k.n = r.kind
        """,
    ),
    (
        # The reservation under which a call was made (docs/enforcement.md).
        "ALTER TABLE records ADD COLUMN transaction_id TEXT",
        "DROP VIEW calls",
        """
        CREATE VIEW calls AS
        SELECT r.n, r.id, r.started_ns, k.day, k.period, k.client, k.provider, k.host, k.operation,
            k.request_model, k.response_model, r.response_id,
            r.session, k.task_type, k.source, k.team, r.account,
            k.is_stream, k.outcome, k.error_type, k.http_status, k.finish_reason,
            k.tier, k.geo, k.speed, k.processing, r.duration_s, r.first_chunk_s,
            r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.reasoning_tokens,
            r.units, r.parts, k.is_complete, r.unread,
            r.cost_nano_usd, k.quality, k.cost_source, k.price_version, r.price_lines, r.computed_nano_usd,
            k.unpriced_reason, k.unpriced_detail, r.trace_id, r.span_id, r.transaction_id
        FROM records AS r JOIN kinds AS k ON k.n = r.kind
        """,
    ),
    (
        # What questions read in place of the records (sums.py). Only made here: they are filled in slices, so that a
        # large ledger of an older costspan keeps nobody waiting.
        """
        CREATE TABLE labels (
            n INTEGER PRIMARY KEY,
            key BLOB NOT NULL UNIQUE,
            task_type TEXT, source TEXT, team TEXT, account TEXT, provider TEXT, host TEXT, client TEXT, operation TEXT,
            request_model TEXT, response_model TEXT, outcome TEXT, quality TEXT,
            unpriced_reason TEXT, unpriced_detail TEXT
        )
        """,
        # No sum leaves 64 bits: SQLite would go on with it as a float.
        """
        CREATE TABLE sums (
            grain INTEGER, slot INTEGER, label INTEGER,
            calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
            cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
            cost_nano_usd INTEGER NOT NULL,
            PRIMARY KEY (grain, slot, label),
            CHECK (typeof(calls + input_tokens + output_tokens + cache_read_tokens + cache_write_tokens
                + reasoning_tokens + cost_nano_usd) = 'integer')
        ) WITHOUT ROWID
        """,
        "CREATE TABLE crowded (grain INTEGER, slot INTEGER, PRIMARY KEY (grain, slot)) WITHOUT ROWID",
        "CREATE TABLE unsummed (n INTEGER PRIMARY KEY)",
        "CREATE TABLE session_places (first INTEGER PRIMARY KEY, digests BLOB NOT NULL)",
        "CREATE TABLE account_places (first INTEGER PRIMARY KEY, digests BLOB NOT NULL)",
        "CREATE TABLE marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (
        # Sums of days whose records were given up (compacting.py); by account, too.
        """
        CREATE TABLE rolled (
            slot INTEGER, label INTEGER,
            calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
            cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
            cost_nano_usd INTEGER NOT NULL,
            PRIMARY KEY (slot, label),
            CHECK (typeof(calls + input_tokens + output_tokens + cache_read_tokens + cache_write_tokens
                + reasoning_tokens + cost_nano_usd) = 'integer')
        ) WITHOUT ROWID
        """,
    ),
    (
        # What was estimated of the call before it was sent, as JSON (forecast/noted.py); NULL for calls without an estimate.
        "ALTER TABLE records ADD COLUMN estimate TEXT",
        "DROP VIEW calls",
        """
        CREATE VIEW calls AS
        SELECT r.n, r.id, r.started_ns, k.day, k.period, k.client, k.provider, k.host, k.operation,
            k.request_model, k.response_model, r.response_id,
            r.session, k.task_type, k.source, k.team, r.account,
            k.is_stream, k.outcome, k.error_type, k.http_status, k.finish_reason,
            k.tier, k.geo, k.speed, k.processing, r.duration_s, r.first_chunk_s,
            r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.reasoning_tokens,
            r.units, r.parts, k.is_complete, r.unread,
            r.cost_nano_usd, k.quality, k.cost_source, k.price_version, r.price_lines, r.computed_nano_usd,
            k.unpriced_reason, k.unpriced_detail, r.trace_id, r.span_id, r.transaction_id, r.estimate
        FROM records AS r JOIN kinds AS k ON k.n = r.kind
        """,
    ),
)

#: The columns that each step adds to the view `calls`.
ADDED: Final[tuple[tuple[str, ...], ...]] = ((), ("unread",), ("transaction_id",), (), (), ("estimate",))
#: From these steps on a file has sums, sums of days whose records were given up, and records with an estimate.
SUMS_STEP: Final = 4
ROLLED_STEP: Final = 5
_ESTIMATE_STEP: Final = 6

# So that the calls without a session are counted, and those with an estimate found, without reading all others. They are made
# where that costs nothing: a ledger that was large before gets them when its sums are made anew.
_INDEX_WITHOUT_SESSION: Final = (
    "CREATE INDEX IF NOT EXISTS records_without_session ON records (started_ns, kind) WHERE session IS NULL"
)
_INDEX_ESTIMATED: Final = (
    "CREATE INDEX IF NOT EXISTS records_estimated ON records (started_ns) WHERE estimate IS NOT NULL"
)
_FEW: Final = 100_000


class ForeignFile(Exception):  # noqa: N818 - it names what was found
    """The file is a SQLite database of another program: costspan does not write into it."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest step, under the write lock; does nothing where that is done.

    The connection must be in autocommit mode. Raises ForeignFile for a database that is not a ledger.
    """
    if _owner(connection) == APPLICATION_ID and _step(connection) >= len(STEPS):
        return
    # A new file can give back space in small steps (compacting.py); one that is there is not changed by this.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_foreign(connection)
        for number in range(_step(connection), len(STEPS)):  # asked again: another process may have been first
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if (connection.execute("SELECT MAX(n) FROM records").fetchone()[0] or 0) < _FEW:
            add_indexes(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def add_indexes(connection: sqlite3.Connection) -> None:
    """Make the indexes that answers need to be quick, and not to be right. Goes through all records where they are missing."""
    connection.execute(_INDEX_WITHOUT_SESSION)
    if _step(connection) >= _ESTIMATE_STEP:
        connection.execute(_INDEX_ESTIMATED)


def complete_for_reading(connection: sqlite3.Connection) -> None:
    """Have a file that no newer costspan has written to yet answer like one: what it lacks is not known."""
    lacking = [column for columns in ADDED[_step(connection) :] for column in columns]
    if lacking:
        columns = ", ".join(f"NULL AS {column}" for column in lacking)
        connection.execute(f"CREATE TEMP VIEW calls AS SELECT *, {columns} FROM main.calls")  # noqa: S608 - own names


def has_sums(connection: sqlite3.Connection) -> bool:
    """Whether the file has the tables of the sums."""
    return _step(connection) >= SUMS_STEP


def has_rolled(connection: sqlite3.Connection) -> bool:
    """Whether the file has the table of days whose records were given up."""
    return _step(connection) >= ROLLED_STEP


def is_newer(connection: sqlite3.Connection) -> bool:
    """Whether a newer costspan has written to the file: it may have columns that this one does not know."""
    return _step(connection) > len(STEPS)


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    owner = _owner(connection)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or tables or _step(connection)):
        raise ForeignFile("it is a SQLite database of another program")


def _owner(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def _step(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
