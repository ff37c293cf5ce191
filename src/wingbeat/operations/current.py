"""The action that an operation is about, and the attempt of it that is being made, as they are by now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.action import Action, Attempt, Failure, Phase, PhaseChange
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId
from wingbeat.errors import NotFound
from wingbeat.store import actions, clearing, events, queue
from wingbeat.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Current:
    """An action that some node holds, and the attempt that the node makes."""

    action: Action
    attempt: Attempt
    earlier: Sequence[Failure]
    """Of the attempts before this one."""


async def get(tx: Transaction, action_id: ActionId) -> Action:
    """Raises NotFound."""
    action = await actions.find(tx, action_id)
    if action is None:
        run, pruned_at = action_id.run, await clearing.pruned_at(tx, action_id.run)
        if pruned_at:
            raise NotFound(f"run {run.name!r} was pruned at {pruned_at:%Y-%m-%d %H:%M} UTC, its inputs and outputs too")
        if action_id.name == ROOT_ACTION:
            raise NotFound(f"run {run.name!r} not found in {run.project}/{run.domain}")
        raise NotFound(f"run {run.name!r} has no action {action_id.name!r} in {run.project}/{run.domain}")
    return action


async def by_token(tx: Transaction, attempt: AttemptId, token: int) -> Current | None:
    """None unless this is the current claim. The action is locked."""
    entry = await queue.find(tx, attempt.action)
    if entry is None or entry.node is None or entry.attempt != attempt or entry.token != token:
        return None
    return await of_entry(tx, entry)


async def of_entry(tx: Transaction, entry: queue.Entry) -> Current | None:
    """None, and no entry any more, when the action was ended by somebody else."""
    action = await actions.find(tx, entry.attempt.action)
    attempts = await actions.attempts(tx, entry.attempt.action)
    attempt = next((attempt for attempt in attempts if attempt.id == entry.attempt), None)
    if action is None or attempt is None or action.phase.terminal:
        await queue.remove(tx, entry.attempt.action)
        return None
    return Current(action, attempt, [item.failure for item in attempts if item.failure and item is not attempt])


async def find_attempt(tx: Transaction, attempt: AttemptId) -> Attempt | None:
    return next((item for item in await actions.attempts(tx, attempt.action) if item.id == attempt), None)


async def record(tx: Transaction, attempt: AttemptId, phase: Phase, at: datetime, message: str = "") -> None:
    """The attempt entered `phase`."""
    await events.record(tx, [(attempt.action, PhaseChange(attempt.number, phase, at, message))])
