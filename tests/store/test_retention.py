from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DOMAINS, deploy_task, trigger
from tests.explained import Explained
from tests.ledger import newest_entries
from tests.queued_runs import enqueue, root_of
from wingbeat.core.trigger import Trigger
from wingbeat.operations import triggers
from wingbeat.store import events, fires, retention, trigger_lists
from wingbeat.store import triggers as stored
from wingbeat.store.database import Database, Transaction, from_micros, to_micros
from wingbeat.store.retention import Remove

DAY = timedelta(days=1)
MANY = 20_000
STEP = MANY // 1000
"""As a step of a thousand rows to a million, so that the plans are those of a million."""


async def pass_over(database: Database, remove: Remove, before: datetime, *, limit: int = 2) -> int:
    """Step after step until nothing is left; how many rows went."""
    removed, after = 0, 0
    while True:
        step = await database.write(partial(_step, remove, before, after, limit))
        assert step.removed <= limit
        removed += step.removed
        if step.reached is None:
            return removed
        after = step.reached


async def _step(remove: Remove, before: datetime, after: int, limit: int, tx: Transaction) -> retention.Step:
    return await remove(tx, before=before, after=after, limit=limit)


async def record(database: Database, *names: str) -> None:
    """Entries of the ledger that are decided now, one for each trigger of these names."""

    async def body(tx: Transaction) -> None:
        for name in names:
            found = await find(tx, name)
            await fires.insert(tx, [fires.missed(found.id, 1, tx.now, tx.now, 1, "tests")])

    await database.write(body)


async def find(tx: Transaction, name: str) -> Trigger:
    found = await stored.find(tx, replace(trigger().name, name=name), deleted=True)
    assert found
    return found


async def entries(database: Database, name: str = "tick") -> list[datetime]:
    async def body(tx: Transaction) -> list[datetime]:
        return [at for at, _ in await newest_entries(tx, (await find(tx, name)).id, limit=100)]

    return await database.read(body)


async def backfill(tx: Transaction, name: str, state: str, *, revision: int = 1) -> None:
    ended = to_micros(tx.now) if state in ("done", "cancelled") else None
    await tx.execute(
        f"""
        INSERT INTO backfill (id, trigger_id, revision, schedule, anchor, first, last, after, again, max_running, state,
                              reason, slots, started, left_out, missed, created_by, created_at, ended_at)
        VALUES ('{state}', $1, $2, '', 0, 0, 1, 0, FALSE, 1, '{state}', '', 1, 0, 0, 0, '', 0, $3)
        """,
        (await find(tx, name)).id,
        revision,
        ended,
    )


async def test_the_ledger_keeps_what_is_young_enough(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    for _ in range(7):
        await record(database, "tick")
        clock.forward(DAY)
    assert await pass_over(database, retention.ledger, T0 + 5 * DAY) == 5
    assert await entries(database) == [T0 + 6 * DAY, T0 + 5 * DAY]
    assert await pass_over(database, retention.ledger, T0 + 5 * DAY) == 0


async def test_decisions_of_one_moment_go_step_by_step(database: Database, clock: FakeClock) -> None:
    names = [f"tick{number}" for number in range(5)]
    await deploy_task(database, triggers=[trigger(name) for name in names])
    await record(database, *names)
    assert await pass_over(database, retention.ledger, T0 + DAY) == 5


@pytest.mark.parametrize(("state", "kept"), [("running", 1), ("paused", 1), ("done", 0), ("cancelled", 0)])
async def test_the_ledger_of_a_trigger_with_a_backfill_stays_until_that_is_over(
    database: Database, clock: FakeClock, state: str, kept: int
) -> None:
    await deploy_task(database, triggers=[trigger(), trigger("other")])
    await record(database, "tick", "other")
    await database.write(lambda tx: backfill(tx, "tick", state))
    await pass_over(database, retention.ledger, T0 + DAY)
    assert (len(await entries(database)), await entries(database, "other")) == (kept, [])


async def test_what_a_backfill_keeps_is_passed_over_step_by_step(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(), trigger("other")])
    await database.write(lambda tx: backfill(tx, "tick", "running"))
    for _ in range(5):
        await record(database, "tick")
        clock.forward(DAY)
    await record(database, "other")
    step = await database.write(partial(_step, retention.ledger, T0 + 9 * DAY, 0, 2))
    assert (step.removed, step.reached) == (0, to_micros(T0 + DAY) + 1)
    assert await pass_over(database, retention.ledger, T0 + 9 * DAY) == 1
    assert len(await entries(database)) == 5


async def revisions(database: Database) -> list[int]:
    async def body(tx: Transaction) -> list[int]:
        query = trigger_lists.ListQuery(limit=100)
        page = await trigger_lists.history(tx, query, (await find(tx, "tick")).id)
        return sorted(each.trigger.revision for each in page.items)

    return await database.read(body)


async def redeploy(database: Database, *, active: bool = True) -> None:
    await database.write(lambda tx: triggers.deploy(tx, trigger(active=active), by="", domains=DOMAINS))


