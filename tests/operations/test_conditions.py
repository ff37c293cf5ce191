from dataclasses import replace
from datetime import timedelta

import pytest
from flyteidl2.actions import actions_service_pb2 as pb
from flyteidl2.task import run_pb2
from google.protobuf.duration_pb2 import Duration

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, task_spec
from wingbeat.core.action import Action, ErrorKind, Failure, Phase, Success
from wingbeat.core.child import ChildState, TaskChild
from wingbeat.core.condition import ConditionChild, Signal
from wingbeat.core.ids import ActionId, AttemptId, RunId, Scope
from wingbeat.core.retry import RetryPolicy
from wingbeat.core.timer import Timer, TimerKind
from wingbeat.core.value import Value, ValueType
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import actions, children, conditions, ending, runs, timeouts, waits
from wingbeat.operations.actions import Claim
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions as stored
from wingbeat.store import children as stored_children
from wingbeat.store import events, queue, signals, timers, webhooks
from wingbeat.store.database import Database
from wingbeat.wire import children as wire
from wingbeat.wire import tasks as task_wire
from wingbeat.wire import values

RUN = RunId(TASK.project, TASK.domain, "r")
CONDITION = ActionId(RUN, "c1")
MINUTE = timedelta(minutes=1)
SPEC = task_wire.encoded(task_spec())
REF = task_wire.ref(TASK, task_spec(), task_wire.digest(SPEC))


@pytest.fixture(autouse=True)
async def root(database: Database) -> Claim:
    """A run whose root action is running on node n1."""
    await deploy_task(database)
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="r")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    (claimed,) = await database.write(lambda tx: actions.claim(tx, "n1", 1))
    await database.write(lambda tx: actions.started(tx, claimed.id, claimed.token, at=tx.now))
    return claimed


def condition_child(
    value_type: ValueType = ValueType.BOOLEAN, *, timeout: timedelta | None = None, url: str = ""
) -> ConditionChild:
    action = pb.Action(parent_action_name="a0", input_uri="s3://b/c1/inputs.pb", group="g")
    action.action_id.name = CONDITION.name
    action.action_id.run.project, action.action_id.run.domain = RUN.project, RUN.domain
    action.action_id.run.name = RUN.name
    action.condition.name = "approval"
    action.condition.prompt = "Is it good?"
    action.condition.type.CopyFrom(values.literal_type(value_type))
    if timeout is not None:
        action.condition.timeout.CopyFrom(Duration(seconds=int(timeout.total_seconds())))
    if url:
        action.condition.webhook.url = url
    child = wire.child_of(action)
    assert isinstance(child, ConditionChild)
    return child


async def enqueue(database: Database, child: ConditionChild | None = None) -> None:
    await database.write(lambda tx: conditions.enqueue(tx, child or condition_child()))


async def signal(database: Database, value: Value, *, by: str = "ada", parent: str = "") -> bool:
    return await database.write(lambda tx: conditions.signal(tx, CONDITION, value, by=by, parent=parent))


async def end(database: Database, claimed: Claim, outcome: Success | Failure) -> None:
    await database.write(
        lambda tx: actions.finished(tx, claimed.id, claimed.token, outcome, retries=RetryPolicy(), chance=0)
    )


async def condition(database: Database) -> Action:
    found = await database.read(lambda tx: stored.find(tx, CONDITION))
    assert found
    return found


async def seen_by_parent(database: Database) -> ChildState:
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    return child


async def expire(database: Database) -> bool:
    (timer,) = await database.read(lambda tx: timers.due(tx, 10))
    assert timer.kind is TimerKind.CONDITION
    return await database.write(lambda tx: timeouts.expire(tx, timer))


async def test_a_condition_is_paused_at_once_and_its_parent_holds_no_slot(database: Database) -> None:
    await enqueue(database)
    action = await condition(database)
    assert (action.phase, action.parent, action.group, action.value_type) == (
        Phase.PAUSED,
        "a0",
        "g",
        ValueType.BOOLEAN,
    )
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 1
    assert await database.write(lambda tx: actions.claim(tx, "n1", 9)) == []


