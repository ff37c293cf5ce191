"""Reads of SQLite. Short ones run at once on the event loop, long ones once more on a thread, and none for ever.

A thread costs ten times what a short read does, and more while the loop is busy; a long read on the loop would keep
everybody else waiting. Nobody can tell the two apart before, so each read has a moment on the loop first.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TypeVar

from wingbeat.clock import Clock
from wingbeat.errors import ResourceExhausted
from wingbeat.store.database import READ_SECONDS, Body
from wingbeat.store.sqlite_connection import FAULTS, SqliteTransaction, connect, drive, roll_back, translate

T = TypeVar("T")

MOMENT_SECONDS = 0.005
"""How long a read may keep the event loop."""
THREADS = 4
_CHECK_EVERY = 1000
"""Instructions of SQLite's machine, some tens of microseconds."""


class Reads:
    def __init__(self, path: Path, clock: Clock, *, writing_since: Callable[[], datetime | None]) -> None:
        """`writing_since`: when the group began that is being written, if one is."""
        self._path = path
        self._clock = clock
        self._writing_since = writing_since
        self._here = self._new_reader()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sqlite-reader")
        self._idle: list[_Reader] = []

    async def run(self, body: Body[T]) -> T:
        """Raises ResourceExhausted after `READ_SECONDS`."""
        try:
            return self._here.run(body, until=_after(MOMENT_SECONDS))
        except ResourceExhausted:
            if not self._here.stopped:
                raise
        given_up = Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._on_thread, body, given_up)
        finally:
            given_up.set()

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        for reader in (self._here, *self._idle):
            reader.close()

    def _on_thread(self, body: Body[T], given_up: Event) -> T:
        late = _after(READ_SECONDS)
        reader = self._reader()
        try:
            return reader.run(body, until=lambda: given_up.is_set() or late())
        finally:
            self._idle.append(reader)

    def _reader(self) -> "_Reader":
        try:
            return self._idle.pop()
        except IndexError:
            return self._new_reader()

    def _new_reader(self) -> "_Reader":
        return _Reader(self._path, self._clock, self._writing_since)


class _Reader:
    """A connection that can only read. `stopped`: whether the last read was."""

    def __init__(self, path: Path, clock: Clock, writing_since: Callable[[], datetime | None]) -> None:
        self._clock = clock
        self._writing_since = writing_since
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.set_progress_handler(self._stop, _CHECK_EVERY)
        self._until: Callable[[], bool] | None = None
        self.stopped = False

    def run(self, body: Body[T], *, until: Callable[[], bool]) -> T:
        """Raises ResourceExhausted when `until` has come."""
        self.stopped = False
        try:
            self._connection.execute("BEGIN")
            self._until = until
            try:
                return drive(body, self._transaction())
            finally:
                self._until = None
                roll_back(self._connection)
        except FAULTS as error:
            raise translate(error) from error

    def _transaction(self) -> SqliteTransaction:
        # In this order, and before the first statement takes the snapshot: a group that begins later has a later `now`.
        now = self._clock()
        since = self._writing_since()
        return SqliteTransaction(self._connection, now, settled=now if since is None else min(now, since))

    def close(self) -> None:
        self._connection.close()

    def _stop(self) -> bool:
        if self._until is None or not self._until():
            return False
        self.stopped = True
        return True


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
