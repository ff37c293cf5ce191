"""What the kernel knows of processes: identities that survive the reuse of pids, waiting for strangers, whole trees."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.05
"""Seconds between two looks where the kernel cannot tell us."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and when its process started: together they never come back."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """None when there is no such process."""
        seen = _look(pid)
        return None if seen is None else cls(pid, seen[0])

    @property
    def alive(self) -> bool:
        """False for a zombie too: it does nothing any more."""
        return _look(self.pid) == (self.started, True)

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Signal the process, or the group it leads; it may be gone."""
        if not self.alive:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(self.pid, number)

    def kill_session(self) -> None:
        """SIGKILL what is left of the session that the process leads or led."""
        import psutil

        seen = _look(self.pid)
        if seen is not None and seen[0] != self.started:
            # Its pid was given away, and no pid is that names a session.
            return
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)

    async def gone(self) -> None:
        """Wait for the end of a process that need not be our child."""
        if sys.platform == "linux":
            await self._readable_pidfd()
        while True:
            if not self.alive:
                return
            await asyncio.sleep(_POLL)

    async def _readable_pidfd(self) -> None:
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(pidfd, ended.set)
        try:
            if self.alive:
                await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none escapes (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants() -> None:
    """SIGKILL everything below this process, also what has a session of its own."""
    import psutil  # slow to import, and hardly any action leaves something behind

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()


def thread_count() -> int:
    """Threads of this process, those that Python does not know of included."""
    if sys.platform == "linux":
        return len(list(Path("/proc/self/task").iterdir()))
    import psutil

    return psutil.Process().num_threads()


def oom_kills() -> int:
    """How often the kernel killed for want of memory since it booted; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _look(pid: int) -> tuple[float, bool] | None:
    """When the process started and whether it still does anything; None when there is none."""
    if sys.platform != "linux":
        return _look_with_psutil(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything. What follows is the state and, 19 fields on, the start in clock ticks.
    fields = stat.rpartition(")")[2].split()
    return float(fields[19]), fields[0] not in "ZX"


def _look_with_psutil(pid: int) -> tuple[float, bool] | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.create_time(), process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
