"""What may happen to an action by the clock alone. A timer that is due says so much only: its operation decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from wingbeat.core.ids import AttemptId


class TimerKind(StrEnum):
    QUEUED = "queued"
    """The attempt has waited for a node as long as it may."""
    RUNTIME = "runtime"
    """The attempt has run as long as it may."""
    DEADLINE = "deadline"
    """The action must be over, whichever attempt is being made."""
    CONDITION = "condition"
    """The condition has waited for its value as long as it may."""


@dataclass(frozen=True, slots=True)
class Timer:
    attempt: AttemptId
    kind: TimerKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an action may take; None: as long as it likes."""

    queued: timedelta | None = None
    """From when an attempt may be taken by a node until one takes it."""
    runtime: timedelta | None = None
    """From the start of an attempt's process."""
    deadline: timedelta | None = None
    """From the first moment in the queue to the end, over all attempts and the pauses between them."""

    def when_created(self, first: AttemptId, at: datetime) -> Sequence[Timer]:
        deadline = [] if self.deadline is None else [Timer(first, TimerKind.DEADLINE, at + self.deadline)]
        return [*self.when_available(first, at), *deadline]

    def when_available(self, attempt: AttemptId, at: datetime) -> Sequence[Timer]:
        return [] if self.queued is None else [Timer(attempt, TimerKind.QUEUED, at + self.queued)]

    def when_started(self, attempt: AttemptId, at: datetime) -> Sequence[Timer]:
        return [] if self.runtime is None else [Timer(attempt, TimerKind.RUNTIME, at + self.runtime)]


UNLIMITED = Timeouts()
