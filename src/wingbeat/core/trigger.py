"""What a trigger is, and what it owes: the slots between the last decision and now.

Slots that are late do not hold up those that are not: they become a backlog, caught up apart.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from wingbeat.core.ids import TriggerName
from wingbeat.core.schedule import Schedule, between, next_after

LIVE = timedelta(minutes=1)
"""A slot is live until it is this old; then it belongs to the backlog."""
MIN_BACKOFF = timedelta(seconds=1)
MAX_BACKOFF = timedelta(minutes=5)


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """Slots in (`after`, `until`] that came due while nobody could fire them, under the schedule of that time."""

    trigger_id: int
    revision: int
    schedule: Schedule
    anchor: datetime
    after: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """What to do about one trigger now."""

    fires: tuple[datetime, ...]
    """Oldest first."""
    firing: Firing
    """The state after the fires."""
    backlog: Backlog | None
    """Late slots, to be remembered in the same transaction."""


def due(firing: Firing, now: datetime, limit: int) -> Due:
    """Decide the slots in (decided_until, now]: at most `limit` live ones to fire, oldest first.

    With more live slots than that, `decided_until` stops at the last one fired and the rest stay due.
    """
    if firing.schedule is None or not firing.active or firing.decided_until >= now:
        return Due((), firing, None)
    backlog = _late(firing, firing.schedule, now - LIVE)
    after = max(firing.decided_until, now - LIVE)
    live = between(firing.schedule, after, now, firing.anchor, limit=limit + 1)
    fires = live[:limit]
    decided_until = now if len(live) == len(fires) else (fires[-1] if fires else after)
    return Due(fires, moved(firing, decided_until), backlog)


def catch_up(backlog: Backlog, limit: int) -> tuple[tuple[datetime, ...], Backlog | None]:
    """The oldest slots of a backlog, at most `limit`, and what is left of it."""
    slots = between(backlog.schedule, backlog.after, backlog.until, backlog.anchor, limit=limit)
    return slots, replace(backlog, after=slots[-1]) if len(slots) == limit else None


def moved(firing: Firing, decided_until: datetime) -> Firing:
    """The same schedule, decided up to another moment; a failure is over."""
    following = next_after(firing.schedule, decided_until, firing.anchor) if firing.schedule and firing.active else None
    return replace(firing, decided_until=decided_until, next_fire_at=following, failures=0)


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
    )
    return moved(changed, max(now, firing.decided_until))


def back_off(failures: int) -> timedelta:
    """How long to leave a trigger alone after so many failed decisions in a row."""
    return min(MIN_BACKOFF * 2 ** min(failures - 1, 20), MAX_BACKOFF)


def _late(firing: Firing, schedule: Schedule, before: datetime) -> Backlog | None:
    """The slots that are too old to be live, if there is one."""
    first = next_after(schedule, firing.decided_until, firing.anchor)
    if first is None or first > before:
        return None
    return Backlog(firing.trigger_id, firing.revision, schedule, firing.anchor, firing.decided_until, before)
