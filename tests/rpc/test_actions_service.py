import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from connectrpc.errors import ConnectError
from flyteidl2.actions import actions_service_pb2 as pb
from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.core import catalog_pb2, execution_pb2, literals_pb2
from flyteidl2.task import common_pb2
from flyteidl2.workflow import run_definition_pb2

from tests.conftest import T0
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, task_spec
from tests.loops.node import blobs_in
from tests.planting import integer
from wingbeat.blobs.store import Blobs
from wingbeat.core.action import ErrorKind, Failure, Phase, Success
from wingbeat.core.ids import Scope
from wingbeat.core.retry import RetryPolicy
from wingbeat.errors import AlreadyExists, InvalidArgument, NotFound
from wingbeat.operations import actions, current, runs
from wingbeat.operations.actions import Claim
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.actions_service import Actions
from wingbeat.store.database import Database
from wingbeat.wire import actions as wire_actions
from wingbeat.wire import tasks, times

CTX: Any = None  # the methods do not look at it
RUN = identifier_pb2.RunIdentifier(project=TASK.project, domain=TASK.domain, name="r")


@pytest.fixture(autouse=True)
async def root(database: Database) -> Claim:
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    return await claim(database)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return blobs_in(tmp_path)


@pytest.fixture
def service(database: Database, blobs: Blobs) -> Actions:
    return Actions(database, blobs)


async def claim(database: Database) -> Claim:
    (claimed,) = await database.write(lambda tx: actions.claim(tx, "n1", 1))
    await database.write(lambda tx: actions.started(tx, claimed.id, claimed.token, at=tx.now))
    return claimed


async def end(database: Database, claimed: Claim, outcome: Success | Failure) -> None:
    await database.write(
        lambda tx: actions.finished(tx, claimed.id, claimed.token, outcome, retries=RetryPolicy(), chance=0)
    )


def identifier(name: str) -> identifier_pb2.ActionIdentifier:
    return identifier_pb2.ActionIdentifier(run=RUN, name=name)


def enqueue_task(name: str, parent: str = "a0") -> pb.EnqueueRequest:
    task = run_definition_pb2.TaskAction(id=tasks.id_to_proto(TASK), spec=task_spec())
    return pb.EnqueueRequest(
        action=pb.Action(action_id=identifier(name), parent_action_name=parent, input_uri="s3://b/i", task=task)
    )


def enqueue_trace(name: str, phase: phase_pb2.ActionPhase) -> pb.EnqueueRequest:
    trace = run_definition_pb2.TraceAction(
        name="step", phase=phase, start_time=times.to_proto(T0), outputs={"output_uri": "s3://b/o/outputs.pb"}
    )
    return pb.EnqueueRequest(
        action=pb.Action(action_id=identifier(name), parent_action_name="a0", input_uri="s3://b/i", trace=trace)
    )


def enqueue_condition(name: str) -> pb.EnqueueRequest:
    asked = run_definition_pb2.ConditionAction(name="ok", type={"simple": "BOOLEAN"})
    return pb.EnqueueRequest(action=pb.Action(action_id=identifier(name), parent_action_name="a0", condition=asked))


@pytest.mark.parametrize("name", ["a/b", "../r2", "..", ".", "/", "a\nb", "a\x7f"])
async def test_what_can_be_no_directory_is_no_action(service: Actions, name: str) -> None:
    trace = enqueue_trace(name, phase_pb2.ACTION_PHASE_SUCCEEDED)
    for request in (enqueue_task(name), trace, enqueue_condition(name)):
        with pytest.raises(InvalidArgument, match=r"action name .* must have no '/'"):
            await service.enqueue(request, CTX)


async def watch(service: Actions, parent: str = "a0") -> AsyncGenerator[tuple[str, str, str, str]]:
    """(name, phase, error, output URI) of each update; the sentinel is ("sentinel", "", "", "")."""
    request = pb.WatchForUpdatesRequest(parent_action_id=identifier(parent))
    async for response in service.watch_for_updates(request, CTX):
        if response.control_message.sentinel:
            yield "sentinel", "", "", ""
        else:
            update = response.action_update
            phase = phase_pb2.ActionPhase.Name(update.phase).removeprefix("ACTION_PHASE_")
            yield update.action_id.name, phase, update.error.message, update.output_uri


