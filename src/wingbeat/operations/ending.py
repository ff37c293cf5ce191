"""How attempts and actions end. An action that is over is never touched again, and nothing of it waits any more.

The queue's row is the one lock for all of it and always taken first.
"""

from dataclasses import replace
from datetime import datetime

from wingbeat.core.action import Action, Event, Failure, Phase, after
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.retry import RetryPolicy, retry_after
from wingbeat.operations import results
from wingbeat.operations.current import Current, find_attempt, get, record
from wingbeat.store import actions, descendants, queue, run_ends, timers
from wingbeat.store.database import Transaction


async def succeed(tx: Transaction, current: Current, at: datetime) -> None:
    phase = after(current.action.phase, Event.SUCCEED)
    ended = current.attempt.over(phase, at)
    await actions.save_attempt(tx, ended)
    action = await results.keep(tx, replace(current.action, output_uri=ended.output_prefix), ended.id)
    await close(tx, action, phase, at)
    await record(tx, ended.id, phase, at)


async def fail(
    tx: Transaction,
    current: Current,
    failure: Failure,
    at: datetime,
    *,
    retries: RetryPolicy,
    chance: float,
    event: Event = Event.FAIL,
) -> None:
    """The attempt is over: another one follows, or its action is over too. `event` is FAIL or TIME_OUT."""
    phase = after(current.action.phase, event)
    ended = current.attempt.over(phase, at, failure)
    delay = retry_after([*current.earlier, failure], retries, chance=chance)
    await actions.save_attempt(tx, ended)
    await record(tx, ended.id, phase, at, failure.message)
    if delay is None:
        await close(tx, current.action, phase, at)
        return
    following = AttemptId(current.action.id, ended.id.number + 1)
    waiting = after(current.action.phase, Event.RETRY)
    await actions.save(tx, replace(current.action, phase=waiting, attempts=following.number))
    await record(tx, following, waiting, tx.now)
    await queue.release(tx, following, at=tx.now + delay)
    await timers.add(tx, current.action.timeouts.when_available(following, tx.now + delay))


async def abort(tx: Transaction, action_id: ActionId, reason: str) -> bool:
    """End the action and all below it, whatever they are doing: the nodes that run them stop them.

    False, and nothing changes, when it is over already. Raises NotFound.
    """
    await queue.find(tx, action_id)  # the lock
    action = await get(tx, action_id)
    if action.phase.terminal:
        return False
    phase = after(action.phase, Event.ABORT)
    attempt = await find_attempt(tx, AttemptId(action_id, action.attempts))
    if attempt is not None:
        await actions.save_attempt(tx, attempt.over(phase, tx.now))
    await record(tx, AttemptId(action_id, action.attempts), phase, tx.now, reason)
    await close(tx, replace(action, abort_reason=reason), phase, tx.now)
    return True


async def close(tx: Transaction, action: Action, phase: Phase, at: datetime) -> None:
    """The action is over since `at`: whatever waited for it or on its behalf is settled, its children are aborted."""
    await actions.save(tx, action.over(phase, at))
    await _settle(tx, action.id)
    await results.leave(tx, action, phase)
    if action.trigger is not None:
        await run_ends.append(tx, action.trigger, run_name=action.id.run.name, phase=phase, at=at)
    below = await descendants.lock(tx, action.id)
    reason = action.abort_reason or f"its parent {action.id.name} is over: {phase.name}"
    for batch in descendants.batches(below):
        await descendants.abort(tx, batch, reason)
        await _settle(tx, *batch)
        await results.leave_unmade(tx, batch)


async def _settle(tx: Transaction, *actions: ActionId) -> None:
    """These actions of one run are over: nothing waits for them any more, and they wait for nothing."""
    await queue.remove(tx, *actions)
    await timers.remove(tx, *actions)
