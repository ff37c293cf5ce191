import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import attempt_key, root, run_of, task_spec
from wingbeat.core.action import Phase
from wingbeat.core.timer import Timeouts, Timer
from wingbeat.loops.timekeeper import BATCH, MOST_WAITS, RETRY_SECONDS, Timekeeper
from wingbeat.operations import runs, timeouts
from wingbeat.store import tasks, timers
from wingbeat.store.changes import TIMERS
from wingbeat.store.database import Database, Transaction
from wingbeat.wire.tasks import digest

SECOND = timedelta(seconds=1)


async def start_runs(database: Database, *bounds: Timeouts) -> None:
    spec = task_spec()
    await database.write(lambda tx: tasks.put_spec(tx, digest(spec), spec))
    planned = [replace(run_of(f"r{number}", spec), timeouts=each) for number, each in enumerate(bounds)]
    await database.write(lambda tx: runs.start(tx, planned))


async def phase(database: Database, name: str) -> Phase:
    return (await database.read(lambda tx: root(tx, name))).phase


async def test_it_sleeps_until_the_next_timer_and_for_ever_without_one(database: Database, clock: FakeClock) -> None:
    timekeeper = Timekeeper(database)
    assert await timekeeper.tick() is None
    await start_runs(database, Timeouts(queued=5 * SECOND), Timeouts(queued=7 * SECOND))
    assert await timekeeper.tick() == 5
    clock.forward(5 * SECOND)
    assert await timekeeper.tick() == 2
    assert [await phase(database, name) for name in ("r0", "r1")] == [Phase.TIMED_OUT, Phase.QUEUED]


async def test_a_new_timer_wakes_it(database: Database) -> None:
    with database.changes.subscribe(TIMERS) as wake:
        await start_runs(database, Timeouts())
        await start_runs_later(database)
        assert await wake.wait(5)


async def start_runs_later(database: Database) -> None:
    spec = task_spec()
    run = replace(run_of("later", spec), timeouts=Timeouts(deadline=SECOND))
    await database.write(lambda tx: runs.start(tx, [run]))


async def test_what_came_due_while_nobody_was_there_goes_off_late_and_in_batches(
    database: Database, clock: FakeClock
) -> None:
    await start_runs(database, *[Timeouts(queued=SECOND)] * (BATCH + 1))
    clock.forward(timedelta(hours=1))
    timekeeper = Timekeeper(database)
    assert await timekeeper.tick() == 0
    assert await timekeeper.tick() is None
    assert {await phase(database, f"r{number}") for number in range(BATCH + 1)} == {Phase.TIMED_OUT}


async def test_of_several_nodes_one_lets_a_timer_go_off(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_runs(database, *[Timeouts(queued=SECOND)] * 5)
    clock.forward(SECOND)
    went_off: list[Timer] = []
    expire = timeouts.expire

    async def counted(tx: Transaction, timer: Timer) -> bool:
        done = await expire(tx, timer)
        if done:
            went_off.append(timer)
        return done

    monkeypatch.setattr(timeouts, "expire", counted)
    await asyncio.gather(*(Timekeeper(database).tick() for _ in range(3)))
    assert len(went_off) == len(set(went_off)) == 5


async def test_a_timer_that_cannot_be_dealt_with_holds_up_no_other(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_runs(database, Timeouts(queued=SECOND), Timeouts(queued=SECOND))
    clock.forward(SECOND)
    expire = timeouts.expire

    async def broken(tx: Transaction, timer: Timer) -> bool:
        if timer.attempt.action.run.name == "r0":
            raise RuntimeError("broken")
        return await expire(tx, timer)

    with monkeypatch.context() as patched:
        patched.setattr(timeouts, "expire", broken)
        assert await Timekeeper(database).tick() == 1
    assert [await phase(database, name) for name in ("r0", "r1")] == [Phase.QUEUED, Phase.TIMED_OUT]
    assert await Timekeeper(database).tick() is None
    assert await phase(database, "r0") is Phase.TIMED_OUT
    assert await database.read(timers.next_at) is None


async def test_what_ended_in_time_while_the_server_was_down_is_no_time_out(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    executor, blobs = FakeExecutor(), blobs_in(tmp_path)
    await start_runs(database, Timeouts(runtime=5 * SECOND), Timeouts(runtime=5 * SECOND))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        for name in ("r0", "r1"):
            await executor.run(attempt_key(name), at=clock.now)
        await node.round()
    await blobs.put("s3://wingbeat/p/development/r0/a0/1/outputs.pb", b"")
    await executor.exit(attempt_key("r0"), ended_at=clock.now + SECOND)
    clock.forward(timedelta(hours=1))
    async with OneNode(database, executor, blobs) as restarted:
        timekeeper = Timekeeper(database, caught_up=lambda: restarted.watcher.caught_up)
        assert await timekeeper.tick() == 1
        await restarted.round()
        assert await timekeeper.tick() is None
    assert [await phase(database, name) for name in ("r0", "r1")] == [Phase.SUCCEEDED, Phase.TIMED_OUT]


async def test_timers_go_off_though_the_executor_stays_away(database: Database, clock: FakeClock) -> None:
    await start_runs(database, Timeouts(queued=SECOND))
    clock.forward(SECOND)
    timekeeper = Timekeeper(database, caught_up=lambda: False)
    for _ in range(MOST_WAITS):
        assert await timekeeper.tick() == 1
    assert await timekeeper.tick() is None
    assert await phase(database, "r0") is Phase.TIMED_OUT


async def test_timers_that_keep_failing_hold_up_none_behind_them(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_runs(database, *[Timeouts(queued=SECOND)] * BATCH, Timeouts(queued=2 * SECOND))
    expire = timeouts.expire

    async def failing(tx: Transaction, timer: Timer) -> bool:
        if timer.attempt.action.run.name != f"r{BATCH}":
            raise RuntimeError("surprise")
        return await expire(tx, timer)

    monkeypatch.setattr(timeouts, "expire", failing)
    clock.forward(5 * SECOND)
    timekeeper = Timekeeper(database)
    assert [await timekeeper.tick(), await timekeeper.tick()] == [0.0, RETRY_SECONDS]
    assert await phase(database, f"r{BATCH}") is Phase.TIMED_OUT
