"""RunService as a client on the wire sees it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import identifier_pb2, list_pb2, phase_pb2
from flyteidl2.common import run_pb2 as common_run_pb2
from flyteidl2.task import common_pb2, run_pb2, task_definition_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb
from flyteidl2.workflow.run_service_connect import RunServiceClient
from google.protobuf.timestamp_pb2 import Timestamp

from tests.conftest import FakeClock
from tests.listening import listening
from tests.planting import DEFAULTS, DOMAINS, TASK, deployment, inputs, plant, spec
from wingbeat.core.action import Action, Phase, PhaseChange
from wingbeat.core.ids import ActionId, RunId
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.service import broken_promises
from wingbeat.rpc.streams import closing
from wingbeat.store import actions, events, nodes
from wingbeat.store.changes import EVERYTHING, Changes, run_topic
from wingbeat.store.database import Database, Transaction
from wingbeat.store.nodes import Node
from wingbeat.telemetry import Metrics
from wingbeat.wire import tasks as task_wire

RUN = identifier_pb2.RunIdentifier(org="mine", project="birds", domain="development", name="r1")
ROOT = identifier_pb2.ActionIdentifier(run=RUN, name="a0")
PROJECT = identifier_pb2.ProjectIdentifier(organization="mine", name="birds", domain="development")
TRIGGER = identifier_pb2.TriggerName(project="birds", domain="development", task_name="env.fly", name="daily")
TASK_ID = task_wire.id_to_proto(TASK)
ACTION = ActionId(RunId("birds", "development", "r1"), "a0")
RERUN, RECOVER = common_run_pb2.RELATION_TYPE_RERUN, common_run_pb2.RELATION_TYPE_RECOVER
SPAWN = common_run_pb2.RELATION_TYPE_SPAWN
CREATE = pb.CreateRunRequest(run_id=RUN, task_id=TASK_ID)


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[RunServiceClient]:
    await plant(database, spec(defaults={"a": 1}), deployment(given=inputs(a=2)))
    draining = Draining()
    app = build([Runs(database, DOMAINS, DEFAULTS)], draining=draining, metrics=Metrics())
    async with (
        listening(app, on_stopping=draining.begin) as address,
        RunServiceClient(address.url) as client,
    ):
        yield client


def changed(request: pb.CreateRunRequest, change: pb.CreateRunRequest) -> pb.CreateRunRequest:
    copy = pb.CreateRunRequest()
    copy.CopyFrom(request)
    copy.MergeFrom(change)
    return copy


async def move(database: Database, phase: Phase) -> None:
    async def body(tx: Transaction) -> Action:
        action = await actions.find(tx, ACTION)
        assert action is not None
        await events.record(tx, [(ACTION, PhaseChange(1, phase, tx.now, ""))])
        return await actions.save(tx, replace(action, phase=phase, ended_at=tx.now if phase.terminal else None))

    await database.write(body)


def test_every_method_is_written_or_says_what_is_missing() -> None:
    assert broken_promises(Runs) == []


async def test_a_run_is_created_and_found_again(client: RunServiceClient) -> None:
    labels = run_pb2.Labels(values={"team": "owls"})
    request = pb.CreateRunRequest(
        run_id=RUN,
        task_id=TASK_ID,
        inputs=common_pb2.Inputs(),
        run_spec=run_pb2.RunSpec(labels=labels),
        source="RUN_SOURCE_CLI",
    )
    created = (await client.create_run(request)).run
    assert created.action.id.name == "a0"
    assert (created.action.id.run.name, created.action.id.run.org) == ("r1", "")
    assert (created.action.status.phase, created.action.status.attempts) == (phase_pb2.ACTION_PHASE_QUEUED, 1)
    assert created.action.metadata.source == run_definition_pb2.RUN_SOURCE_CLI
    assert dict(created.labels) == {"team": "owls"}

    details = (await client.get_run_details(pb.GetRunDetailsRequest(run_id=RUN))).details
    assert details.action.id == ROOT
    assert details.action.task.task_template.id.name == "env.fly"
    assert details.run_spec.raw_data_storage.raw_data_prefix == "s3://wingbeat"
    assert details.run_spec.HasField("run_start_time")
    assert len(details.action.attempts) == 1
    alone = (await client.get_action_details(pb.GetActionDetailsRequest(action_id=ROOT))).details
    assert alone == details.action


async def test_a_run_gets_a_name_when_it_has_none(client: RunServiceClient) -> None:
    response = await client.create_run(pb.CreateRunRequest(project_id=PROJECT, task_id=TASK_ID))
    name = response.run.action.id.run.name
    assert len(name) == 20
    assert name.startswith("r")
    assert response.run.action.metadata.source == run_definition_pb2.RUN_SOURCE_WEB


async def test_a_task_can_come_along(client: RunServiceClient) -> None:
    inline = spec()
    inline.task_template.id.name = "env.glide"
    created = (await client.create_run(pb.CreateRunRequest(run_id=RUN, task_spec=inline))).run
    assert created.action.metadata.task.id.name == "env.glide"
    assert created.action.metadata.funtion_name == "glide"


async def test_a_trigger_can_be_run_by_hand(client: RunServiceClient) -> None:
    created = (await client.create_run(pb.CreateRunRequest(run_id=RUN, trigger_name=TRIGGER))).run
    assert created.action.metadata.trigger_name == "daily"
    assert created.action.metadata.trigger_id.revision == 1
    assert created.action.metadata.task.id.version == "v1"


async def test_a_call_that_is_repeated_by_the_client_starts_one_run(client: RunServiceClient) -> None:
    request = pb.CreateRunRequest(project_id=PROJECT, task_id=TASK_ID)
    first = await client.create_run(request, headers={"x-request-id": "q1"})
    assert await client.create_run(request, headers={"x-request-id": "q1"}) == first
    assert (await client.create_run(request, headers={"x-request-id": "q2"})) != first


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param(pb.CreateRunRequest(task_id=TASK_ID), Code.INVALID_ARGUMENT, id="no id"),
        pytest.param(pb.CreateRunRequest(run_id=RUN), Code.INVALID_ARGUMENT, id="nothing to run"),
        pytest.param(
            changed(CREATE, pb.CreateRunRequest.FromString(b"\x40\x63")),
            Code.INVALID_ARGUMENT,
            id="a source that does not exist",
        ),
        pytest.param(
            changed(CREATE, pb.CreateRunRequest(run_start_time=Timestamp(seconds=10**15))),
            Code.INVALID_ARGUMENT,
            id="a time that no calendar has",
        ),
        pytest.param(
            changed(CREATE, pb.CreateRunRequest(run_id=identifier_pb2.RunIdentifier(name="Upper"))),
            Code.INVALID_ARGUMENT,
            id="a bad name",
        ),
        pytest.param(
            pb.CreateRunRequest(
                run_id=identifier_pb2.RunIdentifier(project="gone", domain="x", name=""), task_id=TASK_ID
            ),
            Code.INVALID_ARGUMENT,
            id="an empty name, whatever the project",
        ),
        pytest.param(
            changed(CREATE, pb.CreateRunRequest(task_id=task_definition_pb2.TaskIdentifier(version="v9"))),
            Code.NOT_FOUND,
            id="no such task",
        ),
    ],
)
async def test_mistakes_of_callers_are_named_as_such(
    client: RunServiceClient, request_: pb.CreateRunRequest, code: Code
) -> None:
    with pytest.raises(ConnectError) as caught:
        await client.create_run(request_)
    assert caught.value.code is code


async def test_a_taken_name_already_exists(client: RunServiceClient) -> None:
    await client.create_run(CREATE)
    with pytest.raises(ConnectError) as caught:
        await client.create_run(CREATE)
    assert caught.value.code is Code.ALREADY_EXISTS


def related(kind: common_run_pb2.RelationType, *forced: str, run: str = "r1") -> run_pb2.RunSpec:
    named = identifier_pb2.RunIdentifier(project="birds", domain="development", name=run)
    relation = common_run_pb2.Relation(related_to=named, relation_type=kind)
    return run_pb2.RunSpec(relation=relation, recover=run_pb2.Recover(force_rerun_actions=forced) if forced else None)


async def test_a_run_says_where_it_came_from(client: RunServiceClient) -> None:
    await client.create_run(CREATE)
    spec = related(RERUN)
    request = pb.CreateRunRequest(project_id=PROJECT, task_id=TASK_ID, run_spec=spec)
    created = (await client.create_run(request)).run
    assert created.action.metadata.relation == spec.relation
    listed = (await client.list_runs(pb.ListRunsRequest(project_id=PROJECT))).runs
    assert {run.action.id.run.name: run.action.metadata.relation.related_to.name for run in listed} == {
        "r1": "",
        created.action.id.run.name: "r1",
    }
    details = (await client.get_run_details(pb.GetRunDetailsRequest(run_id=created.action.id.run))).details
    assert details.action.metadata.relation == details.run_spec.relation == spec.relation


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        pytest.param(related(RECOVER), Code.FAILED_PRECONDITION, id="a run that is not over"),
        pytest.param(related(RECOVER, run="gone"), Code.NOT_FOUND, id="no such run"),
        pytest.param(related(SPAWN, run="gone"), Code.NOT_FOUND, id="no such parent"),
        pytest.param(related(RERUN, "x"), Code.INVALID_ARGUMENT, id="forced actions of a rerun"),
        pytest.param(
            run_pb2.RunSpec(relation=common_run_pb2.Relation()), Code.INVALID_ARGUMENT, id="no relation at all"
        ),
    ],
)
async def test_relations_that_cannot_be_are_refused(
    client: RunServiceClient, spec: run_pb2.RunSpec, code: Code
) -> None:
    await client.create_run(CREATE)
    with pytest.raises(ConnectError) as caught:
        await client.create_run(pb.CreateRunRequest(project_id=PROJECT, task_id=TASK_ID, run_spec=spec))
    assert caught.value.code is code
    assert len((await client.list_runs(pb.ListRunsRequest(project_id=PROJECT))).runs) == 1


async def test_unknown_actions_cannot_be_forced_to_run_again(client: RunServiceClient, database: Database) -> None:
    await client.create_run(CREATE)
    await move(database, Phase.FAILED)
    request = pb.CreateRunRequest(project_id=PROJECT, task_id=TASK_ID, run_spec=related(RECOVER, "x"))
    with pytest.raises(ConnectError, match="has no actions 'x'") as caught:
        await client.create_run(request)
    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_what_does_not_exist_is_not_found(client: RunServiceClient) -> None:
    async with watching(client) as stream:
        for answer in (
            client.get_run_details(pb.GetRunDetailsRequest(run_id=RUN)),
            client.get_action_details(pb.GetActionDetailsRequest(action_id=ROOT)),
            anext(stream),
        ):
            with pytest.raises(ConnectError) as caught:
                await answer
            assert caught.value.code is Code.NOT_FOUND


async def test_a_watcher_sees_every_change_and_the_end(client: RunServiceClient, database: Database) -> None:
    await client.create_run(CREATE)
    async with watching(client) as stream:
        assert await next_phase(stream) == Phase.QUEUED
        for phase in (Phase.INITIALIZING, Phase.RUNNING, Phase.SUCCEEDED):
            await move(database, phase)
            assert await next_phase(stream) == phase
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_watcher_of_an_action_that_is_over_gets_it_once(client: RunServiceClient, database: Database) -> None:
    await client.create_run(CREATE)
    await move(database, Phase.ABORTED)
    async with watching(client) as stream:
        messages = [message async for message in stream]
        assert [message.details.status.phase for message in messages] == [phase_pb2.ACTION_PHASE_ABORTED]
        assert messages[0].details.id == ROOT


async def test_a_wake_up_without_a_change_sends_nothing(client: RunServiceClient, database: Database) -> None:
    await client.create_run(CREATE)
    async with watching(client) as stream:
        assert await next_phase(stream) == Phase.QUEUED
        database.changes.publish([EVERYTHING, run_topic(ACTION.run)])
        await asyncio.sleep(0)
        await move(database, Phase.RUNNING)
        assert await next_phase(stream) == Phase.RUNNING


async def test_a_change_whose_announcement_was_lost_is_seen_all_the_same(
    client: RunServiceClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wingbeat.rpc.run_service.feeds.RECONCILE_SECONDS", 0.05)
    await client.create_run(CREATE)
    async with watching(client) as stream:
        assert await next_phase(stream) == Phase.QUEUED
        monkeypatch.setattr(Changes, "publish", announce_nothing)
        await move(database, Phase.RUNNING)
        assert await next_phase(stream) == Phase.RUNNING


def announce_nothing(_changes: Changes, _topics: Iterable[str]) -> None:
    """As when the process that made the change died at once."""


def watching(
    client: RunServiceClient,
) -> AbstractAsyncContextManager[AsyncIterator[pb.WatchActionDetailsResponse]]:
    return closing(client.watch_action_details(pb.WatchActionDetailsRequest(action_id=ROOT)))


async def next_phase(stream: AsyncIterator[pb.WatchActionDetailsResponse]) -> int:
    return (await asyncio.wait_for(anext(stream), 10)).details.status.phase


async def test_runs_are_listed_in_every_scope(client: RunServiceClient, clock: FakeClock, database: Database) -> None:
    await client.create_run(CREATE)
    clock.forward(timedelta(minutes=1))
    other = identifier_pb2.RunIdentifier(project="birds", domain="development", name="r2")
    await client.create_run(pb.CreateRunRequest(run_id=other, trigger_name=TRIGGER))

    async def names(request: pb.ListRunsRequest) -> list[str]:
        return [run.action.id.run.name for run in (await client.list_runs(request)).runs]

    assert await names(pb.ListRunsRequest(org="mine")) == ["r2", "r1"]
    assert await names(pb.ListRunsRequest(project_id=PROJECT)) == ["r2", "r1"]
    assert await names(pb.ListRunsRequest(trigger_name=TRIGGER)) == ["r2"]
    name = task_definition_pb2.TaskName(project="birds", domain="development", name="env.fly")
    assert await names(pb.ListRunsRequest(task_name=name)) == ["r2", "r1"]
    assert await names(pb.ListRunsRequest(task_id=TASK_ID)) == ["r2", "r1"]
    assert await names(pb.ListRunsRequest(project_id=PROJECT, paused_actions_only=True)) == []

    first = await client.list_runs(pb.ListRunsRequest(project_id=PROJECT, request=list_pb2.ListRequest(limit=1)))
    again = list_pb2.ListRequest(limit=1, token=first.token)
    rest = await client.list_runs(pb.ListRunsRequest(project_id=PROJECT, request=again))
    assert [run.action.id.run.name for run in [*first.runs, *rest.runs]] == ["r2", "r1"]
    assert rest.token == ""


async def test_actions_are_listed_with_all_their_metadata(client: RunServiceClient) -> None:
    await client.create_run(CREATE)
    (action,) = (await client.list_actions(pb.ListActionsRequest(run_id=RUN))).actions
    assert (action.id.name, action.metadata.task.id.name, action.metadata.environment_name) == ("a0", "env.fly", "env")
    nobody = identifier_pb2.RunIdentifier(project="birds", domain="development", name="r9")
    assert len((await client.list_actions(pb.ListActionsRequest(run_id=nobody))).actions) == 0


async def test_what_a_run_does_not_get_stands_in_the_details_of_its_attempt(client: RunServiceClient) -> None:
    await client.create_run(changed(CREATE, pb.CreateRunRequest(run_spec=run_pb2.RunSpec(cluster_pool="gpu"))))
    details = (await client.get_action_details(pb.GetActionDetailsRequest(action_id=ROOT))).details
    (event,) = details.attempts[0].cluster_events
    assert event.message == "cluster_pool is not supported yet: there are no other clusters"


async def test_the_details_say_why_an_action_waits_for_as_long_as_it_does(
    client: RunServiceClient, database: Database
) -> None:
    await client.create_run(changed(CREATE, pb.CreateRunRequest(run_spec=run_pb2.RunSpec(queue="night"))))
    assert await said(client) == ["no node that is alive serves the queue 'night'"]
    owl = Node("n1", "host", private_blobs=False, lanes=("night",))
    await database.write(lambda tx: nodes.register(tx, owl, timedelta(seconds=60)))
    assert await said(client) == []


async def said(client: RunServiceClient) -> list[str]:
    details = (await client.get_action_details(pb.GetActionDetailsRequest(action_id=ROOT))).details
    return [event.message for event in details.attempts[0].cluster_events]
