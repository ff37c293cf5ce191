"""Backfills on both databases: each slot once, so many runs at a time, across pauses, ends and deaths."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from wingbeat.core.action import TERMINAL
from wingbeat.core.backfill import BackfillState, Wanted
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, Scope
from wingbeat.core.listing import Filter, Function, ListQuery
from wingbeat.core.policy import Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import parse
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound
from wingbeat.loops.backfiller import Backfiller
from wingbeat.operations import backfills, ending, firing, projects, triggers
from wingbeat.operations.backfills import Shown
from wingbeat.operations.firing import Firer
from wingbeat.store import fire_lists, runs
from wingbeat.store import triggers as stored
from wingbeat.store.database import Body, Database, Transaction, open_database
from wingbeat.store.fire_lists import Wanted as WantedFires
from wingbeat.store.fires import FireKind, Outcome
from wingbeat.telemetry import Metrics

T = TypeVar("T")

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TICK = trigger().name
FIRER = Firer(DEFAULTS, DOMAINS)
HOURLY = parse("0 * * * *")


@pytest.fixture(autouse=True)
async def deployed(database: Database) -> None:
    await deploy_task(database, triggers=[trigger(schedule=HOURLY)])


def last_hours(hours: int, *, again: bool = False, max_running: int = 2) -> Wanted:
    return Wanted(T0 - hours * HOUR, T0, again=again, max_running=max_running)


async def start(database: Database, wanted: Wanted, backfill_id: str = "b1") -> None:
    await database.write(
        lambda tx: backfills.start(tx, TICK, wanted, backfill_id=backfill_id, by="ann", domains=DOMAINS)
    )


async def tick(database: Database, metrics: Metrics | None = None) -> None:
    await Backfiller(database, FIRER, metrics or Metrics()).tick()


class Untouched:
    """A database that must not be written."""

    def __init__(self, database: Database) -> None:
        self.changes, self.shared, self.read, self.close = (
            database.changes,
            database.shared,
            database.read,
            database.close,
        )

    async def write(self, body: Body[T]) -> T:
        raise AssertionError("no reason to write")


async def get(database: Database, backfill_id: str = "b1") -> Shown:
    return await database.read(lambda tx: backfills.get(tx, backfill_id))


async def change(database: Database, state: BackfillState) -> Shown:
    return await database.write(lambda tx: backfills.change(tx, "b1", state, domains=DOMAINS))


async def fired(database: Database, kind: FireKind = FireKind.BACKFILL) -> list[float]:
    """Hours before now of the slots that fired, in their order."""

    async def body(tx: Transaction) -> list[float]:
        found = await stored.find(tx, TICK, deleted=True)
        assert found is not None
        wanted = WantedFires(kinds=[kind], outcomes=[Outcome.FIRED])
        rows = (await fire_lists.page(tx, found.id, wanted, limit=200)).items
        return sorted((row.fire.first_slot - T0) / HOUR for row in rows if row.fire.first_slot)

    return await database.read(body)


async def end_runs(database: Database) -> int:
    """Everything that works is over; how many those were."""

    async def body(tx: Transaction) -> int:
        phases = [str(phase.value) for phase in TERMINAL]
        query = ListQuery(limit=200, filters=(Filter("phase", Function.VALUE_NOT_IN, tuple(phases)),))
        page = await runs.list_page(tx, query, within=Scope(TASK.project, TASK.domain))
        for each in page.items:
            await ending.abort(tx, ActionId(each.root.id.run, ROOT_ACTION), "over")
        return len(page.items)

    return await database.write(body)


async def test_it_starts_so_many_runs_at_a_time_oldest_first_until_all_are_over(database: Database) -> None:
    await start(database, last_hours(5))
    await tick(database)
    await tick(database)
    assert await fired(database) == [-5, -4]
    assert (await get(database)).running == 2
    assert await end_runs(database) == 2
    await tick(database)
    assert await fired(database) == [-5, -4, -3, -2]
    await end_runs(database)
    await tick(database)
    assert (await get(database)).backfill.state is BackfillState.RUNNING
    await end_runs(database)
    await tick(database)
    done = (await get(database)).backfill
    assert (done.state, done.started, done.slots, done.left_out, done.ended_at) == (BackfillState.DONE, 5, 5, 0, T0)
    assert await fired(database) == [-5, -4, -3, -2, -1]


async def test_a_run_is_told_the_slot_that_it_is_for(database: Database) -> None:
    await start(database, last_hours(1))
    await tick(database)
    found = await database.read(lambda tx: stored.find(tx, TICK))
    assert found is not None
    page = await database.read(lambda tx: fire_lists.page(tx, found.id, WantedFires(), limit=9))
    (row,) = page.items
    assert row.run is not None
    run = await database.read(lambda tx: runs.find(tx, row.run or RunId("", "", "")))
    assert run is not None
    assert (run.slot, run.start_time, run.trigger and run.trigger.name) == (T0 - HOUR, T0 - HOUR, TICK)
    assert (run.created_by_subject, row.fire.key) == ("ann", f"b1:{row.fire.key[3:]}")


async def test_what_has_fired_is_left_out_unless_it_is_wanted_again(database: Database, clock: FakeClock) -> None:
    clock.forward(HOUR)
    await database.write(lambda tx: firing.fire_due(tx, FIRER, limit=10))
    assert await fired(database, FireKind.SCHEDULE) == [1]
    clock.forward(MINUTE)
    wanted = Wanted(T0 - HOUR, clock.now, again=False, max_running=9)
    plan = await database.read(lambda tx: backfills.plan(tx, TICK, wanted, domains=DOMAINS))
    assert ([slot.at for slot in plan.slots], plan.left_out) == ([T0 - HOUR, T0], 1)
    await start(database, wanted)
    await tick(database)
    assert await fired(database) == [-1, 0]
    await start(database, wanted, "b2")
    await tick(database)
    second = (await get(database, "b2")).backfill
    assert (second.state, second.started, second.left_out) == (BackfillState.DONE, 0, 3)
    await start(database, replace(wanted, again=True), "b3")
    await tick(database)
    assert await fired(database) == [-1, -1, 0, 0, 1]


async def test_what_the_scheduler_is_about_to_fire_is_its_own(database: Database, clock: FakeClock) -> None:
    clock.forward(3 * HOUR)
    wanted = Wanted(T0 - HOUR, clock.now, again=True, max_running=9)
    assert (await database.read(lambda tx: backfills.plan(tx, TICK, wanted, domains=DOMAINS))).left_out == 2
    await start(database, wanted)
    await tick(database)
    await database.write(lambda tx: firing.fire_due(tx, FIRER, limit=10))
    await database.write(lambda tx: firing.fire_backlogs(tx, FIRER, limit=10))
    assert await fired(database) == [-1, 0]
    assert await fired(database, FireKind.SCHEDULE) == [1, 2, 3]


async def test_the_time_of_a_pause_can_be_filled(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: triggers.set_active(tx, [TICK], False, by=""))
    clock.forward(3 * HOUR)
    await start(database, Wanted(T0, clock.now, again=False, max_running=9))
    await tick(database)
    assert await fired(database) == [0, 1, 2]


async def test_a_pause_starts_nothing_and_a_cancellation_never_again(database: Database) -> None:
    await start(database, last_hours(5, max_running=1))
    await tick(database)
    paused = await change(database, BackfillState.PAUSED)
    assert (paused.backfill.state, paused.running) == (BackfillState.PAUSED, 1)
    await end_runs(database)
    await tick(database)
    assert await fired(database) == [-5]
    assert (await get(database)).running == 0
    await change(database, BackfillState.RUNNING)
    await tick(database)
    assert await fired(database) == [-5, -4]
    cancelled = await change(database, BackfillState.CANCELLED)
    assert (cancelled.backfill.ended_at, cancelled.running) == (T0, 1)
    assert await change(database, BackfillState.CANCELLED) == cancelled
    await end_runs(database)
    await tick(database)
    assert await fired(database) == [-5, -4]
    with pytest.raises(FailedPrecondition, match="'b1' is cancelled"):
        await change(database, BackfillState.RUNNING)


@pytest.mark.parametrize("hours", [pytest.param(5, id="as many run as may"), pytest.param(2, id="the last ones run")])
async def test_a_wake_up_that_frees_nothing_writes_nothing(database: Database, hours: int) -> None:
    await tick(Untouched(database))
    await start(database, last_hours(hours))
    await tick(database)
    await tick(Untouched(database))
    await end_runs(database)
    with pytest.raises(AssertionError, match="no reason to write"):
        await tick(Untouched(database))


async def test_its_slots_are_counted_among_the_fires(database: Database) -> None:
    metrics = Metrics()
    await start(database, last_hours(3))
    await tick(database, metrics)
    archived = Project(TASK.project, TASK.project, "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, archived))
    await end_runs(database)
    await tick(database, metrics)
    read = metrics.registry.get_sample_value
    assert read("wingbeat_fires_total", {"outcome": "fired", "cause": ""}) == 2
    assert read("wingbeat_fires_total", {"outcome": "missed", "cause": "closed"}) == 1


async def test_a_process_that_dies_leaves_nothing_half_done(database: Database) -> None:
    await start(database, last_hours(3))

    async def die(tx: Transaction) -> None:
        found = await backfills.get(tx, "b1")
        await backfills.advance(tx, FIRER, "b1", found.backfill.trigger_id)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await database.write(die)
    assert await fired(database) == []
    await tick(database)
    assert await fired(database) == [-3, -2]


async def test_a_new_server_goes_on_where_the_last_one_stopped(database_url: str, clock: FakeClock) -> None:
    first = await open_database(database_url, clock)
    await start(first, last_hours(4))
    await tick(first)
    await first.close()
    second = await open_database(database_url, clock)
    await tick(second)
    assert await fired(second) == [-4, -3]
    await end_runs(second)
    await tick(second)
    assert await fired(second) == [-4, -3, -2, -1]
    await second.close()


async def test_many_servers_at_once_start_each_slot_once(database_url: str, clock: FakeClock) -> None:
    databases = [await open_database(database_url, clock) for _ in range(3)]
    await start(databases[0], last_hours(30, max_running=30))
    await asyncio.gather(*(tick(database) for database in databases for _ in range(2)))
    assert await fired(databases[0]) == list(range(-30, 0))
    for database in databases:
        await database.close()


async def test_it_runs_what_the_trigger_was_when_it_began(database: Database) -> None:
    await start(database, last_hours(2, max_running=1))
    await deploy_task(database, replace(TASK, version="v2"), [trigger(task=replace(TASK, version="v2"))])
    await tick(database)

    async def version(tx: Transaction) -> str:
        page = await runs.list_page(tx, ListQuery(), within=Scope(TASK.project, TASK.domain))
        return page.items[0].root.task.id.version

    assert await database.read(version) == "v1"


async def test_the_deletion_of_the_trigger_ends_it(database: Database) -> None:
    await start(database, last_hours(2))
    await database.write(lambda tx: triggers.delete(tx, [TICK], by=""))
    await tick(database)
    found = (await get(database)).backfill
    assert (found.state, found.reason, found.started) == (BackfillState.CANCELLED, "the trigger was deleted", 0)


async def test_what_can_never_start_is_missed_with_the_reason(database: Database) -> None:
    await start(database, last_hours(3))
    archived = Project(TASK.project, TASK.project, "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, archived))
    await tick(database)
    found = (await get(database)).backfill
    assert (found.state, found.started, found.missed) == (BackfillState.DONE, 0, 3)


async def test_live_slots_do_not_wait_for_it(database: Database, clock: FakeClock) -> None:
    wanted = replace(trigger(schedule=HOURLY), policies=Policies(overlap=Overlap.SKIP))
    await database.write(lambda tx: triggers.deploy(tx, wanted, by="", domains=DOMAINS))
    await start(database, last_hours(5))
    await tick(database)
    for _ in range(2):
        clock.forward(HOUR)
        await database.write(lambda tx: firing.fire_due(tx, FIRER, limit=10))
    assert await fired(database, FireKind.SCHEDULE) == [1]
    assert (await get(database)).running == 2


async def test_many_slots_that_have_fired_are_passed_over_in_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfills, "BATCH", 3)
    await start(database, last_hours(10, max_running=10))
    await tick(database)
    await start(database, last_hours(11, max_running=10), "b2")
    await tick(database)
    again = (await get(database, "b2")).backfill
    assert (again.started, again.left_out) == (1, 10)


REFUSED = {
    "an end before its beginning": (Wanted(T0, T0 - HOUR, again=False, max_running=1), "end is"),
    "what is to come": (Wanted(T0 - HOUR, T0 + HOUR, again=False, max_running=1), "end is .* later than now"),
    "a million slots": (Wanted(T0.replace(year=1970), T0, again=False, max_running=1), "there are 490896 slots"),
    "no slot": (Wanted(T0 - 2 * MINUTE, T0 - MINUTE, again=False, max_running=1), "there is no slot"),
    "times before 1970": (Wanted(datetime.min.replace(tzinfo=T0.tzinfo), T0, again=False, max_running=1), "begin is"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_is_refused_and_nothing_is_written(database: Database, case: tuple[Wanted, str]) -> None:
    wanted, text = case
    with pytest.raises(InvalidArgument, match=text):
        await start(database, wanted)
    with pytest.raises(InvalidArgument, match=text):
        await database.read(lambda tx: backfills.plan(tx, TICK, wanted, domains=DOMAINS))
    with pytest.raises(NotFound, match="there is no backfill 'b1'"):
        await get(database)


async def test_an_archived_project_gets_no_backfill_and_those_that_are_paused_wait_for_it(database: Database) -> None:
    await start(database, last_hours(3))
    await change(database, BackfillState.PAUSED)
    archived = Project(TICK.project, TICK.project, "", b"", ProjectState.ARCHIVED)
    await database.write(lambda tx: projects.update(tx, archived))
    for refused in (
        lambda: start(database, last_hours(2), "b2"),
        lambda: database.read(lambda tx: backfills.plan(tx, TICK, last_hours(2), domains=DOMAINS)),
        lambda: change(database, BackfillState.RUNNING),
    ):
        with pytest.raises(FailedPrecondition, match="'flytesnacks' is archived"):
            await refused()
    assert (await change(database, BackfillState.CANCELLED)).backfill.state is BackfillState.CANCELLED
