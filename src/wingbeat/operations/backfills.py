"""Backfills: runs for slots of the past, a few at a time. One transaction decides about the next slots and starts runs.

So any number of processes may do it at once, and one that dies has done all of it or nothing. Locks are taken in this
order: the schedule, the backfill.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from wingbeat.core import backfill as deciding
from wingbeat.core.backfill import Backfill, BackfillState, Step, Wanted
from wingbeat.core.ids import Scope, TaskId, TriggerName, backfill_run_name
from wingbeat.core.preview import Slot, annotated
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.trigger import Firing, Trigger
from wingbeat.errors import NotFound
from wingbeat.operations import planning, projects, runs, tasks, triggers
from wingbeat.operations.firing import PERMANENT, SOURCE, Firer, cause_of
from wingbeat.operations.lines import LeftOut
from wingbeat.operations.planning import RunOrder
from wingbeat.store import backfills, backlogs, fires, firings, timetables
from wingbeat.store import triggers as stored
from wingbeat.store.database import Transaction
from wingbeat.store.fires import Outcome

BATCH = 500
"""Slots that one transaction decides about at most."""
DELETED = "the trigger was deleted"


@dataclass(frozen=True, slots=True)
class Shown:
    """A backfill, whose it is, and how many of its runs work now."""

    backfill: Backfill
    name: TriggerName
    running: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill would do."""

    slots: Sequence[Slot]
    """Those that would be started."""
    left_out: int
    """Those that have fired already, or that the scheduler is about to fire."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one transaction did for a backfill."""

    started: int = 0
    missed: LeftOut = field(default_factory=LeftOut)
    """Slots that can never start."""
    more: bool = False
    """Whether there is more to do at once."""


async def plan(tx: Transaction, name: TriggerName, wanted: Wanted, *, domains: Domains) -> Plan:
    """Nothing is written. Raises NotFound, FailedPrecondition, InvalidArgument."""
    trigger = await _usable(tx, name, domains)
    firing = (await timetables.find_many(tx, [trigger.id]))[trigger.id].firing
    return await _plan(tx, firing, deciding.planned(firing, wanted, backfill_id="", by="", now=tx.now))


async def start(
    tx: Transaction, name: TriggerName, wanted: Wanted, *, backfill_id: str, by: str, domains: Domains
) -> tuple[Backfill, Plan]:
    """Runs follow: `advance` starts them. Raises like `plan`."""
    trigger = await _usable(tx, name, domains)
    firing = (await firings.lock(tx, [trigger.id]))[trigger.id]
    backfill = deciding.planned(firing, wanted, backfill_id=backfill_id, by=by, now=tx.now)
    await backfills.insert(tx, backfill)
    return backfill, await _plan(tx, firing, backfill)


async def advance(tx: Transaction, firer: Firer, backfill_id: str, trigger_id: int) -> Progress:
    """Start what may be started of a backfill."""
    firing = (await firings.lock(tx, [trigger_id])).get(trigger_id)
    backfill = await backfills.lock(tx, backfill_id)
    if backfill is None or firing is None or backfill.state is not BackfillState.RUNNING:
        return Progress()
    trigger = await _snapshot(tx, backfill)
    if trigger is None:
        await backfills.save(tx, deciding.changed(backfill, BackfillState.CANCELLED, now=tx.now, reason=DELETED))
        return Progress()
    working = (await backfills.running(tx, [backfill_id])).get(backfill_id, 0)
    if working >= backfill.wanted.max_running:
        return Progress()
    step = await _step(tx, firing, backfill, free=backfill.wanted.max_running - working)
    started, missed = await _start(tx, firer, backfill, trigger, step.starts)
    moved = replace(
        backfill,
        after=step.after,
        started=backfill.started + started,
        left_out=backfill.left_out + step.left_out,
        missed=backfill.missed + missed.total(),
    )
    if step.exhausted and not started and not working:
        moved = deciding.changed(moved, BackfillState.DONE, now=tx.now)
    if moved != backfill:
        await backfills.save(tx, moved)
    return Progress(started, missed, more=moved.after != backfill.after and not moved.state.over)


async def change(tx: Transaction, backfill_id: str, state: BackfillState, *, domains: Domains) -> Shown:
    """Pause, resume or cancel.

    Raises NotFound, and FailedPrecondition for a backfill that is over, or shall go on in a project that is archived.
    """
    backfill = await backfills.lock(tx, backfill_id)
    if backfill is None:
        raise _not_found(backfill_id)
    changed = deciding.changed(backfill, state, now=tx.now)
    after = (await shown(tx, [changed]))[0]
    if changed != backfill:
        if state is BackfillState.RUNNING:
            await projects.require_active(tx, after.name.project, after.name.domain, domains=domains)
        await backfills.save(tx, changed)
    return after


