"""What `--output json` says of triggers. The names, types and meanings are a promise; fields may be added.

Tables for people are made of the same values.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated


@dataclass(frozen=True, slots=True)
class PauseShown:
    """Why a trigger is paused."""

    reason: str
    until: Annotated[datetime | None, "when it is resumed by itself, null for never"]
    paused_at: datetime
    paused_by: str


@dataclass(frozen=True, slots=True)
class FireShown:
    """One moment of a trigger, or one range of slots that came to nothing for one reason."""

    kind: Annotated[str, "SCHEDULE, MANUAL, BACKFILL ..."]
    outcome: Annotated[str, "FIRED, SKIPPED or MISSED"]
    reason: Annotated[str, "why it did not fire"]
    first_slot: Annotated[datetime | None, "null for what has no slot"]
    last_slot: datetime | None
    count: Annotated[int, "slots, more than 1 only for ranges"]
    revision: int
    run: str | None
    phase: Annotated[str | None, "of the run, null once it is pruned"]
    decided_at: datetime
    lag_seconds: Annotated[float | None, "how long after its slot a scheduled fire was decided"]


@dataclass(frozen=True, slots=True)
class FireList:
    """`wingbeat trigger fires`: the newest first."""

    fires: tuple[FireShown, ...]
    more: Annotated[bool, "whether --limit left some out"]


@dataclass(frozen=True, slots=True)
class TriggerSummary:
    """One trigger."""

    name: str
    task: Annotated[str, "the name of the task"]
    project: str
    domain: str
    revision: int
    schedule: Annotated[str, "in words, empty for none"]
    active: bool
    next_fire_at: datetime | None
    pause: Annotated[PauseShown | None, "null for a trigger that was deactivated otherwise"]
    failures: Annotated[int, "decisions that failed in a row"]
    error: Annotated[str, "why the last one did"]
    fires: Annotated[tuple[FireShown, ...], "the last ones, the newest first"]


@dataclass(frozen=True, slots=True)
class TriggerList:
    """`wingbeat trigger list`."""

    triggers: tuple[TriggerSummary, ...]
    more: Annotated[bool, "whether --limit left some out"]


@dataclass(frozen=True, slots=True)
class SlotShown:
    """A moment for which a trigger fires."""

    at: datetime
    local: Annotated[str, "on the wall clock of the schedule's zone"]
    note: Annotated[str, "what a change of the clock does to it"]
    fires_at: Annotated[datetime, "later than the slot by its jitter"]


@dataclass(frozen=True, slots=True)
class PreviewShown:
    """`wingbeat trigger preview`."""

    slots: tuple[SlotShown, ...]
    timezone: str
    tzdata_version: Annotated[str, "the release of the zone rules"]
    inactive: Annotated[bool, "whether none of them fires before the trigger is resumed"]


@dataclass(frozen=True, slots=True)
class TriggerShown:
    """`wingbeat trigger show`, `pause`, `resume` and `rollback`."""

    trigger: TriggerSummary
    task_version: str
    description: str
    deployed_at: datetime
    updated_at: datetime
    triggered_at: datetime | None
    next_slots: tuple[SlotShown, ...]


@dataclass(frozen=True, slots=True)
class InputShown:
    """One input of a run."""

    name: str
    value: Annotated[str, "JSON, as the API has it"]


@dataclass(frozen=True, slots=True)
class Fired:
    """`wingbeat trigger fire`."""

    run: Annotated[str | None, "null for a dry run"]
    inputs: tuple[InputShown, ...]
    input_uri: Annotated[str, "where the inputs are, when they are a file"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that two revisions differ in."""

    field: str
    before: Annotated[str, "JSON, empty for none"]
    after: Annotated[str, "JSON, empty for none"]


@dataclass(frozen=True, slots=True)
class DiffShown:
    """`wingbeat trigger diff`."""

    old: Annotated[int, "the revision"]
    new: Annotated[int, "the revision"]
    changes: tuple[FieldChange, ...]
    old_slots: Annotated[tuple[SlotShown, ...], "the next ones"]
    new_slots: Annotated[tuple[SlotShown, ...], "the next ones"]


@dataclass(frozen=True, slots=True)
class BucketShown:
    """What starts in a stretch of time."""

    begin: datetime
    fires: int


@dataclass(frozen=True, slots=True)
class LoadShown:
    """What one trigger starts."""

    name: str
    task: str
    project: str
    domain: str
    fires: int
    by_bucket: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ForecastShown:
    """`wingbeat trigger forecast`."""

    buckets: tuple[BucketShown, ...]
    triggers: Annotated[tuple[LoadShown, ...], "the busiest first, at most 200"]
    trigger_count: Annotated[int, "triggers that fire at all"]


@dataclass(frozen=True, slots=True)
class FailingShown:
    """A trigger whose fires fail."""

    name: str
    task: str
    project: str
    domain: str
    failures: int
    error: str


@dataclass(frozen=True, slots=True)
class NodeShown:
    """A server that runs actions."""

    id: str
    host: str
    started_at: datetime
    lease_until: datetime
    scheduled_at: Annotated[datetime | None, "when a round of its scheduler ended, to within some seconds"]


@dataclass(frozen=True, slots=True)
class HealthShown:
    """`wingbeat trigger health`."""

    healthy: Annotated[bool, "whether nothing is late by more than --max-lag and nothing fails"]
    lag_seconds: Annotated[float, "how late the longest overdue slot is"]
    active_triggers: int
    overdue_triggers: int
    triggers_with_backlog: Annotated[int, "triggers whose late slots are caught up now"]
    oldest_backlog: datetime | None
    failing_triggers: int
    failing: tuple[FailingShown, ...]
    nodes: tuple[NodeShown, ...]


@dataclass(frozen=True, slots=True)
class BackfillShown:
    """`wingbeat trigger backfills show`, `pause`, `resume` and `cancel`."""

    id: str
    name: Annotated[str, "of the trigger"]
    task: str
    project: str
    domain: str
    revision: int
    begin: datetime
    end: Annotated[datetime, "slots before it"]
    again: bool
    max_running: int
    state: Annotated[str, "RUNNING, PAUSED, DONE or CANCELLED"]
    reason: str
    slots: Annotated[int, "slots between begin and end"]
    started: int
    left_out: Annotated[int, "had fired already, or the scheduler fires them"]
    missed: Annotated[int, "could not start"]
    running: Annotated[int, "runs that work now"]
    created_by: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """`wingbeat trigger backfill`."""

    backfill: Annotated[BackfillShown | None, "null for a dry run, and when there is nothing to start"]
    slots: Annotated[tuple[SlotShown, ...], "all that are started, the oldest first"]
    left_out: Annotated[int, "have fired already, or the scheduler fires them"]


@dataclass(frozen=True, slots=True)
class BackfillList:
    """`wingbeat trigger backfills list`: the newest first."""

    backfills: tuple[BackfillShown, ...]
    more: Annotated[bool, "whether --limit left some out"]
