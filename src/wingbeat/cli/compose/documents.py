"""What `wingbeat compose ... --output json` says. The names, types and meanings are a promise; fields may be added.

Tables for people are made of the same values.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from wingbeat.cli.trigger_documents import SlotShown


@dataclass(frozen=True, slots=True)
class ComposeTrigger:
    """A trigger that was activated at least once."""

    name: str
    dag: Annotated[str, "what it runs"]
    type: Annotated[str, "poll or push"]
    schedule: str | None
    timezone: str
    active: bool
    next_fire_at: Annotated[datetime | None, "as far as the scheduler has looked"]
    last_run_at: Annotated[datetime | None, "at its first activation, before the first run"]
    last_run: str | None
    changed_by: str | None
    failures: Annotated[int, "decisions that failed in a row"]


@dataclass(frozen=True, slots=True)
class ComposeRun:
    """A run that was recorded."""

    run: str
    dag: str
    status: Annotated[str, "running, paused, completed, failed, cancelled; crashed when its process is gone"]
    trigger: str | None
    initiated_by: str | None
    started_at: datetime
    ended_at: datetime | None
    error: Annotated[str | None, "why it failed, where that is not in a node"]


@dataclass(frozen=True, slots=True)
class ComposeStatus:
    """`wingbeat compose status`."""

    running: Annotated[bool, "whether `wingbeat compose start` runs; programs that fire by themselves are not known"]
    pid: Annotated[int | None, "of that process"]
    data: Annotated[str, "the directory"]
    triggers: tuple[ComposeTrigger, ...]
    runs: Annotated[tuple[ComposeRun, ...], "that are not over"]


@dataclass(frozen=True, slots=True)
class ComposeResult:
    """`wingbeat compose run` and `fire`."""

    run: str
    status: Annotated[str, "completed, failed or paused"]
    outputs: Annotated[dict[str, Any], "what the last nodes returned, by their labels"]
    failed_node: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ComposePreview:
    """`wingbeat compose preview`."""

    slots: tuple[SlotShown, ...]
    inactive: Annotated[bool, "whether none of them fires before the trigger is resumed"]


@dataclass(frozen=True, slots=True)
class ComposeEvent:
    """A fire, or slots that came to nothing."""

    at: datetime
    status: Annotated[str, "of the run, or skipped, missed, error"]
    kind: Annotated[str, "schedule, manual, sensor, backfill"]
    scheduled_for: datetime | None
    lateness_seconds: float | None
    slots: Annotated[int, "a fire stands for those before it whose place it took, too"]
    run: str | None
    attempt: int
    error: Annotated[str | None, "why it failed, or did not fire"]
    initiated_by: str | None


@dataclass(frozen=True, slots=True)
class ComposeHistory:
    """`wingbeat compose history TRIGGER`: the newest first."""

    events: tuple[ComposeEvent, ...]


@dataclass(frozen=True, slots=True)
class ComposeRuns:
    """`wingbeat compose history`: the newest first."""

    runs: tuple[ComposeRun, ...]


@dataclass(frozen=True, slots=True)
class ComposeChange:
    """A change of a trigger."""

    revision: int
    action: Annotated[str, "activate, change or deactivate"]
    at: datetime
    by: str | None
    dag: str


@dataclass(frozen=True, slots=True)
class ComposeChanges:
    """`wingbeat compose history TRIGGER --changes`: the newest first."""

    changes: tuple[ComposeChange, ...]


@dataclass(frozen=True, slots=True)
class ComposeSwitched:
    """`wingbeat compose pause` and `resume`."""

    trigger: ComposeTrigger
