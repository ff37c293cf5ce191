"""The running loop: when it wakes, what it waits for, and what holds up nobody."""

import asyncio
import contextlib
import logging
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.firing.scheduler import Scheduler
from wingbeat.compose.namespace import Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore

LOG = "wingbeat.compose.trigger"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


@contextlib.asynccontextmanager
async def longest_gap() -> AsyncGenerator[list[float]]:
    """In which the event loop ran nothing else."""
    gaps = [0.0]

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps[0] = max(gaps[0], time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield gaps
    finally:
        watching.cancel()


class Sleeper(Scheduler):
    """Moves the clock instead of sleeping."""

    world: World
    naps: int

    async def _was_nudged(self, seconds: float) -> bool:
        self.world.clock.forward(timedelta(seconds=seconds))
        self.naps -= 1
        if not self.naps:
            self.stop()
        await self.drain(None)
        return False


async def test_it_wakes_at_the_slot_and_not_some_time_after_it(world: World) -> None:
    world.clock.forward(timedelta(milliseconds=400))
    world.active("* * * * * *")
    scheduler = Sleeper(world.manager._fires, world.clock)
    scheduler.world, scheduler.naps = world, 21
    await scheduler.keep_going()
    assert [event["lateness"] for event in world.events(status="completed")] == [0.0] * 20


async def test_a_run_that_takes_long_delays_no_other_trigger(world: World) -> None:
    quick = asyncio.Event()

    async def end(start: Start) -> Ended:
        if start.trigger_name == "slow":
            await quick.wait()
        else:
            quick.set()
        return Ended(start.run_id)

    world.runs.end = end
    world.active(name="slow")
    world.active(name="t")
    world.clock.forward(MINUTE)
    await asyncio.wait_for(world.manager.tick(), 10)
    assert world.statuses("slow") == world.statuses("t") == ["completed"]


async def test_a_locked_file_never_holds_up_the_loop(world: World) -> None:
    store = TriggerStore(world.path)
    manager = TriggerManager(world.namespace, store, runner=world.runs)
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * * *")
    manager.activate("t")
    other = sqlite3.connect(world.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with longest_gap() as gap:
        manager.start()
        await asyncio.sleep(1.2)
        assert world.runs.started == []
        other.execute("ROLLBACK")
        async with asyncio.timeout(10):
            while not world.runs.started:
                await asyncio.sleep(0.01)
        await manager.aclose()
    assert gap[0] < 2, "the lock ends only when the loop goes on"


async def test_a_run_is_given_back_without_holding_up_the_loop(world: World) -> None:
    begun = asyncio.Event()

    async def hang(start: Start) -> Ended:
        begun.set()
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = hang
    world.active()
    world.clock.forward(MINUTE)
    ticking = asyncio.create_task(world.manager.tick())
    await asyncio.wait_for(begun.wait(), 10)
    other = sqlite3.connect(world.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with longest_gap() as gap:
        ticking.cancel()
        await asyncio.sleep(0.7)
        other.execute("ROLLBACK")
        await asyncio.gather(ticking, return_exceptions=True)
        await world.store.file.awrite(lambda tx: None)
    assert gap[0] < 2, "the lock ends only when the loop goes on"
    assert world.store.file.read(lambda tx: tx.fetch("SELECT owner FROM trigger_events")) == [(None,)]


async def test_stop_leaves_what_runs_alone(world: World) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def wait(start: Start) -> Ended:
        begun.set()
        await end.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    store = TriggerStore(world.path)
    manager = TriggerManager(world.namespace, store, runner=world.runs)
    world.namespace.register_trigger("t", "a:dag", "poll", "* * * * * *", overlap="allow")
    manager.activate("t")
    manager.start()
    await asyncio.wait_for(begun.wait(), 10)
    manager.stop()
    await asyncio.sleep(0.1)
    claimed = len(store.get_events("t"))
    end.set()
    await manager.aclose()
    assert [event["status"] for event in store.get_events("t")] == ["completed"] * claimed


async def test_a_change_in_code_is_warned_of_and_fires_as_before(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.active("0 * * * *")
    namespace = Namespace()
    namespace.register_trigger("t", "a:dag", "poll", "*/5 * * * *")
    manager = TriggerManager(namespace, world.store, runner=world.runs)
    with caplog.at_level(logging.WARNING, LOG):
        manager.start()
        await manager.aclose()
    assert "trigger 't' was changed in code since it was activated" in caplog.text
    world.clock.forward(60 * MINUTE)
    await manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]


async def test_a_trigger_that_is_gone_from_the_code_fires_until_it_is_deactivated(world: World) -> None:
    world.active("0 * * * *")
    manager = TriggerManager(Namespace(), world.store, runner=world.runs)
    world.clock.forward(60 * MINUTE)
    await manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]
    manager.deactivate("t")
    world.clock.forward(60 * MINUTE)
    assert await manager.tick() == 0


async def test_a_run_that_outlasts_the_next_slot_is_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def take_long(start: Start) -> Ended:
        if len(world.runs.started) == 1:
            world.clock.forward(3 * MINUTE)
        return Ended(start.run_id)

    world.runs.end = take_long
    world.active(name="long")
    world.active("0 * * * *", name="short")
    world.clock.forward(MINUTE)
    with caplog.at_level(logging.WARNING, LOG):
        await world.manager.tick()
    assert "a run of trigger 'long' took 0:03:00" in caplog.text
    assert "short" not in caplog.text


HOLDS = """
    import asyncio, sys, time
    from pathlib import Path
    from wingbeat.compose.namespace import Namespace
    from wingbeat.compose.trigger import TriggerManager, TriggerStore

    def slow() -> None:
        print("begun", flush=True)
        time.sleep(60)

    async def main() -> None:
        ns = Namespace()
        ns.register(slow, nsref="a:slow")
        ns.register_trigger("t", "a:slow", "poll", "* * * * * *")
        manager = TriggerManager(ns, TriggerStore(Path(sys.argv[1])))
        manager.activate("t")
        manager.start()
        while manager.store.get_events("t") == []:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        await manager.aclose(drain=0.1)

    asyncio.run(main())
"""


def test_a_function_that_goes_on_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    path = tmp_path / "triggers.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(path)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "begun\n", "")
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT status, owner FROM trigger_events").fetchall() == [("running", None)]
