from dataclasses import replace
from datetime import timedelta

import pytest
from flyteidl2.task import run_pb2

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, task_spec
from wingbeat.core.action import ErrorKind, Failure, Phase, Success
from wingbeat.core.child import TaskChild, TraceChild
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.retry import RetryPolicy
from wingbeat.errors import AlreadyExists, Conflict, NotFound
from wingbeat.operations import actions, children, ending, runs, waits
from wingbeat.operations.actions import Claim
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions as stored
from wingbeat.store import children as stored_children
from wingbeat.store import nodes, queue
from wingbeat.store.database import Database
from wingbeat.store.nodes import Node
from wingbeat.wire import tasks as wire

RUN = RunId(TASK.project, TASK.domain, "r")
SPEC = wire.encoded(task_spec())
REF = wire.ref(TASK, task_spec(), wire.digest(SPEC))
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
async def root(database: Database) -> Claim:
    """A run whose root action is running on node n1."""
    await deploy_task(database)
    await start_run(database, "r")
    return await claim(database)


async def start_run(database: Database, name: str) -> None:
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name=name)
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))


async def claim(database: Database, node: str = "n1") -> Claim:
    (claimed,) = await database.write(lambda tx: actions.claim(tx, node, 1))
    await database.write(lambda tx: actions.started(tx, claimed.id, claimed.token, at=tx.now))
    return claimed


def task_child(name: str, parent: str = "a0", run: RunId = RUN) -> TaskChild:
    return TaskChild(
        ActionId(run, name), parent, group="g", input_uri=f"s3://b/{name}/inputs.pb", task=REF, spec=SPEC, lane=""
    )


def trace_child(name: str, phase: Phase = Phase.SUCCEEDED) -> TraceChild:
    return TraceChild(
        ActionId(RUN, name),
        "a0",
        "",
        "s3://b/i",
        REF,
        b"",
        phase,
        T0 - SECOND,
        T0,
        output_uri=f"s3://b/{name}/outputs.pb",
        error_uri=f"s3://b/{name}/error.pb",
    )


async def enqueue(database: Database, *names: str, parent: str = "a0") -> None:
    for name in names:
        await database.write(lambda tx, name=name: children.enqueue(tx, task_child(name, parent)))


async def phases(database: Database) -> dict[str, Phase]:
    found = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    return {child.action.id.name: child.action.phase for child in found}


async def end(database: Database, claimed: Claim, outcome: Success | Failure) -> None:
    await database.write(
        lambda tx: actions.finished(tx, claimed.id, claimed.token, outcome, retries=RetryPolicy(), chance=0)
    )


async def test_a_child_is_queued_below_its_parent(database: Database) -> None:
    await enqueue(database, "c1")
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    assert (child.action.parent, child.action.group, child.action.phase) == ("a0", "g", Phase.QUEUED)
    assert child.output_prefix == "s3://wingbeat/flytesnacks/development/r/c1/1"
    assert (await claim(database)).id.action.name == "c1"


async def test_a_parent_that_asks_again_finds_its_child_as_it_is(database: Database) -> None:
    await enqueue(database, "c1")
    await end(database, await claim(database), Success())
    with pytest.raises(AlreadyExists):
        await enqueue(database, "c1")
    assert await phases(database) == {"c1": Phase.SUCCEEDED}


async def test_children_need_a_parent_that_lives(database: Database, root: Claim) -> None:
    with pytest.raises(NotFound, match="no action 'nobody'"):
        await enqueue(database, "c1", parent="nobody")
    await end(database, root, Success())
    with pytest.raises(Conflict, match="SUCCEEDED and starts nothing"):
        await enqueue(database, "c1")


async def test_a_trace_is_over_at_once_and_its_outputs_are_given_back_as_they_are(database: Database) -> None:
    await database.write(lambda tx: children.record(tx, trace_child("t1")))
    with pytest.raises(AlreadyExists):
        await database.write(lambda tx: children.record(tx, trace_child("t1")))
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    assert (child.action.phase, child.action.output_uri) == (Phase.SUCCEEDED, "s3://b/t1/outputs.pb")
    assert (child.action.created_at, child.action.duration_ms) == (T0 - SECOND, 1000)


async def test_a_trace_that_failed_may_be_recorded_again(database: Database) -> None:
    failed = replace(trace_child("t1", Phase.FAILED), failure=Failure("ValueError", ErrorKind.USER, "broken"))
    await database.write(lambda tx: children.record(tx, failed))
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    assert (child.action.phase, child.failure) == (Phase.FAILED, failed.failure)
    await database.write(lambda tx: children.record(tx, trace_child("t1")))
    (child,) = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=None))
    assert (child.action.phase, child.action.version, child.failure) == (Phase.SUCCEEDED, 2, None)


async def test_an_abort_ends_everything_below_and_nothing_that_is_over(database: Database) -> None:
    await enqueue(database, "done")
    await end(database, await claim(database), Success())
    await enqueue(database, "running")
    await claim(database)
    await enqueue(database, "grandchild", parent="running")
    await enqueue(database, "queued")
    assert await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "a0"), "enough"))
    assert await phases(database) == {"done": Phase.SUCCEEDED, "running": Phase.ABORTED, "queued": Phase.ABORTED}
    grandchild = await database.read(lambda tx: stored.find(tx, ActionId(RUN, "grandchild")))
    assert grandchild is not None
    assert (grandchild.phase, grandchild.abort_reason) == (Phase.ABORTED, "enough")
    assert await database.read(lambda tx: queue.held(tx, "n1")) == []
    assert not await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "a0"), "again"))


