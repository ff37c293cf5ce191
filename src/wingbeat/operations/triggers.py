"""What callers can do with triggers. Whatever changes firing locks the schedule row first and settles what is due.

Settling: a slot that came due before a redeploy stays owed under the revision it came due under, as a backlog; one
that came due before a pause or a deletion is missed, and the ledger says so. No change replays the time before it.
"""

from collections.abc import Sequence
from dataclasses import replace as changed

from wingbeat.core.backlog import Cause, Reason, Unfired
from wingbeat.core.ids import TaskId, TriggerName
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.schedule import count_between, last_between, next_after
from wingbeat.core.trigger import (
    Deployment,
    Firing,
    RevisionAction,
    Trigger,
    group_of,
    moved,
    owed,
    redeployed,
    ripe_at,
    undecided_slots,
)
from wingbeat.errors import Conflict, FailedPrecondition, NotFound
from wingbeat.operations import projects
from wingbeat.store import backlogs, fires, firings, run_needs, tasks, triggers
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Transaction
from wingbeat.store.fires import Fire, FireKind, Outcome
from wingbeat.wire.runs import trigger_traits


async def deploy(
    tx: Transaction, wanted: Deployment, *, expected_revision: int = 0, by: str, domains: Domains
) -> Trigger:
    """Create the trigger, or make a new revision of it; a deleted one comes back.

    With `expected_revision` above 0 it must be the latest one: Conflict otherwise, and nothing is changed.
    Raises NotFound, FailedPrecondition or InvalidArgument when its project, domain or task version cannot be used.
    """
    name = wanted.name
    await projects.require_active(tx, name.project, name.domain, domains=domains)
    task = TaskId(name.project, name.domain, name.task, wanted.task_version)
    if await tasks.find(tx, task) is None:
        raise NotFound(f"task {task.name!r} has no version {task.version!r} in {task.project}/{task.domain}")
    return await _put(tx, wanted, expected_revision=expected_revision, by=by)


async def get(tx: Transaction, name: TriggerName, *, deleted: bool = False) -> Trigger:
    """With `deleted` also one that is deleted. Raises NotFound."""
    trigger = await triggers.find(tx, name, deleted=deleted)
    if trigger is None:
        raise NotFound(f"task {name.task!r} has no trigger {name.name!r} in {name.project}/{name.domain}")
    return trigger


async def usable(tx: Transaction, name: TriggerName) -> Trigger:
    """A trigger that something can be done with.

    Raises NotFound for one that never was, FailedPrecondition for one that is deleted.
    """
    trigger = await get(tx, name, deleted=True)
    if trigger.deleted_at is not None:
        raise FailedPrecondition(
            f"trigger {name.name!r} of task {name.task!r} was deleted at {trigger.deleted_at:%Y-%m-%d %H:%M:%SZ}:"
            " deploy it again first"
        )
    return trigger


async def replace(tx: Transaction, task: TaskId, wanted: Sequence[Deployment], *, by: str) -> None:
    """Make `wanted` all the triggers of a task: others that it has are deleted, whoever made them."""
    names = {deployment.name for deployment in wanted}
    ids = await triggers.ids_of_task(tx, task.task_name)
    await firings.lock(tx, ids)
    current = (await triggers.find_many(tx, ids)).values()
    gone = [trigger.name for trigger in current if trigger.name not in names]
    await delete(tx, gone, by=by)
    for deployment in wanted:
        await _put(tx, deployment, by=by)


async def activate(tx: Transaction, names: Sequence[TriggerName], *, by: str, domains: Domains) -> None:
    """Those that are active already are left alone. Raises NotFound, FailedPrecondition; then nothing is changed."""
    for project, domain in sorted({(name.project, name.domain) for name in names}):
        await projects.require_active(tx, project, domain, domains=domains)
    await set_active(tx, names, True, by=by)


