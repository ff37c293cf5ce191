"""Runs that wait in the queue, for tests of what happens to them next."""

from collections.abc import Sequence
from datetime import timedelta

from flyteidl2.core import literals_pb2, tasks_pb2
from flyteidl2.task import task_definition_pb2

from tests.conftest import T0
from wingbeat.core.action import Action, TaskRef
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId, TaskId
from wingbeat.core.launch import key_of
from wingbeat.core.run import Run
from wingbeat.operations import runs
from wingbeat.store import actions, tasks
from wingbeat.store.database import Transaction
from wingbeat.wire.tasks import digest

ARGS = (
    "a0", "--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}", "--version", "v1",
    "--raw-data-path", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}",
    "--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--run-name", "{{.runName}}", "--name", "{{.actionName}}",
    "--run-start-time", "{{.runStartTime}}", "--tgz", "s3://code/bundle.tgz", "--dest", ".",
)  # fmt: skip


def task_spec(
    kind: str = "python",
    *,
    retries: int = 0,
    env: dict[str, str] | None = None,
    args: Sequence[str] = ARGS,
) -> bytes:
    pairs = [literals_pb2.KeyValuePair(key=key, value=value) for key, value in (env or {}).items()]
    container = tasks_pb2.Container(image="img", args=args, env=pairs)
    metadata = tasks_pb2.TaskMetadata(retries=literals_pb2.RetryStrategy(retries=retries))
    template = tasks_pb2.TaskTemplate(type=kind, container=container, metadata=metadata)
    return task_definition_pb2.TaskSpec(task_template=template).SerializeToString(deterministic=True)


def run_of(
    name: str, spec: bytes, *, inputs: bytes | None = b"", priority: int = 0, base: str = "s3://wingbeat"
) -> Run:
    run_id = RunId("p", "development", name)
    output_base = f"{base}/p/development/{name}/"
    return Run(
        id=run_id,
        task=TaskRef(TaskId("p", "development", "env.f", "v1"), "python", "f", "f", "env", digest(spec)),
        run_spec=b"",
        inputs=inputs,
        input_uri=f"{output_base}inputs",
        output_base=output_base,
        kickoff_arg="",
        start_time=T0 + timedelta(seconds=1),
        source="RUN_SOURCE_CLI",
        trigger=None,
        slot=None,
        created_by=None,
        created_by_subject="",
        request_id=None,
        priority=priority,
        lane="",
        not_honoured=(),
        created_at=T0,
    )


def root_of(name: str) -> ActionId:
    return ActionId(RunId("p", "development", name), ROOT_ACTION)


def attempt_key(name: str, number: int = 1) -> str:
    return key_of(AttemptId(root_of(name), number))


async def enqueue(tx: Transaction, *names: str, spec: bytes | None = None, inputs: bytes | None = b"in") -> None:
    spec = task_spec() if spec is None else spec
    await tasks.put_spec(tx, digest(spec), spec)
    await runs.start(tx, [run_of(name, spec, inputs=inputs) for name in names])


async def root(tx: Transaction, name: str) -> Action:
    action = await actions.find(tx, root_of(name))
    assert action
    return action
