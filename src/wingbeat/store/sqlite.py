"""SQLite: reads inline on the event loop, writes on one thread where many bodies share a COMMIT, each in a savepoint.

A write is acknowledged after its COMMIT reached the disk (WAL, synchronous=FULL).
"""

import asyncio
import re
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from wingbeat.clock import Clock
from wingbeat.errors import Conflict, StartError, Unavailable
from wingbeat.store import migrations
from wingbeat.store.changes import Changes
from wingbeat.store.database import Body, Row, Transaction, Value, unique

T = TypeVar("T")

MAX_GROUP = 100
"""Bodies that share one COMMIT at most."""
BUSY_SECONDS = 10.0
_PLACEHOLDER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=2048)
def _translated(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", sql)


class SqliteTransaction:
    for_update = ""
    skip_locked = ""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now
        self.topics: list[str] = []

    async def fetch(self, sql: str, *args: Value) -> Sequence[Row]:
        return self._connection.execute(_translated(sql), args).fetchall()

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        return self._connection.execute(_translated(sql), args).fetchone()

    async def execute(self, sql: str, *args: Value) -> int:
        return self._connection.execute(_translated(sql), args).rowcount

    async def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Value]]) -> None:
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._connection.executemany(_translated(sql), rows)

    def changed(self, *topics: str) -> None:
        self.topics.extend(topics)


@dataclass(frozen=True, slots=True)
class _Job:
    body: Body[Any]
    loop: asyncio.AbstractEventLoop
    future: Future[Any] = field(default_factory=Future[Any])


class SqliteDatabase:
    shared = False

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self.changes = Changes()
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer = Thread(target=self._write_jobs, args=(path,), name="sqlite-writer", daemon=True)
        self._writer.start()

    async def write(self, body: Body[T]) -> T:
        job = _Job(body, asyncio.get_running_loop())
        self._jobs.put(job)
        return await asyncio.wrap_future(job.future)

    async def read(self, body: Body[T]) -> T:
        try:
            self._reader.execute("BEGIN")
            try:
                return _drive(body, SqliteTransaction(self._reader, self._clock()))
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise _translate(error) from error

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reader.close()

    def _write_jobs(self, path: Path) -> None:
        connection = _connect(path)
        while jobs := self._next_jobs():
            self._write_group(connection, jobs)
        connection.close()

    def _next_jobs(self) -> list[_Job]:
        """The next group, or nothing when the database closes."""
        first = self._jobs.get()
        if first is None:
            return []
        jobs = [first]
        while len(jobs) < MAX_GROUP:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _write_group(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        done: list[tuple[_Job, Any, list[str]]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                if job.future.set_running_or_notify_cancel():
                    self._write_one(connection, job, done)
            connection.execute("COMMIT")
        except BaseException as error:
            _roll_back(connection)
            failure = _translate(error) if isinstance(error, sqlite3.Error) else error
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(failure)
            return
        for job, result, topics in done:
            # Not by the caller: it may have been cancelled, and the change is there all the same.
            if topics:
                job.loop.call_soon_threadsafe(self.changes.publish, unique(topics))
            job.future.set_result(result)

    def _write_one(self, connection: sqlite3.Connection, job: _Job, done: list[tuple[_Job, Any, list[str]]]) -> None:
        tx = SqliteTransaction(connection, self._clock())
        connection.execute("SAVEPOINT body")
        try:
            result = _drive(job.body, tx)
        except BaseException as error:
            connection.execute("ROLLBACK TO body")
            connection.execute("RELEASE body")
            job.future.set_exception(_translate(error) if isinstance(error, sqlite3.Error) else error)
            return
        connection.execute("RELEASE body")
        done.append((job, result, tx.topics))


def open_sqlite(path: Path, clock: Clock) -> SqliteDatabase:
    """Raises StartError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, clock)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"database {str(path)!r} cannot be used: {error}") from error
    return SqliteDatabase(path, clock)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _migrate(connection: sqlite3.Connection, clock: Clock) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration"
            " (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
        )
        applied = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migration").fetchone()[0]
        for migration in migrations.pending("sqlite", applied):
            for statement in _statements(migration.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migration (version, name, applied_at) VALUES (?, ?, ?)",
                (migration.version, migration.name, clock().isoformat()),
            )
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _statements(script: str) -> list[str]:
    """Split by `sqlite3`'s own rule, because `executescript` would commit first."""
    statements: list[str] = []
    rest = ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements


def _drive(body: Body[T], tx: Transaction) -> T:
    """Run a body that never suspends: everything it may await answers at once."""
    awaiting = body(tx)
    try:
        awaiting.send(None)
    except StopIteration as done:
        return done.value
    awaiting.close()
    raise RuntimeError("a transaction body awaited something else than its transaction")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _translate(error: sqlite3.Error) -> Exception:
    """What a caller can do about an error of the driver; others stay what they are."""
    if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" in str(error):
        return Conflict("changed by someone else at the same time: read again and retry")
    if isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error)):
        return Unavailable("the database is busy: try again")
    return error
