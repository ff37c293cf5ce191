"""The directory of one attempt is the protocol: whoever finds it can tell what became of the attempt.

`spec.json` exists: accepted. `alive.lock` exists: begun; somebody holds its lock: running. `exit.json` exists: over.
Every file appears whole, by rename or link, so that a crash leaves the state before or the state after.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wingbeat.core.launch import ExitReason, Launch
from wingbeat.executors.local import protocol
from wingbeat.executors.local.process import ProcessId

_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Spec:
    launch: Launch
    warm: bool
    """May it run in a fork of a process that has imported the SDK already?"""


@dataclass(frozen=True, slots=True)
class Processes:
    keeper: ProcessId
    main: ProcessId
    """The action's own process, leader of its group and session."""
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Exit:
    reason: ExitReason
    exit_code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ActionDir:
    path: Path

    @classmethod
    def of(cls, root: Path, key: str) -> "ActionDir":
        return cls(root / hashlib.sha256(key.encode()).hexdigest()[:40])

    @classmethod
    def create(cls, root: Path, spec: Spec) -> "ActionDir":
        """Accept an attempt, durably; a known key is left alone."""
        action = cls.of(root, spec.launch.key)
        if action.exists():
            return action
        draft = action.path.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "cwd").mkdir(mode=_PRIVATE, parents=True)
        draft.chmod(_PRIVATE)
        message = {"launch": protocol.launch_to_message(spec.launch), "warm": spec.warm}
        _write(draft / "spec.json", message, durable=True)
        _sync(draft)
        draft.rename(action.path)
        _sync(root)
        return action

    @classmethod
    def list(cls, root: Path) -> list["ActionDir"]:
        """All accepted attempts; drafts that were never accepted are removed."""
        for draft in root.glob("*.draft"):
            shutil.rmtree(draft, ignore_errors=True)
        return [cls(path) for path in sorted(root.iterdir())]

    @property
    def cwd(self) -> Path:
        return self.path / "cwd"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def log_index(self) -> Path:
        return self.path / "log.idx"

    def exists(self) -> bool:
        return self.path.exists()

    def remove(self) -> None:
        """Forget the attempt: at once for whoever looks, the files a moment later."""
        doomed = self.path.with_suffix(".draft")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def spec(self) -> Spec:
        """Raises OSError or ValueError when the disk has lost it."""
        message = json.loads((self.path / "spec.json").read_bytes())
        return Spec(protocol.launch_from_message(message["launch"]), warm=message["warm"])

    def claim(self) -> int | None:
        """Begin the attempt: a descriptor that holds its lock, or None when somebody else has begun it.

        The file is locked before it gets its name: nobody ever sees it there and free while the attempt runs.
        """
        draft = self.path / f"alive.{os.getpid()}"
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            os.link(draft, self.path / "alive.lock")
        except FileExistsError:
            os.close(descriptor)
            return None
        finally:
            draft.unlink()
        return descriptor

    def claimed(self) -> bool:
        return (self.path / "alive.lock").exists()

    def alive(self) -> bool:
        """Does any process of the attempt still hold its lock?"""
        try:
            descriptor = os.open(self.path / "alive.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_processes(self, processes: Processes) -> None:
        message: protocol.Message = {
            "keeper": [processes.keeper.pid, processes.keeper.started],
            "main": [processes.main.pid, processes.main.started],
            "started_at": processes.started_at.isoformat(),
        }
        _write(self.path / "pid", message)

    def processes(self) -> Processes | None:
        message = _read(self.path / "pid")
        if message is None:
            return None
        return Processes(
            keeper=ProcessId(*message["keeper"]),
            main=ProcessId(*message["main"]),
            started_at=datetime.fromisoformat(message["started_at"]),
        )

    def request_stop(self, reason: str) -> None:
        """Remember that an end was asked for; the first reason stays."""
        if self.stop_reason() is None:
            _write(self.path / "stop.json", {"reason": reason})

    def stop_reason(self) -> str | None:
        message = _read(self.path / "stop.json")
        return None if message is None else message["reason"]

    def write_exit(self, outcome: Exit) -> None:
        message: protocol.Message = {
            "reason": outcome.reason,
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "started_at": protocol.moment_to_text(outcome.started_at),
            "ended_at": protocol.moment_to_text(outcome.ended_at),
            "message": outcome.message,
        }
        _write(self.path / "exit.json", message)

    def exit(self) -> Exit | None:
        message = _read(self.path / "exit.json")
        if message is None:
            return None
        return Exit(
            reason=ExitReason(message["reason"]),
            exit_code=message["exit_code"],
            signal=message["signal"],
            started_at=protocol.moment_from_text(message["started_at"]),
            ended_at=protocol.moment_from_text(message["ended_at"]),
            message=message["message"],
        )

    def ended(self) -> bool:
        return (self.path / "exit.json").exists() or not self.exists()


def _write(path: Path, message: protocol.Message, *, durable: bool = False) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(protocol.encode(message))
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.chmod(0o600)
    draft.rename(path)


def _read(path: Path) -> protocol.Message | None:
    """None when it is not there, or when a power cut took its content."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
