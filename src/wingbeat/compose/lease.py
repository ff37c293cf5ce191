"""The lease of this process on the runs of a file: taken with the first run, renewed while any of them is running.

Most renewals ride along with what is written anyway; a thread does the rest while steps take long.
"""

import logging
import os
import sqlite3
import weakref
from datetime import timedelta
from math import inf
from threading import Event, Lock, Thread

from wingbeat.compose.process import this_process
from wingbeat.errors import FailedPrecondition, WingbeatError
from wingbeat.store.compose import owners
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.owners import Owner
from wingbeat.store.compose.transaction import Transaction

LEASE = timedelta(seconds=30)
_RENEW_EVERY = LEASE / 3
_log = logging.getLogger(__name__)


class Lease:
    def __init__(self, file: File) -> None:
        self._file = file
        self._process = 0
        self._beating = False
        self._lock = Lock()
        self._dropped = Event()
        weakref.finalize(self, self._dropped.set).atexit = False

    @property
    def owner(self) -> str:
        return this_process().name

    def hold(self, tx: Transaction) -> None:
        """In the transaction that makes or takes a run."""
        self._renew(tx, unless_until=(tx.now + LEASE - _RENEW_EVERY).timestamp())
        self._beat()

    def _renew(self, tx: Transaction, *, unless_until: float = inf) -> None:
        process = this_process()
        until = (tx.now + LEASE).timestamp()
        owners.renew(tx, Owner(process.name, process.place, process.identity, until), unless_until=unless_until)

    def _beat(self) -> None:
        if self._process != os.getpid():
            self._process, self._beating, self._lock = os.getpid(), False, Lock()
        with self._lock:
            if not self._beating:
                self._beating = True
                Thread(target=_beat, args=(weakref.ref(self), self._dropped), name="compose-lease", daemon=True).start()

    def renew_if_needed(self) -> bool:
        """Whether a run is still running."""
        return self._file.write(self._renew_if_running)

    def _renew_if_running(self, tx: Transaction) -> bool:
        with self._lock:
            self._beating = owners.has_running_runs(tx, self.owner)
        if self._beating:
            self._renew(tx)
        return self._beating


def _beat(lease: "weakref.ref[Lease]", dropped: Event) -> None:
    while not dropped.wait(_RENEW_EVERY.total_seconds()):
        held = lease()
        if held is None or not _try_to_renew(held):
            return
        del held


def _try_to_renew(lease: Lease) -> bool:
    try:
        return lease.renew_if_needed()
    except FailedPrecondition:
        # The file is gone, and the runs with it.
        return False
    except (WingbeatError, sqlite3.Error) as error:
        _log.warning("the lease on runs could not be renewed, which is tried again: %s", error)
        return True