async def set_active(tx: Transaction, names: Sequence[TriggerName], active: bool, *, by: str) -> None:
    """Activate or deactivate, wherever they are; those that are so already are left alone.

    Raises NotFound, and changes nothing.
    """
    current, locked = await _locked(tx, names)
    _require_all(names, {trigger.name for trigger in current if trigger.deleted_at is None})
    flipped = [
        changed(trigger, active=active, revision=trigger.revision + 1, updated_at=tx.now, updated_by=by)
        for trigger in current
        if trigger.active != active
    ]
    await _change(tx, "ACTIVATE" if active else "DEACTIVATE", flipped, locked)


async def delete(tx: Transaction, names: Sequence[TriggerName], *, by: str) -> None:
    """Delete softly: history stays readable, and a later deploy brings the trigger back.

    One that is deleted already is left alone. Raises NotFound for one that never was, and changes nothing.
    """
    current, locked = await _locked(tx, names)
    _require_all(names, {trigger.name for trigger in current})
    deleted = [
        changed(
            trigger, active=False, revision=trigger.revision + 1, deleted_at=tx.now, updated_at=tx.now, updated_by=by
        )
        for trigger in current
        if trigger.deleted_at is None
    ]
    await _change(tx, "DELETE", deleted, locked)


async def record_manual_fire(tx: Transaction, trigger: Trigger, run: Run) -> None:
    """A run was started from the trigger by hand: it is in the ledger, and no slot is touched."""
    await firings.touch(tx, [trigger.id])
    fire = Fire(
        trigger.id,
        FireKind.MANUAL,
        run.id.name,
        Outcome.FIRED,
        "",
        None,
        None,
        1,
        trigger.revision,
        run.id.name,
    )
    await fires.insert(tx, [fire])


def ledger_row(unfired: Unfired) -> Fire | None:
    """The row for slots that come to nothing; None when there are none."""
    slots = unfired.slots
    schedule, anchor = slots.schedule, slots.anchor
    first = next_after(schedule, slots.after, anchor)
    last = last_between(schedule, slots.after, slots.until, anchor)
    if first is None or last is None:
        return None
    count = count_between(schedule, slots.after, slots.until, anchor)
    outcome = Outcome(unfired.outcome)
    return fires.unfired(outcome, slots.trigger_id, slots.revision, first, last, count, unfired.reason.text)


async def _put(tx: Transaction, wanted: Deployment, *, expected_revision: int = 0, by: str) -> Trigger:
    tx.changed(SCHEDULE)
    existing = await triggers.find(tx, wanted.name, deleted=True)
    if existing is None:
        return await _create(tx, wanted, by=by)
    firing = (await firings.lock(tx, [existing.id]))[existing.id]
    current = (await triggers.find_many(tx, [existing.id]))[existing.id]
    if expected_revision and expected_revision != current.revision:
        raise Conflict(
            f"trigger {wanted.name.name!r}: revision {expected_revision} was given, the latest is {current.revision}:"
            " read it again and repeat the change on it"
        )
    return await _redeploy(tx, wanted, current, firing, by=by)


async def _create(tx: Transaction, wanted: Deployment, *, by: str) -> Trigger:
    trigger = Trigger(
        id=0,
        name=wanted.name,
        revision=1,
        task_version=wanted.task_version,
        active=wanted.active,
        automation_type=wanted.automation_type,
        spec=wanted.spec,
        automation=wanted.automation,
        description=wanted.description,
        deployed_by=by,
        updated_by=by,
        deployed_at=tx.now,
        updated_at=tx.now,
        deleted_at=None,
        triggered_at=None,
    )
    trigger = changed(trigger, id=await triggers.insert(tx, trigger))
    firing = Firing(
        trigger_id=trigger.id,
        revision=1,
        schedule=wanted.schedule,
        active=wanted.active,
        anchor=tx.now,
        decided_until=tx.now,
        next_fire_at=None,
        policies=wanted.policies,
        group=group_of(wanted),
    )
    await firings.insert(tx, moved(firing, tx.now))
    await _append_revisions(tx, "DEPLOY", [trigger])
    return trigger


