"""One fire per slot, whoever shares the file, and whoever of them dies."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, Ended, World
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.trigger import TriggerStore
from wingbeat.compose.trigger_manager import LEASE

GONE = '["gone", null, null, "x"]'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "triggers.db")


async def test_managers_that_share_a_file_fire_each_slot_once(world: World) -> None:
    world.active()
    managers = [world.another() for _ in range(4)]
    for _ in range(10):
        world.clock.forward(MINUTE)
        await asyncio.gather(*(manager.tick() for manager in managers))
    assert len(world.runs.slots) == len(set(world.runs.slots)) == 10


async def _cut_off(world: World) -> None:
    """A fire that was begun by a process that is gone."""

    async def die(start: Start) -> Ended:
        await asyncio.Event().wait()
        return Ended(start.run_id)

    world.runs.end = die
    world.active()
    world.clock.forward(MINUTE)
    ticking = asyncio.create_task(world.manager.tick())
    async with asyncio.timeout(10):
        while not world.runs.started:
            await asyncio.sleep(0)
    world.store.file.write(
        lambda tx: tx.execute("UPDATE trigger_events SET owner = ?, lease_until = ?", GONE, tx.now.timestamp())
    )
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    world.runs.end = None


async def test_without_records_a_fire_that_was_cut_off_is_lost(world: World) -> None:
    await _cut_off(world)
    await world.another().tick()
    assert world.statuses() == ["lost"]
    assert len(world.runs.started) == 1


async def test_without_records_it_runs_again_where_asked(world: World) -> None:
    await _cut_off(world)
    await world.another(at_least_once=True).tick()
    assert world.statuses() == ["completed"]
    assert len({start.run_id for start in world.runs.started}) == 1


@pytest.mark.parametrize(
    ("status", "resumed", "event"),
    [
        pytest.param("completed", 0, "completed", id="a run that was over only closes its fire"),
        pytest.param("running", 1, "completed", id="a run that was going on is resumed"),
        pytest.param(None, 0, "completed", id="a run that had not begun runs"),
    ],
)
async def test_recovery_looks_at_the_run(
    world: World, tmp_path: Path, status: str | None, resumed: int, event: str
) -> None:
    await _cut_off(world)
    provenance = DagProvenance(tmp_path / "runs.db")
    if status is not None:
        provenance.create_run(world.runs.started[0].run_id, "a:dag", {})
        if status != "running":
            provenance.finish_run(world.runs.started[0].run_id, status)
    before = len(world.runs.started)
    await world.another(provenance=provenance).tick()
    assert world.statuses() == [event]
    assert len(world.runs.resumed) == resumed
    assert len(world.runs.started) - before == (1 if status is None else 0)


async def test_a_run_that_failed_before_it_was_told_is_tried_again_where_asked(world: World, tmp_path: Path) -> None:
    await _cut_off(world)
    world.store.file.write(
        lambda tx: tx.execute("UPDATE trigger_activations SET config_json = json_set(config_json, '$.retries', 1)")
    )
    provenance = DagProvenance(tmp_path / "runs.db")
    provenance.create_run(world.runs.started[0].run_id, "a:dag", {})
    provenance.finish_run(world.runs.started[0].run_id, "failed")
    await world.another(provenance=provenance).tick()
    assert world.statuses() == ["waiting"]
    world.clock.forward(MINUTE / 2)
    await world.another(provenance=provenance).tick()
    assert world.statuses() == ["completed"]


async def _after_a_cut_of_power(folder: Path, provenance: DagProvenance) -> tuple[World, str]:
    """The file of the triggers is older than that of the runs, which knows one that has begun."""
    before, after = World(folder / "before.db"), folder / "after.db"
    before.active()
    with closing(sqlite3.connect(before.path)) as kept, closing(sqlite3.connect(after)) as cut:
        kept.backup(cut)
    before.clock.forward(MINUTE)
    await before.manager.tick()
    run_id = before.runs.started[0].run_id
    provenance.create_run(run_id, "a:dag", {})
    world = World(after, before.clock)
    world.clock.forward(timedelta(seconds=1))
    return world, run_id


async def test_a_slot_whose_claim_a_cut_of_power_took_does_not_run_twice(tmp_path: Path) -> None:
    provenance = DagProvenance(tmp_path / "runs.db")
    world, run_id = await _after_a_cut_of_power(tmp_path, provenance)
    provenance.finish_run(run_id, "completed")
    await world.another(provenance=provenance).tick()
    assert world.statuses() == ["completed"]
    assert world.runs.started == world.runs.resumed == []


async def test_a_run_that_a_cut_of_power_stopped_goes_on_when_its_owner_must_be_gone(tmp_path: Path) -> None:
    provenance = DagProvenance(tmp_path / "runs.db")
    world, _ = await _after_a_cut_of_power(tmp_path, provenance)
    manager = world.another(provenance=provenance)
    await manager.tick()
    assert world.statuses() == ["running"]
    assert world.runs.started == world.runs.resumed == []
    world.clock.forward(LEASE)
    await manager.tick()
    assert world.statuses()[0] == "completed"
    assert len(world.runs.resumed) == 1


def test_a_clock_that_jumps_takes_no_fire_from_a_process_that_is_alive(world: World) -> None:
    mine, other = Claimant(timedelta(seconds=30)), Claimant(timedelta(seconds=30))
    assert not mine.may_take("event", other.owner, world.clock())
    assert mine.may_take("event", GONE, world.clock())


@pytest.fixture
def firing(tmp_path: Path) -> Generator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_two_processes_of_which_one_is_killed_lose_and_double_no_slot(
    tmp_path: Path, firing: list[subprocess.Popen[str]]
) -> None:
    def another() -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.compose.firing_process", str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        firing.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"

    another()
    another()
    store = TriggerStore(tmp_path / "triggers.db")
    _until(lambda: len(store.get_events("t")) >= 2)
    _until(lambda: bool(store.get_events("t", status="running")))
    firing[0].kill()
    _until(lambda: not store.get_events("t", status="running"))
    begun = len(store.get_events("t"))
    _until(lambda: len(store.get_events("t", status="completed")) >= begun + 1)
    firing[1].kill()
    slots = Counter(event["scheduled_for"] for event in store.get_events("t"))
    assert set(slots.values()) == {1}
    first, last = min(slots), max(slots)
    assert len(slots) == last - first + 1, "no second is missing"
    run_ids = {event["run_id"] for event in store.get_events("t", status="completed")}
    noted = [line.split()[-2] for line in (tmp_path / "ledger.txt").read_text().splitlines()]
    assert run_ids <= set(noted)


def _until(true: object, *, seconds: float = 20) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
