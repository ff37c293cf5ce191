"""The runs of a task, counted: what a dashboard shows of each task, and how one more run or change moves it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from wingbeat.core.action import Action, ErrorKind, Phase
from wingbeat.core.ids import RunId, Scope

RECENT = 10
"""Runs of which a group shows the phase."""


@dataclass(frozen=True, slots=True)
class Window:
    """The runs of a scope that were created between two moments, both included."""

    scope: Scope
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Recent:
    run: str
    phase: Phase
    created_at: datetime
    environment: str
    short_name: str
    started_at: datetime | None
    """When its first attempt ran."""


@dataclass(frozen=True, slots=True)
class TaskGroup:
    task: str
    phases: Mapping[Phase, int]
    latest_run_at: datetime
    created_by: frozenset[str]
    finished: int
    """Runs that have a duration."""
    duration_ms: int
    """Of all of those together."""
    latest_finished_at: datetime | None
    errors: Mapping[ErrorKind, int]
    recent: Sequence[Recent] = ()
    """The newest first."""

    @property
    def total(self) -> int:
        return sum(self.phases.values())

    @property
    def failure_rate(self) -> float:
        return self.phases.get(Phase.FAILED, 0) / self.total

    @property
    def average_duration_ms(self) -> int | None:
        return round(self.duration_ms / self.finished) if self.finished else None

    @property
    def average_ms_to_running(self) -> int | None:
        """Of the recent runs."""
        waits = [(each.started_at - each.created_at).total_seconds() for each in self.recent if each.started_at]
        return round(1000 * max(0.0, sum(waits)) / len(waits)) if waits else None


@dataclass(slots=True)
class TaskGroups:
    """All groups of a window, as of one moment, moved on by the changes of runs since."""

    as_of: datetime
    groups: dict[str, TaskGroup]
    unfinished: dict[RunId, Phase]
    """The counted runs that are not over; those that are never change again."""
    changed: set[str] = field(default_factory=set[str])

    def doubtful(self, root: Action) -> bool:
        """Whether nobody can tell if the run was counted: it may have been over at `as_of`."""
        return root.id.run not in self.unfinished and root.created_at <= self.as_of

    def count(self, root: Action, error: ErrorKind | None) -> None:
        """A run is new or has changed. `error` is why it failed, if it did. It must not be doubtful."""
        run, task = root.id.run, root.task.id.name
        before = self.unfinished.pop(run, None)
        if not root.phase.terminal:
            self.unfinished[run] = root.phase
        if before is root.phase:
            return
        self.changed.add(task)
        known = self.groups.get(task) or _empty(root)
        phases = Counter(known.phases)
        phases[root.phase] += 1
        if before is not None:
            phases[before] -= 1
        group = replace(
            known,
            phases={phase: count for phase, count in phases.items() if count},
            latest_run_at=max(known.latest_run_at, root.created_at),
            created_by=known.created_by | ({root.created_by_subject} - {""}),
            errors=Counter(known.errors) + Counter([error] if error else []),
        )
        self.groups[task] = _finished(group, root)


def _empty(root: Action) -> TaskGroup:
    return TaskGroup(root.task.id.name, {}, root.created_at, frozenset(), 0, 0, None, {})


def _finished(group: TaskGroup, root: Action) -> TaskGroup:
    if root.ended_at is None:
        return group
    return replace(
        group,
        finished=group.finished + (root.duration_ms is not None),
        duration_ms=group.duration_ms + (root.duration_ms or 0),
        latest_finished_at=max(group.latest_finished_at or root.ended_at, root.ended_at),
    )
