"""Watchers of a database with one writer, of which a group of writes takes longer than their looks go back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.conftest import FakeClock
from tests.rpc.watched import PATIENCE_SECONDS, RUN, RUN_ID, Watched, take, watched
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.rpc.run_service.all_runs import AllRuns
from wingbeat.rpc.run_service.feeds import OVERLAP
from wingbeat.rpc.run_service.run_feed import RunFeed
from wingbeat.rpc.streams import closing
from wingbeat.store.changes import RUNS, run_topic
from wingbeat.store.database import Database, Transaction, open_database


@pytest.fixture
async def served(tmp_path: Path, clock: FakeClock) -> AsyncGenerator[Watched]:
    database = await open_database(str(tmp_path / "wingbeat.db"), clock)
    async with watched(database) as it:
        await it.start()
        await it.add("b")
        yield it
    await database.close()


@asynccontextmanager
async def blocked(database: Database) -> AsyncGenerator[None]:
    """The one writer is busy until the end of the block."""
    loop, begun, go = asyncio.get_running_loop(), asyncio.Event(), Event()

    async def body(_tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait(PATIENCE_SECONDS)

    writing = asyncio.create_task(database.write(body))
    await begun.wait()
    try:
        yield
    finally:
        go.set()
        await writing


@pytest.mark.parametrize("feed", [RunFeed, AllRuns])
async def test_what_ends_in_a_group_of_writes_that_takes_long_is_told(
    served: Watched, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, feed: type[RunFeed | AllRuns]
) -> None:
    looked = asyncio.Event()
    look: Any = feed._look

    async def counted(self: Any, since: datetime) -> datetime:
        at = await look(self, since)
        looked.set()
        return at

    monkeypatch.setattr(feed, "_look", counted)
    actions = served.client.watch_actions(pb.WatchActionsRequest(run_id=RUN_ID))
    project = identifier_pb2.ProjectIdentifier(name=RUN.project, domain=RUN.domain)
    runs = served.client.watch_runs(pb.WatchRunsRequest(project_id=project))
    async with closing(actions if feed is RunFeed else runs) as stream:
        await take(stream)
        async with blocked(served.database):
            ending = asyncio.create_task(served.move(Phase.SUCCEEDED, "b" if feed is RunFeed else ROOT_ACTION))
            await asyncio.sleep(0)
            last = blocked(served.database)
            joining = asyncio.create_task(last.__aenter__())
            for _ in range(3):
                await asyncio.sleep(0)
        await joining
        assert not ending.done(), "both are one group"
        clock.forward(5 * OVERLAP + timedelta(seconds=1))
        looked.clear()
        served.database.changes.publish([RUNS, run_topic(RUN)])
        await asyncio.wait_for(looked.wait(), PATIENCE_SECONDS)
        await last.__aexit__(None, None, None)
        await ending
        message: Any = await take(stream)
        told = message.enriched_actions if feed is RunFeed else message.runs
        assert Phase.SUCCEEDED in [each.action.status.phase for each in told]
