"""The one connection with which a process writes a file, on a thread of its own.

Bodies that wait at the same time share a COMMIT, each in a savepoint; a caller hears of its write after that COMMIT
reached the disk.
"""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, RLock, Thread, current_thread
from types import TracebackType
from typing import Any, TypeVar

from wingbeat.clock import Clock
from wingbeat.store.compose.identity import Identity
from wingbeat.store.compose.transaction import Transaction, connect, execute_when_free, roll_back, translate

T = TypeVar("T")

MAX_GROUP = 200
"""Bodies that share one COMMIT at most."""
_EDITIONS = 2**32
"""More than the times that one connection can notice a change."""


@dataclass(frozen=True, slots=True)
class _Job:
    body: Callable[[Transaction], Any]
    clock: Clock
    future: Future[Any] = field(default_factory=Future[Any])


class _Kept:
    """Keeps what a block raised: it belongs to who waits for the job, and the thread goes on."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


class Writer:
    def __init__(self, identity: Identity, *, busy_seconds: float) -> None:
        self._identity = identity
        self._busy_seconds = busy_seconds
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._starting = Lock()
        self._quiet = RLock()
        self._thread: Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._opened = 0

    def submit(self, body: Callable[[Transaction], T], *, clock: Clock) -> Future[T]:
        """Raises RuntimeError inside of another body, which would wait for itself."""
        thread = self._thread or self._start()
        if thread is current_thread():
            raise RuntimeError("a body writes through its own transaction only")
        job = _Job(body, clock)
        self._jobs.put(job)
        return job.future

    def edition(self) -> int:
        """Changes whenever anybody but this writer has written. Waits for a group that is being written."""
        with self._quiet:
            connection = self._open()
            return self._opened * _EDITIONS + self._version(connection)

    def stop(self) -> None:
        """Ends the thread once everything that was submitted is written. Does not wait."""
        self._jobs.put(None)

    def join(self) -> None:
        if self._thread and self._thread is not current_thread():
            self._thread.join()

    def pause(self) -> None:
        """Until `resume` nothing is written and no connection is open."""
        self._starting.acquire()
        self._quiet.acquire()
        self._close()

    def resume(self, *, in_child: bool) -> None:
        """Only the forking thread lives on in a child; jobs that waited are the parent's."""
        if in_child:
            self._jobs = SimpleQueue()
            self._thread = None
        self._quiet.release()
        self._starting.release()

    def _start(self) -> Thread:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="compose-writer", daemon=True)
                self._thread.start()
            return self._thread

    def _work(self) -> None:
        while jobs := self._next_group():
            with self._quiet:
                self._write_group(jobs)
            del jobs
        with self._quiet:
            self._close()

    def _next_group(self) -> list[_Job]:
        """Nothing when the writer has been stopped."""
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

    def _write_group(self, jobs: list[_Job]) -> None:
        waiting = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        written: list[tuple[_Job, Any]] = []
        with _Kept() as group:
            connection = self._open()
            execute_when_free(connection, "BEGIN IMMEDIATE", seconds=self._busy_seconds)
            if len(waiting) == 1:
                # Nobody else is to be saved from it: the whole transaction is its savepoint.
                written.append((waiting[0], _result(connection, waiting[0])))
            else:
                written.extend(done for job in waiting if (done := self._write_one(connection, job)))
            connection.execute("COMMIT")
        if group.error:
            self._fail(group.error, waiting)
            return
        for job, result in written:
            job.future.set_result(result)

    def _write_one(self, connection: sqlite3.Connection, job: _Job) -> tuple[_Job, Any] | None:
        connection.execute("SAVEPOINT body")
        result = None
        with _Kept() as body:
            result = _result(connection, job)
        if body.error:
            connection.execute("ROLLBACK TO body")
        connection.execute("RELEASE body")
        if body.error:
            job.future.set_exception(translate(body.error, self._identity.path))
            return None
        return job, result

    def _fail(self, error: BaseException, jobs: list[_Job]) -> None:
        if self._connection:
            roll_back(self._connection)
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(translate(error, self._identity.path))

    def _version(self, connection: sqlite3.Connection) -> int:
        return execute_when_free(connection, "PRAGMA data_version", seconds=self._busy_seconds).fetchone()[0]

    def _open(self) -> sqlite3.Connection:
        self._identity.check()
        if self._connection is None:
            self._connection = connect(self._identity.path, busy_seconds=self._busy_seconds)
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._opened += 1
        return self._connection

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _result(connection: sqlite3.Connection, job: _Job) -> Any:
    return job.body(Transaction(connection, job.clock()))
