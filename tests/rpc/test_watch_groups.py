"""WatchGroups as a client on the wire sees it."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import identifier_pb2, list_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.conftest import T0, FakeClock
from tests.deployed import deploy_task
from tests.explained import Explained
from tests.planting import DEFAULTS, DOMAINS, TASK
from tests.rpc.test_run_places import begin, end
from tests.rpc.watched import Watched, take, watched
from wingbeat.core.action import ErrorKind, Failure, Phase, Success
from wingbeat.core.ids import ROOT_ACTION, RunId, Scope, TaskId
from wingbeat.core.task_group import Window
from wingbeat.operations import runs
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.run_service.all_runs import AllRuns
from wingbeat.rpc.streams import closing
from wingbeat.store import task_groups
from wingbeat.store.database import Database, Transaction
from wingbeat.store.run_changes import RunChange
from wingbeat.wire import times

PROJECT = identifier_pb2.ProjectIdentifier(name="birds", domain="development")
ALL = pb.WatchGroupsRequest(project_id=PROJECT, start_date=times.to_proto(T0))
BEFORE_NOON = pb.WatchGroupsRequest(
    project_id=PROJECT, start_date=times.to_proto(T0), end_date=times.to_proto(T0 + timedelta(hours=12))
)
Messages = AsyncIterator[pb.WatchGroupsResponse]


@pytest.fixture
async def served(database: Database) -> AsyncGenerator[Watched]:
    async with watched(database) as it:
        yield it


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.rpc.run_service.groups.UPDATE_SECONDS", 0)


def watching(served: Watched, request: pb.WatchGroupsRequest = ALL) -> AbstractAsyncContextManager[Messages]:
    return closing(served.client.watch_groups(request))


def phases(group: run_definition_pb2.TaskGroup) -> dict[str, int]:
    return {Phase(each.phase).name: each.count for each in group.phase_counts}


async def one(stream: Messages) -> run_definition_pb2.TaskGroup:
    (group,) = (await take(stream)).task_groups
    return group


async def three_runs(served: Watched, clock: FakeClock) -> None:
    """One that succeeded after 10 s of which 4 were waiting, one that failed after 20 s, and one that waits."""
    for name, seconds, outcome in (
        ("r1", 10, Success()),
        ("r2", 20, Failure("E", ErrorKind.SYSTEM, "it rained")),
    ):
        await served.start(name)
        clock.forward(timedelta(seconds=4))
        claim = await begin(served.database)
        clock.forward(timedelta(seconds=seconds - 4))
        await end(served.database, claim, outcome)
    await served.start("r3")


async def test_runs_are_counted_by_task(served: Watched, clock: FakeClock) -> None:
    await three_runs(served, clock)
    async with watching(served, BEFORE_NOON) as stream:
        (message,) = [message async for message in stream]
    (group,) = message.task_groups
    assert message.sentinel
    assert (group.task_name, group.short_name, group.environment_name) == ("env.fly", "fly", "env")
    assert (group.total_runs, phases(group)) == (3, {"QUEUED": 1, "SUCCEEDED": 1, "FAILED": 1})
    assert group.average_failure_rate == pytest.approx(1 / 3)
    assert (group.latest_run_time, group.latest_finished_time) == (times.to_proto(clock.now),) * 2
    assert (group.average_duration.ToSeconds(), group.average_time_to_running.ToSeconds()) == (15, 4)
    assert [(each.run_name, Phase(each.phase).name) for each in group.recent_statuses] == [
        ("r3", "QUEUED"),
        ("r2", "FAILED"),
        ("r1", "SUCCEEDED"),
    ]
    assert (group.error_counts.system_error, group.error_counts.user_error) == (1, 0)


async def test_only_what_changes_is_sent_again_and_it_comes_to_the_same(served: Watched, clock: FakeClock) -> None:
    async with watching(served) as stream:
        first = await take(stream)
        assert (list(first.task_groups), first.sentinel) == ([], True)
        clock.forward(timedelta(seconds=1))
        await three_runs(served, clock)
        group = await one(stream)
        while phases(group) != {"QUEUED": 1, "SUCCEEDED": 1, "FAILED": 1}:
            group = await one(stream)
    async with watching(served) as stream:
        assert await one(stream) == group


async def test_a_run_that_ends_while_it_is_read_is_counted_once(
    served: Watched, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, ended = AllRuns._tell, list[RunId]()

    async def tell_late(feed: AllRuns, changed: Sequence[RunChange]) -> None:
        if changed and not ended:
            ended.append(changed[0].run)
            await served.move(Phase.SUCCEEDED, ROOT_ACTION, run=ended[0])
        await tell(feed, changed)

    monkeypatch.setattr(AllRuns, "_tell", tell_late)
    async with watching(served) as stream:
        await take(stream)
        clock.forward(timedelta(seconds=1))
        await served.start("r1")
        assert phases(await one(stream)) == {"SUCCEEDED": 1}
        await served.start("r2")
        assert phases(await one(stream)) == {"SUCCEEDED": 1, "QUEUED": 1}


async def test_a_run_moves_from_phase_to_phase_and_is_counted_once(served: Watched, clock: FakeClock) -> None:
    await served.start("r1")
    async with watching(served) as stream:
        assert phases(await one(stream)) == {"QUEUED": 1}
        for phase in (Phase.RUNNING, Phase.SUCCEEDED):
            clock.forward(timedelta(seconds=1))
            await served.move(phase, ROOT_ACTION, run=RunId("birds", "development", "r1"))
            message = await take(stream)
            assert [phases(group) for group in message.task_groups] == [{phase.name: 1}]
            assert not message.sentinel


async def test_a_limit_is_of_the_first_groups_and_hides_no_change(served: Watched, clock: FakeClock) -> None:
    swim = TaskId("birds", "development", "env.swim", "v1")
    await deploy_task(served.database, swim)
    request = pb.WatchGroupsRequest()
    request.CopyFrom(ALL)
    request.request.limit = 1
    await served.start("r1")
    async with watching(served, request) as stream:
        assert (await one(stream)).total_runs == 1
        clock.forward(timedelta(seconds=1))
        told: set[str] = set()

        async def both(tx: Transaction) -> None:
            for name, task in (("r2", swim), ("r3", TASK)):
                wanted = RunRequest(scope=Scope("birds", "development"), wanted=task, name=name)
                await runs.create(tx, wanted, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x")

        await served.database.write(both)
        while told != {"env.fly", "env.swim"}:
            told |= {group.task_name for group in (await take(stream)).task_groups}


async def test_runs_outside_of_the_window_or_the_project_do_not_count(served: Watched, clock: FakeClock) -> None:
    await served.start("early")
    clock.forward(timedelta(minutes=1))
    await served.start("inside")
    clock.forward(timedelta(days=1))
    await served.start("late")
    request = pb.WatchGroupsRequest()
    request.CopyFrom(BEFORE_NOON)
    request.start_date.CopyFrom(times.to_proto(T0 + timedelta(minutes=1)))
    async with watching(served, request) as stream:
        assert [each.run_name for each in (await one(stream)).recent_statuses] == ["inside"]
    request.project_id.name = "fish"
    async with watching(served, request) as stream:
        assert list((await take(stream)).task_groups) == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (list_pb2.ListRequest(sort_by=list_pb2.Sort(key="colour")), "'colour'"),
        (list_pb2.ListRequest(filters=[list_pb2.Filter(field="phase")]), "'phase'"),
        (list_pb2.ListRequest(token="t"), "token"),
    ],
)
async def test_what_groups_cannot_be_asked_for_is_refused_by_name(
    served: Watched, request_: list_pb2.ListRequest, words: str
) -> None:
    wanted = pb.WatchGroupsRequest(project_id=PROJECT, start_date=times.to_proto(T0), request=request_)
    with pytest.raises(ConnectError, match=words) as caught:
        async with watching(served, wanted) as stream:
            await take(stream)
    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_groups_are_counted_by_index(served: Watched, database: Database) -> None:
    await served.start("r1")
    window = Window(Scope("birds", "development"), T0, None)

    async def body(tx: Transaction) -> list[str]:
        await tx.execute("ANALYZE")
        if database.shared:
            await tx.execute("SET LOCAL enable_seqscan = off")
        explained: Any = Explained(tx, sqlite=not database.shared)
        groups = await task_groups.read(explained, window)
        await task_groups.with_recent(explained, window, groups.groups.values())
        return explained.scanned("action", "a", "attempt", "t")

    assert await database.write(body) == []
