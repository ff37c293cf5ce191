"""All an executor needs to run one attempt of an action; it knows nothing of runs, protobufs or the database."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wingbeat.core.ids import ActionId, AttemptId, RunId

MAX_DEPTH = 20
"""Of a run's directory: deeper ones are not looked for."""
_TEMPLATE = re.compile(r"\{\{\s*[.$]([a-z][\w.]*)\s*\}\}", re.IGNORECASE)


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


def key_of(attempt: AttemptId) -> str:
    """The key of an attempt's launch."""
    run = attempt.action.run
    return f"{run.project}/{run.domain}/{run.name}/{attempt.action.name}/{attempt.number}"


def attempt_of(key: str) -> AttemptId:
    """The inverse of `key_of`. Raises ValueError for a key that this control plane never made."""
    project, domain, run, action, number = key.split("/")
    return AttemptId(ActionId(RunId(project, domain, run), action), int(number))


def inputs_object(input_uri: str) -> str:
    """The URI of inputs.pb: clients name the object itself or the directory that holds it."""
    return input_uri if input_uri.endswith("/inputs.pb") else f"{input_uri.rstrip('/')}/inputs.pb"


def outputs_object(output_uri: str) -> str:
    """The URI of outputs.pb, named by itself or by its directory, as with inputs."""
    return output_uri if output_uri.endswith("/outputs.pb") else f"{output_uri.rstrip('/')}/outputs.pb"


def directories_above(uri: str) -> list[tuple[str, RunId]]:
    """The directories above `uri` that may be those of runs, and of which, wherever runs have theirs."""
    scheme, mark, path = uri.partition("://")
    parts = path.split("/", MAX_DEPTH)
    return [
        (f"{scheme}{mark}{'/'.join(parts[:end])}/", RunId(*parts[end - 3 : end]))
        for end in range(3, len(parts))
        if all(parts[end - 3 : end])
    ]


def error_object(input_uri: str) -> str:
    """The URI of error.pb beside the inputs, where those who have no attempts write it."""
    return f"{inputs_object(input_uri).removesuffix('/inputs.pb')}/error.pb"


def output_prefix(output_base: str, attempt: AttemptId) -> str:
    """Where one attempt, and no other, writes its outputs."""
    return f"{output_base.rstrip('/')}/{attempt.action.name}/{attempt.number}"


def pod_name(attempt: AttemptId) -> str:
    """What names an attempt where Kubernetes would have a pod; no other attempt has it."""
    return f"{attempt.action.run.name}-{attempt.action.name}-{attempt.number - 1}"


def has_template(text: str) -> bool:
    """Whether there is something left to `render`."""
    return _TEMPLATE.search(text) is not None


def render(args: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Replace `{{.name}}` and `{{$name}}` in each of `args`; names that `values` does not have are left as they are.

    The keys of `values` are lower-case; the templates may use any case, and spaces inside of the braces.
    """

    def replaced(found: re.Match[str]) -> str:
        return values.get(found[1].lower(), found[0])

    return tuple(_TEMPLATE.sub(replaced, arg) for arg in args)
