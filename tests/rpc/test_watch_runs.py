"""WatchRuns as a client on the wire sees it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.task import task_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.conftest import FakeClock
from tests.planting import DEFAULTS, DOMAINS
from tests.rpc.test_watch_actions import announce_nothing
from tests.rpc.watched import Watched, take, watched
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.streams import closing
from wingbeat.store.changes import Changes
from wingbeat.store.database import Database

PROJECT = identifier_pb2.ProjectIdentifier(name="birds", domain="development")
Messages = AsyncIterator[pb.WatchRunsResponse]


@pytest.fixture
async def served(database: Database) -> AsyncGenerator[Watched]:
    async with watched(database) as it:
        yield it


def watching(served: Watched, request: pb.WatchRunsRequest) -> AbstractAsyncContextManager[Messages]:
    return closing(served.client.watch_runs(request))


def seen(message: pb.WatchRunsResponse) -> list[tuple[str, str]]:
    return [(run.action.id.run.name, Phase(run.action.status.phase).name) for run in message.runs]


def run(name: str) -> RunId:
    return RunId("birds", "development", name)


async def test_the_runs_there_are_come_first_then_new_ones_then_changes(served: Watched, clock: FakeClock) -> None:
    await served.start("over")
    await served.move(Phase.SUCCEEDED, ROOT_ACTION, run=run("over"))
    clock.forward(timedelta(seconds=1))
    await served.start("older")
    clock.forward(timedelta(seconds=1))
    await served.start("newer")
    async with watching(served, pb.WatchRunsRequest(project_id=PROJECT)) as stream:
        assert seen(await take(stream)) == [("newer", "QUEUED"), ("older", "QUEUED"), ("over", "SUCCEEDED")]
        await served.start("newest")
        assert seen(await take(stream)) == [("newest", "QUEUED")]
        await served.move(Phase.RUNNING, ROOT_ACTION, run=run("older"))
        assert seen(await take(stream)) == [("older", "RUNNING")]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (pb.WatchRunsRequest(org="mine"), ["mine"]),
        (pb.WatchRunsRequest(cluster_id=identifier_pb2.ClusterIdentifier(name="any")), ["mine"]),
        (pb.WatchRunsRequest(project_id=PROJECT), ["mine"]),
        (pb.WatchRunsRequest(project_id=identifier_pb2.ProjectIdentifier(name="birds")), ["mine"]),
        (pb.WatchRunsRequest(project_id=identifier_pb2.ProjectIdentifier(name="fish", domain="development")), []),
        (pb.WatchRunsRequest(task_id=task_definition_pb2.TaskIdentifier(name="env.fly", version="v1")), ["mine"]),
        (pb.WatchRunsRequest(task_id=task_definition_pb2.TaskIdentifier(name="env.fly", version="v2")), []),
        (pb.WatchRunsRequest(task_id=task_definition_pb2.TaskIdentifier(name="env.swim")), []),
    ],
)
async def test_a_watcher_is_told_of_what_it_names_and_of_nothing_else(
    served: Watched, target: pb.WatchRunsRequest, expected: list[str]
) -> None:
    async with (
        watching(served, target) as stream,
        watching(served, pb.WatchRunsRequest(org="everything")) as all_runs,
    ):
        assert (seen(await take(stream)), seen(await take(all_runs))) == ([], [])
        following = asyncio.ensure_future(take(stream))
        await served.start("mine")
        assert seen(await take(all_runs)) == [("mine", "QUEUED")]
        if expected:
            assert [name for name, _ in seen(await following)] == expected
        else:
            assert not following.done()
            following.cancel()
            await asyncio.wait([following])


async def test_a_change_of_a_run_is_told_once(served: Watched) -> None:
    await served.start("r1")
    async with watching(served, pb.WatchRunsRequest(org="all")) as stream:
        assert seen(await take(stream)) == [("r1", "QUEUED")]
        await served.add("child")
        await served.move(Phase.RUNNING, "child")
        await served.start("r2")
        assert seen(await take(stream)) == [("r2", "QUEUED")]


async def test_a_run_that_nobody_announced_is_found(served: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.rpc.run_service.feeds.RECONCILE_SECONDS", 0.05)
    async with watching(served, pb.WatchRunsRequest(org="all")) as stream:
        assert seen(await take(stream)) == []
        monkeypatch.setattr(Changes, "publish", announce_nothing)
        await served.start("r1")
        assert seen(await take(stream)) == [("r1", "QUEUED")]


async def test_one_who_reads_too_slowly_begins_anew(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.rpc.run_service.all_runs.MAX_WAITING", 2)
    service: Any = Runs(database, DOMAINS, DEFAULTS)
    async with (
        watched(database) as served,
        closing(service.watch_runs(pb.WatchRunsRequest(org="slow"), None)) as slow,
        closing(service.watch_runs(pb.WatchRunsRequest(org="fast"), None)) as fast,
    ):
        assert (seen(await take(slow)), seen(await take(fast))) == ([], [])
        for name in ("r1", "r2", "r3"):
            await served.start(name)
            assert seen(await take(fast)) == [(name, "QUEUED")]
        assert seen(await take(slow)) == [("r3", "QUEUED"), ("r2", "QUEUED"), ("r1", "QUEUED")]
        await served.start("r4")
        assert seen(await take(slow)) == [("r4", "QUEUED")]


async def test_many_changes_at_once_all_arrive(served: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.store.run_changes.PAGE", 3)
    async with watching(served, pb.WatchRunsRequest(org="all")) as stream:
        assert seen(await take(stream)) == []
        await asyncio.gather(*(served.start(f"r{number}") for number in range(10)))
        told: list[tuple[str, str]] = []
        while len(told) < 10:
            told += seen(await take(stream))
        assert sorted(told) == [(f"r{number}", "QUEUED") for number in range(10)]


async def test_a_watcher_of_runs_who_leaves_leaves_nothing_behind(database: Database) -> None:
    service: Any = Runs(database, DOMAINS, DEFAULTS)
    before, subscribed = asyncio.all_tasks(), repr(vars(database.changes))
    stream = service.watch_runs(pb.WatchRunsRequest(org="all"), None)
    assert seen(await take(stream)) == []
    assert asyncio.all_tasks() - before
    await stream.aclose()
    assert asyncio.all_tasks() <= before
    assert repr(vars(database.changes)) == subscribed
