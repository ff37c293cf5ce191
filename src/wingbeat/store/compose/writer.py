"""The one connection with which a process writes a file, on a thread of its own.

Bodies that wait at the same time share a COMMIT; when one of them raises, all are rolled back and run again, each in a
savepoint. A caller hears of its write after that COMMIT reached the disk. One that is content with less hears of it
once it is committed, which survives the end of this process: the disk has it with the next COMMIT that somebody waits
for, or soon after. A brief one need not even change threads while nobody else writes.
"""

import sqlite3
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, RLock, Thread, current_thread, get_ident
from time import monotonic
from types import TracebackType

from wingbeat.clock import system_clock
from wingbeat.store.compose.identity import Identity
from wingbeat.store.compose.jobs import Job, answer, nothing
from wingbeat.store.compose.transaction import Transaction, connect, execute_when_free, is_busy, roll_back, translate

MAX_GROUP = 200
"""Bodies that share one COMMIT at most."""
LINGER_SECONDS = 0.005
LONGEST_SECONDS = 0.1
"""For how long a writer keeps what only a cut of power could take: while nobody writes, and however much is written."""
AFTER_ERROR_SECONDS = 1.0
"""Until what could not be brought to the disk is tried again, when nobody writes."""
MOST_IN_A_ROW = 32
"""Brief bodies that one thread writes without giving others a turn."""
_LASTING = ("PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 1000")
_QUICK = ("PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 0")
"""A COMMIT that nobody waits for does not move the log into the file either, which waits for the disk."""
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
        self._changed = 0
        """SQLite's number for what other programs had made of the file when the last group was written."""
        self._here: int | None = None
        """The thread that writes instead of the writer's own."""
        self._in_a_row = 0
        """Bodies that were written there since the last group."""
        self._alone = False
        """Whether the last group was one job."""
        self._unsaved: tuple[float, float] | None = None
        """When the first and the last of what the disk may not have yet were committed, by the monotonic clock."""

    def submit(self, job: Job) -> None:
        """Its future is told. Raises RuntimeError inside of another body, which would wait for itself."""
        thread = self._thread or self._start()
        if get_ident() in (thread.ident, self._here):
            raise RuntimeError("a body writes through its own transaction only")
        self._jobs.put(job)

    def try_here(self, job: Job) -> bool:
        """Write it in the thread of the caller, if that waits for nothing and nobody. Whether it was tried.

        It may be written before jobs that are waiting. After a COMMIT that the disk was waited for, or one of another
        program, the next one may begin the log anew and wait for the disk: it is for the writer's own thread.
        """
        if self._here is not None:
            return False
        held = None
        try:
            held = self._quiet.acquire(blocking=False)
            return held and self._is_calm() and self._write_here(job)
        finally:
            # None: the handler of a signal has raised, before the lock was taken or after. No call may come before.
            if held is not False:
                self._here = None
                try:
                    self._quiet.release()
                except RuntimeError:
                    held = False

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
            self._unsaved = None
        self._quiet.release()
        self._starting.release()

    def _start(self) -> Thread:
        with self._starting:
            if self._thread is None:
                thread = Thread(target=self._work, name="compose-writer", daemon=True)
                thread.start()
                self._thread = thread
            return self._thread

    def _work(self) -> None:
        while jobs := self._next_group():
            with self._quiet:
                self._write_group(jobs)
            answer(jobs)
            del jobs
        with self._quiet:
            self._close()

    def _next_group(self) -> list[Job]:
        """Nothing when the writer has been stopped."""
        first = self._next()
        if first is None:
            return []
        jobs = [first]
        while len(jobs) < MAX_GROUP and not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _next(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=self._patience())
            except Empty:
                if self._patience() == 0:
                    # Unless it reaches the disk:
                    again = monotonic() + AFTER_ERROR_SECONDS
                    self._unsaved = again, again
                    return self._flush()

    def _patience(self) -> float | None:
        """Seconds until what is committed is to be on the disk; None when it is."""
        if (unsaved := self._unsaved) is None:
            return None
        first, last = unsaved
        return max(0.0, min(first + LONGEST_SECONDS, last + LINGER_SECONDS) - monotonic())

    def _is_overdue(self) -> bool:
        return self._unsaved is not None and self._unsaved[0] + LONGEST_SECONDS < monotonic()

    def _note_commit(self, *, durable: bool) -> None:
        now = monotonic()
        self._unsaved = None if durable else (self._unsaved[0] if self._unsaved else now, now)

    def _write_group(self, jobs: list[Job]) -> None:
        waiting = [job for job in jobs if not job.future.cancelled()]
        durable = self._is_overdue() or any(job.durable for job in waiting)
        self._alone, self._in_a_row = len(waiting) == 1, 0
        with _Kept() as group:
            connection = self._begin(durable=durable)
            changed = self._write_all(connection, waiting)
            if durable and not changed and self._unsaved is not None:
                _touch(connection)
            connection.execute("COMMIT")
            if durable or changed:
                self._note_commit(durable=durable)
        if group.error:
            self._fail(group.error, waiting)

    def _is_calm(self) -> bool:
        """Whether nothing would be waited for but the file."""
        alone = self._alone and self._in_a_row < MOST_IN_A_ROW and self._jobs.empty()
        return alone and not self._durable and self._unsaved is not None

    def _write_here(self, job: Job) -> bool:
        self._here = get_ident()
        self._in_a_row += 1
        with _Kept() as group:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            if self._version(connection) != self._changed:
                roll_back(connection)
                return False
            _write(connection, job)
            connection.execute("COMMIT")
            self._note_commit(durable=False)
        if group.error:
            self._fail(group.error, [job])
        if group.error and is_busy(group.error):
            job.error = None
            return False
        return True

    def _write_all(self, connection: sqlite3.Connection, jobs: list[Job]) -> bool:
        """Whether anything has changed. Raises what a body raises that is alone."""
        before = connection.total_changes
        with _Kept() as first:
            for job in jobs:
                _write(connection, job)
        if first.error is None:
            return connection.total_changes != before
        if len(jobs) == 1:
            raise first.error
        roll_back(connection)
        self._begin_when_free(connection)
        changed = [self._write_apart(connection, job) for job in jobs]
        return any(changed)

    def _begin(self, *, durable: bool) -> sqlite3.Connection:
        connection = self._open()
        if durable != self._durable:
            for pragma in _LASTING if durable else _QUICK:
                connection.execute(pragma)
            self._durable = durable
        self._begin_when_free(connection)
        self._changed = self._version(connection)
        return connection

    def _begin_when_free(self, connection: sqlite3.Connection) -> None:
        execute_when_free(connection, "BEGIN IMMEDIATE", seconds=self._busy_seconds)

    def _write_apart(self, connection: sqlite3.Connection, job: Job) -> bool:
        """Whether it has changed anything; what it raises is its own."""
        before = connection.total_changes
        connection.execute("SAVEPOINT body")
        with _Kept() as body:
            _write(connection, job)
        if body.error and not connection.in_transaction:
            # SQLite has rolled back all of it, as for a disk that is full.
            raise body.error
        if body.error:
            connection.execute("ROLLBACK TO body")
            job.error = translate(body.error, self._identity.path)
        connection.execute("RELEASE body")
        return body.error is None and connection.total_changes != before

    def _fail(self, error: BaseException, jobs: list[Job]) -> None:
        with _Kept() as undone:
            if self._connection:
                roll_back(self._connection)
        if undone.error:
            self._drop()
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
        if self._unsaved is not None:
            self._write_group([self._flush()])
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


def _write(connection: sqlite3.Connection, job: Job) -> None:
    job.result = job.body(Transaction(connection, job.clock()))


def _touch(connection: sqlite3.Connection) -> None:
    """A change, without which SQLite does not ask the disk for anything, not even for what was committed before."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
