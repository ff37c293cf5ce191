"""What a trigger is, and what it owes: the slots between the last decision and now.

Slots that are late do not hold up those that are not: they become a backlog, caught up apart. With policies, slots may
come to nothing, for a reason that the ledger keeps, or wait as a backlog until a run has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from wingbeat.core import jitter
from wingbeat.core.admission import Admission, admit
from wingbeat.core.backlog import SUPERSEDED, Backlog, Cause, Reason, Unfired, missed, newest, skipped, split
from wingbeat.core.ids import TriggerName
from wingbeat.core.overlap import ALONE, Standing, why_skipped
from wingbeat.core.policy import DEFAULTS, CatchUp, Overlap, Policies
from wingbeat.core.schedule import Schedule, between, next_after

LIVE = timedelta(minutes=1)
"""A slot is live until it is this old; then it belongs to the backlog."""
MIN_BACKOFF = timedelta(seconds=1)
MAX_BACKOFF = timedelta(minutes=5)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A trigger as its owner wants it from now on."""

    name: TriggerName
    task_version: str
    active: bool
    automation_type: str
    """The name of flyteidl2.task.TriggerAutomationSpecType."""
    schedule: Schedule | None
    spec: bytes
    """The serialized flyteidl2.trigger.TriggerSpec."""
    automation: bytes
    """The serialized flyteidl2.task.TriggerAutomationSpec."""
    description: str
    policies: Policies = DEFAULTS


@dataclass(frozen=True, slots=True)
class Trigger:
    """The current state of a trigger, or, with its `revision`, what it was once."""

    id: int
    """Never changes, not even when the trigger is deleted and deployed again."""
    name: TriggerName
    revision: int
    task_version: str
    active: bool
    automation_type: str
    spec: bytes
    automation: bytes
    description: str
    deployed_by: str
    updated_by: str
    deployed_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    triggered_at: datetime | None
    """When it last fired, for whatever cause. Never a cursor."""