async def get(tx: Transaction, backfill_id: str) -> Shown:
    """Raises NotFound."""
    backfill = await backfills.find(tx, backfill_id)
    if backfill is None:
        raise _not_found(backfill_id)
    return (await shown(tx, [backfill]))[0]


async def shown(tx: Transaction, found: Sequence[Backfill]) -> list[Shown]:
    names = await stored.find_many(tx, sorted({each.trigger_id for each in found}))
    working = await backfills.running(tx, [each.id for each in found])
    return [Shown(each, names[each.trigger_id].name, working.get(each.id, 0)) for each in found]


async def _usable(tx: Transaction, name: TriggerName, domains: Domains) -> Trigger:
    await projects.require_active(tx, name.project, name.domain, domains=domains)
    return await triggers.usable(tx, name)


async def _plan(tx: Transaction, firing: Firing, backfill: Backfill) -> Plan:
    slots = deciding.undecided(backfill, deciding.MOST_SLOTS)
    taken = await _taken(tx, firing, backfill, slots)
    described = annotated(backfill.schedule, slots, after=backfill.after)
    return Plan([slot for slot in described if slot.at not in taken], len(taken))


async def _step(tx: Transaction, firing: Firing, backfill: Backfill, *, free: int) -> Step:
    slots = deciding.undecided(backfill, BATCH + 1)
    near, more = slots[:BATCH], len(slots) > BATCH
    taken = await _taken(tx, firing, backfill, near)
    return deciding.step(backfill, near, taken, free=free, more=more)


async def _taken(tx: Transaction, firing: Firing, backfill: Backfill, slots: Sequence[datetime]) -> set[datetime]:
    """Slots that must not be started: somebody else has, or is about to."""
    owed = deciding.owed(firing, await backlogs.find(tx, [firing.trigger_id]), slots)
    return owed if backfill.wanted.again else owed | await fires.fired_slots(tx, firing.trigger_id, slots)


async def _snapshot(tx: Transaction, backfill: Backfill) -> Trigger | None:
    """The trigger at the revision that is run; None when it is deleted by now."""
    latest = (await stored.find_many(tx, [backfill.trigger_id])).get(backfill.trigger_id)
    if latest is None or latest.deleted_at is not None:
        return None
    return await stored.at_revision(tx, backfill.trigger_id, backfill.revision)


async def _start(
    tx: Transaction, firer: Firer, backfill: Backfill, trigger: Trigger, slots: Sequence[datetime]
) -> tuple[int, LeftOut]:
    """How many runs were started, and how many slots can never start."""
    if not slots:
        return 0, LeftOut()
    try:
        planned = await _planned(tx, firer, backfill, trigger, slots)
    except PERMANENT as error:
        rows = [_row(backfill, slot, run=None, reason=str(error)) for slot in slots]
        await fires.insert(tx, rows)
        return 0, LeftOut({(Outcome.MISSED, cause_of(error)): len(rows)})
    await runs.start(tx, planned)
    await backfills.add_runs(tx, backfill.id, [run.id for run in planned])
    await fires.insert(
        tx, [_row(backfill, slot, run=run.id.name, reason="") for slot, run in zip(slots, planned, strict=True)]
    )
    await firings.touch(tx, [backfill.trigger_id])
    return len(planned), LeftOut()


async def _planned(
    tx: Transaction, firer: Firer, backfill: Backfill, trigger: Trigger, slots: Sequence[datetime]
) -> list[Run]:
    """Raises what no retry can mend."""
    name = trigger.name
    scope = Scope(name.project, name.domain)
    await projects.require_active(tx, scope.project, scope.domain, domains=firer.domains)
    task = await tasks.get(tx, TaskId(name.project, name.domain, name.task, trigger.task_version))
    orders = [
        RunOrder(
            scope=scope,
            task=task,
            trigger=trigger,
            source=SOURCE,
            run_start_time=slot,
            slot=slot,
            caller=backfill.created_by,
        )
        for slot in slots
    ]
    names = await runs.free_names(tx, [(scope, partial(backfill_run_name, backfill.id, name, slot)) for slot in slots])
    return [
        planning.plan(order, defaults=firer.defaults, now=tx.now, name=free)
        for order, free in zip(orders, names, strict=True)
    ]


def _row(backfill: Backfill, slot: datetime, *, run: str | None, reason: str) -> fires.Fire:
    return fires.backfilled(backfill.trigger_id, backfill.revision, backfill.id, slot, run, reason)


def _not_found(backfill_id: str) -> NotFound:
    return NotFound(f"there is no backfill {backfill_id!r}")
