"""What an executor is asked to do, out of a task's spec, its run and its attempt. Everything is rendered here, once.

What identifies an attempt is ours to say: neither a task's nor a run's environment overrides it.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from flyteidl2.core import literals_pb2, tasks_pb2
from flyteidl2.task import run_pb2, task_definition_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from wingbeat.core.action import Action, Attempt, ErrorKind, Failure
from wingbeat.core.ids import RunId
from wingbeat.core.launch import Launch, inputs_object, key_of, pod_name, render
from wingbeat.core.retry import LONGEST, Backoff, RetryPolicy
from wingbeat.core.run import Run

SUPPORTED_TYPES = ("actor", "python", "python-task")
"""Tasks whose container runs the SDK's own entry point."""
UNSUPPORTED_TYPE: Final = "UnsupportedTaskType"
BUNDLE_GONE: Final = "CodeBundleNotFound"
BAD_SPEC: Final = "BadTaskSpecification"
CACHED_TEMPLATES = 512
_NO_CHECKPOINT = '""'
"""What the SDK takes for "there was no attempt before"."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """How tasks reach the blob store when it is this server's own endpoint, or one that their node does not know."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    endpoint: str
    """Where tasks reach this server: `host:port`."""
    insecure: bool
    """Without TLS."""
    s3: S3Access | None = None
    org: str = "local"
    """The SDK's runtime refuses an empty one."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """What every task gets unless it says otherwise."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    path_of: Callable[[RunId], str] | None = None
    """The path by which the tasks of a run say who they are when they call this server; None: it asks nobody."""


@dataclass(frozen=True, slots=True)
class Template:
    """What the launches of a task have in common."""

    args: tuple[str, ...]
    env: Mapping[str, str]
    image: str
    retries: RetryPolicy
    code_bundle: str | None
    """The URI of the archive with the task's code; None: it is in the image."""


class Templates:
    """Parsed specs by digest, the least recently used forgotten first."""

    def __init__(self, size: int = CACHED_TEMPLATES) -> None:
        self._size = size
        self._parsed: OrderedDict[str, Template | Failure] = OrderedDict()

    def find(self, digest: str) -> Template | Failure | None:
        if digest in self._parsed:
            self._parsed.move_to_end(digest)
        return self._parsed.get(digest)

    def add(self, digest: str, spec: bytes) -> Template | Failure:
        template = self._parsed[digest] = parse(spec)
        if len(self._parsed) > self._size:
            self._parsed.popitem(last=False)
        return template


def parse(spec: bytes) -> Template | Failure:
    """The template in a serialized flyteidl2.task.TaskSpec, or why its task cannot run here."""
    try:
        task = task_definition_pb2.TaskSpec.FromString(spec).task_template
    except DecodeError:
        return _bad("the task's spec cannot be read")
    if task.type not in SUPPORTED_TYPES or not task.HasField("container"):
        kind = f"{task.type!r} tasks" if task.type not in SUPPORTED_TYPES else "tasks with a pod template"
        return Failure(
            UNSUPPORTED_TYPE,
            ErrorKind.USER,
            f"{kind} cannot run here: supported are Python tasks of a plain TaskEnvironment, with or without reuse",
        )
    args = (*task.container.command, *task.container.args)
    if not args:
        return _bad("the task's container has neither command nor args")
    retries = _retries(task.metadata.retries)
    if isinstance(retries, Failure):
        return retries
    return Template(
        args=args,
        env=MappingProxyType({pair.key: pair.value for pair in task.container.env}),
        image=task.container.image,
        retries=retries,
        code_bundle=_code_bundle(task),
    )


def launch_of(
    template: Template,
    action: Action,
    run: Run,
    attempt: Attempt,
    settings: LaunchSettings,
    *,
    checkpoint: str | None = None,
) -> Launch:
    """`checkpoint` is where an earlier attempt has saved its work. Raises InvalidArgument: the run's spec is broken."""
    run_spec = run_pb2.RunSpec.FromString(run.run_spec)
    return Launch(
        key=key_of(attempt.id),
        argv=render(template.args, _values(action, run, attempt, run_spec, checkpoint)),
        env=_environment(template, action, run, attempt, run_spec, settings),
        image=template.image,
        output_prefix=attempt.output_prefix,
        grace=settings.grace,
        labels={
            "project": run.id.project,
            "domain": run.id.domain,
            "run": run.id.name,
            "action": action.id.name,
            "attempt": str(attempt.id.number),
            "task": action.task.id.name,
        },
    )


def checkpoint_of(prefix: str) -> str:
    """Where the attempt with this output prefix saves how far it has come."""
    return f"{prefix}/_flytecheckpoints"


def code_bundle(spec: bytes) -> str | None:
    """The URI of the archive that holds a task's code, whether the task can run here or not; None: in its image."""
    return _code_bundle(task_definition_pb2.TaskSpec.FromString(spec).task_template)


def missing_bundle(uri: str) -> Failure:
    return Failure(
        BUNDLE_GONE,
        ErrorKind.USER,
        f"the task's code is not in this server's storage: {uri}. The SDK remembers for a day what it has uploaded,"
        " also to a storage that was emptied since: remove ~/.flyte/local-cache, then run or deploy again",
    )


