"""The keeper of one attempt: starts it, ends it when asked, buries all it leaves behind and writes how it ended.

It is a process and session of its own, so an attempt is looked after whatever becomes of agent, zygote and server.
"""

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import FrameType

from wingbeat.clock import system_clock
from wingbeat.core.launch import ExitReason, Launch
from wingbeat.executors.local import child, process
from wingbeat.executors.local.action_dir import ActionDir, Exit, Processes
from wingbeat.executors.local.process import ProcessId


def keep(action: ActionDir, *, warm: bool, announce: Callable[[], object]) -> None:
    """See an attempt through, unless another keeper has begun it. `announce` is called when it runs."""
    os.setsid()
    lock = action.claim()
    if lock is None:
        return
    process.adopt_orphans()
    signals = _Signals()
    reason = action.stop_reason()
    if reason is None:
        outcome = _run(action, action.spec().launch, signals, warm=warm, lock=lock, announce=announce)
    else:
        outcome = Exit(ExitReason.ABORTED, ended_at=system_clock(), message=reason)
    with contextlib.suppress(FileNotFoundError):
        action.write_exit(outcome)


class _Signals:
    """Wakes the keeper for the end of a child and for the wish to stop."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._noted)
        signal.signal(signal.SIGTERM, self._noted)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def wait(self, seconds: float | None) -> None:
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def _noted(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self.stop_requested = True


@dataclass(frozen=True, slots=True)
class _End:
    wait_status: int
    stopped: bool


def _run(
    action: ActionDir, launch: Launch, signals: _Signals, *, warm: bool, lock: int, announce: Callable[[], object]
) -> Exit:
    started_at = system_clock()
    oom_kills = process.oom_kills()
    main, failure = _start(action, launch, started_at, warm=warm, lock=lock)
    if failure:
        os.waitpid(main, 0)
        return Exit(ExitReason.START_FAILED, ended_at=system_clock(), message=failure)
    announce()
    end = _wait(main, launch.grace, signals)
    _bury_the_rest()
    exit_code = os.waitstatus_to_exitcode(end.wait_status)
    oom = exit_code == -signal.SIGKILL and process.oom_kills() > oom_kills
    return Exit(
        reason=ExitReason.OOM if oom else _reason(exit_code, stopped=end.stopped),
        exit_code=exit_code if exit_code >= 0 else None,
        signal=-exit_code if exit_code < 0 else None,
        started_at=started_at,
        ended_at=system_clock(),
        message=(action.stop_reason() or "") if end.stopped else "",
    )


def _start(action: ActionDir, launch: Launch, started_at: datetime, *, warm: bool, lock: int) -> tuple[int, str]:
    """The pid of the action's process, and why it could not start if it could not.

    It waits until the directory tells of it: what nobody can find, because its keeper was killed, must not run.
    """
    permission, permit = os.pipe()
    reader, writer = os.pipe()
    main = os.fork()
    if main == 0:
        os.close(permit)
        os.close(reader)
        child.become(action, launch, warm=warm, lock=lock, permission=permission, failure=writer)
    os.close(permission)
    os.close(writer)
    refusal = _introduce(action, main, started_at)
    if refusal is None:
        with contextlib.suppress(BrokenPipeError):
            os.write(permit, b".")
    os.close(permit)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        return main, refusal or pipe.read()


def _introduce(action: ActionDir, main: int, started_at: datetime) -> str | None:
    """Why that is impossible, if it is."""
    keeper_id, main_id = ProcessId.of(os.getpid()), ProcessId.of(main)
    if keeper_id is None or main_id is None:
        return None
    try:
        action.write_processes(Processes(keeper_id, main_id, started_at))
    except OSError as error:
        return str(error)
    return None


def _wait(main: int, grace: float, signals: _Signals) -> _End:
    stopped = False
    kill_at = math.inf
    while True:
        status = _reap(main)
        if status is not None:
            return _End(status, stopped)
        now = time.monotonic()
        if signals.stop_requested and not stopped:
            stopped, kill_at = True, now + grace
            _signal_group(main, signal.SIGTERM)
        if now >= kill_at:
            kill_at = math.inf
            _signal_group(main, signal.SIGKILL)
        signals.wait(None if kill_at == math.inf else kill_at - now)


def _reap(main: int) -> int | None:
    """Bury every child that has ended; the wait status of `main` if it was among them."""
    status = None
    while status is None:
        pid, wait_status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return None
        if pid == main:
            status = wait_status
    return status


def _bury_the_rest() -> None:
    """An attempt is over when its process is: what it has left behind is killed."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                process.kill_descendants()
                os.waitpid(-1, 0)


def _reason(exit_code: int, *, stopped: bool) -> ExitReason:
    if stopped:
        return ExitReason.ABORTED
    if exit_code < 0:
        return ExitReason.SIGNAL
    return ExitReason.COMPLETED if exit_code == 0 else ExitReason.ERROR


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)
