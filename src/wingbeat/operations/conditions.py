"""Conditions: they wait, and hold no slot, until somebody gives them their value, they time out or are aborted.

Like any action, a condition is locked by its row in the queue.
"""

from dataclasses import replace
from datetime import datetime

from wingbeat.core.action import Action, ActionType, Event, Phase, after
from wingbeat.core.condition import ConditionChild, Signal
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.timer import Timer, TimerKind
from wingbeat.core.value import Value, ValueType, check, same, widened
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import ending
from wingbeat.operations.children import below, living_parent
from wingbeat.operations.current import get, record
from wingbeat.operations.planning import PRIORITY
from wingbeat.store import actions, queue, signals, tasks, timers, webhooks
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry

NO_LANE = ""
"""No node ever takes a condition."""


async def enqueue(tx: Transaction, child: ConditionChild) -> None:
    """The condition waits from now on. A parent that is tried again asks for it again: it is left as it is.

    Raises AlreadyExists, NotFound: there is no such parent; Conflict: the parent is over.
    """
    parent = await living_parent(tx, child)
    if await actions.find(tx, child.id) is not None:
        raise AlreadyExists(f"action {child.id.name!r} of run {child.id.run.name!r} exists already")
    await tasks.put_spec(tx, child.task.spec_digest, child.spec)
    paused = below(tx, child, parent, ActionType.CONDITION, Phase.PAUSED)
    await actions.insert(tx, [replace(paused, value_type=child.value_type)])
    attempt = AttemptId(child.id, 1)
    await record(tx, attempt, Phase.PAUSED, tx.now)
    _, limit = await queue.terms_of_run(tx, child.id.run)
    waits = Entry(attempt, PRIORITY, NO_LANE, None, queue.NEVER, parent=child.parent, action_limit=limit)
    await queue.add(tx, [waits])
    if child.timeout is not None:
        await timers.add(tx, [Timer(attempt, TimerKind.CONDITION, tx.now + child.timeout)])
    if child.notifies:
        await webhooks.add(tx, child.id)


async def signal(tx: Transaction, action_id: ActionId, value: Value, *, by: str, parent: str = "") -> bool:
    """Give the condition its value: it has succeeded. `parent` is checked unless it is empty.

    False, and nothing changes, when it was given the same value before. Raises NotFound; FailedPrecondition: it is no
    condition, or it is over; InvalidArgument: the value is not of the declared type, or `parent` is not its parent.
    """
    await queue.find(tx, action_id)  # the lock
    action = await get(tx, action_id)
    declared = declared_type(action)
    if parent and parent != action.parent:
        raise InvalidArgument(
            f"parent_action_name is {parent!r}: the parent of {action_id.name!r} is {action.parent!r}"
        )
    if action.phase.terminal:
        await _require_the_same(tx, action, value)
        return False
    check(value, declared)
    await signals.insert(tx, action_id, Signal(value, by, tx.now))
    phase = after(action.phase, Event.SIGNAL)
    await record(tx, AttemptId(action_id, action.attempts), phase, tx.now, f"signalled by {by}" if by else "signalled")
    await ending.close(tx, action, phase, tx.now)
    return True


async def call_back(tx: Transaction, action_id: ActionId, value: Value, *, since: datetime, by: str) -> bool:
    """`signal` of the condition that waits since then, from somebody who may have one kind of numbers only."""
    action = await get(tx, action_id)
    if action.created_at != since:
        raise NotFound(f"the condition {action_id.name!r} that this address was for does not exist any more")
    return await signal(tx, action_id, widened(value, declared_type(action)), by=by)


def declared_type(action: Action) -> ValueType:
    """Raises FailedPrecondition when the action is no condition."""
    if action.value_type is None:
        run = action.id.run.name
        raise FailedPrecondition(f"action {action.id.name!r} of run {run!r} is a {action.type.name} and no CONDITION")
    return action.value_type


async def _require_the_same(tx: Transaction, action: Action, value: Value) -> None:
    given = await signals.find(tx, action.id)
    if given is None:
        raise FailedPrecondition(f"condition {action.id.name!r} is over: {action.phase.name}")
    if not same(given.value, value):
        raise FailedPrecondition(f"condition {action.id.name!r} was signalled with another value already")
