"""Actions that take too long: what follows when a timer is due. The lock of the action settles races with outcomes.

The codes are those by which the SDK picks the exception that the parent, or the caller, gets.
"""

from typing import Final

from wingbeat.core.action import Action, Attempt, ErrorKind, Event, Failure, Phase, after
from wingbeat.core.condition import TIMED_OUT
from wingbeat.core.launch import output_prefix
from wingbeat.core.timer import Timer, TimerKind
from wingbeat.operations import actions, ending, waits
from wingbeat.operations.current import find_attempt, record
from wingbeat.store import actions as stored_actions
from wingbeat.store import queue, runs, tasks, timers
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry
from wingbeat.wire.launch import parse

QUEUED_TOO_LONG: Final = "QUEUED_TIMEOUT_EXCEEDED"
RAN_TOO_LONG: Final = "MAX_RUNTIME_EXCEEDED"
DEADLINE_PASSED: Final = "DEADLINE_EXCEEDED"


async def expire(tx: Transaction, timer: Timer) -> bool:
    """The timer is due. False, and nothing follows, when it does not count any more."""
    entry = await queue.find(tx, timer.attempt.action)  # the lock
    if not await timers.take(tx, timer) or entry is None:
        return False
    action = await stored_actions.find(tx, timer.attempt.action)
    if action is None or action.phase.terminal:
        return False
    match timer.kind:
        case TimerKind.QUEUED:
            return await _queued_too_long(tx, timer, entry, action)
        case TimerKind.RUNTIME:
            return await _ran_too_long(tx, timer, entry, action)
        case TimerKind.DEADLINE:
            return await _deadline_passed(tx, entry, action)
        case TimerKind.CONDITION:
            await _end(tx, entry, action, TIMED_OUT)
            return True


async def _queued_too_long(tx: Transaction, timer: Timer, entry: Entry, action: Action) -> bool:
    """Another attempt would wait in the same place: the action is over, whatever retries it has."""
    if entry.attempt != timer.attempt or action.phase not in actions.WAITING:
        return False
    bound = f"within {action.timeouts.queued}, its max_queued_time"
    if action.phase is Phase.WAITING_FOR_RESOURCES:
        message = f"the result that another action computes was not there {bound}"
    else:
        why = await waits.reason(tx, action)
        message = f"no node took the action {bound}" + (f": {why}" if why else "")
    await _end(tx, entry, action, _failure(QUEUED_TOO_LONG, message))
    return True


async def _ran_too_long(tx: Transaction, timer: Timer, entry: Entry, action: Action) -> bool:
    """The attempt has failed as by an error of its own, and is tried again where its task asks for that."""
    message = f"the attempt ran longer than {action.timeouts.runtime}, its max_runtime"
    failure = _failure(RAN_TOO_LONG, message, retryable=True)
    template = parse(await tasks.spec(tx, action.task.spec_digest) or b"")
    retries = actions.NO_RETRIES if isinstance(template, Failure) else template.retries
    return await actions.timed_out(tx, timer.attempt, entry.token, failure, retries=retries)


async def _deadline_passed(tx: Transaction, entry: Entry, action: Action) -> bool:
    message = f"the action was not over within {action.timeouts.deadline}, its deadline"
    await _end(tx, entry, action, _failure(DEADLINE_PASSED, message))
    return True


async def _end(tx: Transaction, entry: Entry, action: Action, failure: Failure) -> None:
    phase = after(action.phase, Event.TIME_OUT)
    attempt = await find_attempt(tx, entry.attempt) or await _unbegun(tx, entry, action)
    await stored_actions.save_attempt(tx, attempt.over(phase, tx.now, failure))
    await record(tx, entry.attempt, phase, tx.now, failure.message)
    await ending.close(tx, action, phase, tx.now)


async def _unbegun(tx: Transaction, entry: Entry, action: Action) -> Attempt:
    """The attempt that no node has begun: why it never will be is written down with it."""
    run = await runs.find(tx, action.id.run)
    return Attempt(
        id=entry.attempt,
        phase=action.phase,
        node="",
        token=entry.token,
        output_prefix=output_prefix(run.output_base if run else "", entry.attempt),
        created_at=action.updated_at,
        started_at=None,
        ended_at=None,
        failure=None,
        log_uri=None,
    )


def _failure(code: str, message: str, *, retryable: bool = False) -> Failure:
    return Failure(code, ErrorKind.USER, message, retryable)
