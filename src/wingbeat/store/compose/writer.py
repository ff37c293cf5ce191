"""The one connection with which a process writes a file, on a thread of its own.

Bodies that wait at the same time share a COMMIT, each in a savepoint; a caller hears of its write after that COMMIT
reached the disk. One that is content with less hears of it once it is committed, which survives the end of this
process: the disk has it with the next COMMIT that somebody waits for, or after `LINGER_SECONDS`.
"""

import sqlite3
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, RLock, Thread, current_thread
from types import TracebackType

from wingbeat.clock import system_clock
from wingbeat.store.compose.identity import Identity
from wingbeat.store.compose.jobs import Job, answer, nothing
from wingbeat.store.compose.transaction import Transaction, connect, execute_when_free, roll_back, translate

MAX_GROUP = 200
"""Bodies that share one COMMIT at most."""
LINGER_SECONDS = 0.005
"""For how long a writer that has nothing to do keeps what only a cut of power could take."""
_EDITIONS = 2**32
"""More than the times that one connection can notice a change."""


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
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._starting = Lock()
        self._quiet = RLock()
        self._thread: Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._opened = 0
        self._durable = True
        """How the connection commits."""
        self._lingers = False
        """Something is committed that the disk may not have yet."""

    def submit(self, job: Job) -> None:
        """Its future is told. Raises RuntimeError inside of another body, which would wait for itself."""
        thread = self._thread or self._start()
        if thread is current_thread():
            raise RuntimeError("a body writes through its own transaction only")
        self._jobs.put(job)

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

    def _next_group(self) -> list[Job]:
        """Nothing when the writer has been stopped."""
        first = self._next()
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

    def _next(self) -> Job | None:
        if self._lingers:
            try:
                return self._jobs.get(timeout=LINGER_SECONDS)
            except Empty:
                return self._flush()
        return self._jobs.get()

    def _write_group(self, jobs: list[Job]) -> None:
        waiting = [job for job in jobs if not job.future.cancelled()]
        durable = any(job.durable for job in waiting)
        with _Kept() as group:
            connection = self._begin(durable=durable)
            changes = connection.total_changes
            if len(waiting) == 1:
                # Nobody else is to be saved from it: the whole transaction is its savepoint.
                _write(connection, waiting[0])
            else:
                for job in waiting:
                    self._write_one(connection, job)
            changed = connection.total_changes != changes
            if durable and self._lingers and not changed:
                _touch(connection)
            connection.execute("COMMIT")
            self._lingers = self._lingers or changed
        self._lingers = self._lingers and not durable
        if group.error:
            self._fail(group.error, waiting)
        answer(waiting)

    def _begin(self, *, durable: bool) -> sqlite3.Connection:
        connection = self._open()
        if durable != self._durable:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        execute_when_free(connection, "BEGIN IMMEDIATE", seconds=self._busy_seconds)
        return connection

    def _write_one(self, connection: sqlite3.Connection, job: Job) -> None:
        connection.execute("SAVEPOINT body")
        with _Kept() as body:
            _write(connection, job)
        if body.error:
            connection.execute("ROLLBACK TO body")
            job.error = translate(body.error, self._identity.path)
        connection.execute("RELEASE body")

    def _fail(self, error: BaseException, jobs: list[Job]) -> None:
        if self._connection:
            roll_back(self._connection)
        for job in jobs:
            job.error = job.error or translate(error, self._identity.path)

    def _flush(self) -> Job:
        return Job(nothing, system_clock, Future(), durable=True)

    def _version(self, connection: sqlite3.Connection) -> int:
        return execute_when_free(connection, "PRAGMA data_version", seconds=self._busy_seconds).fetchone()[0]

    def _open(self) -> sqlite3.Connection:
        self._identity.check()
        if self._connection is None:
            self._connection = connect(self._identity.path, busy_seconds=self._busy_seconds)
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._opened += 1
            self._durable = True
        return self._connection

    def _close(self) -> None:
        if self._lingers:
            self._write_group([self._flush()])
        if self._connection:
            self._connection.close()
        self._connection = None


def _write(connection: sqlite3.Connection, job: Job) -> None:
    job.result = job.body(Transaction(connection, job.clock()))


def _touch(connection: sqlite3.Connection) -> None:
    """A change, without which SQLite does not ask the disk for anything, not even for what was committed before."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
