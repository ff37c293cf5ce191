"""Slots fire once, at their moment, and what became of each can be read."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.trigger import TriggerTime


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


async def test_a_slot_fires_once_when_it_is_due(world: World) -> None:
    world.active()
    assert await world.manager.tick() == 0
    world.clock.forward(MINUTE)
    assert await world.manager.tick() == 1
    assert await world.manager.tick() == 0
    assert world.runs.slots == [T0 + MINUTE]


async def test_an_event_says_when_it_was_due_and_how_late_it_was(world: World) -> None:
    world.active()
    world.clock.forward(MINUTE + timedelta(seconds=2))
    await world.manager.tick()
    (event,) = world.events()
    assert event["scheduled_for"] == (T0 + MINUTE).timestamp()
    assert event["lateness"] == 2.0
    assert (event["status"], event["kind"], event["attempt"]) == ("completed", "schedule", 1)
    assert event["initiated_by"] == "scheduler"
    activation = world.store.get_activation("t")
    assert activation is not None
    assert activation["last_run_id"] == event["run_id"]
    assert activation["next_run_at"] == (T0 + 2 * MINUTE).timestamp()


async def test_seconds_fire_in_their_seconds(world: World) -> None:
    world.active("*/10 * * * * *")
    for _ in range(3):
        world.clock.forward(timedelta(seconds=10))
        await world.manager.tick()
    assert world.runs.slots == [T0 + timedelta(seconds=at) for at in (10, 20, 30)]


async def test_nine_in_new_york_follows_its_clock(world: World) -> None:
    world.active("0 9 * * MON-FRI", timezone="America/New_York")
    world.clock.now = datetime(2026, 3, 9, 13, tzinfo=UTC)
    await world.manager.tick()
    assert world.runs.slots == [datetime(2026, 3, 9, 13, tzinfo=UTC)]


async def test_nothing_fires_outside_of_start_and_end(world: World) -> None:
    world.active(start=T0 + 2 * MINUTE, end=T0 + 3 * MINUTE)
    for _ in range(6):
        world.clock.forward(MINUTE)
        await world.manager.tick()
    assert world.runs.slots == [T0 + 2 * MINUTE, T0 + 3 * MINUTE]


async def test_jitter_delays_each_slot_by_the_same_time_everywhere(world: World) -> None:
    world.active(jitter=30)
    due_at = world.manager.preview("t", 1)[0].fires_at
    assert T0 + MINUTE < due_at < T0 + 1.5 * MINUTE
    assert await world.manager.tick(due_at - timedelta(milliseconds=1)) == 0
    assert await world.manager.tick(due_at) == 1
    assert world.runs.slots == [T0 + MINUTE]


async def test_a_failed_run_is_tried_again_as_another_run(world: World) -> None:
    async def fail_at_first(start: Start) -> Ended:
        return Ended(start.run_id, "failed" if len(world.runs.started) == 1 else "completed", "no luck")

    world.runs.end = fail_at_first
    world.active(retries=1)
    world.clock.forward(MINUTE)
    await world.manager.tick()
    assert world.statuses() == ["waiting"]
    world.clock.forward(timedelta(seconds=1))
    await world.manager.tick()
    (event,) = world.events()
    assert (event["status"], event["attempt"]) == ("completed", 2)
    first, second = world.runs.started
    assert first.run_id != second.run_id
    assert first.scheduled_for == second.scheduled_for


async def test_a_run_that_takes_too_long_is_failed(world: World) -> None:
    async def hang(start: Start) -> Ended:
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = hang
    world.active(timeout=0.01)
    world.clock.forward(MINUTE)
    await world.manager.tick()
    (event,) = world.events()
    assert event["status"] == "failed"
    assert "had not ended after 0.01 s" in event["error"]


async def test_what_raises_fails_its_slot_and_no_other(world: World) -> None:
    async def explode(start: Start) -> Ended:
        if start.trigger_name == "t":
            raise RuntimeError("outside of nodes")
        return Ended(start.run_id)

    world.runs.end = explode
    world.active("0 * * * *")
    world.active("0 * * * *", name="after")
    world.clock.forward(60 * MINUTE)
    await world.manager.tick()
    for _ in range(7):
        world.clock.forward(timedelta(seconds=1))
        await world.manager.tick()
    assert world.statuses() == ["failed"]
    assert "RuntimeError: outside of nodes" in world.events()[0]["error"]
    assert world.statuses("after") == ["completed"]


async def test_a_run_that_exits_outside_of_its_nodes_fails_its_slot_and_no_other(world: World) -> None:
    async def leave(start: Start) -> Ended:
        if start.trigger_name == "t":
            sys.exit("enough")
        return Ended(start.run_id)

    world.runs.end = leave
    world.active("0 * * * *")
    world.active("0 * * * *", name="after")
    world.clock.forward(60 * MINUTE)
    await world.manager.tick()
    assert (world.statuses(), world.statuses("after")) == (["failed"], ["completed"])
    assert world.events()[0]["error"] == "RuntimeError: its run called sys.exit('enough')"


async def test_a_schedule_that_another_program_broke_delays_nobody(world: World) -> None:
    world.active()
    world.active(name="z")
    world.store.file.write(
        lambda tx: tx.execute("UPDATE trigger_activations SET config_json = '{\"schedule\": \"no\"}' WHERE name = 't'")
    )
    world.clock.forward(MINUTE)
    await world.manager.tick()
    assert world.statuses("z") == ["completed"]
    assert world.statuses() == ["error"]
    await world.manager.tick()
    assert world.statuses() == ["error"], "it is left alone for a while"


async def test_overlap_skip_skips_and_says_so(world: World) -> None:
    ended = asyncio.Event()

    async def wait(start: Start) -> Ended:
        await ended.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    world.active()
    world.clock.forward(MINUTE)
    first = asyncio.create_task(world.manager.tick())
    await _until(lambda: len(world.runs.started) == 1)
    world.clock.forward(MINUTE)
    assert await world.another().tick() == 0
    ended.set()
    await first
    assert sorted(world.statuses()) == ["completed", "skipped"]


async def test_overlap_queue_runs_one_after_the_other(world: World) -> None:
    ended = asyncio.Event()

    async def wait(start: Start) -> Ended:
        await ended.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    world.active(overlap="queue")
    world.clock.forward(MINUTE)
    first = asyncio.create_task(world.manager.tick())
    await _until(lambda: len(world.runs.started) == 1)
    world.clock.forward(MINUTE)
    assert await world.another().tick() == 0
    ended.set()
    await first
    assert world.runs.slots == [T0 + MINUTE, T0 + 2 * MINUTE]


async def test_overlap_allow_runs_side_by_side(world: World) -> None:
    ended = asyncio.Event()

    async def wait(start: Start) -> Ended:
        if len(world.runs.started) == 2:
            ended.set()
        await ended.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    world.active(overlap="allow")
    world.clock.forward(MINUTE)
    first = asyncio.create_task(world.manager.tick())
    await _until(lambda: len(world.runs.started) == 1)
    world.clock.forward(MINUTE)
    assert await world.another().tick() == 1
    await first


async def test_the_scheduled_time_is_an_input_where_it_is_asked_for(world: World) -> None:
    world.active(payload={"ts": TriggerTime}, inputs={"who": "me"})
    world.clock.forward(MINUTE)
    await world.manager.tick()
    assert world.runs.started[0].inputs == {"ts": T0 + MINUTE, "who": "me"}


async def _until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)