async def test_aborting_one_child_leaves_its_brothers_alone(database: Database) -> None:
    await enqueue(database, "c1", "c2")
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "c1"), "not needed"))
    assert await phases(database) == {"c1": Phase.ABORTED, "c2": Phase.QUEUED}


async def test_no_child_outlives_its_parent(database: Database, root: Claim) -> None:
    await enqueue(database, "c1")
    await end(database, root, Failure("E", ErrorKind.USER, "broken"))
    child = await database.read(lambda tx: stored.find(tx, ActionId(RUN, "c1")))
    assert child is not None
    assert (child.phase, child.abort_reason) == (Phase.ABORTED, "its parent a0 is over: FAILED")


async def test_children_survive_a_new_attempt_of_their_parent(
    database: Database, root: Claim, clock: FakeClock
) -> None:
    await enqueue(database, "c1")
    lost = Failure("Interrupted", ErrorKind.SYSTEM, "lost", retryable=True)
    await end(database, root, lost)
    assert await phases(database) == {"c1": Phase.QUEUED}
    clock.forward(timedelta(minutes=1))
    claimed = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    assert sorted((item.id.action.name, item.id.number) for item in claimed) == [("a0", 2), ("c1", 1)]


async def test_children_wait_in_the_queue_of_their_run_unless_they_name_one(database: Database) -> None:
    spec = run_pb2.RunSpec(queue="night", max_action_concurrency=7).SerializeToString()
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name="dark", run_spec=spec)
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))
    dark = RunId(TASK.project, TASK.domain, "dark")
    family = [("inherits", "a0", ""), ("own", "a0", "gpu"), ("plain", "a0", "default"), ("below", "own", "")]
    for name, parent, lane in family:
        child = replace(task_child(name, parent, dark), lane=lane)
        await database.write(lambda tx, child=child: children.enqueue(tx, child))
    for name, lane in (("inherits", "night"), ("own", "gpu"), ("plain", ""), ("below", "night")):
        entry = await database.write(lambda tx, name=name: queue.find(tx, ActionId(dark, name)))
        assert entry is not None
        assert (entry.lane, entry.action_limit) == (lane, 7)


@pytest.mark.parametrize(
    ("serves", "said"),
    [
        ((), ""),
        (("gpu", ""), ""),
        (("",), "no node that is alive serves the queue 'gpu'"),
    ],
    ids=["every queue", "this queue", "another queue"],
)
async def test_who_waits_in_a_queue_that_nobody_serves_knows_why(
    database: Database, serves: tuple[str, ...], said: str
) -> None:
    await join(database, *serves)
    await database.write(lambda tx: children.enqueue(tx, replace(task_child("c1"), lane="gpu")))
    assert await why(database, "c1") == said


async def test_why_an_action_waits_is_right_when_nodes_come_and_go(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: children.enqueue(tx, replace(task_child("c1"), lane="gpu")))
    seen = [await why(database, "c1")]
    await join(database, "", "gpu")
    seen.append(await why(database, "c1"))
    clock.forward(timedelta(seconds=60))
    seen.append(await why(database, "c1"))
    assert list(map(bool, seen)) == [True, False, True]


async def test_while_there_is_no_node_at_all_the_default_queue_counts_as_served(database: Database) -> None:
    await enqueue(database, "c1")
    assert await why(database, "c1") == ""


async def join(database: Database, *lanes: str) -> None:
    node = Node("n1", "host", private_blobs=False, lanes=lanes)
    await database.write(lambda tx: nodes.register(tx, node, timedelta(seconds=60)))


async def why(database: Database, name: str) -> str:
    action = await database.read(lambda tx: stored.find(tx, ActionId(RUN, name)))
    assert action is not None
    return await database.read(lambda tx: waits.reason(tx, action))


async def test_a_parent_that_waits_holds_no_slot(database: Database) -> None:
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 0
    await enqueue(database, "c1")
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 1
    await end(database, await claim(database), Success())
    assert await database.read(lambda tx: queue.waiting_parents(tx, "n1")) == 0


async def test_runs_take_turns_however_many_children_one_of_them_has(database: Database) -> None:
    await enqueue(database, *(f"c{number:02}" for number in range(20)))
    await start_run(database, "late")
    order: list[tuple[str, str]] = []
    for _ in range(21):
        claimed = await claim(database)
        order.append((claimed.id.action.run.name, claimed.id.action.name))
        await end(database, claimed, Success())
    assert order.index(("late", "a0")) <= 2
    assert [name for run, name in order if run == "r"] == [f"c{number:02}" for number in range(20)]


async def test_a_stream_of_new_runs_does_not_starve_an_old_one(database: Database, clock: FakeClock) -> None:
    await enqueue(database, *(f"c{number:02}" for number in range(10)))
    served: list[str] = []
    for number in range(30):
        clock.forward(SECOND / 2)
        await start_run(database, f"new{number}")
        claimed = await claim(database)
        served.append(claimed.id.action.run.name)
        await end(database, claimed, Success())
    assert served.count("r") == 10


async def test_only_what_changed_lately_is_looked_at(database: Database, clock: FakeClock) -> None:
    await enqueue(database, "c1")
    clock.forward(SECOND)
    await enqueue(database, "c2")
    found = await database.read(lambda tx: stored_children.of_parent(tx, ActionId(RUN, "a0"), since=clock()))
    assert [child.action.id.name for child in found] == ["c2"]
