from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, deploy_task, trigger
from tests.explained import Explained
from tests.queued_runs import enqueue
from wingbeat.core.policy import CatchUp, Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.loops import surveyor
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.loops.surveyor import EVERY_SECONDS, Surveyor
from wingbeat.operations import firing, projects
from wingbeat.operations.firing import Firer
from wingbeat.store import queue, timetables
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

MINUTE = timedelta(minutes=1)
MANY = 20_000


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"wingbeat_{name}", labels)


def scheduler(database: Database, clock: FakeClock, metrics: Metrics) -> Scheduler:
    pace = Pace(cycle=MINUTE, catch_up=0, rate=0, burst=0)
    return Scheduler(
        database,
        Firer(DEFAULTS, DOMAINS),
        pace=pace,
        steady=lambda: (clock() - T0).total_seconds(),
        metrics=metrics,
    )


async def test_what_is_due_is_overdue_until_somebody_decides(database: Database, clock: FakeClock) -> None:
    metrics = Metrics()
    survey = Surveyor(database, metrics).tick
    await deploy_task(database, triggers=[trigger(), trigger("other"), trigger("inactive", active=False)])
    assert await survey() == EVERY_SECONDS
    assert (value(metrics, "overdue_triggers"), value(metrics, "oldest_undecided_slot_seconds")) == (0, 0)
    clock.forward(1.5 * MINUTE)
    await survey()
    assert (value(metrics, "overdue_triggers"), value(metrics, "oldest_undecided_slot_seconds")) == (2, 30)
    await scheduler(database, clock, metrics).tick()
    await survey()
    assert (value(metrics, "overdue_triggers"), value(metrics, "oldest_undecided_slot_seconds")) == (0, 0)
    assert value(metrics, "queued_actions", lane="") == 2


async def test_a_trigger_that_is_put_off_stays_overdue(database: Database, clock: FakeClock) -> None:
    metrics = Metrics()
    await deploy_task(database, triggers=[trigger()])
    clock.forward(2 * MINUTE)
    await database.write(lambda tx: firing.postpone(tx, 1, "broken"))
    await Surveyor(database, metrics).tick()
    assert value(metrics, "failing_triggers") == 1
    assert (value(metrics, "overdue_triggers"), value(metrics, "oldest_undecided_slot_seconds")) == (1, 60)


async def test_slots_wait_for_the_end_of_a_run(database: Database, clock: FakeClock) -> None:
    metrics = Metrics()
    await deploy_task(database, triggers=[replace(trigger(), policies=Policies(overlap=Overlap.BUFFER_ALL))])
    for _ in range(2):
        clock.forward(MINUTE)
        await scheduler(database, clock, metrics).tick()
    await Surveyor(database, metrics).tick()
    assert (value(metrics, "backlogs", lane="late"), value(metrics, "backlogs", lane="waiting")) == (0, 1)


async def test_slots_that_nobody_fired_in_time_are_late(database: Database, clock: FakeClock) -> None:
    metrics = Metrics()
    await deploy_task(database, triggers=[trigger()])
    clock.forward(10 * MINUTE)
    await database.write(lambda tx: firing.fire_due(tx, Firer(DEFAULTS, DOMAINS), limit=100))
    await Surveyor(database, metrics).tick()
    assert (value(metrics, "backlogs", lane="late"), value(metrics, "backlogs", lane="waiting")) == (1, 0)


async def test_the_lanes_that_are_not_among_the_fullest_are_one(database: Database) -> None:
    metrics, most = Metrics(), surveyor.MOST_LANES

    async def body(tx: Transaction) -> None:
        names = [f"r{number}" for number in range(most + 3)]
        await enqueue(tx, *names)
        await tx.execute("UPDATE queue SET lane = run")
        await tx.execute("UPDATE queue SET lane = 'full' WHERE run IN ('r0', 'r1')")

    await database.write(body)
    await Surveyor(database, metrics).tick()
    assert value(metrics, "queued_actions", lane="full") == 2
    assert value(metrics, "queued_actions", lane=surveyor.OTHER) == 2


async def test_why_slots_came_to_nothing_is_counted(database: Database, clock: FakeClock) -> None:
    metrics = Metrics()
    skips, forgoes = Policies(overlap=Overlap.SKIP), Policies(catch_up=CatchUp.NONE)
    await deploy_task(
        database,
        triggers=[replace(trigger("skips"), policies=skips), replace(trigger("forgoes"), policies=forgoes)],
    )
    tick = scheduler(database, clock, metrics).tick
    clock.forward(MINUTE)
    await tick()
    clock.forward(MINUTE)
    await tick()
    assert value(metrics, "fires_total", outcome="fired", cause="") == 3
    assert value(metrics, "fires_total", outcome="skipped", cause="overlap") == 1
    clock.forward(3 * MINUTE)
    await tick()
    assert value(metrics, "fires_total", outcome="missed", cause="late") == 2
    await database.write(
        lambda tx: projects.update(tx, Project("flytesnacks", "flytesnacks", "", b"", ProjectState.ARCHIVED))
    )
    clock.forward(MINUTE)
    await tick()
    assert value(metrics, "fires_total", outcome="missed", cause="closed") == 1


async def fill(tx: Transaction) -> None:
    """Many triggers, all of them on time."""
    await tx.execute(
        f"""
        INSERT INTO schedule (trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, wake_at,
                              tzdata, watches)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
        SELECT i, 1, 'x', TRUE, 0, 0, 4000000000000000 + i, 4000000000000000 + i, '', FALSE FROM n
        """
    )
    await tx.execute("ANALYZE")


async def test_triggers_that_are_on_time_are_not_read(database: Database, database_url: str) -> None:
    await database.write(fill)

    async def body(tx: Transaction) -> Explained:
        explained = Explained(tx, sqlite=not database_url.startswith("postgres"))
        assert (await timetables.lateness(cast("Any", explained))).overdue == 0
        assert await queue.waiting_by_lane(cast("Any", explained)) == []
        return explained

    assert (await database.read(body)).scanned("schedule") == []
