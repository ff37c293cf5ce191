"""One transaction on a file of the embedded library, and what the errors of the driver mean.

No cursor leaves it: one that was read half would keep its snapshot, and with it the file, for as long as it lives.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from wingbeat.errors import Conflict, FailedPrecondition, ResourceExhausted, StartError, Unavailable, Unstorable
from wingbeat.store.compose.texts import storable

Row = tuple[Any, ...]
Value = str | bytes | int | float | None

FAULTS = (sqlite3.Error, OverflowError)
"""What the driver raises."""
_STATEMENTS = 256
_FIRST_PAUSES = (0.0005, 0.001, 0.002, 0.003)
_LAST_PAUSE = 0.005
"""Seconds. Short beside what people notice, long beside what asking costs."""


class Transaction:
    """Statements have `?` for each value; rows are tuples. `now` is the one time of the transaction."""

    __slots__ = ("_connection", "now")

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now

    def fetch(self, sql: str, *values: Value) -> list[Row]:
        return self._executed(sql, values).fetchall()

    def fetchrow(self, sql: str, *values: Value) -> Row | None:
        """The first row; what follows is dropped."""
        cursor = self._executed(sql, values)
        row = cursor.fetchone()
        cursor.close()
        return row

    def execute(self, sql: str, *values: Value) -> int:
        """How many rows it touched."""
        cursor = self._executed(sql, values)
        touched = cursor.rowcount
        cursor.close()
        return touched

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> int:
        """How many rows all of them touched."""
        return self._connection.executemany(sql, rows).rowcount

    def _executed(self, sql: str, values: Sequence[Value]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except UnicodeEncodeError:
            return self._connection.execute(sql, [storable(each) if isinstance(each, str) else each for each in values])


def connect(path: Path, *, busy_seconds: float) -> sqlite3.Connection:
    """Raises StartError when the file cannot be opened or is no database."""
    try:
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error as error:
        raise StartError(f"file {str(path)!r} cannot be used: {error}") from error
    return connection


def execute_when_free(connection: sqlite3.Connection, sql: str, *, seconds: float) -> sqlite3.Cursor:
    """Ask again and again, so many seconds, while others hold the file.

    SQLite would wait by itself, but not for every statement, and in steps of up to 100 ms, in which a file that others
    write all the time is free and taken again many times.
    """
    give_up = time.monotonic() + seconds
    pauses = chain(_FIRST_PAUSES, repeat(_LAST_PAUSE))
    while True:
        try:
            return connection.execute(sql)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
        time.sleep(next(pauses))


def roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def is_busy(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: BaseException, path: Path) -> BaseException:
    """What a caller can do about an error of the driver; others stay what they are."""
    if is_busy(error):
        return Unavailable(f"file {str(path)!r} is locked by another program: end its transaction, then try again")
    if isinstance(error, OverflowError) and "SQLite INTEGER" in str(error):
        return Unstorable("a number is beyond 63 bits and cannot be stored")
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return ResourceExhausted(f"the disk of file {str(path)!r} is full")
        case sqlite3.SQLITE_IOERR:
            return Unavailable(f"the disk of file {str(path)!r} does not answer well: {error}")
        case sqlite3.SQLITE_CONSTRAINT:
            return Conflict(f"file {str(path)!r} has this already, or what it needs is gone: {error}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return FailedPrecondition(f"file {str(path)!r} cannot be used: {error}")
        case _:
            return error


def _code(error: BaseException) -> int | None:
    """The primary code of SQLite, without what an extended one adds."""
    if not isinstance(error, sqlite3.Error):
        return None
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
