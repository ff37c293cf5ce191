"""Projects, tasks and triggers for tests that need some."""

from collections.abc import Mapping
from datetime import UTC, datetime

from flyteidl2.core import interface_pb2, literals_pb2, tasks_pb2
from flyteidl2.task import common_pb2, run_pb2, task_definition_pb2
from flyteidl2.trigger import trigger_definition_pb2

from tests.conftest import T0
from wingbeat.core.ids import Scope, TaskId, TriggerName
from wingbeat.core.project import Domains, Project, ProjectState
from wingbeat.core.task import TaskDeployment
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.operations import projects, tasks
from wingbeat.operations.planning import InlineTask, RunDefaults, RunOrder
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import tasks as wire

SCOPE = Scope("birds", "development")
DOMAINS = Domains.of(["development"])
DEFAULTS = RunDefaults("s3://wingbeat", allowed_bases=("s3://other/runs",))
OLD_SDK = "2.3.5"
NEW_SDK = "2.12.1"
TASK = TaskId("birds", "development", "env.fly", "v1")
TRIGGER = TriggerName("birds", "development", "env.fly", "daily")


def integer(value: int) -> literals_pb2.Literal:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def moment(at: datetime) -> literals_pb2.Literal:
    literal = literals_pb2.Literal()
    literal.scalar.primitive.datetime.FromDatetime(at)
    return literal


def inputs(context: Mapping[str, str] | None = None, /, **values: int) -> bytes:
    return common_pb2.Inputs(
        literals=[common_pb2.NamedLiteral(name=name, value=integer(value)) for name, value in values.items()],
        context=[literals_pb2.KeyValuePair(key=key, value=value) for key, value in (context or {}).items()],
    ).SerializeToString()


def values(serialized: bytes | None) -> dict[str, int | datetime]:
    """Inputs by name."""
    assert serialized is not None
    found = common_pb2.Inputs.FromString(serialized)
    names = [each.name for each in found.literals]
    assert len(names) == len(set(names))
    return {each.name: _value(each.value.scalar.primitive) for each in found.literals}


def context(serialized: bytes | None) -> dict[str, str]:
    assert serialized is not None
    return {pair.key: pair.value for pair in common_pb2.Inputs.FromString(serialized).context}


def _value(primitive: literals_pb2.Primitive) -> int | datetime:
    if primitive.WhichOneof("value") == "datetime":
        return primitive.datetime.ToDatetime(UTC)
    return primitive.integer


def spec(
    *, sdk: str = NEW_SDK, names: tuple[str, ...] = (), defaults: Mapping[str, int] | None = None
) -> task_definition_pb2.TaskSpec:
    variables = [interface_pb2.VariableEntry(key=name) for name in (*names, *(defaults or {}))]
    template = tasks_pb2.TaskTemplate(
        type="python",
        metadata=tasks_pb2.TaskMetadata(runtime=tasks_pb2.RuntimeMetadata(version=sdk)),
        interface=interface_pb2.TypedInterface(inputs=interface_pb2.VariableMap(variables=variables)),
        container=tasks_pb2.Container(image="python", args=["a0"]),
    )
    template.id.project, template.id.domain = TASK.project, TASK.domain
    template.id.name, template.id.version = TASK.name, TASK.version
    parameters = [
        common_pb2.NamedParameter(name=name, parameter=interface_pb2.Parameter(default=integer(value)))
        for name, value in (defaults or {}).items()
    ]
    task = task_definition_pb2.TaskSpec(task_template=template, default_inputs=parameters, short_name="fly")
    task.environment.name = "env"
    return task


def task(message: task_definition_pb2.TaskSpec | None = None) -> InlineTask:
    message = message or spec()
    encoded = wire.encoded(message)
    return InlineTask(wire.ref(TASK, message, wire.digest(encoded)), encoded)


def order(message: task_definition_pb2.TaskSpec | None = None) -> RunOrder:
    return RunOrder(scope=SCOPE, task=task(message))


def deployment(
    *,
    given: bytes | None = None,
    uploaded: str = "",
    spec: run_pb2.RunSpec | None = None,
    kickoff_arg: str = "",
    active: bool = True,
) -> Deployment:
    message = trigger_definition_pb2.TriggerSpec(active=active, task_version=TASK.version, run_spec=spec)
    if given is not None:
        message.inputs.ParseFromString(given)
    if uploaded:
        message.offloaded_input_data.uri = uploaded
    automation = common_pb2.TriggerAutomationSpec(type=common_pb2.TYPE_NONE)
    if kickoff_arg:
        automation.schedule.kickoff_time_input_arg = kickoff_arg
    return Deployment(
        name=TRIGGER,
        task_version=TASK.version,
        active=active,
        automation_type="TYPE_NONE",
        schedule=None,
        spec=message.SerializeToString(),
        automation=automation.SerializeToString(),
        description="",
    )


def trigger(wanted: Deployment, revision: int = 1) -> Trigger:
    """As the store would return it."""
    return Trigger(
        id=7,
        name=wanted.name,
        revision=revision,
        task_version=wanted.task_version,
        active=wanted.active,
        automation_type=wanted.automation_type,
        spec=wanted.spec,
        automation=wanted.automation,
        description="",
        deployed_by="",
        updated_by="",
        deployed_at=T0,
        updated_at=T0,
        deleted_at=None,
        triggered_at=None,
    )


async def plant(database: Database, message: task_definition_pb2.TaskSpec | None = None, *triggers: Deployment) -> None:
    """The project, the task and its triggers."""
    inline = task(message)
    wanted = TaskDeployment(inline.ref, inline.spec, env_description="", short_description="", entrypoint=True)

    async def body(tx: Transaction) -> None:
        await projects.create(tx, Project("birds", "birds", "", b"", ProjectState.ACTIVE))
        await tasks.deploy(tx, wanted, triggers, by="", domains=DOMAINS)

    await database.write(body)
