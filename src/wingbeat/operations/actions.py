"""The life of an action's attempts: claimed, started, finished, retried. Only who holds the current claim may tell.

The queue's row is the one lock for all of it and always taken first. An action that is over is never touched again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from wingbeat.core.action import (
    Action,
    Attempt,
    Event,
    Failure,
    Outcome,
    Phase,
    PhaseChange,
    Success,
    after,
)
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.core.retry import LOST, RetryPolicy, retry_after
from wingbeat.core.run import Run
from wingbeat.errors import NotFound
from wingbeat.store import actions, events, queue, run_ends, runs
from wingbeat.store.changes import run_topic
from wingbeat.store.database import Transaction

NO_RETRIES = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that a node holds, and all that it takes to launch it."""

    action: Action
    run: Run
    attempt: Attempt

    @property
    def id(self) -> AttemptId:
        return self.attempt.id

    @property
    def token(self) -> int:
        return self.attempt.token


@dataclass(frozen=True, slots=True)
class _Current:
    """An action whose claim is the current one, and the attempt that was made with it."""

    action: Action
    attempt: Attempt
    earlier: Sequence[Failure]
    """Of the attempts before this one."""


async def get(tx: Transaction, action_id: ActionId) -> Action:
    """Raises NotFound."""
    action = await actions.find(tx, action_id)
    if action is None:
        run = action_id.run
        raise NotFound(f"run {run.name!r} has no action {action_id.name!r} in {run.project}/{run.domain}")
    return action


async def claim(tx: Transaction, node: str, limit: int) -> list[Claim]:
    """Up to `limit` waiting actions begin their next attempt on `node`."""
    claims = [await _begin(tx, entry) for entry in await queue.claim(tx, node, limit)]
    return [claim for claim in claims if claim]


async def find_claim(tx: Transaction, attempt: AttemptId, token: int) -> Claim | None:
    """The claim, if it is the current one."""
    entry = await queue.find(tx, attempt.action)
    if entry is None or entry.attempt != attempt or entry.token != token:
        return None
    current, run = await _of_entry(tx, entry), await runs.find(tx, attempt.action.run)
    return Claim(current.action, run, current.attempt) if current and run else None


async def started(tx: Transaction, attempt: AttemptId, token: int, *, at: datetime) -> bool:
    """The attempt's process runs since `at`. False, and nothing changes, when that is known or does not count."""
    current = await _current(tx, attempt, token)
    if current is None or current.attempt.phase is not Phase.INITIALIZING:
        return False
    phase = after(current.action.phase, Event.START)
    since = max(at, current.attempt.created_at)
    await actions.save_attempt(tx, replace(current.attempt, phase=phase, started_at=since))
    await actions.save(tx, replace(current.action, phase=phase))
    await _record(tx, attempt, phase, since)
    return True


async def finished(
    tx: Transaction,
    attempt: AttemptId,
    token: int,
    outcome: Outcome,
    *,
    retries: RetryPolicy,
    chance: float,
    at: datetime | None = None,
) -> bool:
    """The attempt ended, at `at` or now: its action is over too, or waits for its next attempt.

    `chance` is a random number in [0, 1). False, and nothing changes, when the claim is not the current one.
    """
    current = await _current(tx, attempt, token)
    if current is None:
        return False
    ended_at = min(max(at or tx.now, current.attempt.created_at), tx.now)
    match outcome:
        case Success():
            await _succeed(tx, current, ended_at)
        case Failure():
            await _fail(tx, current, outcome, ended_at, retries=retries, chance=chance)
    return True


async def release(tx: Transaction, attempt: AttemptId, token: int, *, at: datetime, why: str) -> bool:
    """The attempt was never launched: it waits in the queue again, claimable from `at` on."""
    current = await _current(tx, attempt, token)
    if current is None:
        return False
    phase = after(current.action.phase, Event.RELEASE)
    await actions.save_attempt(tx, replace(current.attempt, phase=phase))
    await actions.save(tx, replace(current.action, phase=phase))
    await _record(tx, attempt, phase, tx.now, why)
    await queue.release(tx, attempt, at=at)
    return True


async def take_over(tx: Transaction, limit: int, *, chance: float) -> int:
    """Actions of nodes whose lease is gone lose their attempt; the number of actions."""
    entries = await queue.abandoned(tx, limit)
    for entry in entries:
        current = await _of_entry(tx, entry)
        if current is not None:
            await _fail(tx, current, LOST, tx.now, retries=NO_RETRIES, chance=chance)
    return len(entries)


async def abort(tx: Transaction, action_id: ActionId, reason: str) -> bool:
    """End the action and all below it, whatever they are doing: the nodes that run them stop them.

    False, and nothing changes, when it is over already. Raises NotFound.
    """
    await queue.find(tx, action_id)  # the lock
    action = await get(tx, action_id)
    if action.phase.terminal:
        return False
    phase = after(action.phase, Event.ABORT)
    attempt = await _attempt(tx, AttemptId(action_id, action.attempts))
    if attempt is not None and action.phase is not Phase.QUEUED:
        await actions.save_attempt(tx, replace(attempt, phase=phase, ended_at=tx.now))
    await _record(tx, AttemptId(action_id, action.attempts), phase, tx.now, reason)
    await _close(tx, replace(action, abort_reason=reason), phase, tx.now)
    return True


