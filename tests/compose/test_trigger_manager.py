"""Firing by hand, starting and stopping, and looking into the future and the past."""

import asyncio
import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.compose.fired import MINUTE, T0, Ended, World
from wingbeat.clock import system_clock
from wingbeat.compose import trigger_manager
from wingbeat.compose.changes import RunCreated, RunFinished
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.errors import FailedPrecondition, InvalidArgument
from wingbeat.store.compose import events
from wingbeat.store.compose.transaction import Transaction


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


async def test_a_backfill_of_what_a_poll_fn_decides_is_refused(world: World) -> None:
    world.active(poll_fn=lambda: None)
    with pytest.raises(FailedPrecondition, match=r"trigger 't' asks its poll_fn .* fire\(name, payload\)"):
        world.manager.backfill("t", T0 - 3 * MINUTE, T0)
    assert world.events() == []


async def _hanging_fire(manager: TriggerManager, world: World) -> "asyncio.Task[Any]":
    begun = asyncio.Event()

    async def hang(start: Start) -> Ended:
        begun.set()
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = hang
    fire = asyncio.create_task(manager.fire("t"))
    await asyncio.wait_for(begun.wait(), 10)
    return fire


@pytest.mark.parametrize("at_least_once", [False, True])
async def test_a_fire_whose_caller_is_cancelled_is_cancelled_at_once_and_leaves_its_place(
    world: World, at_least_once: bool
) -> None:
    world.active()
    manager = world.another(at_least_once=at_least_once)
    fire = await _hanging_fire(manager, world)
    fire.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fire
    (event,) = world.events()
    assert (event["status"], event["error"]) == ("cancelled", "who fired it has cancelled it")
    world.runs.end = None
    world.clock.forward(MINUTE)
    assert await manager.tick() == 1
    assert world.statuses() == ["cancelled", "completed"]


async def test_a_fire_that_is_cancelled_while_it_is_claimed_leaves_nothing_that_runs(world: World) -> None:
    world.active()
    fire = asyncio.create_task(world.manager.fire("t"))
    await asyncio.sleep(0)
    fire.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fire
    assert set(world.statuses()) <= {"cancelled"}
    assert world.runs.started == []


async def test_a_cancelled_fire_whose_run_has_ended_all_the_same_keeps_that_end(tmp_path: Path) -> None:
    world = World(tmp_path / "triggers.db")
    history = DagProvenance(tmp_path / "dags.db")

    async def hang_after_the_end(start: Start) -> Ended:
        history.record([RunCreated(start.run_id, start.dag_nsref, "{}"), RunFinished(start.run_id, "completed")])
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.active()
    world.runs.end = hang_after_the_end
    manager = world.another(provenance=history)
    fire = asyncio.create_task(manager.fire("t"))
    while not await history.aread(lambda it: it.get_recent_runs()):
        await asyncio.sleep(0)
    fire.cancel()
    await asyncio.wait([fire])
    assert world.statuses() == ["completed"]


def test_it_starts_again_in_another_loop_when_the_first_has_ended_without_stop(world: World) -> None:
    manager = started(world)
    world.namespace.register_trigger("s", "a:dag", "poll", "* * * * * *")
    manager.activate("s")

    async def once() -> None:
        fired = asyncio.Event()

        async def note(start: Start) -> Ended:
            fired.set()
            return Ended(start.run_id)

        world.runs.end = note
        manager.start()
        await asyncio.wait_for(fired.wait(), 10)

    asyncio.run(once())
    asyncio.run(once())
    asyncio.run(manager.aclose())


async def test_what_happened_last_comes_first_also_of_one_moment(world: World) -> None:
    world.active(misfire="all", overlap="allow")
    world.clock.forward(5 * MINUTE)
    await world.manager.tick()
    await world.manager.fire("t", {"by": "hand"})
    moments = [event["scheduled_for"] for event in world.events()]
    assert moments == [None, *((T0 + n * MINUTE).timestamp() for n in (5, 4, 3, 2, 1))]


async def test_events_come_from_their_index(world: World) -> None:
    plans: list[str] = []

    def explain(tx: Transaction) -> None:
        sql: list[str] = []

        def fetch(text: str, *_: object) -> list[object]:
            sql.append(text)
            return []

        spy = SimpleNamespace(fetch=fetch)
        events.of_trigger(cast("Transaction", spy), "t", limit=1, since=None, status=None)
        plans.extend(row[3] for row in tx.fetch(f"EXPLAIN QUERY PLAN {sql[0]}", "t", 0.0, None, None, 1))

    world.store.file.read(explain)
    assert "USING INDEX trigger_events_by_trigger (trigger_name=? AND fired_at>?)" in plans[0]


async def test_a_tick_goes_on_however_many_slots_wait_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_manager, "_LOOKS_IN_VAIN", 2)
    world.active(misfire="all", overlap="queue")
    world.clock.forward(20 * MINUTE)
    assert await world.manager.tick() == 20


async def test_a_tick_says_so_when_something_stays_due(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_manager, "_LOOKS_IN_VAIN", 2)

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(trigger_manager, "_is_due", always)
    with pytest.raises(FailedPrecondition, match="stays due"):
        await world.manager.tick()


async def test_a_slot_that_waits_in_a_queue_begins_when_the_run_before_it_has_ended(world: World) -> None:
    all_ran = asyncio.Event()

    async def note(start: Start) -> Ended:
        if len(world.runs.started) == 3:
            all_ran.set()
        return Ended(start.run_id)

    world.runs.end = note
    world.active("0 * * * *", misfire="all", overlap="queue")
    world.clock.forward(180 * MINUTE)
    async with world.manager:
        await asyncio.wait_for(all_ran.wait(), 10)


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