async def _redeploy(tx: Transaction, wanted: Deployment, current: Trigger, firing: Firing, *, by: str) -> Trigger:
    trigger = changed(
        current,
        revision=current.revision + 1,
        task_version=wanted.task_version,
        active=wanted.active,
        automation_type=wanted.automation_type,
        spec=wanted.spec,
        automation=wanted.automation,
        description=wanted.description,
        updated_by=by,
        updated_at=tx.now,
        deleted_at=None,
    )
    if trigger.active:
        await _settle(tx, firing)
    else:
        await _close(tx, [firing], "deactivated by a deploy before it could fire")
    await triggers.update(tx, [trigger])
    await _append_revisions(tx, "DEPLOY", [trigger])
    known = changed(firing, started=0) if current.deleted_at else firing
    await firings.save(tx, [redeployed(known, wanted, revision=trigger.revision, now=tx.now)])
    return trigger


async def _locked(tx: Transaction, names: Sequence[TriggerName]) -> tuple[list[Trigger], dict[int, Firing]]:
    """The triggers of these names, deleted ones too, as they are once their schedule rows are locked."""
    found = [await triggers.find(tx, name, deleted=True) for name in dict.fromkeys(names)]
    ids = sorted(trigger.id for trigger in found if trigger)
    locked = await firings.lock(tx, ids)
    current = await triggers.find_many(tx, ids)
    return list(current.values()), locked


def _require_all(wanted: Sequence[TriggerName], found: set[TriggerName]) -> None:
    """A name that nobody knows is an error, not a silent success."""
    missing = [f"{name.task}/{name.name}" for name in wanted if name not in found]
    if missing:
        raise NotFound(f"no such trigger: {', '.join(missing)}; nothing was changed")


async def _change(tx: Transaction, action: RevisionAction, new: Sequence[Trigger], locked: dict[int, Firing]) -> None:
    """Write new revisions that differ from the last ones in being active or not."""
    if not new:
        return
    tx.changed(SCHEDULE)
    old = [locked[trigger.id] for trigger in new]
    if action != "ACTIVATE":
        await _close(tx, old, f"{action.lower()}d before it could fire")
    await triggers.update(tx, new)
    await _append_revisions(tx, action, new)
    await firings.save(
        tx,
        [
            moved(
                changed(firing, revision=trigger.revision, active=trigger.active, failed_runs=0),
                max(tx.now, firing.decided_until),
            )
            for trigger, firing in zip(new, old, strict=True)
        ],
    )


async def _settle(tx: Transaction, firing: Firing) -> None:
    """What came due stays owed, as the policies have it; what waits is looked at again under the new ones."""
    backlog, unfired = owed(firing, tx.now)
    if firing.policies.ordered:
        await backlogs.wake(tx, [firing.trigger_id])
    if backlog is not None:
        wake_at = ripe_at(firing, backlog) if firing.policies.jitter else tx.now
        await backlogs.add(tx, [backlog], wake_at=wake_at)
    await fires.insert(tx, [row for each in unfired if (row := ledger_row(each))])


async def _close(tx: Transaction, stopped: Sequence[Firing], reason: str) -> None:
    """Nothing of these triggers fires any more: what they still owe is missed."""
    late = await backlogs.find(tx, [firing.trigger_id for firing in stopped])
    undecided = [backlog for firing in stopped if (backlog := undecided_slots(firing, tx.now))]
    rows = [ledger_row(Unfired(backlog, "missed", Reason(Cause.STOPPED, reason))) for backlog in (*late, *undecided)]
    await fires.insert(tx, [row for row in rows if row])
    await backlogs.serve(tx, left=(), done=late)


async def _append_revisions(tx: Transaction, action: RevisionAction, new: Sequence[Trigger]) -> None:
    await triggers.append_revisions(tx, action, new)
    traits = [(each, trigger_traits(each.spec, each.automation)) for each in new]
    await run_needs.note_inputs(
        tx,
        {run_needs.of_revision(each.id, each.revision): its.offloaded.uri for each, its in traits if its.offloaded},
    )