async def test_a_parent_that_asks_again_finds_its_condition_as_it_is(database: Database) -> None:
    await enqueue(database)
    await signal(database, True)
    with pytest.raises(AlreadyExists):
        await enqueue(database)
    assert (await seen_by_parent(database)).value is True


async def test_who_waits_for_a_condition_makes_room_in_a_run_with_a_limit(database: Database) -> None:
    spec = run_pb2.RunSpec(max_action_concurrency=1).SerializeToString()
    limited = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="limited", run_spec=spec)
    await database.write(lambda tx: runs.create(tx, limited, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    run = replace(RUN, name="limited")
    assert await claimed_names(database) == ["a0"]
    for name in ("one", "two"):
        child = TaskChild(ActionId(run, name), "a0", "", "s3://b/i", REF, SPEC, "")
        await database.write(lambda tx, child=child: children.enqueue(tx, child))
    assert await claimed_names(database) == ["one"]
    assert await why(database, ActionId(run, "two")) == "its run is at its max_action_concurrency, 1"
    asked = replace(condition_child(), id=ActionId(run, CONDITION.name), parent="one")
    await enqueue(database, asked)
    assert await why(database, ActionId(run, "two")) == ""
    assert await claimed_names(database) == ["two"]


async def why(database: Database, action_id: ActionId) -> str:
    action = await database.read(lambda tx: stored.find(tx, action_id))
    assert action is not None
    return await database.read(lambda tx: waits.reason(tx, action))


async def claimed_names(database: Database) -> list[str]:
    claims = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    return [claim.id.action.name for claim in claims]


async def test_conditions_need_a_parent_that_lives(database: Database, root: Claim) -> None:
    await end(database, root, Success())
    with pytest.raises(Conflict, match="SUCCEEDED and starts nothing"):
        await enqueue(database)


@pytest.mark.parametrize("value", [True, -3, 2.5, "a\0é"], ids=["boolean", "integer", "float", "text"])
async def test_a_signal_ends_the_condition_with_its_value(database: Database, clock: FakeClock, value: Value) -> None:
    types = {bool: ValueType.BOOLEAN, int: ValueType.INTEGER, float: ValueType.FLOAT, str: ValueType.STRING}
    await enqueue(database, condition_child(types[type(value)], timeout=MINUTE))
    assert (await seen_by_parent(database)).value is None
    clock.forward(timedelta(seconds=5))
    assert await signal(database, value, parent="a0")
    child = await seen_by_parent(database)
    assert (child.action.phase, child.value, type(child.value)) == (Phase.SUCCEEDED, value, type(value))
    assert (child.action.ended_at, child.action.duration_ms) == (clock(), 5000)
    assert await database.read(lambda tx: signals.find(tx, CONDITION)) == Signal(value, "ada", clock())
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 0
    assert await database.read(timers.next_at) is None
    entered = await database.read(lambda tx: events.first_entries(tx, CONDITION))
    assert [(change.phase, change.message) for change in entered] == [
        (Phase.PAUSED, ""),
        (Phase.SUCCEEDED, "signalled by ada"),
    ]


async def test_the_same_value_may_be_given_again_and_another_one_may_not(database: Database) -> None:
    await enqueue(database)
    assert await signal(database, True)
    assert not await signal(database, True, by="bob")
    with pytest.raises(FailedPrecondition, match="signalled with another value"):
        await signal(database, False)
    with pytest.raises(FailedPrecondition, match="signalled with another value"):
        await signal(database, 1)
    given = await database.read(lambda tx: signals.find(tx, CONDITION))
    assert given == Signal(True, "ada", T0)


async def test_a_value_of_another_type_is_refused_and_the_condition_waits_on(database: Database) -> None:
    await enqueue(database, condition_child(ValueType.FLOAT))
    with pytest.raises(InvalidArgument, match="is of type INTEGER, and FLOAT is declared"):
        await signal(database, 3)
    assert (await condition(database)).phase is Phase.PAUSED


async def test_a_wrong_parent_is_refused(database: Database) -> None:
    await enqueue(database)
    with pytest.raises(InvalidArgument, match="'b1': the parent of 'c1' is 'a0'"):
        await signal(database, True, parent="b1")


async def test_only_conditions_that_exist_take_signals(database: Database) -> None:
    with pytest.raises(NotFound, match="no action 'c1'"):
        await signal(database, True)
    with pytest.raises(FailedPrecondition, match="is a TASK and no CONDITION"):
        await database.write(lambda tx: conditions.signal(tx, ActionId(RUN, "a0"), True, by=""))


async def test_a_condition_that_nobody_signals_times_out(database: Database, clock: FakeClock) -> None:
    await enqueue(database, condition_child(timeout=MINUTE))
    assert await database.read(timers.next_at) == T0 + MINUTE
    clock.forward(MINUTE)
    assert await expire(database)
    child = await seen_by_parent(database)
    assert child.action.phase is Phase.TIMED_OUT
    assert child.failure is not None
    assert (child.failure.code, child.failure.kind) == ("ConditionTimedOut", ErrorKind.USER)
    with pytest.raises(FailedPrecondition, match="is over: TIMED_OUT"):
        await signal(database, True)
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 0


async def test_a_signal_in_time_leaves_nothing_to_time_out(database: Database, clock: FakeClock) -> None:
    await enqueue(database, condition_child(timeout=MINUTE))
    await signal(database, True)
    clock.forward(MINUTE)
    timer = Timer(AttemptId(CONDITION, 1), TimerKind.CONDITION, T0 + MINUTE)
    assert not await database.write(lambda tx: timeouts.expire(tx, timer))
    assert (await condition(database)).phase is Phase.SUCCEEDED


async def test_an_abort_of_the_run_ends_its_conditions(database: Database) -> None:
    await enqueue(database)
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "a0"), "enough"))
    action = await condition(database)
    assert (action.phase, action.abort_reason) == (Phase.ABORTED, "enough")
    with pytest.raises(FailedPrecondition, match="is over: ABORTED"):
        await signal(database, True)


