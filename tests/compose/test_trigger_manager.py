"""Firing by hand, starting and stopping, and looking into the future and the past."""

import asyncio
import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.clock import system_clock
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.errors import InvalidArgument


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


def started(world: World) -> TriggerManager:
    """By the real clock."""
    store = TriggerStore(world.path)
    return TriggerManager(world.namespace, store, runner=world.runs)


async def test_a_push_trigger_is_fired_by_hand(world: World) -> None:
    world.active(None, payload={"n": 1})
    result = await world.manager.fire("t")
    await world.manager.fire("t", {"n": 2})
    assert [start.inputs for start in world.runs.started] == [{"n": 1}, {"n": 2}]
    assert result.run_id in {event["run_id"] for event in world.events()}


async def test_a_trigger_that_is_not_active_is_not_fired(world: World) -> None:
    with pytest.raises(ValueError, match="not active"):
        await world.manager.fire("t")


async def test_a_payload_that_nothing_takes_is_refused(world: World) -> None:
    world.active(None)
    with pytest.raises(ValueError, match="nothing takes"):
        await world.manager.fire("t", {"nobody": 1})
    assert world.events() == []


def test_an_unknown_trigger_cannot_be_activated(world: World) -> None:
    with pytest.raises(KeyError):
        world.manager.activate("nobody")


async def test_preview_names_the_next_slots(world: World) -> None:
    world.active("0 * * * *")
    assert [slot.at for slot in world.manager.preview("t", 2)] == [T0 + 60 * MINUTE, T0 + 120 * MINUTE]


async def test_a_moment_without_a_time_zone_is_refused_by_its_name(world: World) -> None:
    world.active("0 * * * *")
    naive = T0.replace(tzinfo=None)
    with pytest.raises(InvalidArgument, match=r"^begin 2026-03-02 12:00:00 has no time zone: add tzinfo=UTC"):
        world.manager.backfill("t", naive, T0)
    with pytest.raises(InvalidArgument, match=r"^end 2026-03-02 12:00:00 has no time zone"):
        world.manager.backfill("t", T0, naive)
    with pytest.raises(InvalidArgument, match=r"^now 2026-03-02 12:00:00 has no time zone"):
        await world.manager.tick(naive)
    with pytest.raises(InvalidArgument, match=r"^since 2026-03-02 12:00:00 has no time zone"):
        world.store.get_events("t", since=naive)
    said: Any = "2026-03-02"
    with pytest.raises(InvalidArgument, match=r"^since is '2026-03-02': an aware datetime would be right"):
        world.store.get_events("t", since=said)


async def test_a_backfill_fires_what_has_not_fired_one_after_the_other(world: World) -> None:
    world.active("0 * * * *")
    world.clock.forward(60 * MINUTE)
    await world.manager.tick()
    slots = world.manager.backfill("t", T0 - 120 * MINUTE, T0 + 60 * MINUTE)
    assert slots == [T0 - 120 * MINUTE, T0 - 60 * MINUTE, T0]
    await world.manager.tick()
    assert world.runs.slots == [T0 + 60 * MINUTE, *slots]
    assert world.manager.backfill("t", T0 - 120 * MINUTE, T0 + 60 * MINUTE) == []


async def test_start_fires_and_wakes_for_what_is_activated_later(world: World) -> None:
    fired = asyncio.Event()

    async def note(start: Start) -> Ended:
        fired.set()
        return Ended(start.run_id)

    world.runs.end = note
    async with started(world) as manager:
        world.namespace.register_trigger("s", "a:dag", "poll", "* * * * * *")
        manager.activate("s")
        await asyncio.wait_for(fired.wait(), 10)
    (event,) = manager.store.get_events("s", limit=1)
    assert event["lateness"] < 1


async def test_stop_right_after_start_is_harmless(world: World) -> None:
    manager = started(world)
    manager.start()
    manager.start()
    manager.stop()
    manager.stop()
    manager.start()
    await manager.aclose()


def test_stop_right_after_start_is_harmless_in_a_thread_too(world: World) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "compose-triggers"]

    manager = started(world)
    for _ in range(3):
        manager.start()
        manager.stop()
    with manager:
        assert threads()
    asyncio.run(manager.aclose())
    assert not threads()


def test_without_a_loop_it_runs_in_a_thread(world: World) -> None:
    fired = threading.Event()

    async def note(start: Start) -> Ended:
        fired.set()
        return Ended(start.run_id)

    world.runs.end = note
    world.namespace.register_trigger("s", "a:dag", "poll", "* * * * * *")
    with started(world) as manager:
        manager.activate("s")
        assert fired.wait(10)


async def test_a_run_that_outlives_its_drain_is_given_back(world: World) -> None:
    begun = asyncio.Event()

    async def hang(start: Start) -> Ended:
        begun.set()
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = hang
    manager = started(world)
    world.namespace.register_trigger("s", "a:dag", "poll", "* * * * * *")
    manager.activate("s")
    manager.start()
    await asyncio.wait_for(begun.wait(), 10)
    await manager.aclose(drain=0.01)
    (event,) = manager.store.get_events("s", status="running")
    row = manager.store.file.read(
        lambda tx: tx.fetchrow("SELECT owner, lease_until FROM trigger_events WHERE event_id = ?", event["event_id"])
    )
    assert row is not None
    assert row[0] is None
    assert row[1] <= system_clock().timestamp()


async def test_a_second_process_s_edit_is_noticed_by_a_running_scheduler(world: World) -> None:
    fired = asyncio.Event()

    async def note(start: Start) -> Ended:
        fired.set()
        return Ended(start.run_id)

    world.runs.end = note
    manager = started(world)
    world.namespace.register_trigger("s", "a:dag", "poll", "0 0 1 1 *")
    manager.activate("s")
    async with manager:
        edit = (
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]);"
            "c.execute('UPDATE trigger_activations SET config_json = ?', (sys.argv[2],)); c.commit()"
        )
        config = json.dumps({"schedule": "* * * * * *"})
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", edit, str(world.path), config], check=True)
        await asyncio.wait_for(fired.wait(), 10)


async def test_a_tick_at_a_moment_needs_no_clock(world: World) -> None:
    world.active("0 * * * *")
    assert await world.manager.tick(T0 + timedelta(hours=1)) == 1
    assert world.runs.slots == [T0 + timedelta(hours=1)]
