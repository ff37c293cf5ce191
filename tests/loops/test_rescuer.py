import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import attempt_key, enqueue, root, root_of
from wingbeat.core.action import Phase
from wingbeat.errors import FailedPrecondition, Unavailable
from wingbeat.loops.rescuer import LEASE, RENEW_SECONDS, STOP_AFTER_SECONDS, Rescuer
from wingbeat.loops.statuses import Statuses
from wingbeat.operations import actions, ending
from wingbeat.operations.current import Current
from wingbeat.store import queue
from wingbeat.store.database import Body, Database, Transaction
from wingbeat.store.nodes import Node


class Timer:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class AwayDatabase:
    """A database that can be unplugged."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.error: Exception = Unavailable("the database cannot be reached")

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise self.error
        return getattr(self._database, name)


class SilentDatabase:
    """A database behind a network that swallows everything."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.silent = False

    async def write(self, body: Body[Any]) -> Any:
        if self.silent:
            await asyncio.Event().wait()
        return await self._database.write(body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def test_another_node_takes_over_after_the_lease_and_not_before(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    blobs, here, there = blobs_in(tmp_path), FakeExecutor(), FakeExecutor()
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, here, blobs, name="n1") as dead:
        await dead.rescuer.join()
        await dead.dispatcher.tick()
        await here.run(attempt_key("r"))
        await dead.round()
    async with OneNode(database, there, blobs, name="n2") as node:
        await node.rescuer.join()
        clock.forward(LEASE / 2)
        assert await node.rescuer.tick() == RENEW_SECONDS
        await node.round()
        assert there.launches == {}
        clock.forward(LEASE / 2)
        await node.rescuer.tick()
        clock.forward(timedelta(seconds=1))
        await node.round()
        assert list(there.launches) == [attempt_key("r", 2)]
        # The dead node comes back, and finds that its attempt counts for nothing any more.
        async with OneNode(database, here, blobs, name="n1") as back:
            await back.rescuer.join()
            await blobs.put("s3://wingbeat/p/development/r/a0/1/outputs.pb", b"")
            await back.round()
            await back.round()
        assert here.stopped == here.forgotten == [attempt_key("r", 1)]
        action = await database.read(lambda tx: root(tx, "r"))
        assert (action.phase, action.attempts) == (Phase.INITIALIZING, 2)
        assert [item.attempt.number for item in await database.read(lambda tx: queue.held(tx, "n2"))] == [2]


async def test_an_action_that_cannot_be_taken_over_holds_up_no_other(
    database: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1", "r2", "r3"))
    await database.write(lambda tx: actions.claim(tx, "dead", 9))
    fail = ending.fail

    async def broken(tx: Transaction, current: Current, *args: Any, **options: Any) -> None:
        if current.action.id == root_of("r1"):
            raise ValueError("no")
        await fail(tx, current, *args, **options)

    monkeypatch.setattr(ending, "fail", broken)
    async with OneNode(database, FakeExecutor(), blobs_in(tmp_path), name="n2") as node:
        await node.rescuer.join()
        assert await node.rescuer.tick() == RENEW_SECONDS
        assert [(await attempts(database, name)) for name in ("r1", "r2", "r3")] == [1, 2, 2]
        monkeypatch.undo()
        await node.rescuer.tick()
        assert await attempts(database, "r1") == 2


async def attempts(database: Database, name: str) -> int:
    return (await database.read(lambda tx: root(tx, name))).attempts


@pytest.mark.parametrize("company", [True, False], ids=["with other nodes", "alone"])
async def test_a_node_that_cannot_renew_stops_what_others_may_take(
    database: Database, tmp_path: Path, company: bool
) -> None:
    away, timer, executor = AwayDatabase(database), Timer(), FakeExecutor()
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(away, executor, blobs_in(tmp_path), monotonic=timer) as node:  # pyright: ignore
        await node.rescuer.join()
        if company:
            await other(database).join()
        await node.rescuer.tick()
        await node.dispatcher.tick()
        await node.hear()
        away.away = True
        timer.seconds += STOP_AFTER_SECONDS - 1
        await node.rescuer.tick()
        assert executor.stopped == []
        timer.seconds += 1
        await node.rescuer.tick()
        assert executor.stopped == ([attempt_key("r")] if company else [])


async def test_a_renewal_that_fails_of_anything_else_stops_them_too(database: Database, tmp_path: Path) -> None:
    away, timer, executor = AwayDatabase(database), Timer(), FakeExecutor()
    away.error = FailedPrecondition("this node must not join the others")
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(away, executor, blobs_in(tmp_path), monotonic=timer) as node:  # pyright: ignore
        await node.rescuer.join()
        await other(database).join()
        await node.rescuer.tick()
        await node.dispatcher.tick()
        await node.hear()
        away.away = True
        timer.seconds += STOP_AFTER_SECONDS
        with pytest.raises(FailedPrecondition):
            await node.rescuer.tick()
        assert executor.stopped == [attempt_key("r")]


async def test_a_database_that_says_nothing_is_away(database: Database, tmp_path: Path) -> None:
    silent, timer, executor = SilentDatabase(database), Timer(), FakeExecutor()
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(silent, executor, blobs_in(tmp_path)) as node:  # pyright: ignore
        rescuer = Rescuer(
            silent,  # pyright: ignore
            executor,
            node=Node("n1", "here", private_blobs=False),
            statuses=node.statuses,
            monotonic=timer,
            answer_seconds=0.01,
        )
        await other(database).join()
        await rescuer.join()
        await node.dispatcher.tick()
        await node.hear()
        silent.silent = True
        timer.seconds += STOP_AFTER_SECONDS
        await rescuer.tick()
        assert executor.stopped == [attempt_key("r")]
        silent.silent = False


async def test_what_was_stopped_for_the_lease_is_tried_again_when_nobody_took_it(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    executor = FakeExecutor()
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs_in(tmp_path)) as node:
        await node.rescuer.join()
        await node.dispatcher.tick()
        await executor.stop(attempt_key("r"), "the node could not renew its lease")
        await node.round()
        clock.forward(timedelta(seconds=1))
        await node.round()
    assert list(executor.launches) == [attempt_key("r", 2)]


async def test_a_node_that_was_given_up_joins_again(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    async with OneNode(database, FakeExecutor(), blobs_in(tmp_path)) as node:
        await node.rescuer.join()
        clock.forward(timedelta(days=2))
        await other(database).join()
        await other(database).tick()
        await node.rescuer.tick()
        with pytest.raises(FailedPrecondition, match="n1"):
            await other(database, private=True).join()


def other(database: Database, *, private: bool = False) -> Rescuer:
    executor = FakeExecutor()
    return Rescuer(
        database, executor, node=Node("n9", "elsewhere", private), statuses=Statuses(executor, database.changes)
    )
