"""Files of the embedded library: `open_file`, then `write(body)` and `read(body)`, each one transaction.

A process opens a path once, whoever asks for it: one connection writes, on a thread, others read. A body is a plain
function that uses and changes nothing but its transaction, so that it may be run again. Nothing here ever blocks an
event loop that calls `awrite` or `aread`.
"""

import asyncio
import atexit
import os
import sqlite3
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import RLock
from typing import TypeVar

from wingbeat.clock import Clock, system_clock
from wingbeat.errors import StartError
from wingbeat.store.compose.identity import identity
from wingbeat.store.compose.jobs import Job, nothing, settle
from wingbeat.store.compose.readers import Readers
from wingbeat.store.compose.transaction import Transaction, connect, execute_when_free
from wingbeat.store.compose.writer import Writer

T = TypeVar("T")

BUSY_SECONDS = 60.0
"""How long a write waits for another program that holds the file."""


def open_file(path: Path | str, *, clock: Clock = system_clock, busy_seconds: float = BUSY_SECONDS) -> "File":
    """The file at this path, made when there is none, with its folder. `busy_seconds` counts where it is opened first.

    Raises StartError when it cannot be used.
    """
    place = Path(path).resolve()
    with _opening:
        shared = _shared.get(place)
        if shared is None or not shared.identity.holds():
            _shared[place] = shared = _SharedFile(place, busy_seconds)
    return File(shared, clock)


class File:
    """Raises, in all of its methods, what the body raises, and Unavailable when another program held the file for
    too long, FailedPrecondition when the file was removed or replaced: nothing of the body was written then.
    """

    __slots__ = ("_clock", "_shared")

    def __init__(self, shared: "_SharedFile", clock: Clock) -> None:
        self._shared = shared
        self._clock = clock

    @property
    def path(self) -> Path:
        return self._shared.identity.path

    def write(self, body: Callable[[Transaction], T]) -> T:
        """Returns when the disk has it."""
        future: Future[T] = Future()
        self._shared.writer.submit(Job(body, self._clock, future, durable=True))
        return future.result()

    def read(self, body: Callable[[Transaction], T]) -> T:
        return self._shared.readers.run(body, self._clock)

    def awrite(self, body: Callable[[Transaction], T]) -> Awaitable[T]:
        """Returns when the disk has it. A caller that is cancelled may find it written all the same."""
        return self._submit(body, durable=True)

    def acommit(self, body: Callable[[Transaction], T], *, brief: bool = False) -> Awaitable[T]:
        """Returns when everybody can read it, whatever becomes of this process. A cut of power may take it, until
        the next `awrite` or `flush` returns, or a tenth of a second has gone by in which the disk, and other programs
        that write the file, could have let it through.

        A `brief` body takes microseconds: it may be run at once, on the event loop, while nobody else writes.
        """
        return self._submit(body, durable=False, brief=brief)

    def flush(self) -> Awaitable[None]:
        """Returns when the disk has all that was committed before this call, which begins it."""
        return self.awrite(nothing)

    async def aread(self, body: Callable[[Transaction], T]) -> T:
        return await self.on_thread(lambda: self.read(body))

    async def on_thread(self, call: Callable[[], T]) -> T:
        """Several synchronous calls in a row, for an event loop that must not wait for them."""
        return await asyncio.get_running_loop().run_in_executor(self._shared.readers.threads(), call)

    def _submit(self, body: Callable[[Transaction], T], *, durable: bool, brief: bool = False) -> Awaitable[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = Job(body, self._clock, future, durable=durable)
        if brief and self._shared.writer.try_here(job):
            settle(job)
        else:
            self._shared.writer.submit(job)
        return future

    def edition(self) -> int:
        """A number that changes when anybody outside of this process has written, and never by our own writes."""
        return self._shared.writer.edition()

    async def aedition(self) -> int:
        return await self.on_thread(self.edition)


class _SharedFile:
    """What all users of a path in this process share; it ends with the last of them."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        _make(path, busy_seconds)
        self.identity = identity(path)
        self.writer = Writer(self.identity, busy_seconds=busy_seconds)
        self.readers = Readers(self.identity, busy_seconds=busy_seconds)
        # At the end of the process `_close_all` waits for it, which a collected object must not.
        weakref.finalize(self, self.writer.stop).atexit = False


_shared: "weakref.WeakValueDictionary[Path, _SharedFile]" = weakref.WeakValueDictionary()
_opening = RLock()


def _make(path: Path, busy_seconds: float) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(path, busy_seconds=busy_seconds)) as connection:
            execute_when_free(connection, "PRAGMA journal_mode = WAL", seconds=busy_seconds)
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"file {str(path)!r} cannot be used: {error}") from error


_paused: list[_SharedFile] = []


def _before_fork() -> None:
    """SQLite's locks belong to a process, and what it knows of them must not go to a child."""
    _opening.acquire()
    _paused.extend(_shared.values())
    for shared in _paused:
        shared.writer.pause()
        shared.readers.pause()


def _after_fork(*, in_child: bool) -> None:
    while _paused:
        shared = _paused.pop()
        shared.readers.resume(in_child=in_child)
        shared.writer.resume(in_child=in_child)
    _opening.release()


def _close_all() -> None:
    """The last connection takes the log into the file, so that a copy of the file alone is whole."""
    open_files = list(_shared.values())
    for shared in open_files:
        shared.writer.stop()
    for shared in open_files:
        shared.writer.join()
        shared.readers.close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )
