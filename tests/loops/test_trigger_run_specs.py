"""What a trigger says of its runs is what a scheduled run gets."""

from datetime import timedelta

from flyteidl2.common import identifier_pb2
from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2
from flyteidl2.trigger import trigger_service_pb2
from google.protobuf import wrappers_pb2

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from wingbeat.core.ids import RunId, fire_name
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations import triggers
from wingbeat.operations.firing import Firer
from wingbeat.store import runs
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics
from wingbeat.wire import triggers as wire

SPEC = run_pb2.RunSpec(
    labels={"values": {"team": "birds"}},
    annotations={"values": {"owner": "ada"}},
    envs={"values": [literals_pb2.KeyValuePair(key="LEVEL", value="debug")]},
    interruptible=wrappers_pb2.BoolValue(value=True),
    overwrite_cache=True,
    queue="queue-1",
    max_action_concurrency=3,
    notification_rule_name="on-failure",
)


async def test_a_scheduled_run_gets_the_run_spec_and_inputs_of_its_trigger(
    database: Database, clock: FakeClock
) -> None:
    await deploy_task(database)
    nine = literals_pb2.Literal(scalar={"primitive": {"integer": 9}})
    wanted = wire.deployment(
        trigger_service_pb2.DeployTriggerRequest(
            name=identifier_pb2.TriggerName(project=TASK.project, domain=TASK.domain, task_name=TASK.name, name="tick"),
            spec={
                "active": True,
                "task_version": TASK.version,
                "run_spec": SPEC,
                "inputs": common_pb2.Inputs(
                    literals=[common_pb2.NamedLiteral(name="x", value=nine)],
                    context=[literals_pb2.KeyValuePair(key="tenant", value="north")],
                ),
            },
            automation_spec={"schedule": {"cron": {"expression": "* * * * *"}}},
        )
    )
    await database.write(lambda tx: triggers.deploy(tx, wanted, by="tests", domains=DOMAINS))
    clock.now += timedelta(minutes=1)
    pace = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
    await Scheduler(database, Firer(DEFAULTS, DOMAINS), pace=pace, steady=lambda: 0.0, metrics=Metrics()).tick()
    run_id = RunId(TASK.project, TASK.domain, fire_name(wanted.name, clock.now, 0))
    run = await database.read(lambda tx: runs.find(tx, run_id))
    assert run is not None
    given = run_pb2.RunSpec.FromString(run.run_spec)
    assert given.run_start_time.ToDatetime(clock.now.tzinfo) == clock.now
    for of_the_server in ("run_start_time", "raw_data_storage"):
        given.ClearField(of_the_server)
    assert given == SPEC
    assert (run.labels, run.lane, run.action_limit) == ({"team": "birds"}, "queue-1", 3)
    inputs = common_pb2.Inputs.FromString(run.inputs or b"")
    assert {each.name: each.value for each in inputs.literals} == {"x": nine}
    assert {each.key: each.value for each in inputs.context} == {"tenant": "north"}
