import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from tests.ledger import newest_entries
from wingbeat.core.action import Success
from wingbeat.core.ids import RunId, fire_name
from wingbeat.core.policy import Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import Every, parse
from wingbeat.errors import Unavailable
from wingbeat.loops import scheduler as loop
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations import actions, firing, projects, triggers
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.operations.firing import Firer, Round
from wingbeat.store import firings, nodes, runs, timetables
from wingbeat.store import triggers as stored
from wingbeat.store.database import Body, Database, Transaction, open_database
from wingbeat.store.nodes import Node
from wingbeat.telemetry import Metrics

T = TypeVar("T")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
ONE_A_SECOND = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=1, burst=1)
TICK = trigger().name


def scheduler(database: Database, clock: FakeClock, pace: Pace = UNLIMITED, *, node: str | None = None) -> Scheduler:
    return Scheduler(
        database,
        Firer(DEFAULTS, DOMAINS),
        pace=pace,
        steady=lambda: (clock() - T0).total_seconds(),
        metrics=Metrics(),
        node=node,
    )


async def trigger_id(database: Database, name: str = "tick") -> int:
    found = await database.read(lambda tx: stored.find(tx, replace(TICK, name=name)))
    assert found is not None
    return found.id


async def slots(database: Database, outcome: str = "fired", name: str = "tick") -> list[float]:
    """Minutes since T0 of the slots of a trigger with this outcome, in order."""
    found = await trigger_id(database, name)
    rows = await database.read(lambda tx: newest_entries(tx, found, limit=10_000))
    return sorted((fire.first_slot - T0) / MINUTE for _, fire in rows if fire.outcome == outcome and fire.first_slot)


async def run_count(database: Database) -> int:
    async def body(tx: Transaction) -> int:
        rows = await tx.fetch("SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM queue) AS queued")
        assert rows[0]["runs"] == rows[0]["queued"]
        return rows[0]["runs"]

    return await database.read(body)


async def end_runs(database: Database) -> None:
    """All that wait in the queue are claimed by a node and succeed."""

    async def body(tx: Transaction) -> None:
        for claim in await actions.claim(tx, "n1", 1000):
            await actions.finished(tx, claim.id, claim.token, Success(), retries=NO_RETRIES, chance=0.5)

    await database.write(body)


