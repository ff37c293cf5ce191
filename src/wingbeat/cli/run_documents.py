"""What `--output json` says of runs. The names, types and meanings are a promise; fields may be added.

Tables and trees for people are made of the same values.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run."""

    name: str
    project: str
    domain: str
    task: Annotated[str, "the name of the task"]
    task_version: str
    phase: Annotated[str, "QUEUED, INITIALIZING, RUNNING, SUCCEEDED, FAILED, ABORTED, TIMED_OUT ..."]
    source: Annotated[str, "who asked for it: CLI, WEB, SCHEDULE_TRIGGER ..."]
    trigger: Annotated[str | None, "the name of the trigger that started it"]
    started_at: Annotated[datetime, "since when it exists"]
    ended_at: datetime | None
    duration_seconds: Annotated[float | None, "from start to end, null until then"]


@dataclass(frozen=True, slots=True)
class RunList:
    """`wingbeat run list`: the newest run first."""

    runs: tuple[RunSummary, ...]
    more: Annotated[bool, "whether --limit left some out"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed."""

    kind: Annotated[str, "USER, SYSTEM or UNSPECIFIED: whose fault it is"]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was said of an attempt."""

    at: datetime
    phase: str
    message: str


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """One attempt at an action."""

    number: Annotated[int, "from 1"]
    phase: str
    node: Annotated[str | None, "where it ran"]
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    error: Failure | None
    has_logs: bool
    outputs_uri: str | None
    report_uri: str | None
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class ConditionShown:
    """A condition that waits for its value."""

    action: str
    name: Annotated[str, "what the task calls it"]
    type: Annotated[str, "BOOLEAN, INTEGER, FLOAT or STRING"]
    prompt: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RunShown:
    """`wingbeat run show`: a run in detail."""

    run: RunSummary
    trigger_revision: int | None
    created_by: Annotated[str | None, "the caller who asked for it"]
    meant_for: Annotated[
        datetime | None, "the moment it is a run of: when its schedule was due, or when it was asked for"
    ]
    relation: Annotated[str | None, "how it came from `related_run`: RERUN, RECOVER, SPAWN ..."]
    related_run: str | None
    labels: dict[str, str]
    error: Annotated[Failure | None, "why it failed"]
    abort_reason: str | None
    not_honoured: Annotated[tuple[str, ...], "what the task or the caller asked for and does not get, in words"]
    attempts: Annotated[tuple[AttemptShown, ...], "at its first action"]
    waits_for: Annotated[tuple[ConditionShown, ...], "`wingbeat run signal` gives them their values"]


@dataclass(frozen=True, slots=True)
class ActionNode:
    """An action and all below it."""

    name: str
    type: Annotated[str, "TASK, TRACE or CONDITION"]
    task: Annotated[str, "the name of the task, or of what was traced"]
    group: str | None
    phase: str
    attempts: Annotated[int, "how many were begun"]
    cache: Annotated[str | None, "how the cache served it: HIT, POPULATED, MISS, SKIPPED; null: not at all"]
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    prompt: Annotated[str | None, "of a condition that waits for its value"]
    value_type: Annotated[str | None, "of a condition that waits: BOOLEAN, INTEGER, FLOAT or STRING"]
    children: "tuple[ActionNode, ...]"


@dataclass(frozen=True, slots=True)
class RunTree:
    """`wingbeat run tree`, and `watch` once the run is over: the actions of a run."""

    run: RunSummary
    root: ActionNode


@dataclass(frozen=True, slots=True)
class Aborted:
    """`wingbeat run abort`."""

    run: str
    action: str
    phase: Annotated[str, "ABORTED, or how it had ended before"]


@dataclass(frozen=True, slots=True)
class RunAgain:
    """`wingbeat run rerun` and `recover`: the new run."""

    run: RunSummary
    relation: Annotated[str, "RERUN or RECOVER"]
    related_run: Annotated[str, "the run that runs again"]


@dataclass(frozen=True, slots=True)
class Signalled:
    """`wingbeat run signal`."""

    run: str
    action: str
    condition: Annotated[str, "what the task calls it"]
    value: bool | int | float | str
    phase: Annotated[str, "SUCCEEDED"]