RevisionAction = Literal["DEPLOY", "ACTIVATE", "DEACTIVATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class Revision:
    """What a trigger was from one change to the next, and the change that made it so."""

    trigger: Trigger
    action: RevisionAction
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Firing:
    """When a trigger fires: the narrow state that every fire moves."""

    trigger_id: int
    revision: int
    schedule: Schedule | None
    """Kept while the trigger is inactive, so that the phase of a fixed rate survives."""
    active: bool
    anchor: datetime
    """From where interval schedules count."""
    decided_until: datetime
    """Every slot up to here was fired, skipped, missed, or put into the backlog."""
    next_fire_at: datetime | None
    """The first slot after `decided_until`; None when there is none or the trigger is inactive."""
    failures: int = 0
    """Decisions that failed in a row."""
    policies: Policies = DEFAULTS
    group: str | None = None
    """Whose runs count together against the concurrency limit."""
    started: int = 0
    """Slots that fired, counted while `max_runs` is set."""
    failed_runs: int = 0
    """Runs of this revision that failed in a row, counted while `pause_after_failures` is set."""


@dataclass(frozen=True, slots=True)
class Due:
    """What to do about one trigger now."""

    fires: tuple[datetime, ...]
    """Oldest first."""
    firing: Firing
    """The state after the fires."""
    backlog: Backlog | None = None
    """Late slots, to be remembered in the same transaction."""
    waiting: Backlog | None = None
    """Slots that wait for the end of a run; they follow those of `backlog`."""
    unfired: tuple[Unfired, ...] = ()
    cancels: bool = False
    """The runs that are not over are aborted first, and what waits is superseded."""


def due(firing: Firing, now: datetime, limit: int, standing: Standing = ALONE) -> Due:
    """Decide the slots in (decided_until, now]: at most `limit` live ones to fire, oldest first.

    With more live slots than that, `decided_until` stops at the last one fired and the rest stay due.
    """
    if firing.schedule is None or not firing.active or firing.decided_until >= now:
        return Due((), firing)
    return _due_alone(firing, firing.schedule, now, limit) or _due(firing, firing.schedule, now, limit, standing)


def serve(
    line: Sequence[Backlog], firing: Firing, standing: Standing, limit: int
) -> tuple[list[tuple[Backlog, Admission]], Firing]:
    """Decide about all the backlogs of a trigger, the oldest first, under the policies that it has now."""
    served: list[tuple[Backlog, Admission]] = []
    standing = replace(standing, waiting=False)
    for slots in line:
        if firing.policies.overlap is Overlap.CANCEL_OTHER and slots is not line[-1]:
            admitted = Admission(unfired=skipped(slots, why_skipped(firing.policies.overlap)))
        else:
            admitted = admit(slots, firing.policies, standing, started=firing.started, limit=limit)
        served.append((slots, admitted))
        limit -= len(admitted.fires)
        firing = _counted(firing, admitted)
        standing = standing.after(
            len(admitted.fires),
            waiting=admitted.waiting is not None or admitted.left is not None,
            cancelled=admitted.cancels,
        )
    return served, moved(firing, firing.decided_until)


def undecided_slots(firing: Firing, now: datetime) -> Backlog | None:
    """Everything between the last decision and `now`; None when there is no slot in it."""
    following = firing.next_fire_at
    until = now if firing.policies.end is None else min(now, firing.policies.end)
    if firing.schedule is None or following is None or following > until:
        return None
    after = max(firing.decided_until, following - _TICK) if firing.policies.start else firing.decided_until
    return Backlog(firing.trigger_id, firing.revision, firing.schedule, firing.anchor, after, until)


def owed(firing: Firing, now: datetime) -> tuple[Backlog | None, tuple[Unfired, ...]]:
    """What came due and was not decided yet, when the trigger changes; what its policies leave out comes to nothing."""
    return _made_up_for(firing, undecided_slots(firing, now), now)


def ripe_at(firing: Firing, owed: Backlog) -> datetime:
    """When the last slot comes due that a change of the trigger has made a backlog: its jitter still counts."""
    _, last = newest(owed)
    slot = next_after(owed.schedule, last.after, owed.anchor)
    if slot is None:
        return owed.until
    return slot + jitter.delay(firing.trigger_id, owed.schedule, slot, owed.anchor, firing.policies.jitter)


def catch_up(backlog: Backlog, limit: int) -> tuple[tuple[datetime, ...], Backlog | None]:
    """The oldest slots of a backlog, at most `limit`, and what is left of it."""
    found = between(backlog.schedule, backlog.after, backlog.until, backlog.anchor, limit=limit + 1)
    slots = found[:limit]
    if len(found) == len(slots):
        return slots, None
    return slots, replace(backlog, after=slots[-1]) if slots else backlog


def moved(firing: Firing, decided_until: datetime) -> Firing:
    """The same schedule, decided up to another moment; a failure is over."""
    following = _next(firing, firing.schedule, decided_until) if firing.schedule and firing.active else None
    return replace(firing, decided_until=decided_until, next_fire_at=following, failures=0)


def comes_due_at(firing: Firing) -> datetime | None:
    """When the next slot fires: later than it is, by its jitter."""
    slot = firing.next_fire_at
    if slot is None or firing.schedule is None or not firing.policies.jitter:
        return slot
    return slot + jitter.delay(firing.trigger_id, firing.schedule, slot, firing.anchor, firing.policies.jitter)


def redeployed(firing: Firing, deployment: Deployment, *, revision: int, now: datetime) -> Firing:
    """The state under a new revision. The time before is never replayed under the new schedule.

    An unchanged schedule keeps its anchor, so that a fixed rate keeps its phase over deployments.
    """
    unchanged = firing.schedule == deployment.schedule
    changed = replace(
        firing,
        revision=revision,
        schedule=deployment.schedule,
        active=deployment.active,
        anchor=firing.anchor if unchanged else now,
        policies=deployment.policies,
        group=group_of(deployment),
        started=firing.started if deployment.policies.max_runs else 0,
        failed_runs=0,
    )
    return moved(changed, max(now, firing.decided_until))


def back_off(failures: int) -> timedelta:
    """How long to leave a trigger alone after so many failed decisions in a row."""
    return min(MIN_BACKOFF * 2 ** min(failures - 1, 20), MAX_BACKOFF)


def group_of(deployment: Deployment) -> str | None:
    """Whose runs count together: those of the triggers of a project and domain that have the same key."""
    name, key = deployment.name, deployment.policies.concurrency_key
    return f"{name.project}/{name.domain}/{key}" if key else None


def _due_alone(firing: Firing, schedule: Schedule, now: datetime, limit: int) -> Due | None:
    """What `_due` decides when no policy has a say and one slot is owed, which is live: a storm is made of these."""
    slot = firing.next_fire_at
    if firing.policies is not DEFAULTS or limit < 1 or slot is None or not now - LIVE < slot <= now:
        return None
    if slot != next_after(schedule, firing.decided_until, firing.anchor):
        return None
    following = next_after(schedule, slot, firing.anchor)
    if following is not None and following <= now:
        return None
    return Due((slot,), replace(firing, decided_until=now, next_fire_at=following, failures=0))


def _due(firing: Firing, schedule: Schedule, now: datetime, limit: int, standing: Standing) -> Due:
    reached = _reach(firing, schedule, now)
    undecided, unfired = _made_up_for(firing, undecided_slots(firing, reached), now)
    late, live = _late_and_live(firing, schedule, undecided, now)
    admitted = Admission()
    if live is not None:
        if late is not None:
            standing = replace(standing, waiting=True)
        admitted = admit(live, firing.policies, standing, started=firing.started, limit=limit)
    return Due(
        fires=admitted.fires,
        firing=moved(_counted(firing, admitted), reached if admitted.left is None else admitted.left.after),
        backlog=late,
        waiting=admitted.waiting,
        unfired=(*unfired, *admitted.unfired),
        cancels=admitted.cancels,
    )


def _late_and_live(
    firing: Firing, schedule: Schedule, slots: Backlog | None, now: datetime
) -> tuple[Backlog | None, Backlog | None]:
    late_until = _reach(firing, schedule, now - LIVE)
    if slots is None or firing.next_fire_at is None or firing.next_fire_at > late_until:
        return None, slots
    return split(slots, late_until)


def _counted(firing: Firing, admitted: Admission) -> Firing:
    if firing.policies.max_runs is None or not admitted.fires:
        return firing
    return replace(firing, started=firing.started + len(admitted.fires))


def _next(firing: Firing, schedule: Schedule, after: datetime) -> datetime | None:
    policies = firing.policies
    if policies.max_runs is not None and firing.started >= policies.max_runs:
        return None
    slot = next_after(schedule, max(after, policies.start - _TICK) if policies.start else after, firing.anchor)
    return None if slot is None or (policies.end is not None and slot > policies.end) else slot


def _reach(firing: Firing, schedule: Schedule, moment: datetime) -> datetime:
    """The last moment up to which each undecided slot has come due by `moment`."""
    return jitter.reach(
        firing.trigger_id,
        schedule,
        firing.anchor,
        firing.policies.jitter,
        after=firing.decided_until,
        now=moment,
    )


def _made_up_for(firing: Firing, slots: Backlog | None, now: datetime) -> tuple[Backlog | None, tuple[Unfired, ...]]:
    """The slots that the policies leave, however late they are, and the others."""
    policies = firing.policies
    age, reason = policies.catch_up_window, "outside the catch-up window"
    if policies.catch_up is CatchUp.NONE and (age is None or age > LIVE):
        age, reason = LIVE, "late, and not to be caught up"
    unfired: tuple[Unfired, ...] = ()
    if slots is not None and age is not None:
        old, slots = split(slots, _reach(firing, slots.schedule, now - age))
        unfired = missed(old, Reason(Cause.LATE, reason))
    if slots is not None and (policies.catch_up is CatchUp.LATEST or policies.overlap is Overlap.CANCEL_OTHER):
        older, slots = newest(slots)
        unfired = (*unfired, *skipped(older, SUPERSEDED))
    return slots, unfired
