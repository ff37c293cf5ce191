"""No statement reads a large table from one end to the other, whatever operation it belongs to.

The statements are those that the store is asked while all that is here happens: new ones are looked at by themselves.
"""

from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.common import list_pb2
from flyteidl2.project import project_service_pb2
from flyteidl2.task import task_service_pb2
from flyteidl2.trigger import trigger_service_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.conftest import FakeClock
from tests.crowd import SCOPE, crowd
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.recorded import Recorded
from wingbeat._generated.automation.v1 import automation_pb2
from wingbeat.core.ids import TriggerName
from wingbeat.loops import pruner
from wingbeat.loops.backfiller import Backfiller
from wingbeat.loops.pruner import Pruner
from wingbeat.loops.resumer import Resumer
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.loops.surveyor import Surveyor
from wingbeat.loops.timekeeper import Timekeeper
from wingbeat.operations import retention, runs
from wingbeat.operations.firing import Firer
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.project_service import Projects
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

LARGE = (
    "action", "run", "run_label", "attempt", "event", "queue", "fire", "task", "task_latest", "trigger_spec",
    "trigger_revision", "schedule",
)  # fmt: skip
BOUNDED = {
    "AS names FROM task_latest": "a page of tasks says how many there are in its scope",
    "count(*) AS active FROM schedule": "the health of the scheduler says how many triggers are active",
    "tzdata <> $1": "a new scheduler asks once whether its knowledge of zones is newer",
    "SELECT lane, count(*)": "how many wait in each lane is counted",
    "schedule_failing": "an index of those that fail",
    "queue_by_node": "an index of what nodes hold",
}
"""Parts of statements, or of their plans, that may read all there is, and why."""
MANY = 20_000
DAY = timedelta(days=1)
CTX: Any = None  # these methods do not look at it
PROJECT: Any = {"organization": "o", "name": TASK.project, "domain": TASK.domain}
TASK_NAME: Any = {"org": "o", "project": TASK.project, "domain": TASK.domain, "name": "env.t7"}
TRIGGER: Any = {"org": "o", "project": TASK.project, "domain": TASK.domain, "task_name": TASK.name, "name": "tick"}
SCOPES: Any = [
    {"org": "o"},
    {"project_id": PROJECT},
    {"task_name": TASK_NAME},
    {"task_id": {**TASK_NAME, "version": "v3"}},
    {"trigger_name": TRIGGER},
]


