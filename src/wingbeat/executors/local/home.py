"""The agent's directory: its lock, where it listens, and its own log. Whoever holds the lock is the agent."""

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SOCKET_PATH_LIMIT = 100
"""Bytes of a unix socket's path that every system takes."""


@dataclass(frozen=True, slots=True)
class AgentHome:
    path: Path

    @property
    def actions(self) -> Path:
        return self.path / "actions"

    @property
    def log(self) -> Path:
        return self.path / "agent.log"

    def prepare(self) -> None:
        """Raises OSError when the directory cannot be made or is somebody else's."""
        self.actions.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def lock(self) -> int | None:
        """A descriptor that holds the lock, or None while another agent does."""
        descriptor = os.open(self.path / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def choose_socket(self) -> Path:
        """Where the holder of the lock shall listen; recorded for those who connect."""
        self.discard_socket()
        socket = self.path / "agent.sock"
        if len(os.fsencode(socket)) > _SOCKET_PATH_LIMIT:
            socket = Path(tempfile.mkdtemp(prefix="wingbeat-")) / "agent.sock"
        draft = self.path / "agent.json.draft"
        draft.write_text(json.dumps({"socket": str(socket), "pid": os.getpid()}))
        draft.rename(self.path / "agent.json")
        return socket

    def discard_socket(self) -> None:
        """Remove the socket of the last holder of the lock, and the private directory it may be in."""
        socket = self.socket()
        if socket is None:
            return
        socket.unlink(missing_ok=True)
        if socket.parent != self.path:
            with contextlib.suppress(OSError):
                socket.parent.rmdir()

    def socket(self) -> Path | None:
        """Where the agent listens, or listened."""
        try:
            return Path(json.loads((self.path / "agent.json").read_bytes())["socket"])
        except (FileNotFoundError, ValueError):
            return None

    def identity(self) -> tuple[int, int] | None:
        """Tells this directory from another one of the same name; None when it is gone."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino
