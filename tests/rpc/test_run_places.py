"""What was said of an attempt, where its log comes from, and where an action's data are."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.conftest import FakeClock
from tests.rpc.watched import RUN, RUN_ID, Watched, take, watched
from wingbeat.core.action import ActionType, ErrorKind, Failure, Phase, Success
from wingbeat.core.ids import ROOT_ACTION, ActionId
from wingbeat.core.retry import RetryPolicy
from wingbeat.operations import actions, ending
from wingbeat.operations.actions import Claim
from wingbeat.rpc.streams import closing
from wingbeat.store import actions as stored
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import times

ROOT = identifier_pb2.ActionIdentifier(run=RUN_ID, name=ROOT_ACTION)
NOBODY = identifier_pb2.ActionIdentifier(run=RUN_ID, name="nobody")


@pytest.fixture
async def served(database: Database) -> AsyncGenerator[Watched]:
    async with watched(database) as it:
        await it.start()
        yield it


async def begin(database: Database) -> Claim:
    (claim,) = await database.write(lambda tx: actions.claim(tx, "n1", 1))
    await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    return claim


async def end(database: Database, claim: Claim, outcome: Success | Failure, *, retries: int = 0) -> None:
    policy = RetryPolicy(retries=retries)
    await database.write(lambda tx: actions.finished(tx, claim.id, claim.token, outcome, retries=policy, chance=0))


async def test_what_was_said_of_an_attempt_is_streamed_until_the_next_one(served: Watched, clock: FakeClock) -> None:
    claim = await begin(served.database)
    request = pb.WatchClusterEventsRequest(id=ROOT, attempt=1)
    async with closing(served.client.watch_cluster_events(request)) as stream:
        await end(served.database, claim, Failure("E", ErrorKind.USER, "it rained", retryable=True), retries=1)
        (event,) = (await take(stream)).cluster_events
        assert (event.message, event.reason, event.occurred_at) == ("it rained", "Failed", times.to_proto(clock.now))
        with pytest.raises(StopAsyncIteration):
            await take(stream)


async def test_each_message_comes_once_and_the_stream_ends_with_the_action(served: Watched) -> None:
    claim = await begin(served.database)
    await end(served.database, claim, Failure("E", ErrorKind.USER, "it rained"))
    for _ in range(2):
        request = pb.WatchClusterEventsRequest(id=ROOT, attempt=1)
        async with closing(served.client.watch_cluster_events(request)) as stream:
            messages = [message async for message in stream]
        assert [[event.message for event in message.cluster_events] for message in messages] == [["it rained"]]


async def test_what_is_said_of_an_action_that_there_is_not_is_not_found(served: Watched) -> None:
    with pytest.raises(ConnectError) as caught:
        await take(served.client.watch_cluster_events(pb.WatchClusterEventsRequest(id=NOBODY, attempt=1)))
    assert caught.value.code is Code.NOT_FOUND


async def test_the_log_of_an_attempt_comes_from_its_node(served: Watched, clock: FakeClock) -> None:
    claim = await begin(served.database)
    began = clock.now
    request = pb.GetActionLogContextRequest(action_id=ROOT, attempt=1)
    context = await served.client.get_action_log_context(request)
    assert (context.cluster, context.start_time) == ("n1", times.to_proto(began))
    assert not context.HasField("end_time")
    assert context.log_context.primary_pod_name == "r1-a0-0"
    assert (
        context.log_context.pods[0].primary_container_name == context.log_context.pods[0].containers[0].container_name
    )
    details = (await served.client.get_action_details(pb.GetActionDetailsRequest(action_id=ROOT))).details
    assert details.attempts[0].log_context == context.log_context

    clock.forward(timedelta(seconds=3))
    await end(served.database, claim, Success())
    context = await served.client.get_action_log_context(request)
    assert context.end_time == times.to_proto(clock.now)


@pytest.mark.parametrize(
    ("action", "attempt", "words"),
    [(ROOT, 1, "has not begun"), (ROOT, 7, "has not begun"), (NOBODY, 1, "no action")],
)
async def test_an_attempt_without_a_log_has_no_place_of_it(
    served: Watched, action: identifier_pb2.ActionIdentifier, attempt: int, words: str
) -> None:
    with pytest.raises(ConnectError, match=words) as caught:
        await served.client.get_action_log_context(pb.GetActionLogContextRequest(action_id=action, attempt=attempt))
    assert caught.value.code is Code.NOT_FOUND


async def test_what_was_aborted_before_it_ran_never_had_a_log(served: Watched) -> None:
    await served.database.write(lambda tx: ending.abort(tx, ActionId(RUN, ROOT_ACTION), "enough"))
    with pytest.raises(ConnectError, match="never ran"):
        await served.client.get_action_log_context(pb.GetActionLogContextRequest(action_id=ROOT, attempt=1))


async def test_the_data_of_an_action_are_where_its_attempts_put_them(served: Watched) -> None:
    async def uris() -> pb.GetActionDataURIsResponse:
        return await served.client.get_action_data_u_r_is(pb.GetActionDataURIsRequest(action_id=ROOT))

    claim = await begin(served.database)
    inputs = "s3://wingbeat/birds/development/r1/inputs/inputs.pb"
    assert await uris() == pb.GetActionDataURIsResponse(inputs_uri=inputs)
    await end(served.database, claim, Success())
    outputs = f"{claim.attempt.output_prefix}/outputs.pb"
    assert await uris() == pb.GetActionDataURIsResponse(inputs_uri=inputs, outputs_uri=outputs)


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [(ActionType.TRACE, "s3://b/t", "s3://b/t/outputs.pb"), (ActionType.CONDITION, None, "")],
)
async def test_traces_have_outputs_and_conditions_have_values(
    served: Watched, kind: ActionType, output: str | None, expected: str
) -> None:
    async def body(tx: Transaction) -> None:
        root = await stored.find(tx, ActionId(RUN, ROOT_ACTION))
        assert root
        child = replace(root, id=ActionId(RUN, "c"), parent=ROOT_ACTION, type=kind, phase=Phase.SUCCEEDED)
        await stored.insert(tx, [replace(child, output_uri=output)])

    await served.database.write(body)
    named = identifier_pb2.ActionIdentifier(run=RUN_ID, name="c")
    found = await served.client.get_action_data_u_r_is(pb.GetActionDataURIsRequest(action_id=named))
    assert found.outputs_uri == expected


async def test_the_data_of_an_action_that_there_is_not_are_not_found(served: Watched) -> None:
    with pytest.raises(ConnectError) as caught:
        await served.client.get_action_data_u_r_is(pb.GetActionDataURIsRequest(action_id=NOBODY))
    assert caught.value.code is Code.NOT_FOUND