@pytest.fixture
async def recorded(database: Database) -> Recorded:
    await crowd(database, MANY, deployed=MANY // 2)
    return Recorded(database)


async def test_lists_scan_no_table(recorded: Recorded) -> None:
    await lists_of_runs(recorded)
    await lists_of_runs_that_few_match(recorded)
    await lists_of_actions_tasks_and_projects(recorded)
    await lists_of_triggers_and_of_what_they_did(recorded)
    await no_table_is_scanned(recorded)


async def test_what_happens_scans_no_table(
    recorded: Recorded, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner, "BATCH", 10)
    await the_life_of_an_action(recorded, tmp_path, clock)
    await changes_of_triggers_and_fires(recorded, clock)
    await what_is_old_goes(recorded)
    await no_table_is_scanned(recorded)


async def no_table_is_scanned(recorded: Recorded) -> None:
    assert recorded.statements
    scans = {
        sql: [step for step in steps if not any(part in f"{sql} {step}" for part in BOUNDED)]
        for sql, steps in (await recorded.scans(LARGE)).items()
    }
    scans = {sql: steps for sql, steps in scans.items() if steps}
    assert not scans, "\n\n".join(f"{sql}\n{'; '.join(steps)}" for sql, steps in scans.items())


def asked(*sort: str, token: str = "", **filters: str) -> list_pb2.ListRequest:
    """`-` before the name of a field is descending."""
    fields = [
        list_pb2.Sort(key=key.lstrip("-"), direction="DESCENDING" if key[0] == "-" else "ASCENDING") for key in sort
    ]
    wanted = [list_pb2.Filter(field=key, function="EQUAL", values=[value]) for key, value in filters.items()]
    return list_pb2.ListRequest(limit=20, token=token, sort_by_fields=fields, filters=wanted)


async def lists_of_runs(recorded: Recorded) -> None:
    service = Runs(recorded, DOMAINS, DEFAULTS)
    sorts: list[tuple[str, ...]] = [(), ("created_at",), ("-created_at",), ("phase",)]
    filters: list[dict[str, str]] = [
        {},
        {"phase": "6"},
        {"task_name": "env.t7"},
        {"task_name": "env.t7", "phase": "5", "created_at": "2025-12-31T23:00:00Z"},
    ]
    for scope, sort, wanted in product(SCOPES, sorts, filters):
        page = await service.list_runs(run_service_pb2.ListRunsRequest(request=asked(*sort, **wanted), **scope), CTX)
        again = asked(*sort, token=page.token, **wanted)
        await service.list_runs(run_service_pb2.ListRunsRequest(request=again, **scope), CTX)


async def lists_of_runs_that_few_match(recorded: Recorded) -> None:
    service = Runs(recorded, DOMAINS, DEFAULTS)
    for scope in SCOPES:
        request = run_service_pb2.ListRunsRequest(request=asked(), paused_actions_only=True, **scope)
        await service.list_runs(request, CTX)
        for wanted in ({"labels.team": "owls"}, {"created_by": "somebody7"}, {"trigger_name": "tick"}):
            await service.list_runs(run_service_pb2.ListRunsRequest(request=asked(**wanted), **scope), CTX)


async def lists_of_actions_tasks_and_projects(recorded: Recorded) -> None:
    run: Any = {"org": "o", "project": TASK.project, "domain": TASK.domain, "name": "r7"}
    service = Runs(recorded, DOMAINS, DEFAULTS)
    for wanted in (asked(), asked("created_at", parent_name="a0"), asked(action_type="3")):
        await service.list_actions(run_service_pb2.ListActionsRequest(request=wanted, run_id=run), CTX)
    tasks = Tasks(recorded, DOMAINS, DEFAULTS)
    for scope, wanted in product(SCOPES[:2], (asked(), asked("created_at"), asked("-created_at", name="env.t7"))):
        page = await tasks.list_tasks(task_service_pb2.ListTasksRequest(request=wanted, **scope), CTX)
        wanted.token = page.token
        await tasks.list_tasks(task_service_pb2.ListTasksRequest(request=wanted, **scope), CTX)
    filtered = task_service_pb2.ListTasksRequest(request=asked(environment="env"), project_id=PROJECT)
    await tasks.list_tasks(filtered, CTX)
    versions = task_service_pb2.ListVersionsRequest(request=asked("-created_at"), task_name=TASK_NAME)
    await tasks.list_versions(versions, CTX)
    one = task_service_pb2.GetTaskDetailsRequest(task_id={**TASK_NAME, "version": "w1"})
    await tasks.get_task_details(one, CTX)
    listed = project_service_pb2.ListProjectsRequest()
    await Projects(recorded, DOMAINS).list_projects(listed, CTX)


async def lists_of_triggers_and_of_what_they_did(recorded: Recorded) -> None:
    triggers, ours = Triggers(recorded, DOMAINS, DEFAULTS), Automation(recorded, DOMAINS, DEFAULTS)
    for scope in SCOPES[:4]:
        await triggers.list_triggers(trigger_service_pb2.ListTriggersRequest(request=asked(), **scope), CTX)
    history = trigger_service_pb2.GetTriggerRevisionHistoryRequest(request=asked(), name=TRIGGER)
    await triggers.get_trigger_revision_history(history, CTX)
    await ours.list_fires(automation_pb2.ListFiresRequest(name=TRIGGER, limit=10), CTX)
    await ours.get_trigger_states(automation_pb2.GetTriggerStatesRequest(names=[TRIGGER], fires=5), CTX)
    await ours.get_scheduler_health(automation_pb2.GetSchedulerHealthRequest(), CTX)
    await ours.list_backfills(automation_pb2.ListBackfillsRequest(), CTX)
    await ours.list_backfills(automation_pb2.ListBackfillsRequest(name=TRIGGER), CTX)


async def changes_of_triggers_and_fires(recorded: Recorded, clock: FakeClock) -> None:
    ours = Automation(recorded, DOMAINS, DEFAULTS)
    await deploy_task(recorded, triggers=[trigger("tick"), trigger("tock")])
    name = TriggerName(TASK.project, TASK.domain, TASK.name, "tick")
    begin, end = Timestamp(), Timestamp()
    begin.FromDatetime(clock() - DAY)
    end.FromDatetime(clock())
    backfill = automation_pb2.BackfillTriggerRequest(name=TRIGGER, begin=begin, end=end, max_running=2)
    await ours.backfill_trigger(backfill, CTX)
    clock.forward(timedelta(minutes=2))
    await Scheduler(
        recorded,
        Firer(DEFAULTS, DOMAINS),
        pace=Pace(cycle=DAY, catch_up=0, rate=0, burst=0),
        steady=lambda: 0.0,
        metrics=Metrics(),
    ).tick()
    await Backfiller(recorded, Firer(DEFAULTS, DOMAINS), Metrics()).tick()
    end.FromDatetime(clock() + DAY)
    await ours.pause_trigger(automation_pb2.PauseTriggerRequest(name=TRIGGER, reason="why", until=end), CTX)
    clock.forward(2 * DAY)
    await Resumer(recorded).tick()
    request = RunRequest(SCOPE, name, name="by-hand", request_id="one")
    await recorded.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="by-hand"))
    deleted = trigger_service_pb2.DeleteTriggersRequest(names=[TRIGGER])
    await Triggers(recorded, DOMAINS, DEFAULTS).delete_triggers(deleted, CTX)


async def the_life_of_an_action(recorded: Recorded, tmp_path: Path, clock: FakeClock) -> None:
    executor = FakeExecutor()
    service = Runs(recorded, DOMAINS, DEFAULTS)
    async with OneNode(recorded, executor, blobs_in(tmp_path)) as node:
        await node.rescuer.join()
        await node.round()
        started = list(executor.launches)[:4]
        assert started
        for key in started:
            await executor.run(key, clock())
        await node.round()
        for key in started[:2]:
            await executor.exit(key)
        await node.round()
        await node.rescuer.tick()
        await Timekeeper(recorded).tick()
        await Surveyor(recorded, Metrics()).tick()
        clock.forward(DAY)
        await node.rescuer.tick()
    run: Any = {"org": "o", "project": TASK.project, "domain": TASK.domain, "name": "plain"}
    root: Any = {"run": run, "name": "a0"}
    await service.get_run_details(run_service_pb2.GetRunDetailsRequest(run_id=run), CTX)
    await service.get_action_details(run_service_pb2.GetActionDetailsRequest(action_id=root), CTX)
    await service.abort_run(run_service_pb2.AbortRunRequest(run_id=run), CTX)


async def what_is_old_goes(recorded: Recorded) -> None:
    rules = retention.rules(ledger=DAY, revisions=DAY, events=DAY, cache=DAY)
    sweeper = Pruner(recorded, rules, node="n1", metrics=Metrics())
    for _ in range(2 * len(rules)):
        await sweeper.tick()