async def test_revisions_go_by_age_but_for_the_latest(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger(active=False), trigger("other", active=False)])
    for _ in range(4):
        clock.forward(DAY)
        await redeploy(database, active=False)
    assert await pass_over(database, retention.revisions, T0 + 3 * DAY) == 3
    assert await revisions(database) == [4, 5]
    assert await pass_over(database, retention.revisions, T0 + 10 * DAY) == 1
    assert await revisions(database) == [5]


async def test_the_latest_revision_of_a_deleted_trigger_stays(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    await database.write(lambda tx: triggers.delete(tx, [trigger().name], by=""))
    await pass_over(database, retention.revisions, T0 + DAY)
    assert await revisions(database) == [2]


async def test_a_revision_that_owes_slots_stays(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])
    clock.forward(DAY)
    await redeploy(database)
    await redeploy(database)
    await pass_over(database, retention.revisions, T0 + 2 * DAY)
    assert await revisions(database) == [1, 3]


@pytest.mark.parametrize(("state", "kept"), [("paused", [1, 3]), ("done", [3])])
async def test_a_revision_that_a_backfill_fires_stays(
    database: Database, clock: FakeClock, state: str, kept: list[int]
) -> None:
    await deploy_task(database, triggers=[trigger(active=False)])
    await redeploy(database, active=False)
    await redeploy(database, active=False)
    await database.write(lambda tx: backfill(tx, "tick", state))
    await pass_over(database, retention.revisions, T0 + DAY)
    assert await revisions(database) == kept


async def end(tx: Transaction, run: str, at: datetime) -> None:
    await tx.execute("UPDATE action SET ended_at = $2 WHERE run = $1", run, to_micros(at))


async def test_events_go_when_their_run_has_ended_long_ago(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: enqueue(tx, "long-ago", "lately", "going", "long-ago-too"))
    for run, at in {"long-ago": T0, "lately": T0 + 2 * DAY, "long-ago-too": T0}.items():
        await database.write(partial(_end, run, at))
    assert await pass_over(database, retention.events, T0 + DAY) == 2

    async def left(tx: Transaction) -> dict[str, int]:
        names = ("long-ago", "lately", "going", "long-ago-too")
        return {name: len(await events.first_entries(tx, root_of(name))) for name in names}

    assert await database.read(left) == {"long-ago": 0, "lately": 1, "going": 1, "long-ago-too": 0}


async def _end(run: str, at: datetime, tx: Transaction) -> None:
    await end(tx, run, at)


async def test_nothing_is_read_that_is_too_young_to_go(database: Database, clock: FakeClock) -> None:
    assert (await database.write(partial(_step, retention.events, T0, 0, 2))).reached is None
    await database.write(lambda tx: enqueue(tx, "a", "b", "c"))
    assert (await database.write(partial(_step, retention.events, T0 - DAY, 0, 2))).reached is None


async def fill(tx: Transaction) -> None:
    """Many triggers of two revisions, decisions, runs that have ended, each a little younger than the last."""
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"
    for statement in (
        f"""
        INSERT INTO fire (trigger_id, kind, key, outcome, reason, count, revision, decided_at)
        {numbers} SELECT i, 'schedule', CAST(i AS TEXT), 'missed', '', 1, 1, i FROM n
        """,
        f"""
        INSERT INTO schedule (trigger_id, revision, active, anchor, decided_until, tzdata, watches)
        {numbers} SELECT i, 2, FALSE, 0, 0, '', FALSE FROM n
        """,
        *(
            f"""
            INSERT INTO trigger_revision (trigger_id, revision, action, task_version, active, automation_type, spec,
                                          automation, description, deployed_by, updated_by, deployed_at, updated_at,
                                          created_at)
            {numbers} SELECT i, {revision}, 'DEPLOY', '', FALSE, '', $1, $1, '', '', '', 0, 0, i FROM n
            """
            for revision in (1, 2)
        ),
        f"""
        INSERT INTO action (project, domain, run, name, action_group, action_type, phase, attempts, cache_status,
                            task_project, task_domain, task_name, task_version, task_type, short_name, function_name,
                            environment, spec_digest, source, created_by_subject, input_uri, created_at, updated_at,
                            ended_at, version)
        {numbers}
        SELECT 'p', 'd', CAST(i AS TEXT), 'a0', '', 1, 4, 1, 0, '', '', '', '', '', '', '', '', '', '', '', '', i, i, i,
               1 FROM n
        """,
        f"""
        INSERT INTO event (project, domain, run, action, attempt, phase, message, at)
        {numbers} SELECT 'p', 'd', CAST(i AS TEXT), 'a0', 1, 4, '', i FROM n
        """,
    ):
        await tx.execute(statement, *([b""] if "$1" in statement else []))
    await tx.execute("ANALYZE")


@pytest.mark.parametrize("remove", [retention.ledger, retention.revisions, retention.events], ids=lambda f: f.__name__)
async def test_no_table_is_scanned(database: Database, database_url: str, remove: Remove) -> None:
    await database.write(fill)

    async def body(tx: Transaction) -> tuple[retention.Step, Explained]:
        explained = Explained(tx, sqlite=not database_url.startswith("postgres"))
        step = await remove(cast("Any", explained), before=from_micros(MANY), after=MANY // 2, limit=STEP)
        return step, explained

    step, explained = await database.write(body)
    assert step.removed == STEP
    assert explained.scanned("fire", "schedule", "trigger_revision", "action", "event") == []
    assert explained.plans
