"""All an executor needs to run one attempt of an action; it knows nothing of runs, protobufs or the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Launch:
    """One attempt, rendered: no template, no reference to anything that may change later."""

    key: str
    """Idempotency key everywhere: "<project>/<domain>/<run>/<action>/<attempt>"."""
    argv: tuple[str, ...]
    env: Mapping[str, str]
    image: str
    output_prefix: str
    """URI below which the attempt writes outputs.pb, error.pb and report.html."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class ExecutionPhase(StrEnum):
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"


class ExitReason(StrEnum):
    """Why an attempt is over, as far as the executor can see; outputs and errors are read by the control plane."""

    COMPLETED = "completed"
    """Exit code 0."""
    ERROR = "error"
    """Another exit code."""
    SIGNAL = "signal"
    OOM = "oom"
    ABORTED = "aborted"
    """Stopped because `stop` was called."""
    LOST = "lost"
    """It is gone and nobody saw how."""
    START_FAILED = "start_failed"
    INVALID_IMAGE = "invalid_image"
    """The executor cannot provide this image; `message` says what to do."""


@dataclass(frozen=True, slots=True)
class Status:
    """What an executor knows of one attempt. `rev` grows with every change of the same key."""

    key: str
    phase: ExecutionPhase
    reason: ExitReason | None = None
    exit_code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worker: str = ""
    message: str = ""
    rev: int = 0
