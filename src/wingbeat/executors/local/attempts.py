"""Every attempt the agent knows, from acceptance to outcome: one task drives each, watchers get each change.

What counts is on disk: an agent that starts finds all attempts again and goes on where the last one was.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wingbeat.clock import system_clock
from wingbeat.core.launch import ExecutionPhase, ExitReason, Status
from wingbeat.errors import FailedPrecondition, InvalidArgument
from wingbeat.executors.environments import environment_of
from wingbeat.executors.local.action_dir import ActionDir, Exit, Processes, Spec
from wingbeat.executors.local.log import LogIndex
from wingbeat.executors.local.zygotes import ZygoteLost, Zygotes

log = logging.getLogger(__name__)

_POLL = 0.05
_REVISIONS = {phase: number for number, phase in enumerate(ExecutionPhase, start=1)}
"""Phases only move on, so that revisions grow, whichever agent counts them."""


class Watch:
    """The statuses that one watcher has not seen yet, the latest of each key."""

    def __init__(self, known: Sequence[Status]) -> None:
        self._pending = {status.key: status for status in known}
        self._changed = asyncio.Event()

    def add(self, status: Status) -> None:
        self._pending[status.key] = status
        self._changed.set()

    def take(self) -> list[Status]:
        taken = list(self._pending.values())
        self._pending.clear()
        self._changed.clear()
        return taken

    async def changed(self) -> None:
        await self._changed.wait()


@dataclass(slots=True)
class _Attempt:
    action: ActionDir
    status: Status
    log_index: LogIndex
    processes: Processes | None = None
    task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self.status.phase is ExecutionPhase.EXITED


class Attempts:
    def __init__(self, root: Path, zygotes: Zygotes) -> None:
        self._root = root
        self._zygotes = zygotes
        self._attempts: dict[str, _Attempt] = {}
        self._accepting: dict[str, asyncio.Task[None]] = {}
        self._watches: set[Watch] = set()

    def adopt(self) -> None:
        """Take over what an earlier agent has left."""
        for action in ActionDir.list(self._root):
            try:
                self._drive(action, action.spec())
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                # What somebody has written there by hand may be any JSON.
                log.exception("unreadable attempt left alone: path=%s", action.path)

    async def launch(self, spec: Spec) -> None:
        key = spec.launch.key
        if key in self._attempts:
            return
        accepting = self._accepting.get(key)
        if accepting is None:
            accepting = self._accepting[key] = asyncio.create_task(self._accept(spec))
        await asyncio.shield(accepting)

    async def stop(self, key: str, reason: str) -> None:
        attempt = self._attempts.get(key)
        if attempt is None or attempt.over:
            return
        attempt.action.request_stop(reason)
        self._pass_on_stop(attempt.action)

    def status(self, keys: Sequence[str]) -> dict[str, Status | None]:
        return {key: attempt.status if (attempt := self._attempts.get(key)) else None for key in keys}

    async def forget(self, key: str) -> None:
        """Raises FailedPrecondition while the attempt goes on."""
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        if not attempt.over:
            raise FailedPrecondition(f"attempt {key!r} is {attempt.status.phase}: stop it before forgetting it")
        del self._attempts[key]
        await asyncio.to_thread(attempt.action.remove)

    def watch(self) -> Watch:
        watch = Watch([attempt.status for attempt in self._attempts.values()])
        self._watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        self._watches.discard(watch)

    @property
    def unfinished(self) -> int:
        return len(self._accepting) + sum(not attempt.over for attempt in self._attempts.values())

    def index_logs(self) -> None:
        """Note how far each log has grown by now."""
        now = system_clock()
        for attempt in self._attempts.values():
            if not attempt.over:
                attempt.log_index.note(now)

    def stop_all(self, reason: str) -> None:
        """For attempts whose outcome nobody can learn any more."""
        for attempt in self._attempts.values():
            if not attempt.over and attempt.processes is not None:
                log.warning("stopping: path=%s reason=%s", attempt.action.path, reason)
                attempt.processes.keeper.send(signal.SIGTERM)

    async def _accept(self, spec: Spec) -> None:
        try:
            action = await asyncio.to_thread(ActionDir.create, self._root, spec)
            self._drive(action, spec)
        finally:
            del self._accepting[spec.launch.key]

    def _drive(self, action: ActionDir, spec: Spec) -> None:
        outcome = action.exit()
        status = Status(key=spec.launch.key, phase=ExecutionPhase.PENDING, worker=os.uname().nodename, rev=1)
        attempt = _Attempt(action, status, LogIndex(action))
        self._attempts[spec.launch.key] = attempt
        if outcome is not None:
            self._exited(attempt, outcome)
            return
        self._changed(attempt, attempt.status)
        attempt.task = asyncio.create_task(self._see_through(attempt, spec))

    async def _see_through(self, attempt: _Attempt, spec: Spec) -> None:
        try:
            outcome = await self._outcome(attempt, spec)
        except Exception as error:
            # A full disk, say. On disk the attempt stays as it is; a later agent may find more.
            log.exception("attempt given up: path=%s", attempt.action.path)
            outcome = Exit(ExitReason.LOST, ended_at=system_clock(), message=f"the agent lost sight of it: {error}")
        try:
            attempt.log_index.note(system_clock())
        except OSError:
            log.exception("log not indexed to its end: path=%s", attempt.action.path)
        self._exited(attempt, outcome)

    async def _outcome(self, attempt: _Attempt, spec: Spec) -> Exit:
        action = attempt.action
        if not action.claimed():
            await self._start(attempt, spec)
        while _goes_on(action):
            await self._follow(attempt, spec)
        outcome = action.exit()
        if outcome is None:
            outcome = _unseen_end(action)
            action.write_exit(outcome)
        return outcome

    async def _start(self, attempt: _Attempt, spec: Spec) -> None:
        action = attempt.action
        reason = action.stop_reason()
        if reason is not None:
            _end_unbegun(action, ExitReason.ABORTED, reason)
            return
        self._moved(attempt, ExecutionPhase.STARTING)
        try:
            await self._zygotes.start(action, spec, environment_of(spec.launch.image))
        except InvalidArgument as error:
            _end_unbegun(action, ExitReason.INVALID_IMAGE, str(error))
        except ZygoteLost:
            log.exception("start failed: path=%s", action.path)
            message = "the local executor could not start a process, see agent.log in its directory"
            _end_unbegun(action, ExitReason.START_FAILED, message)

    async def _follow(self, attempt: _Attempt, spec: Spec) -> None:
        """Wait for a change of a running attempt."""
        processes = attempt.action.processes()
        if processes is None:
            await asyncio.sleep(_POLL)
            return
        self._running(attempt, processes)
        if processes.keeper.alive:
            await processes.keeper.gone()
        elif attempt.action.stop_reason() is not None:
            await _end_without_keeper(processes, spec.launch.grace)
        else:
            await asyncio.sleep(_POLL)

    def _pass_on_stop(self, action: ActionDir) -> None:
        """Tell the keeper; what has none yet, or none any more, finds out by itself."""
        processes = action.processes()
        if processes is not None and action.stop_reason() is not None:
            processes.keeper.send(signal.SIGTERM)

    def _moved(self, attempt: _Attempt, phase: ExecutionPhase) -> None:
        self._changed(attempt, replace(attempt.status, phase=phase, rev=_REVISIONS[phase]))

    def _running(self, attempt: _Attempt, processes: Processes) -> None:
        phase = ExecutionPhase.RUNNING
        if attempt.status.phase is not phase:
            attempt.processes = processes
            status = replace(attempt.status, phase=phase, rev=_REVISIONS[phase], started_at=processes.started_at)
            self._changed(attempt, status)
            self._pass_on_stop(attempt.action)

    def _exited(self, attempt: _Attempt, outcome: Exit) -> None:
        status = replace(
            attempt.status,
            phase=ExecutionPhase.EXITED,
            reason=outcome.reason,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            started_at=outcome.started_at or attempt.status.started_at,
            ended_at=outcome.ended_at,
            message=outcome.message,
            rev=_REVISIONS[ExecutionPhase.EXITED],
        )
        self._changed(attempt, status)

    def _changed(self, attempt: _Attempt, status: Status) -> None:
        attempt.status = status
        for watch in self._watches:
            watch.add(status)


def _end_unbegun(action: ActionDir, reason: ExitReason, message: str) -> None:
    """End an attempt before it begins, unless a keeper was quicker; one that comes later finds it begun."""
    lock = action.claim()
    if lock is not None:
        action.write_exit(Exit(reason, ended_at=system_clock(), message=message))
        os.close(lock)


def _goes_on(action: ActionDir) -> bool:
    """False, too, when neither keeper nor main process is left and what they left behind has inherited the lock."""
    if not action.alive():
        return False
    processes = action.processes()
    return processes is None or processes.keeper.alive or processes.main.alive


def _unseen_end(action: ActionDir) -> Exit:
    """The outcome of an attempt whose keeper was killed, once what the keeper would have buried is killed, too."""
    processes = action.processes()
    if processes is not None:
        processes.main.kill_session()
    started_at = processes.started_at if processes else None
    stop_reason = action.stop_reason()
    if stop_reason is not None:
        return Exit(ExitReason.ABORTED, started_at=started_at, ended_at=system_clock(), message=stop_reason)
    message = "the attempt ended and its keeper did not see how"
    return Exit(ExitReason.LOST, started_at=started_at, ended_at=system_clock(), message=message)


async def _end_without_keeper(processes: Processes, grace: float) -> None:
    processes.main.send(signal.SIGTERM, group=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await processes.main.gone()
    processes.main.kill_session()
    await asyncio.sleep(_POLL)
