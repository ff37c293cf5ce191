"""One process at a time fires the triggers of a data directory, and everybody can see which.

Its one rule: the lock says whether somebody does, and the kernel drops it with the process; what is written in the file
only says who, and counts only while the lock is held.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from wingbeat.compose.process import is_alive, this_process
from wingbeat.errors import FailedPrecondition, StartError

FILE = "compose.lock"
_PATIENCE_SECONDS = 2.0
"""For whoever only looks, and for a holder that has not yet written who it is."""
_STEP_SECONDS = 0.02


@contextmanager
def held(data: Path) -> Generator[None]:
    """Raises FailedPrecondition, which names the process, while another one holds it; StartError."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = _opened(data)
    except OSError as error:
        raise StartError(f"directory {data} cannot be used: {error.strerror}") from error
    try:
        _take(file, data)
        identity = this_process().identity or f"{os.getpid()}:"
        _write(file, identity)
        os.register_at_fork(after_in_child=file.close)
        try:
            yield
        finally:
            _write(file, "")
    finally:
        file.close()


def holder(data: Path) -> int | None:
    """The id of the process that holds it; None when nobody does.

    Raises FailedPrecondition when a process holds it that is not of this machine or container.
    """
    if not (data / FILE).exists():
        return None
    with _opened(data) as file:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not _is_free(file):
            if (pid := _alive(file)) is not None:
                return pid
            if time.monotonic() > end:
                raise FailedPrecondition(f"{data} is in use by a process that cannot be seen from here")
            time.sleep(_STEP_SECONDS)
    return None


def _take(file: FileIO, data: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not _is_free(file, how=fcntl.LOCK_EX):
        pid = _alive(file)
        if pid is not None or time.monotonic() > end:
            who = "another process" if pid is None else f"process {pid}"
            raise FailedPrecondition(
                f"{who} fires the triggers of {data} already: stop it first, or use another --data"
            )
        time.sleep(_STEP_SECONDS)


def _opened(data: Path) -> FileIO:
    return FileIO(os.open(data / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")


def _is_free(file: FileIO, *, how: int = fcntl.LOCK_SH) -> bool:
    """If so, it is ours until the file is closed."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(file: FileIO) -> int | None:
    """The process that the file names, if that is still the same one."""
    file.seek(0)
    identity = file.read().decode()
    return int(identity.partition(":")[0]) if identity and is_alive(identity) else None


def _write(file: FileIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text.encode())
