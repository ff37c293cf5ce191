"""What becomes of slots that came due before a trigger was paused or changed."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.namespace import Namespace
from wingbeat.compose.trigger import TriggerManager


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


def changed(world: World, schedule: str, **options: Any) -> TriggerManager:
    """The trigger as another version of the program has it."""
    namespace = Namespace()
    namespace.register_trigger("t", "a:dag", "poll", schedule, **options)
    manager = TriggerManager(namespace, world.store, runner=world.runs)
    manager.activate("t")
    return manager


def nothing_came_of(world: World) -> list[tuple[str, int, float, str]]:
    return [
        (event["status"], event["slots"], (event["scheduled_for"] - T0.timestamp()) / 60, event["error"])
        for event in reversed(world.events())
        if event["run_id"] is None
    ]


async def test_what_was_due_before_a_pause_and_had_not_fired_is_told(world: World) -> None:
    world.active(misfire="all")
    world.clock.forward(3 * MINUTE)
    world.manager.pause("t")
    assert nothing_came_of(world) == [("missed", 3, 1, "deactivated before it could fire")]
    world.manager.resume("t")
    await world.manager.tick()
    assert world.runs.slots == []


async def test_what_waited_for_its_turn_before_a_pause_is_told(world: World) -> None:
    ended = asyncio.Event()

    async def wait(start: Start) -> Ended:
        await ended.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    world.active(overlap="queue")
    world.clock.forward(MINUTE)
    first = asyncio.create_task(world.manager.tick())
    async with asyncio.timeout(10):
        while not world.runs.started:
            await asyncio.sleep(0)
    world.clock.forward(MINUTE)
    assert await world.another().tick() == 0
    world.manager.pause("t")
    ended.set()
    await first
    assert nothing_came_of(world) == [("missed", 1, 2, "deactivated before it could fire")]


async def test_what_the_policy_leaves_out_at_a_change_is_told(world: World) -> None:
    world.active("*/10 * * * *")
    world.clock.forward(35 * MINUTE)
    manager = changed(world, "0 * * * *")
    assert nothing_came_of(world) == [("skipped", 2, 10, "superseded by a later slot")]
    await manager.tick()
    assert world.runs.slots == [T0 + 30 * MINUTE]


async def test_a_new_interval_counts_from_the_change_and_the_same_one_keeps_its_phase(world: World) -> None:
    world.active("@every 10m")
    world.clock.forward(3 * MINUTE)
    assert changed(world, "@every 10m", misfire="all").preview("t", 1)[0].at == T0 + 10 * MINUTE
    assert changed(world, "@every 20m").preview("t", 1)[0].at == T0 + 23 * MINUTE


async def test_a_slot_that_is_owed_still_waits_for_its_jitter(world: World) -> None:
    world.active("0 * * * *", jitter=1800)
    slot = world.manager.preview("t", 1)[0]
    assert slot.fires_at > slot.at + MINUTE
    world.clock.now = slot.at + timedelta(seconds=1)
    manager = changed(world, "0 0 1 1 *", jitter=1800)
    assert await manager.tick() == 0
    assert await manager.tick(slot.fires_at) == 1
    assert world.runs.slots == [slot.at]


async def test_runs_of_a_backfill_skip_no_slot(world: World) -> None:
    ended = asyncio.Event()

    async def wait(start: Start) -> Ended:
        if start.scheduled_for and start.scheduled_for < T0:
            await ended.wait()
        return Ended(start.run_id)

    world.runs.end = wait
    world.active("0 * * * *")
    world.manager.backfill("t", T0 - 120 * MINUTE, T0)
    backfilling = asyncio.create_task(world.manager.tick())
    async with asyncio.timeout(10):
        while not world.runs.started:
            await asyncio.sleep(0)
    world.clock.forward(60 * MINUTE)
    assert await world.another().tick() == 1
    ended.set()
    await backfilling
    assert T0 + 60 * MINUTE in world.runs.slots


async def test_another_program_may_set_back_when_a_trigger_last_ran(world: World) -> None:
    world.active("0 * * * *")
    with sqlite3.connect(world.path) as other:
        other.execute("UPDATE trigger_activations SET last_run_at = last_run_at - 3 * 3600")
    await world.manager.tick()
    assert world.runs.slots == [T0]


async def test_another_program_may_add_a_trigger(world: World) -> None:
    with sqlite3.connect(world.path) as other:
        other.execute(
            "INSERT INTO trigger_activations (name, dag_nsref, trigger_type, status, created_at, config_json)"
            " VALUES ('t', 'a:dag', 'poll', 'active', ?, '{\"schedule\": \"0 * * * *\"}')",
            (T0.timestamp(),),
        )
    world.clock.forward(60 * MINUTE)
    await world.manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]


def removed(world: World) -> None:
    """By another program."""
    with closing(sqlite3.connect(world.path)) as db, db:
        db.execute("DELETE FROM trigger_activations WHERE name = 't'")


async def test_a_trigger_that_was_removed_goes_on_with_the_next_revision(world: World) -> None:
    world.active("0 * * * *")
    world.manager.pause("t")
    removed(world)
    world.manager.activate("t")
    assert [(each["revision"], each["action"]) for each in world.store.history("t")] == [
        (3, "activate"), (2, "deactivate"), (1, "activate"),
    ]  # fmt: skip
    world.clock.forward(60 * MINUTE)
    assert await world.manager.tick() == 1


def test_a_trigger_that_another_program_has_replaced_can_be_paused(world: World) -> None:
    world.active("0 * * * *")
    removed(world)
    with closing(sqlite3.connect(world.path)) as db, db:
        db.execute(
            "INSERT INTO trigger_activations (name, dag_nsref, trigger_type, status, created_at, config_json)"
            " VALUES ('t', 'a:dag', 'poll', 'active', ?, ?)",
            (T0.timestamp(), '{"schedule": "0 * * * *"}'),
        )
    world.manager.pause("t")
    assert [each["revision"] for each in world.store.history("t")] == [2, 1]
