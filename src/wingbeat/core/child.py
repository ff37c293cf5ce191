"""What a running task asks for: actions below its own. The parent names them, the same on each of its attempts."""

from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.action import Action, Failure, Phase, TaskRef
from wingbeat.core.ids import ActionId
from wingbeat.core.timer import UNLIMITED, Timeouts
from wingbeat.core.value import Value


@dataclass(frozen=True, slots=True)
class Child:
    id: ActionId
    parent: str
    group: str
    """What the parent files it under; "" for nothing."""
    input_uri: str
    """The directory of inputs.pb, which the parent has written."""
    task: TaskRef
    spec: bytes
    """The serialized flyteidl2.task.TaskSpec, or TraceSpec of a trace."""


@dataclass(frozen=True, slots=True)
class TaskChild(Child):
    """A task to run."""

    lane: str
    """The name of the queue it asks for, or empty."""
    timeouts: Timeouts = UNLIMITED
    cache_key: str = ""
    """The same for calls of which one result is as good as the other; empty: it always runs."""


@dataclass(frozen=True, slots=True)
class TraceChild(Child):
    """A piece of the parent's own work, which is over already."""

    phase: Phase
    """SUCCEEDED or FAILED."""
    started_at: datetime
    ended_at: datetime
    output_uri: str
    """As the parent has recorded it: the outputs file itself, given back as it is."""
    error_uri: str
    """Where the parent writes why it failed."""
    failure: Failure | None = None
    """What is written there."""


@dataclass(frozen=True, slots=True)
class ChildState:
    """A child as its parent follows it."""

    action: Action
    failure: Failure | None
    """Of the latest attempt."""
    output_prefix: str
    """Of the latest attempt, begun or not."""
    value: Value | None = None
    """That a condition was signalled with."""
