"""Tasks as they are deployed: one row for each version, and a spec that is shared by all that are alike."""

from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.action import Phase, TaskRef
from wingbeat.core.ids import RunId


@dataclass(frozen=True, slots=True)
class TaskDeployment:
    """A version of a task as its owner wants it from now on."""

    ref: TaskRef
    spec: bytes
    """The serialized flyteidl2.task.TaskSpec."""
    env_description: str
    short_description: str
    entrypoint: bool
    """Whether its author means it to be run by people, and not only by other tasks."""


@dataclass(frozen=True, slots=True)
class Task:
    """A version of a task as lists show it."""

    ref: TaskRef
    env_description: str
    short_description: str
    entrypoint: bool
    deployed_by: str
    created_at: datetime
    """When this version was deployed for the first time. The latest version of a task goes by it."""
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A version of a task with its spec."""

    task: Task
    spec: bytes
    """The serialized flyteidl2.task.TaskSpec."""
    archived: bool = False
    """Its project is archived: nothing new may be made of it there."""

    @property
    def ref(self) -> TaskRef:
        return self.task.ref


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The run that was created last, of a task or of one version."""

    run: RunId
    task: str
    phase: Phase
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many tasks there are in a scope, and how many of them match; versions of one task count once."""

    total: int
    matching: int


def function_name(task: str, environment: str) -> str:
    """What a task is called within its environment: `main` of `env.main`."""
    if environment and task.startswith(f"{environment}."):
        return task.removeprefix(f"{environment}.")
    return task.rpartition(".")[2]