def _code_bundle(task: tasks_pb2.TaskTemplate) -> str | None:
    args = (*task.container.command, *task.container.args)
    named = (uri for option, uri in pairwise(args) if option in ("--tgz", "--pkl"))
    return next(named, None) or task.metadata.code_bundle_uri or None


def _retries(strategy: literals_pb2.RetryStrategy) -> RetryPolicy | Failure:
    if not strategy.HasField("backoff"):
        return RetryPolicy(strategy.retries)
    backoff = strategy.backoff
    if not 0 <= backoff.factor < math.inf:
        return _bad(
            f"the factor of the retries' back-off is {backoff.factor}: it must be a number that is not negative"
        )
    if backoff.base.seconds < 0 or backoff.cap.seconds < 0:
        bounds = f"from {backoff.base.seconds} s to {backoff.cap.seconds} s"
        return _bad(f"the retries' back-off is {bounds}: it cannot be below zero")
    cap = _length(backoff.cap) if backoff.HasField("cap") else None
    return RetryPolicy(strategy.retries, Backoff(_length(backoff.base), backoff.factor or 1.0, cap))


def _length(wait: Duration) -> timedelta:
    """No wait is longer than `LONGEST`, and not all that a Duration can say is a length of time."""
    seconds = min(wait.seconds, int(LONGEST.total_seconds()))
    return timedelta(seconds=seconds, microseconds=wait.nanos // 1000)


def _values(
    action: Action, run: Run, attempt: Attempt, run_spec: run_pb2.RunSpec, checkpoint: str | None
) -> Mapping[str, str]:
    """What templates in a command line stand for, by lower-case name."""
    inputs = inputs_object(action.input_uri)
    values = {
        "input": inputs,
        "inputprefix": inputs.removesuffix("/inputs.pb"),
        "outputprefix": attempt.output_prefix,
        "rawoutputdataprefix": _raw_data_prefix(attempt, run_spec),
        "checkpointoutputprefix": checkpoint_of(attempt.output_prefix),
        "prevcheckpointprefix": checkpoint or _NO_CHECKPOINT,
        "runname": run.id.name,
        "actionname": action.id.name,
        "perretryuniquekey": pod_name(attempt.id),
        "namespace": f"{run.id.project}-{run.id.domain}",
    }
    # Left as a template when there is none: the SDK then keeps the hashes of actions stable.
    return values if run.start_time is None else values | {"runstarttime": _rfc3339(run.start_time)}


def _raw_data_prefix(attempt: Attempt, run_spec: run_pb2.RunSpec) -> str:
    base = run_spec.raw_data_storage.raw_data_prefix
    return f"{base.rstrip('/')}/{key_of(attempt.id)}/raw" if base else f"{attempt.output_prefix}/raw"


def _environment(
    template: Template,
    action: Action,
    run: Run,
    attempt: Attempt,
    run_spec: run_pb2.RunSpec,
    settings: LaunchSettings,
) -> Mapping[str, str]:
    """The later in the list wins."""
    return {
        "FLYTE_DISABLE_SENTRY": "1",
        "FSSPEC_FILE_AUTO_MKDIR": "true",
        **settings.env,
        **template.env,
        **{pair.key: pair.value for pair in run_spec.envs.values},
        **_connection(run.id, settings),
        **_identity(action, run, attempt, settings),
    }


def _connection(run: RunId, settings: LaunchSettings) -> Mapping[str, str]:
    """How the runtime in a task finds this server and its blobs."""
    variables = {"_U_EP_OVERRIDE": _endpoint(run, settings), "_U_USE_ACTIONS": "1"}
    if settings.insecure:
        variables["_U_INSECURE"] = "true"
    if settings.s3 is not None:
        variables |= {
            "FLYTE_AWS_ENDPOINT": settings.s3.endpoint,
            "FLYTE_AWS_ACCESS_KEY_ID": settings.s3.access_key,
            "FLYTE_AWS_SECRET_ACCESS_KEY": settings.s3.secret_key,
            "AWS_REGION": settings.s3.region,
        }
    return variables


def _endpoint(run: RunId, settings: LaunchSettings) -> str:
    if settings.path_of is None:
        return settings.endpoint
    return f"{'http' if settings.insecure else 'https'}://{settings.endpoint}{settings.path_of(run)}"


def _identity(action: Action, run: Run, attempt: Attempt, settings: LaunchSettings) -> Mapping[str, str]:
    task = action.task.id
    return {
        "ACTION_NAME": action.id.name,
        "RUN_NAME": run.id.name,
        "_U_ORG_NAME": settings.org,
        "_U_RUN_BASE": run.output_base.rstrip("/"),
        "_F_PN": pod_name(attempt.id),
        "FLYTE_ATTEMPT_NUMBER": str(attempt.id.number - 1),
        "FLYTE_INTERNAL_EXECUTION_ID": run.id.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": run.id.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.id.domain,
        "FLYTE_INTERNAL_TASK_PROJECT": task.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.version,
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bad(message: str) -> Failure:
    return Failure(BAD_SPEC, ErrorKind.USER, message)


def missing_spec() -> Failure:
    return _bad("the task's spec is gone")
