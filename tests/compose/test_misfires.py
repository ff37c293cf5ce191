"""Slots that passed while nobody could fire them: one, all or none fire, and clocks that jump double nothing."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0, World
from wingbeat.compose.firing import claims


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


async def test_once_fires_the_latest_in_the_place_of_all(world: World) -> None:
    world.active()
    world.clock.forward(10 * MINUTE)
    await world.manager.tick()
    assert world.runs.slots == [T0 + 10 * MINUTE]
    (event,) = world.events()
    assert (event["status"], event["slots"]) == ("completed", 10)
    assert event["scheduled_for"] == (T0 + 10 * MINUTE).timestamp()


async def test_a_question_for_the_latest_stands_for_all(world: World) -> None:
    world.active(poll_fn=lambda: [{"n": 1}, {"n": 2}])
    world.clock.forward(10 * MINUTE)
    await world.manager.tick()
    assert sorted(event["slots"] for event in world.events()) == [1, 10]


async def test_all_fires_each(world: World) -> None:
    world.active(misfire="all", overlap="allow")
    world.clock.forward(10 * MINUTE)
    await world.manager.tick()
    assert sorted(filter(None, world.runs.slots)) == [T0 + at * MINUTE for at in range(1, 11)]


async def test_all_in_a_queue_fires_each_after_the_one_before(world: World) -> None:
    world.active(misfire="all", overlap="queue")
    world.clock.forward(10 * MINUTE)
    await world.manager.tick()
    assert world.runs.slots == [T0 + at * MINUTE for at in range(1, 11)]


async def test_skip_fires_none_that_is_late(world: World) -> None:
    world.active("0 * * * *", misfire="skip")
    world.clock.forward(150 * MINUTE)
    await world.manager.tick()
    assert world.runs.slots == []
    assert world.statuses() == ["missed"]
    assert world.events()[0]["slots"] == 2


async def test_what_is_later_than_its_grace_is_missed(world: World) -> None:
    world.active(misfire="all", overlap="allow", grace=5 * 60)
    world.clock.forward(10 * MINUTE)
    await world.manager.tick()
    assert len(world.runs.slots) == 5


async def test_a_pause_is_not_caught_up(world: World) -> None:
    world.active(misfire="all", overlap="allow")
    world.manager.pause("t")
    world.clock.forward(10 * MINUTE)
    assert await world.manager.tick() == 0
    world.manager.resume("t")
    assert await world.manager.tick() == 0
    world.clock.forward(MINUTE)
    await world.manager.tick()
    assert world.runs.slots == [T0 + 11 * MINUTE]


async def test_a_restart_that_activates_again_still_catches_up(world: World) -> None:
    world.active("0 * * * *")
    world.clock.forward(90 * MINUTE)
    world.manager.activate("t")
    await world.manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]


async def test_a_new_schedule_keeps_what_the_old_one_owes(world: World) -> None:
    world.active("0 * * * *")
    world.clock.forward(90 * MINUTE)
    changed = world.another()
    changed.namespace = type(world.namespace)()
    changed.namespace.register_trigger("t", "a:dag", "poll", "15 * * * *")
    changed.activate("t")
    await changed.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE]
    world.clock.forward(60 * MINUTE)
    await changed.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE, T0 + 135 * MINUTE]


async def test_a_clock_that_was_ahead_neither_stops_nor_doubles(world: World) -> None:
    world.active("*/30 * * * *")
    world.clock.forward(120 * MINUTE)
    await world.manager.tick()
    world.clock.forward(-115 * MINUTE)
    await world.manager.tick()
    world.clock.forward(25 * MINUTE)
    scheduler_sees = await world.another().tick()
    assert scheduler_sees == 1
    assert world.runs.slots == [T0 + 120 * MINUTE, T0 + 30 * MINUTE]
    world.clock.forward(90 * MINUTE)
    await world.manager.tick()
    assert world.runs.slots.count(T0 + 120 * MINUTE) == 1


async def test_after_a_clock_that_was_ahead_all_triggers_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(claims, "MOST_TRIGGERS", 2)
    for number in range(5):
        world.active("*/30 * * * *", name=f"t{number}")
    world.clock.forward(120 * MINUTE)
    await world.manager.tick()
    world.clock.forward(-115 * MINUTE)
    await world.manager.tick()
    assert "5 triggers go on from now" in caplog.text
    world.clock.forward(25 * MINUTE)
    assert await world.manager.tick() == 5


async def test_an_interval_keeps_its_phase(world: World) -> None:
    world.active("@every 90s")
    for _ in range(3):
        world.clock.forward(timedelta(seconds=90))
        await world.manager.tick()
    assert world.runs.slots == [T0 + timedelta(seconds=90 * at) for at in (1, 2, 3)]
