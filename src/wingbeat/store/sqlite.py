"""SQLite: one thread writes, where many bodies share a COMMIT, each in a savepoint. Reads have a file of their own.

A write is acknowledged after its COMMIT reached the disk (WAL, synchronous=FULL).
"""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from wingbeat.clock import Clock
from wingbeat.errors import StartError
from wingbeat.store import migrations
from wingbeat.store.changes import Changes
from wingbeat.store.database import Body, unique
from wingbeat.store.sqlite_connection import FAULTS, SqliteTransaction, connect, drive, roll_back, translate
from wingbeat.store.sqlite_reads import Reads

T = TypeVar("T")

MAX_GROUP = 100
"""Bodies that share one COMMIT at most."""


@dataclass(frozen=True, slots=True)
class _Job:
    body: Body[Any]
    loop: asyncio.AbstractEventLoop
    future: Future[Any] = field(default_factory=Future[Any])


_Done = tuple[_Job, Any, list[str]]
"""A job with its result, and the topics it has changed."""


class SqliteDatabase:
    shared = False

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self.changes = Changes()
        self._writing_since: datetime | None = None
        self._reads = Reads(path, clock, writing_since=lambda: self._writing_since)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer = Thread(target=self._write_jobs, args=(path,), name="sqlite-writer", daemon=True)
        self._writer.start()

    async def write(self, body: Body[T]) -> T:
        job = _Job(body, asyncio.get_running_loop())
        self._jobs.put(job)
        return await asyncio.wrap_future(job.future)

    async def read(self, body: Body[T]) -> T:
        return await self._reads.run(body)

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await self._reads.close()

    def _write_jobs(self, path: Path) -> None:
        connection = connect(path)
        while jobs := self._next_jobs():
            self._writing_since = self._clock()
            done = self._write_group(connection, jobs)
            self._writing_since = None
            self._answer(done)
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

    def _write_group(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Done]:
        """What is written; the others have been told that they are not."""
        done: list[_Done] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                if job.future.set_running_or_notify_cancel():
                    self._write_one(connection, job, done)
            connection.execute("COMMIT")
        except BaseException as error:
            roll_back(connection)
            failure = translate(error) if isinstance(error, FAULTS) else error
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(failure)
            return []
        return done

    def _answer(self, done: list[_Done]) -> None:
        for job, result, topics in done:
            # Not by the caller: it may have been cancelled, and the change is there all the same.
            if topics:
                self._publish(job.loop, unique(topics))
            job.future.set_result(result)

    def _publish(self, loop: asyncio.AbstractEventLoop, topics: Sequence[str]) -> None:
        # A loop that is closed, as at a shutdown, has no subscribers left; the others of the group still want to know.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self.changes.publish, topics)

    def _write_one(self, connection: sqlite3.Connection, job: _Job, done: list[_Done]) -> None:
        tx = SqliteTransaction(connection, self._clock())
        connection.execute("SAVEPOINT body")
        try:
            result = drive(job.body, tx)
        except BaseException as error:
            connection.execute("ROLLBACK TO body")
            connection.execute("RELEASE body")
            job.future.set_exception(translate(error) if isinstance(error, FAULTS) else error)
            return
        connection.execute("RELEASE body")
        done.append((job, result, tx.topics))


def open_sqlite(path: Path, clock: Clock) -> SqliteDatabase:
    """Raises StartError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Keys are in it. What SQLite adds beside the file is as private as the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, clock)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"database {str(path)!r} cannot be used: {error}") from error
    return SqliteDatabase(path, clock)


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
        roll_back(connection)
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