async def test_a_slot_starts_one_run_however_often_the_loop_ticks(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    tick = scheduler(database, clock).tick
    assert await tick() == 60
    assert await run_count(database) == 0
    clock.forward(MINUTE)
    assert await tick() == 60
    assert await tick() == 60
    assert await slots(database) == [1]
    assert await run_count(database) == 1


async def test_a_node_shows_when_its_scheduler_last_came_to_an_end(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: nodes.register(tx, Node("n1", "host", private_blobs=False), HOUR))
    ours = scheduler(database, clock, node="n1")

    async def shown() -> datetime | None:
        await ours.tick()
        (only,) = await database.read(lambda tx: nodes.others(tx, ""))
        return only.scheduled_at

    assert await shown() == T0
    clock.forward(SECOND)
    assert await shown() == T0, "it is not written at every round"
    clock.forward(MINUTE)
    assert await shown() == T0 + SECOND + MINUTE


async def test_the_run_knows_its_trigger_slot_and_start_time(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(MINUTE + 5 * SECOND)
    await scheduler(database, clock).tick()
    slot = T0 + MINUTE
    run = await database.read(lambda tx: runs.find(tx, RunId(TASK.project, TASK.domain, fire_name(TICK, slot))))
    assert run is not None
    assert (run.slot, run.start_time, run.source) == (slot, slot, "RUN_SOURCE_SCHEDULE_TRIGGER")
    assert run.trigger is not None
    assert (run.trigger.name, run.trigger.revision) == (TICK, 1)
    found = await database.read(lambda tx: stored.find(tx, TICK))
    assert found is not None
    assert found.triggered_at == clock()


async def test_a_name_that_a_users_run_has_taken_gives_way(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(), trigger("other", None)])
    other = await database.read(lambda tx: stored.find(tx, replace(TICK, name="other")))
    clock.forward(MINUTE)
    await scheduler(database, clock).tick()
    planned = await database.read(
        lambda tx: runs.find(tx, RunId(TASK.project, TASK.domain, fire_name(TICK, T0 + MINUTE)))
    )
    assert planned is not None
    assert other is not None
    # A user's run takes the name of the next slot.
    squatter = replace(
        planned, id=RunId(TASK.project, TASK.domain, fire_name(TICK, T0 + 2 * MINUTE)), trigger=None, slot=None
    )
    await database.write(lambda tx: runs.insert(tx, [squatter]))
    clock.forward(MINUTE)
    await scheduler(database, clock).tick()
    salted = RunId(TASK.project, TASK.domain, fire_name(TICK, T0 + 2 * MINUTE, 1))
    assert await database.read(lambda tx: runs.find(tx, salted)) is not None
    assert await slots(database) == [1, 2]


async def test_many_schedulers_at_once_start_each_slot_once(database_url: str, clock: FakeClock) -> None:
    databases = [await open_database(database_url, clock) for _ in range(3)]
    names = [f"t{number:02}" for number in range(40)]
    await deploy_task(databases[0], triggers=[trigger(name) for name in names])
    for _ in range(3):
        clock.forward(MINUTE)
        await asyncio.gather(*(scheduler(database, clock).tick() for database in databases for _ in range(2)))
    assert await run_count(databases[0]) == 120
    for name in names[::10]:
        assert await slots(databases[0], name=name) == [1, 2, 3]
    for database in databases:
        await database.close()


async def test_downtime_is_caught_up_and_the_live_slot_does_not_wait(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(30 * MINUTE)
    paced = scheduler(database, clock, replace(UNLIMITED, catch_up=10))
    await paced.tick()
    assert await slots(database) == [*range(1, 11), 30]
    clock.forward(15 * SECOND)
    await paced.tick()
    assert await slots(database) == [*range(1, 11), 30]
    clock.forward(15 * SECOND)
    await paced.tick()
    assert await slots(database) == [*range(1, 21), 30]
    clock.forward(30 * SECOND)
    await paced.tick()
    assert await slots(database) == list(range(1, 32))
    assert await run_count(database) == 31


async def test_catching_up_takes_turns_over_the_triggers(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger("often"), trigger("seldom", parse("*/30 * * * *"))])
    clock.forward(24 * 60 * MINUTE + 30 * SECOND)
    await scheduler(database, clock, replace(UNLIMITED, catch_up=20)).tick()
    assert len(await slots(database, name="often")) == 1 + 10
    assert len(await slots(database, name="seldom")) == 1 + 10


async def test_the_rate_bounds_how_many_runs_start_and_loses_none(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(f"t{number}") for number in range(10)])
    paced = scheduler(database, clock, Pace(cycle=timedelta(seconds=30), catch_up=0, rate=2, burst=4))
    clock.forward(MINUTE)
    counts: list[int] = []
    for _ in range(4):
        await paced.tick()
        counts.append(await run_count(database))
        clock.forward(SECOND)
    assert counts == [4, 6, 8, 10]


async def test_a_slot_under_a_second_apart_from_now_on_is_fired_in_order(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(schedule=Every(SECOND))])
    clock.forward(5 * SECOND)
    paced = scheduler(database, clock, Pace(cycle=timedelta(seconds=30), catch_up=0, rate=1, burst=2))
    await paced.tick()
    assert [round(slot * 60) for slot in await slots(database)] == [1, 2]
    for _ in range(10):
        clock.forward(SECOND / 2)
        await paced.tick()
    fired = [round(slot * 60) for slot in await slots(database)]
    assert fired == list(range(1, len(fired) + 1))
    assert len(fired) == 7


