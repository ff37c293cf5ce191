"""Things to start from: projects, tasks and triggers that are deployed already."""

from collections.abc import Sequence

from flyteidl2.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2
from flyteidl2.task import common_pb2, task_definition_pb2, task_service_pb2
from flyteidl2.trigger import trigger_definition_pb2

from wingbeat.core.ids import TaskId, TriggerName
from wingbeat.core.project import Domains
from wingbeat.core.schedule import Schedule, parse
from wingbeat.core.trigger import Deployment
from wingbeat.operations import projects, tasks
from wingbeat.operations.planning import RunDefaults
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import tasks as wire

DOMAINS = Domains.of(["development", "production"])
DEFAULTS = RunDefaults(base="s3://wingbeat")
TASK = TaskId("flytesnacks", "development", "env.main", "v1")
EVERY_MINUTE = parse("* * * * *")


def task_spec(*, sdk: str = "2.12.1") -> task_definition_pb2.TaskSpec:
    """A task of one integer input with the default 7."""
    integer = types_pb2.LiteralType(simple=types_pb2.INTEGER)
    variable = interface_pb2.Variable(type=integer)
    seven = literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=7)))
    return task_definition_pb2.TaskSpec(
        short_name="main",
        environment={"name": "env"},
        task_template=tasks_pb2.TaskTemplate(
            type="python",
            metadata=tasks_pb2.TaskMetadata(runtime=tasks_pb2.RuntimeMetadata(version=sdk)),
            container=tasks_pb2.Container(image="auto", args=["a0", "--inputs", "{{.input}}"]),
            interface=interface_pb2.TypedInterface(
                inputs=interface_pb2.VariableMap(variables=[interface_pb2.VariableEntry(key="x", value=variable)])
            ),
        ),
        default_inputs=[
            common_pb2.NamedParameter(name="x", parameter=interface_pb2.Parameter(var=variable, default=seven))
        ],
    )


async def deploy_task(
    database: Database, task: TaskId = TASK, triggers: Sequence[Deployment] = (), *, sdk: str = "2.12.1"
) -> None:
    wanted = wire.deployment(
        task_service_pb2.DeployTaskRequest(task_id=wire.id_to_proto(task), spec=task_spec(sdk=sdk))
    )

    async def body(tx: Transaction) -> None:
        await projects.seed(tx, [task.project])
        await tasks.deploy(tx, wanted, triggers, by="tests", domains=DOMAINS)

    await database.write(body)


def trigger(
    name: str = "tick", schedule: Schedule | None = EVERY_MINUTE, *, task: TaskId = TASK, active: bool = True
) -> Deployment:
    return Deployment(
        name=TriggerName(task.project, task.domain, task.name, name),
        task_version=task.version,
        active=active,
        automation_type="TYPE_SCHEDULE" if schedule else "TYPE_NONE",
        schedule=schedule,
        spec=trigger_definition_pb2.TriggerSpec(task_version=task.version, active=active).SerializeToString(),
        automation=b"",
        description="",
    )
