"""The data directory: one server at a time, and one identity for as long as it exists.

The identity is what lets a restarted server take its own actions back; the lock is what keeps it from being two.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wingbeat.errors import StartError


@dataclass(frozen=True, slots=True)
class DataDirectory:
    path: Path
    node: str
    """The name of this node in the database, for ever."""

    @property
    def executor(self) -> Path:
        return self.path / "executor"


@contextmanager
def open_data_directory(path: Path) -> Generator[DataDirectory]:
    """Make it if need be, and hold it until the end. Raises StartError: unusable, or another server has it."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"data directory {str(path)!r} cannot be used: {error.strerror}") from error
    try:
        _lock(lock, path)
        yield DataDirectory(path, _node(path / "node.json"))
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace") or "unknown"
        raise StartError(
            f"data directory {str(path)!r} is in use by process {holder}: stop it, or choose another with --data"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _node(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["node"])
    except FileNotFoundError:
        node = f"node-{secrets.token_hex(8)}"
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise StartError(f"{str(path)!r} is damaged: restore it, or remove it to start as a new node") from error
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"node": node}))
    draft.rename(path)
    return node