async def take(updates: AsyncGenerator[tuple[str, str, str, str]]) -> tuple[str, str, str, str]:
    return await asyncio.wait_for(anext(updates), 5)


def cached_task(name: str, lists: list[list[int]], key: str = "k") -> tuple[pb.EnqueueRequest, bytes]:
    """A request for a cached task, and its inputs."""
    request = enqueue_task(name)
    request.action.input_uri = f"s3://wingbeat/{name}"
    request.action.task.cache_key.value = key
    request.action.task.spec.task_template.metadata.discoverable = True
    outer = literals_pb2.Literal()
    for numbers in lists:
        outer.collection.literals.add().collection.literals.extend(integer(number) for number in numbers)
    inputs = common_pb2.Inputs(literals=[common_pb2.NamedLiteral(name="lists", value=outer)])
    return request, inputs.SerializeToString()


async def key_of(database: Database, name: str) -> str:
    found = await database.read(lambda tx: current.get(tx, wire_actions.action_id(identifier(name))))
    assert found.cache
    return found.cache.key


async def test_a_task_is_cached_by_the_key_that_its_parent_has_made(
    database: Database, service: Actions, blobs: Blobs
) -> None:
    for name in ("c1", "c2"):
        request, inputs = cached_task(name, [[1]])
        await blobs.put(f"{name}/inputs.pb", inputs)
        await service.enqueue(request, CTX)
    assert await key_of(database, "c1") == await key_of(database, "c2")
    await service.enqueue(enqueue_task("c3"), CTX)
    found = await database.read(lambda tx: current.get(tx, wire_actions.action_id(identifier("c3"))))
    assert found.cache is None


async def test_nested_lists_that_the_sdk_takes_for_each_other_are_told_apart(
    database: Database, service: Actions, blobs: Blobs
) -> None:
    for name, lists in {"c1": [[1], [2]], "c2": [[1, 2]], "c3": [[3], [4]]}.items():
        request, inputs = cached_task(name, lists)
        await blobs.put(f"{name}/inputs.pb", inputs)
        await service.enqueue(request, CTX)
    assert await key_of(database, "c1") != await key_of(database, "c2")
    assert await key_of(database, "c1") == await key_of(database, "c3"), "only their arrangement is added to the key"


async def test_a_cached_task_must_have_its_inputs(service: Actions) -> None:
    request, _ = cached_task("c1", [])
    with pytest.raises(NotFound):
        await service.enqueue(request, CTX)


