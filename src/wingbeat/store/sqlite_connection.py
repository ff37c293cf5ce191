"""Connections to SQLite, transactions on them, and what its errors mean."""

import json
import re
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from wingbeat.errors import Conflict, ResourceExhausted, Unavailable, Unstorable
from wingbeat.store.database import TOO_SLOW, Argument, Body, Row, Transaction, Value

T = TypeVar("T")

BUSY_SECONDS = 10.0
FAULTS = (sqlite3.Error, OverflowError)
"""What the driver raises."""
_PLACEHOLDER = re.compile(r"\$(\d+)")
_ANY = re.compile(r"= ANY\((\$\d+)::\w+\[\]\)")


@lru_cache(maxsize=2048)
def _translated(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", _ANY.sub(r"IN (SELECT value FROM json_each(\1))", sql))


class SqliteTransaction:
    for_update = ""
    for_share = ""
    skip_locked = ""

    def __init__(self, connection: sqlite3.Connection, now: datetime, *, settled: datetime | None = None) -> None:
        self._connection = connection
        self.now = now
        self.settled = settled or now
        self.topics: list[str] = []

    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]:
        values = [json.dumps(arg) if isinstance(arg, list) else arg for arg in args]
        try:
            return self._connection.execute(_translated(sql), values).fetchall()
        except sqlite3.OperationalError as error:
            raise translate(error) from error

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        return self._connection.execute(_translated(sql), args).fetchone()

    async def execute(self, sql: str, *args: Value) -> int:
        return self._connection.execute(_translated(sql), args).rowcount

    async def insert(self, table: str, columns: Collection[str], rows: Sequence[Sequence[Value]]) -> None:
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._connection.executemany(_translated(sql), rows)

    def changed(self, *topics: str) -> None:
        self.topics.extend(topics)


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def drive(body: Body[T], tx: Transaction) -> T:
    """Run a body that never suspends: everything it may await answers at once."""
    awaiting = body(tx)
    try:
        awaiting.send(None)
    except StopIteration as done:
        return done.value
    awaiting.close()
    raise RuntimeError("a transaction body awaited something else than its transaction")


def roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def translate(error: Exception) -> Exception:
    """What a caller can do about an error of the driver; others stay what they are."""
    if isinstance(error, OverflowError) and "SQLite INTEGER" in str(error):
        return Unstorable("a number is beyond 63 bits and cannot be stored")
    if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" in str(error):
        return Conflict("changed by someone else at the same time: read again and retry")
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
        return ResourceExhausted(TOO_SLOW)
    if isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error)):
        return Unavailable("the database is busy: try again")
    return error
