"""WatchActions and WatchRunDetails as a client on the wire sees them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common import identifier_pb2, list_pb2, phase_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from tests.planting import DEFAULTS, DOMAINS
from tests.rpc.watched import PATIENCE_SECONDS, RUN, RUN_ID, Watched, take, watched
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.rpc.run_service.run_feed import RunFeed
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.streams import closing
from wingbeat.store.changes import Changes
from wingbeat.store.database import Database

FAILED = list_pb2.Filter(field="PHASE", function=list_pb2.Filter.VALUE_IN, values=["6"])
NAMED_B = list_pb2.Filter(field="NAME", function=list_pb2.Filter.CONTAINS_CASE_INSENSITIVE, values=["FLY_B"])
Messages = AsyncIterator[pb.WatchActionsResponse]


@pytest.fixture
async def served(database: Database) -> AsyncGenerator[Watched]:
    async with watched(database) as it:
        yield it


def watching(
    served: Watched, *filters: list_pb2.Filter, run: identifier_pb2.RunIdentifier = RUN_ID
) -> AbstractAsyncContextManager[Messages]:
    return closing(served.client.watch_actions(pb.WatchActionsRequest(run_id=run, filter=filters)))


def seen(message: pb.WatchActionsResponse) -> dict[str, tuple[str, bool]]:
    return {
        each.action.id.name: (Phase(each.action.status.phase).name, each.meets_filter)
        for each in message.enriched_actions
    }


async def until(stream: Messages, known: dict[str, tuple[str, bool]], wanted: dict[str, tuple[str, bool]]) -> None:
    """Take messages until what they say has come to `wanted`; changes may come in any number of them."""
    while known != wanted:
        known.update(seen(await take(stream)))


async def test_all_actions_come_first_then_each_change_and_then_the_end(served: Watched) -> None:
    await served.start()
    await served.add("b", "c")
    await served.add("d", parent="b")
    async with watching(served) as stream:
        first = await take(stream)
        assert seen(first) == dict.fromkeys((ROOT_ACTION, "b", "c", "d"), ("QUEUED", True))
        await served.move(Phase.SUCCEEDED, "d")
        change = await take(stream)
        assert seen(change) == {ROOT_ACTION: ("QUEUED", True), "b": ("QUEUED", True), "d": ("SUCCEEDED", True)}
        counts = {each.action.id.name: dict(each.children_phase_counts) for each in change.enriched_actions}
        assert counts == {ROOT_ACTION: {1: 2, 5: 1}, "b": {5: 1}, "d": {}}
        await served.add("e", parent="d")
        assert seen(await take(stream))["e"] == ("QUEUED", True)
        await served.move(Phase.SUCCEEDED, "b", "c", "e", ROOT_ACTION)
        rest = [seen(message) async for message in stream]
        assert rest[-1][ROOT_ACTION] == ("SUCCEEDED", True)


async def test_actions_come_with_all_their_metadata(served: Watched) -> None:
    await served.start()
    await served.add("b")
    async with watching(served) as stream:
        action = (await take(stream)).enriched_actions[1].action
    assert (action.metadata.parent, action.metadata.task.short_name) == (ROOT_ACTION, "fly_b")
    assert (action.metadata.task.id.name, action.metadata.environment_name) == ("env.fly", "env")
    assert action.metadata.action_type == run_definition_pb2.ACTION_TYPE_TASK


async def test_a_run_that_is_over_is_sent_whole_and_the_stream_ends(served: Watched) -> None:
    await served.start()
    await served.add(*(f"n{number:04}" for number in range(1500)))
    await served.move(Phase.ABORTED, *(f"n{number:04}" for number in range(1500)), ROOT_ACTION)
    async with watching(served) as stream:
        messages = [message async for message in stream]
    assert [len(message.enriched_actions) for message in messages] == [1000, 501]
    assert messages[0].enriched_actions[0].children_phase_counts[phase_pb2.ACTION_PHASE_ABORTED] == 1500
    names = [each.action.id.name for message in messages for each in message.enriched_actions]
    assert names == [ROOT_ACTION, *(f"n{number:04}" for number in range(1500))]


async def test_a_stream_lasts_until_what_a_run_left_behind_is_over(served: Watched) -> None:
    await served.start()
    await served.add("b")
    await served.move(Phase.FAILED, ROOT_ACTION)
    async with watching(served) as stream:
        assert seen(await take(stream)) == {ROOT_ACTION: ("FAILED", True), "b": ("QUEUED", True)}
        await served.move(Phase.ABORTED, "b")
        assert seen(await take(stream))["b"] == ("ABORTED", True)
        with pytest.raises(StopAsyncIteration):
            await take(stream)


async def test_what_comes_to_match_is_shown_with_its_parents_and_leaves_once(served: Watched) -> None:
    await served.start()
    await served.add("b")
    await served.add("c", parent="b")
    async with watching(served, FAILED) as stream:
        assert seen(await take(stream)) == {}
        await served.move(Phase.FAILED, "c")
        assert seen(await take(stream)) == {
            ROOT_ACTION: ("QUEUED", True),
            "b": ("QUEUED", True),
            "c": ("FAILED", True),
        }
        await served.move(Phase.QUEUED, "c")
        assert {name for name, (_, meets) in seen(await take(stream)).items() if not meets} == {ROOT_ACTION, "b", "c"}
        await served.move(Phase.RUNNING, "c")
        await served.move(Phase.SUCCEEDED, ROOT_ACTION, "b", "c")
        assert [message async for message in stream] == []


async def test_a_name_is_looked_for_whatever_its_case(served: Watched) -> None:
    await served.start()
    await served.add("b", "c")
    async with watching(served, NAMED_B) as stream:
        assert set(seen(await take(stream))) == {ROOT_ACTION, "b"}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (list_pb2.Filter(field="PHASE", function=list_pb2.Filter.EQUAL, values=["6"]), "'PHASE'"),
        (list_pb2.Filter(field="PHASE", function=list_pb2.Filter.VALUE_IN, values=["FAILED"]), "'PHASE'"),
        (list_pb2.Filter(field="NAME", function=list_pb2.Filter.EQUAL, values=["b"]), "'NAME'"),
        (
            list_pb2.Filter(field="NAME", function=list_pb2.Filter.CONTAINS_CASE_INSENSITIVE, values=["a", "b"]),
            "'NAME'",
        ),
        (list_pb2.Filter(field="created_at", function=list_pb2.Filter.EQUAL, values=["1"]), "'created_at'"),
    ],
)
async def test_a_filter_that_there_is_not_is_refused_by_name(
    served: Watched, wanted: list_pb2.Filter, field: str
) -> None:
    await served.start()
    with pytest.raises(ConnectError, match=field) as caught:
        async with watching(served, wanted) as stream:
            await take(stream)
    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_a_run_that_there_is_not_is_not_found(served: Watched) -> None:
    nobody = identifier_pb2.RunIdentifier(project="birds", domain="development", name="nobody")
    with pytest.raises(ConnectError) as caught:
        async with watching(served, run=nobody) as stream:
            await take(stream)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_child_that_is_older_than_its_parent_comes_behind_it_and_one_without_is_waited_for(
    served: Watched,
) -> None:
    await served.start()
    await served.add("a", parent="z")
    async with watching(served) as stream:
        assert set(seen(await take(stream))) == {ROOT_ACTION}
        await served.add("z")
        names = [each.action.id.name for each in (await take(stream)).enriched_actions]
    assert names == [ROOT_ACTION, "z", "a"]


async def test_a_change_that_nobody_announced_is_found(served: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.rpc.run_service.feeds.RECONCILE_SECONDS", 0.05)
    await served.start()
    await served.add("b")
    async with watching(served) as stream:
        await take(stream)
        monkeypatch.setattr(Changes, "publish", announce_nothing)
        await served.move(Phase.RUNNING, "b")
        assert seen(await take(stream))["b"] == ("RUNNING", True)


def announce_nothing(_changes: Changes, _topics: Iterable[str]) -> None:
    """As when the process that made the change died at once."""


async def test_many_watchers_of_a_run_share_its_reading_and_each_gets_all(
    served: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 0
    keep = RunFeed.keep

    async def counted(feed: RunFeed) -> None:
        nonlocal kept
        kept += 1
        await keep(feed)

    monkeypatch.setattr(RunFeed, "keep", counted)
    await served.start()
    await served.add("b", "c")

    async def follow() -> dict[str, tuple[str, bool]]:
        known: dict[str, tuple[str, bool]] = {}
        async with watching(served) as stream:
            await until(stream, known, dict.fromkeys((ROOT_ACTION, "b", "c"), ("QUEUED", True)))
            ready.release()
            async for message in stream:
                known.update(seen(message))
        return known

    ready = asyncio.Semaphore(0)
    watchers = [asyncio.create_task(follow()) for _ in range(20)]
    for _ in watchers:
        await asyncio.wait_for(ready.acquire(), PATIENCE_SECONDS)
    await served.move(Phase.SUCCEEDED, "b", "c", ROOT_ACTION)
    over = dict.fromkeys((ROOT_ACTION, "b", "c"), ("SUCCEEDED", True))
    assert await asyncio.wait_for(asyncio.gather(*watchers), PATIENCE_SECONDS) == [over] * 20
    assert kept == 1


async def test_a_watcher_who_leaves_leaves_nothing_behind(database: Database) -> None:
    service: Any = Runs(database, DOMAINS, DEFAULTS)
    async with watched(database) as served:
        await served.start()
    before = asyncio.all_tasks()
    subscribed = repr(vars(database.changes))
    streams = [service.watch_actions(pb.WatchActionsRequest(run_id=RUN_ID), None) for _ in range(3)]
    for stream in streams:
        assert seen(await take(stream)) == {ROOT_ACTION: ("QUEUED", True)}
    assert asyncio.all_tasks() - before
    for stream in streams:
        await stream.aclose()
    assert asyncio.all_tasks() <= before
    assert repr(vars(database.changes)) == subscribed


async def test_the_details_of_a_run_are_streamed_until_it_is_over(served: Watched) -> None:
    await served.start()
    async with closing(served.client.watch_run_details(pb.WatchRunDetailsRequest(run_id=RUN_ID))) as stream:
        first = (await take(stream)).details
        assert first == (await served.client.get_run_details(pb.GetRunDetailsRequest(run_id=RUN_ID))).details
        await served.move(Phase.RUNNING, ROOT_ACTION)
        assert (await take(stream)).details.action.status.phase == phase_pb2.ACTION_PHASE_RUNNING
        await served.move(Phase.SUCCEEDED, ROOT_ACTION)
        assert (await take(stream)).details.action.status.phase == phase_pb2.ACTION_PHASE_SUCCEEDED
        with pytest.raises(StopAsyncIteration):
            await take(stream)


async def test_the_details_of_a_run_that_there_is_not_are_not_found(served: Watched) -> None:
    nobody = identifier_pb2.RunIdentifier(project=RUN.project, domain=RUN.domain, name="nobody")
    with pytest.raises(ConnectError) as caught:
        await take(served.client.watch_run_details(pb.WatchRunDetailsRequest(run_id=nobody)))
    assert caught.value.code is Code.NOT_FOUND
