"""What people ask of triggers beyond deploying them: what will fire, what a run by hand would get, what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from wingbeat.core.ids import Scope, TaskId, TriggerName
from wingbeat.core.preview import Slot, upcoming, zone_of
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.trigger import Deployment, Firing, Trigger, redeployed
from wingbeat.errors import InvalidArgument, NotFound
from wingbeat.operations import planning, projects, runs, tasks, triggers
from wingbeat.operations.planning import RunDefaults
from wingbeat.operations.runs import RunRequest
from wingbeat.store import fire_lists, timetables
from wingbeat.store import pauses as stored_pauses
from wingbeat.store import runs as stored_runs
from wingbeat.store import triggers as stored
from wingbeat.store.database import Transaction
from wingbeat.store.fire_lists import Entry, Wanted
from wingbeat.store.pauses import Pause
from wingbeat.store.timetables import Timetable
from wingbeat.wire import automation as wire

DRY_RUN_NAME = "dry-run"
UNDEPLOYED = 0
"""The id of a trigger that has none."""
MOST_GOING = 10_000
"""Triggers in one forecast."""


@dataclass(frozen=True, slots=True)
class Preview:
    slots: Sequence[Slot]
    timezone: str
    inactive: bool


@dataclass(frozen=True, slots=True)
class State:
    """What a list of triggers does not say about one."""

    trigger: Trigger
    timetable: Timetable
    pause: Pause | None
    fires: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Difference:
    field: str
    before: str
    """JSON; empty when it is not set."""
    after: str


@dataclass(frozen=True, slots=True)
class Diff:
    old: int
    new: int
    differences: Sequence[Difference]
    old_slots: Sequence[Slot]
    new_slots: Sequence[Slot]


async def preview_trigger(tx: Transaction, name: TriggerName, *, after: datetime | None, n: int) -> Preview:
    """The next slots, as if the trigger were active. Raises NotFound, FailedPrecondition."""
    trigger = await triggers.usable(tx, name)
    firing = (await timetables.find_many(tx, [trigger.id]))[trigger.id].firing
    since = max(firing.decided_until, after or tx.now) if trigger.active else after or tx.now
    return Preview(upcoming(firing, since, n), zone_of(firing.schedule), not trigger.active)


async def preview_inline(tx: Transaction, wanted: Deployment, *, after: datetime | None, n: int) -> Preview:
    """The slots of a trigger that would be deployed now."""
    # A delay depends on the trigger that does not exist yet.
    policies = replace(wanted.policies, jitter=timedelta())
    firing = Firing(UNDEPLOYED, 1, wanted.schedule, True, tx.now, tx.now, None, policies=policies)
    return Preview(upcoming(firing, after or tx.now, n), zone_of(firing.schedule), inactive=False)


async def states(tx: Transaction, names: Sequence[TriggerName], *, last_fires: int) -> list[State]:
    """In the order of the names; those that are deleted or unknown are left out."""
    found = [trigger for trigger in [await stored.find(tx, name) for name in dict.fromkeys(names)] if trigger]
    ids = [trigger.id for trigger in found]
    paused, times = await stored_pauses.find_many(tx, ids), await timetables.find_many(tx, ids)
    return [
        State(
            trigger, times[trigger.id], _holding(paused.get(trigger.id), trigger), await _fires(tx, trigger, last_fires)
        )
        for trigger in found
    ]


async def fire(
    tx: Transaction, name: TriggerName, request: RunRequest, *, defaults: RunDefaults, domains: Domains, fresh_name: str
) -> Run:
    """Start a run of the trigger now; a request that is repeated gets its first run, whatever became of the trigger.

    Raises NotFound, FailedPrecondition, InvalidArgument.
    """
    created = await runs.repeated(tx, request)
    if created is None:
        await _checked(tx, name, request)
        created = await runs.create(tx, request, defaults=defaults, domains=domains, fresh_name=fresh_name)
    run = await stored_runs.find(tx, created.root.id.run)
    if run is None:
        raise NotFound(f"run {created.root.id.run.name!r} is not kept any more")
    return run


async def render(
    tx: Transaction, name: TriggerName, request: RunRequest, *, defaults: RunDefaults, domains: Domains
) -> Run:
    """The run that `fire` would start; nothing is written. Raises like it."""
    trigger, task = await _checked(tx, name, request)
    await projects.require_active(tx, name.project, name.domain, domains=domains)
    return planning.plan(request.order(task, trigger), defaults=defaults, now=tx.now, name=DRY_RUN_NAME)


async def diff(tx: Transaction, name: TriggerName, *, old: int, new: int, n: int) -> Diff:
    """Two revisions, also of a trigger that is deleted; 0 is the latest as `new`, and the one before `new` as `old`.

    Raises NotFound for a trigger or revision that never was.
    """
    latest = await triggers.get(tx, name, deleted=True)
    newer = await _at(tx, latest, new or latest.revision)
    older = await _at(tx, latest, old or max(newer.revision - 1, 1))
    firing = (await timetables.find_many(tx, [latest.id]))[latest.id].firing
    return Diff(
        older.revision,
        newer.revision,
        _differences(wire.fields(older), wire.fields(newer)),
        _slots_of(older, firing, tx.now, n),
        _slots_of(newer, firing, tx.now, n),
    )


async def roll_back(
    tx: Transaction, name: TriggerName, revision: int, *, expected_revision: int, by: str, domains: Domains
) -> None:
    """Deploy an old revision as a new one; whether the trigger is active stays as it is.

    Raises NotFound, FailedPrecondition, and Conflict when `expected_revision` is given and not the latest.
    """
    trigger = await triggers.usable(tx, name)
    old = await _at(tx, trigger, revision)
    paused = (await stored_pauses.find_many(tx, [trigger.id])).get(trigger.id)
    wanted = wire.redeployment(old, active=trigger.active)
    deployed = await triggers.deploy(
        tx, wanted, expected_revision=expected_revision or trigger.revision, by=by, domains=domains
    )
    if paused is not None and paused.holds(trigger):
        await stored_pauses.put(tx, paused.moved(deployed.revision))


async def going(tx: Transaction, scope: Scope | None) -> list[tuple[TriggerName, Firing]]:
    """The triggers that fire by themselves. Raises InvalidArgument when they are too many to say what they will do."""
    found = await timetables.going(tx, scope, limit=MOST_GOING + 1)
    if len(found) > MOST_GOING:
        raise InvalidArgument(f"project_id: more than {MOST_GOING} triggers are active: ask for one project's domain")
    return [(each.name, each.firing) for each in found]


async def _checked(tx: Transaction, name: TriggerName, request: RunRequest) -> tuple[Trigger, runs.Runnable]:
    trigger = await triggers.usable(tx, name)
    task = await tasks.get(tx, TaskId(name.project, name.domain, name.task, trigger.task_version))
    unknown = wire.unknown_inputs(request.inputs, task_spec=task.spec)
    if unknown:
        raise InvalidArgument(f"inputs: task {name.task!r} has no {', '.join(map(repr, unknown))}")
    return trigger, task


async def _at(tx: Transaction, trigger: Trigger, revision: int) -> Trigger:
    found = await stored.at_revision(tx, trigger.id, revision)
    if found is None:
        raise NotFound(f"trigger {trigger.name.name!r} has no revision {revision}: the latest is {trigger.revision}")
    return found


async def _fires(tx: Transaction, trigger: Trigger, n: int) -> Sequence[Entry]:
    return (await fire_lists.page(tx, trigger.id, Wanted(), limit=n)).items if n else ()


def _holding(pause: Pause | None, trigger: Trigger) -> Pause | None:
    return pause if pause is not None and pause.holds(trigger) else None


def _slots_of(revision: Trigger, firing: Firing, now: datetime, n: int) -> Sequence[Slot]:
    """As if the revision were deployed now."""
    wanted = wire.redeployment(revision, active=True)
    return upcoming(redeployed(firing, wanted, revision=revision.revision, now=now), now, n)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(field, before.get(field, ""), after.get(field, ""))
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    ]