async def note_cache(tx: Transaction, action_id: ActionId, *, attempt: int, status: int) -> bool:
    """Keep how the cache served the attempt that is being made, which 0 means too. Phases are not told to us.

    False, and nothing changes, for another attempt, and when the action is over or says so already. Raises NotFound.
    """
    await queue.find(tx, action_id)  # the lock
    action = await get(tx, action_id)
    if action.phase.terminal or attempt not in (0, action.attempts) or status == action.cache_status:
        return False
    await actions.save(tx, replace(action, cache_status=status))
    return True


async def keep_log(tx: Transaction, attempt: AttemptId, log_uri: str) -> None:
    """The attempt's whole log is at `log_uri`, however the attempt ended."""
    found = await _attempt(tx, attempt)
    if found is not None and found.log_uri != log_uri:
        await actions.save_attempt(tx, replace(found, log_uri=log_uri))
        tx.changed(run_topic(attempt.action.run))


async def _begin(tx: Transaction, entry: queue.Entry) -> Claim | None:
    action, run = await actions.find(tx, entry.attempt.action), await runs.find(tx, entry.attempt.action.run)
    if action is None or run is None or action.phase is not Phase.QUEUED:
        await queue.remove(tx, entry.attempt.action)
        return None
    phase = after(action.phase, Event.CLAIM)
    attempt = Attempt(
        id=entry.attempt,
        phase=phase,
        node=entry.node or "",
        token=entry.token,
        output_prefix=output_prefix(run.output_base, entry.attempt),
        created_at=tx.now,
        started_at=None,
        ended_at=None,
        failure=None,
        log_uri=None,
    )
    await actions.save_attempt(tx, attempt)
    saved = await actions.save(tx, replace(action, phase=phase))
    await _record(tx, attempt.id, phase, tx.now)
    return Claim(saved, run, attempt)


async def _succeed(tx: Transaction, current: _Current, at: datetime) -> None:
    phase = after(current.action.phase, Event.SUCCEED)
    ended = replace(current.attempt, phase=phase, ended_at=at)
    await actions.save_attempt(tx, ended)
    await _close(tx, replace(current.action, output_uri=ended.output_prefix), phase, at)
    await _record(tx, ended.id, phase, at)


async def _fail(
    tx: Transaction, current: _Current, failure: Failure, at: datetime, *, retries: RetryPolicy, chance: float
) -> None:
    ended = replace(current.attempt, phase=Phase.FAILED, ended_at=at, failure=failure)
    delay = retry_after([*current.earlier, failure], retries, chance=chance)
    await actions.save_attempt(tx, ended)
    await _record(tx, ended.id, Phase.FAILED, at, failure.message)
    if delay is None:
        await _close(tx, current.action, after(current.action.phase, Event.FAIL), at)
        return
    following = AttemptId(current.action.id, ended.id.number + 1)
    phase = after(current.action.phase, Event.RETRY)
    await actions.save(tx, replace(current.action, phase=phase, attempts=following.number))
    await _record(tx, following, phase, tx.now)
    await queue.release(tx, following, at=tx.now + delay)


async def _close(tx: Transaction, action: Action, phase: Phase, at: datetime) -> None:
    lasted = at - action.created_at
    await actions.save(tx, replace(action, phase=phase, ended_at=at, duration_ms=round(lasted.total_seconds() * 1000)))
    await queue.remove(tx, action.id)
    if action.trigger is not None:
        await run_ends.append(tx, action.trigger, run_name=action.id.run.name, phase=phase, at=at)
    # Locks are taken from parents to children only, so that two ends never wait for each other.
    for child in await queue.children(tx, action.id):
        await abort(tx, child, action.abort_reason or f"its parent {action.id.name} is over: {phase.name}")


async def _current(tx: Transaction, attempt: AttemptId, token: int) -> _Current | None:
    entry = await queue.find(tx, attempt.action)
    if entry is None or entry.node is None or entry.attempt != attempt or entry.token != token:
        return None
    return await _of_entry(tx, entry)


async def _of_entry(tx: Transaction, entry: queue.Entry) -> _Current | None:
    """None, and no entry any more, when the action was ended by somebody else."""
    action = await actions.find(tx, entry.attempt.action)
    attempts = await actions.attempts(tx, entry.attempt.action)
    attempt = next((attempt for attempt in attempts if attempt.id == entry.attempt), None)
    if action is None or attempt is None or action.phase.terminal:
        await queue.remove(tx, entry.attempt.action)
        return None
    return _Current(action, attempt, [item.failure for item in attempts if item.failure and item is not attempt])


async def _attempt(tx: Transaction, attempt: AttemptId) -> Attempt | None:
    return next((item for item in await actions.attempts(tx, attempt.action) if item.id == attempt), None)


async def _record(tx: Transaction, attempt: AttemptId, phase: Phase, at: datetime, message: str = "") -> None:
    await events.record(tx, [(attempt.action, PhaseChange(attempt.number, phase, at, message))])
