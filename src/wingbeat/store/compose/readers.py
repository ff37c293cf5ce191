"""Connections that only read, handed from thread to thread: a reader never waits for the writer."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

from wingbeat.clock import Clock
from wingbeat.store.compose.identity import Identity
from wingbeat.store.compose.transaction import FAULTS, Transaction, connect, roll_back, translate

T = TypeVar("T")

THREADS = 4
"""Reads of the event loop at the same time, and connections that are kept open between reads."""


class Readers:
    def __init__(self, identity: Identity, *, busy_seconds: float) -> None:
        self._identity = identity
        self._busy_seconds = busy_seconds
        self._idle: list[sqlite3.Connection] = []
        self._reading = 0
        self._gate = Condition()
        self._threads: ThreadPoolExecutor | None = None

    def run(self, body: Callable[[Transaction], T], clock: Clock) -> T:
        self._identity.check()
        connection = self._take()
        try:
            connection.execute("BEGIN")
            try:
                return body(Transaction(connection, clock()))
            finally:
                roll_back(connection)
        except FAULTS as error:
            raise translate(error, self._identity.path) from error
        finally:
            self._give_back(connection)

    def threads(self) -> ThreadPoolExecutor:
        """Not the event loop's own, which steps of a workflow may all hold."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="compose-reader")
        return self._threads

    def pause(self) -> None:
        """Until `resume` nothing is read and no connection is open."""
        self._gate.acquire()
        self._gate.wait_for(lambda: self._reading == 0, timeout=self._busy_seconds)
        self._close_idle()

    def resume(self, *, in_child: bool) -> None:
        """Only the forking thread lives on in a child."""
        if in_child:
            self._gate = Condition()
            self._threads = None
            self._reading = 0
            return
        self._gate.release()

    def close(self) -> None:
        with self._gate:
            self._close_idle()

    def _take(self) -> sqlite3.Connection:
        with self._gate:
            self._reading += 1
            if self._idle:
                return self._idle.pop()
            try:
                return self._open()
            except BaseException:
                self._reading -= 1
                raise

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._identity.path, busy_seconds=self._busy_seconds)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._gate:
            self._reading -= 1
            if len(self._idle) < THREADS:
                self._idle.append(connection)
            else:
                connection.close()
            self._gate.notify_all()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