async def test_inputs_that_cannot_be_compared_are_the_fault_of_the_caller(
    service: Actions, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, inputs = cached_task("c1", [[1]])
    await blobs.put("c1/inputs.pb", b"\xff")
    with pytest.raises(InvalidArgument, match=r"action\.input_uri: s3://.*/c1/inputs\.pb holds no inputs"):
        await service.enqueue(request, CTX)
    monkeypatch.setattr("wingbeat.rpc.actions_service.MAX_INPUTS_BYTES", len(inputs) - 1)
    await blobs.put("c1/inputs.pb", inputs)
    with pytest.raises(InvalidArgument, match=r"action\.input_uri.* bytes, more than"):
        await service.enqueue(request, CTX)


async def test_a_watch_sends_what_there_is_then_the_sentinel_then_each_change(
    database: Database, service: Actions
) -> None:
    await service.enqueue(enqueue_task("c1"), CTX)
    prefix = "s3://wingbeat/flytesnacks/development/r/c1/1"
    async with aclosing(watch(service)) as updates:
        assert await take(updates) == ("c1", "QUEUED", "", prefix)
        assert (await take(updates))[0] == "sentinel"
        child = await claim(database)
        await end(database, child, Failure("ValueError", ErrorKind.USER, "broken"))
        seen = [await take(updates)]
        while seen[-1][1] != "FAILED":
            seen.append(await take(updates))
        assert seen[-1] == ("c1", "FAILED", "broken", prefix)
        await service.enqueue(enqueue_task("c2"), CTX)
        assert (await take(updates))[:2] == ("c2", "QUEUED")


async def test_a_trace_is_echoed_with_the_outputs_it_came_with(service: Actions) -> None:
    async with aclosing(watch(service)) as updates:
        assert (await take(updates))[0] == "sentinel"
        await service.enqueue(enqueue_trace("t1", phase_pb2.ACTION_PHASE_SUCCEEDED), CTX)
        assert await take(updates) == ("t1", "SUCCEEDED", "", "s3://b/o/outputs.pb")


async def test_a_trace_that_failed_says_why_and_whether_it_may_be_tried_again(service: Actions, blobs: Blobs) -> None:
    error = execution_pb2.ContainerError(code="ValueError", message="broken", origin=execution_pb2.ExecutionError.USER)
    await blobs.put(f"{blobs.uri('t1')}/error.pb", execution_pb2.ErrorDocument(error=error).SerializeToString())
    request = enqueue_trace("t1", phase_pb2.ACTION_PHASE_FAILED)
    request.action.input_uri = f"{blobs.uri('t1')}/inputs.pb"
    await service.enqueue(request, CTX)
    updates: Any = service.watch_for_updates(pb.WatchForUpdatesRequest(parent_action_id=identifier("a0")), CTX)
    async with aclosing(updates):
        told = (await anext(updates)).action_update.error
    assert (told.code, told.message, told.kind) == ("ValueError", "broken", execution_pb2.ExecutionError.USER)
    assert told.recoverability == execution_pb2.ContainerError.NON_RECOVERABLE


async def test_a_trace_whose_error_was_not_written_down_failed_all_the_same(service: Actions, blobs: Blobs) -> None:
    request = enqueue_trace("t1", phase_pb2.ACTION_PHASE_FAILED)
    request.action.input_uri = f"{blobs.uri('t1')}/inputs.pb"
    await service.enqueue(request, CTX)
    async with aclosing(watch(service)) as updates:
        assert (await take(updates))[:3] == ("t1", "FAILED", "")


async def test_an_aborted_child_says_why(service: Actions) -> None:
    await service.enqueue(enqueue_task("c1"), CTX)
    await service.abort(pb.AbortRequest(action_id=identifier("c1"), reason="not needed"), CTX)
    async with aclosing(watch(service)) as updates:
        assert (await take(updates))[:3] == ("c1", "ABORTED", "not needed")


async def test_a_child_that_is_there_already_is_left_alone(service: Actions) -> None:
    await service.enqueue(enqueue_task("c1"), CTX)
    with pytest.raises(AlreadyExists):
        await service.enqueue(enqueue_task("c1"), CTX)


async def test_who_has_no_parent_cannot_be_enqueued_or_watched(service: Actions) -> None:
    with pytest.raises(InvalidArgument, match="parent_action_name is empty"):
        await service.enqueue(enqueue_task("c1", parent=""), CTX)
    with pytest.raises(NotFound, match="no action 'nobody'"):
        await service.enqueue(enqueue_task("c1", parent="nobody"), CTX)
    with pytest.raises((NotFound, ConnectError)):
        await take(watch(service, "nobody"))


async def test_unfinished_traces_are_refused(service: Actions) -> None:
    with pytest.raises(InvalidArgument, match="is not over"):
        await service.enqueue(enqueue_trace("t1", phase_pb2.ACTION_PHASE_RUNNING), CTX)


async def test_an_update_tells_how_the_cache_served_the_attempt_that_is_made(
    database: Database, service: Actions
) -> None:
    await service.enqueue(enqueue_task("c1"), CTX)

    async def update(name: str, attempt: int, status: catalog_pb2.CatalogCacheStatus) -> int:
        status_of = run_definition_pb2.ActionStatus(cache_status=status, phase=phase_pb2.ACTION_PHASE_SUCCEEDED)
        await service.update(pb.UpdateRequest(action_id=identifier(name), attempt=attempt, status=status_of), CTX)
        action = await database.read(lambda tx: current.get(tx, wire_actions.action_id(identifier(name))))
        assert action.phase is Phase.QUEUED
        return action.cache_status

    assert await update("c1", 2, catalog_pb2.CACHE_HIT) == catalog_pb2.CACHE_DISABLED
    assert await update("c1", 1, catalog_pb2.CACHE_MISS) == catalog_pb2.CACHE_MISS
    with pytest.raises(NotFound):
        await update("nobody", 1, catalog_pb2.CACHE_MISS)
