"""States of actions and attempts: what may follow what. The table is the rule; a missing key is the error."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType

from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import ActionId, AttemptId, TaskId, TriggerName
from wingbeat.core.relation import Relation
from wingbeat.core.timer import UNLIMITED, Timeouts
from wingbeat.core.value import ValueType
from wingbeat.errors import FailedPrecondition


class Phase(IntEnum):
    """The numbers of flyteidl2.common.ActionPhase."""

    QUEUED = 1
    WAITING_FOR_RESOURCES = 2
    INITIALIZING = 3
    RUNNING = 4
    SUCCEEDED = 5
    FAILED = 6
    ABORTED = 7
    TIMED_OUT = 8
    PAUSED = 9
    RECOVERED = 10

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT, Phase.RECOVERED})


class Event(StrEnum):
    """What can happen to an action."""

    CLAIM = "claim"
    """A node took it and prepares the attempt."""
    START = "start"
    """The attempt's process runs."""
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    """The attempt is over and another one follows."""
    RELEASE = "release"
    """The node gave it back before it ran."""
    ABORT = "abort"
    TIME_OUT = "time-out"
    WAIT = "wait"
    """Another action computes what this one would."""
    HIT = "hit"
    """What it would compute is there already."""
    SIGNAL = "signal"
    """The condition was given its value."""


def _transitions() -> dict[tuple[Phase, Event], Phase]:
    table = {
        (Phase.QUEUED, Event.CLAIM): Phase.INITIALIZING,
        (Phase.QUEUED, Event.WAIT): Phase.WAITING_FOR_RESOURCES,
        (Phase.INITIALIZING, Event.START): Phase.RUNNING,
        (Phase.INITIALIZING, Event.RELEASE): Phase.QUEUED,
        (Phase.WAITING_FOR_RESOURCES, Event.CLAIM): Phase.INITIALIZING,
        (Phase.WAITING_FOR_RESOURCES, Event.WAIT): Phase.WAITING_FOR_RESOURCES,
        (Phase.PAUSED, Event.SIGNAL): Phase.SUCCEEDED,
        (Phase.PAUSED, Event.ABORT): Phase.ABORTED,
        (Phase.PAUSED, Event.TIME_OUT): Phase.TIMED_OUT,
    }
    for waiting in (Phase.QUEUED, Phase.WAITING_FOR_RESOURCES):
        table |= {
            (waiting, Event.HIT): Phase.SUCCEEDED,
            (waiting, Event.ABORT): Phase.ABORTED,
            (waiting, Event.TIME_OUT): Phase.TIMED_OUT,
        }
    for busy in (Phase.INITIALIZING, Phase.RUNNING):
        table |= {
            (busy, Event.SUCCEED): Phase.SUCCEEDED,
            (busy, Event.FAIL): Phase.FAILED,
            (busy, Event.RETRY): Phase.QUEUED,
            (busy, Event.ABORT): Phase.ABORTED,
            (busy, Event.TIME_OUT): Phase.TIMED_OUT,
        }
    return table


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = MappingProxyType(_transitions())


def after(phase: Phase, event: Event) -> Phase:
    """The phase that follows. Raises FailedPrecondition when `event` cannot happen in `phase`."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise FailedPrecondition(f"an action that is {phase.name} cannot {event}") from None


class ActionType(IntEnum):
    """The numbers of flyteidl2.workflow.ActionType."""

    TASK = 1
    TRACE = 2
    CONDITION = 3


class ErrorKind(StrEnum):
    """Whose fault a failure is; the names of flyteidl2.workflow.ErrorInfo.Kind without their prefix."""

    USER = "USER"
    SYSTEM = "SYSTEM"
    UNSPECIFIED = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed. `retryable`: another attempt may end better."""

    code: str
    kind: ErrorKind
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """The attempt's outputs are complete at its output prefix."""


Outcome = Success | Failure


@dataclass(frozen=True, slots=True)
class TriggerRef:
    """The trigger, at the revision, that started a run."""

    id: int
    name: TriggerName
    revision: int


@dataclass(frozen=True, slots=True)
class TaskRef:
    """The task an action runs, and what lists show of it. `spec_digest` addresses the stored spec."""

    id: TaskId
    type: str
    short_name: str
    function_name: str
    environment: str
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Action:
    id: ActionId
    parent: str | None
    group: str
    type: ActionType
    phase: Phase
    attempts: int
    """How many attempts were begun, the one that waits in the queue included: at least 1."""
    cache_status: int
    """The number of flyteidl2.core.CatalogCacheStatus."""
    task: TaskRef
    source: str
    """The name of flyteidl2.workflow.RunSource."""
    trigger: TriggerRef | None
    created_by_subject: str
    input_uri: str
    """The directory of inputs.pb."""
    output_uri: str | None
    """The directory of outputs.pb, once the action has succeeded."""
    abort_reason: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    version: int
    """Grows with every change."""
    timeouts: Timeouts = UNLIMITED
    cache: CachePolicy | None = None
    """How the cache serves it; None: not at all."""
    origin: AttemptId | None = None
    """The attempt of another action that made its outputs, which it has without an attempt of its own."""
    relation: Relation | None = None
    """Of the first action of a run that came from another one."""
    value_type: ValueType | None = None
    """What a condition waits for."""

    def over(self, phase: Phase, at: datetime) -> "Action":
        """In its last phase since `at`; a clock that has stepped back makes no length of time negative."""
        ended_at = max(at, self.created_at)
        lasted = ended_at - self.created_at
        return replace(self, phase=phase, ended_at=ended_at, duration_ms=round(lasted.total_seconds() * 1000))

    @property
    def recovered_from(self) -> ActionId | None:
        return self.origin.action if self.origin and self.phase is Phase.RECOVERED else None


@dataclass(frozen=True, slots=True)
class Attempt:
    id: AttemptId
    phase: Phase
    node: str
    token: int
    """The fencing token of the claim that began it: an outcome with another token does not count."""
    output_prefix: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    failure: Failure | None
    log_uri: str | None
    """Where the whole log is, once the attempt is over; until then its node has it."""

    def over(self, phase: Phase, at: datetime, failure: Failure | None = None) -> "Attempt":
        """In its last phase since `at`, or since it was begun if the clock has stepped back."""
        return replace(self, phase=phase, ended_at=max(at, self.created_at), failure=failure)


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """An attempt entered `phase`."""

    attempt: int
    phase: Phase
    at: datetime
    message: str