async def test_no_condition_outlives_its_parent_but_it_survives_another_attempt(
    database: Database, root: Claim, clock: FakeClock
) -> None:
    await enqueue(database)
    await end(database, root, Failure("Interrupted", ErrorKind.SYSTEM, "lost", retryable=True))
    assert (await condition(database)).phase is Phase.PAUSED
    clock.forward(MINUTE)
    (again,) = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    await end(database, again, Failure("E", ErrorKind.USER, "broken"))
    assert (await condition(database)).phase is Phase.ABORTED


async def test_an_address_signals_the_condition_for_which_it_was_made(database: Database, clock: FakeClock) -> None:
    await enqueue(database, condition_child(ValueType.FLOAT))
    with pytest.raises(NotFound, match="does not exist any more"):
        await database.write(lambda tx: conditions.call_back(tx, CONDITION, 3, since=T0 - MINUTE, by="x"))
    clock.forward(MINUTE)
    assert await database.write(lambda tx: conditions.call_back(tx, CONDITION, 3, since=T0, by="x"))
    child = await seen_by_parent(database)
    assert repr(child.value) == "3.0"


async def test_a_webhook_waits_from_the_moment_of_its_condition(database: Database) -> None:
    await enqueue(database, condition_child(url="https://hooks.example.org/x"))
    (delivery,) = await database.write(lambda tx: webhooks.claim(tx, 9, lease=MINUTE))
    assert (delivery.condition, delivery.attempt) == (CONDITION, 1)


async def test_recovery_gives_conditions_what_they_had(database: Database) -> None:
    await enqueue(database)
    await signal(database, True)
    other = RunId(RUN.project, RUN.domain, "again")
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="again")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    action = await condition(database)
    recovered = replace(action, id=ActionId(other, "c1"), phase=Phase.RECOVERED)
    await database.write(lambda tx: stored.insert(tx, [recovered]))
    await database.write(lambda tx: signals.copy(tx, RUN, other))
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(other, "a0"), since=None))
    assert (child.action.phase, child.value) == (Phase.RECOVERED, True)