async def test_what_can_never_start_is_missed_with_the_reason(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    archived = Project(TASK.project, TASK.project, "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, archived))
    clock.forward(MINUTE)
    await scheduler(database, clock).tick()
    assert await slots(database) == []
    assert await slots(database, "missed") == [1]
    found = await trigger_id(database)
    ((_, fire),) = await database.read(lambda tx: newest_entries(tx, found, limit=9))
    assert "archived" in fire.reason


async def test_slots_that_can_never_start_hold_up_no_others(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger("a"), trigger("b")])
    archived = Project(TASK.project, TASK.project, "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, archived))
    clock.forward(MINUTE)
    await scheduler(database, clock, ONE_A_SECOND).tick()
    assert await slots(database, "missed", name="a") == await slots(database, "missed", name="b") == [1]


async def test_more_live_slots_than_a_batch_holds_start_in_one_go(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(f"t{number}", Every(SECOND)) for number in range(10)])
    clock.forward(59 * SECOND)
    await scheduler(database, clock).tick()
    assert await run_count(database) == 590


async def test_a_batch_that_fails_beside_others_is_fired_in_the_next_round(
    postgresql_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BATCH", 2)
    database = await open_database(postgresql_url, clock)
    names = [f"t{number}" for number in range(9)]
    await deploy_task(database, triggers=[trigger(name) for name in names])
    clock.forward(MINUTE)
    write, calls = database.write, count(1)

    async def fail_once(body: Body[T]) -> T:
        if next(calls) == 5:
            raise Unavailable("the database is busy: try again")
        return await write(body)

    monkeypatch.setattr(database, "write", fail_once)
    ours = scheduler(database, clock)
    with pytest.raises(Unavailable):
        await ours.tick()
    assert 2 < await run_count(database) <= 9
    await ours.tick()
    assert [await slots(database, name=name) for name in names] == 9 * [[1]]
    await database.close()


async def test_late_slots_up_to_the_very_moment_of_a_redeploy_are_caught_up(
    database: Database, clock: FakeClock
) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(3 * MINUTE)
    await deploy_task(database, triggers=[trigger()])
    await scheduler(database, clock, replace(UNLIMITED, catch_up=3)).tick()
    assert await slots(database) == [1, 2, 3]
    assert await database.read(lambda tx: firings.late_ids(tx, 9)) == []


class Poison:
    """Planning a run of a trigger is a bug while its id is in here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: set[int] = set()
        self._plan = firing.planning.plan
        monkeypatch.setattr(firing.planning, "plan", self._faulty)

    def _faulty(self, order: firing.RunOrder, **rest: Any) -> Any:
        if order.trigger and order.trigger.id in self.ids:
            raise ZeroDivisionError("a bug")
        return self._plan(order, **rest)


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    return Poison(monkeypatch)


async def test_a_bad_trigger_costs_the_others_no_round_though_one_run_may_start_and_a_third_is_late(
    database: Database, clock: FakeClock, poison: Poison
) -> None:
    await deploy_task(database, triggers=[trigger("late", Every(SECOND)), trigger("bad"), trigger("good")])
    poison.ids.add(await trigger_id(database, "bad"))
    clock.forward(5 * SECOND)
    await deploy_task(database, triggers=[trigger("late", None), trigger("bad"), trigger("good")])
    clock.forward(55 * SECOND)
    await scheduler(database, clock, ONE_A_SECOND).tick()
    assert await slots(database, name="good") == [1]


async def test_a_bad_trigger_costs_the_others_none_of_their_slots(
    database: Database, clock: FakeClock, poison: Poison
) -> None:
    await deploy_task(database, triggers=[trigger("bad", Every(SECOND)), trigger("good", Every(SECOND))])
    poison.ids.add(await trigger_id(database, "bad"))
    clock.forward(5 * SECOND)
    await scheduler(database, clock).tick()
    assert len(await slots(database, name="good")) == 5


async def test_one_bad_trigger_is_put_off_visibly_and_the_others_fire(
    database: Database, clock: FakeClock, poison: Poison
) -> None:
    await deploy_task(database, triggers=[trigger("good"), trigger("bad"), trigger("fine")])
    bad = await trigger_id(database, "bad")
    poison.ids.add(bad)
    clock.forward(MINUTE)
    paced = scheduler(database, clock)
    await paced.tick()
    assert await slots(database, name="good") == [1]
    assert await slots(database, name="fine") == [1]
    shown = (await database.read(lambda tx: timetables.find_many(tx, [bad])))[bad]
    assert (shown.firing.failures, shown.error) == (1, "ZeroDivisionError: a bug")
    poison.ids.clear()
    clock.forward(SECOND)
    await paced.tick()
    assert await slots(database, name="bad") == [1]
    shown = (await database.read(lambda tx: timetables.find_many(tx, [bad])))[bad]
    assert (shown.firing.failures, shown.error) == (0, "")


async def test_a_scheduler_that_dies_before_its_commit_has_done_nothing(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(MINUTE)

    async def die(tx: Transaction) -> Round:
        await firing.fire_due(tx, Firer(DEFAULTS, DOMAINS), limit=10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await database.write(die)
    assert await run_count(database) == 0
    await scheduler(database, clock).tick()
    assert await slots(database) == [1]


async def test_a_redeploy_owes_the_old_slots_to_the_old_revision(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(2 * MINUTE)
    second = replace(TASK, version="v2")
    await deploy_task(database, second, [trigger(task=second)])
    await scheduler(database, clock).tick()
    assert await slots(database) == [1, 2]
    run = await database.read(lambda tx: runs.find(tx, RunId(TASK.project, TASK.domain, fire_name(TICK, T0 + MINUTE))))
    assert run is not None
    assert run.task.id.version == "v1"


async def test_nothing_fires_after_a_pause_or_a_deletion_not_even_what_was_late(
    database: Database, clock: FakeClock
) -> None:
    await deploy_task(database, triggers=[trigger(), trigger("gone")])
    clock.forward(10 * MINUTE)
    await scheduler(database, clock, replace(UNLIMITED, rate=1, burst=2)).tick()
    fired = await run_count(database)
    await database.write(lambda tx: triggers.set_active(tx, [TICK], False, by=""))
    await database.write(lambda tx: triggers.delete(tx, [replace(TICK, name="gone")], by=""))
    clock.forward(10 * MINUTE)
    await scheduler(database, clock).tick()
    assert await run_count(database) == fired
    found = await trigger_id(database)
    rows = await database.read(lambda tx: newest_entries(tx, found, limit=100))
    assert sum(fire.count for _, fire in rows) == 10
    assert "deactivated before it could fire" in {fire.reason for _, fire in rows}


async def test_a_clock_that_steps_back_fires_no_slot_twice(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    paced = scheduler(database, clock)
    for step in (MINUTE, MINUTE, -2 * MINUTE, MINUTE, MINUTE, MINUTE):
        clock.forward(step)
        await paced.tick()
    assert await slots(database) == [1, 2, 3]


async def test_slots_that_wait_for_a_run_do_not_fire_before_their_time_though_the_clock_stepped_back(
    database: Database, clock: FakeClock
) -> None:
    in_line = Policies(overlap=Overlap.BUFFER_ALL)
    await deploy_task(database, triggers=[replace(trigger(), policies=in_line)])
    paced = scheduler(database, clock)
    for step in (MINUTE, MINUTE):
        clock.forward(step)
        await paced.tick()
    clock.forward(-30 * SECOND)
    await end_runs(database)
    await paced.tick()
    assert await slots(database) == [1]
    clock.forward(MINUTE)
    await end_runs(database)
    await paced.tick()
    assert await slots(database) == [1, 2]


async def test_next_fires_are_recomputed_when_the_zones_change(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])

    async def older(tx: Transaction) -> None:
        await tx.execute("UPDATE schedule SET tzdata = 'old', next_fire_at = next_fire_at + 1, wake_at = wake_at + 1")

    await database.write(older)
    assert await scheduler(database, clock).tick() == 60


async def test_two_thousand_triggers_of_one_second_start_in_one_go(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(f"t{number}") for number in range(2000)])
    clock.forward(MINUTE)
    await scheduler(database, clock).tick()
    assert await run_count(database) == 2000
