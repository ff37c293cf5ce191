from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DOMAINS, EVERY_MINUTE, TASK, deploy_task, trigger
from tests.ledger import newest_entries
from wingbeat.core.ids import TriggerName
from wingbeat.core.listing import ListQuery
from wingbeat.core.schedule import FixedRate, parse
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.errors import Conflict, NotFound
from wingbeat.operations import triggers
from wingbeat.store import backlogs, timetables, trigger_lists
from wingbeat.store import triggers as stored
from wingbeat.store.database import Body, Database
from wingbeat.store.fires import Outcome

MINUTE = timedelta(minutes=1)
TICK = trigger().name


@pytest.fixture(autouse=True)
async def task(database: Database) -> None:
    await deploy_task(database)


async def deploy(database: Database, wanted: Deployment, *, expected_revision: int = 0) -> Trigger:
    return await database.write(
        lambda tx: triggers.deploy(tx, wanted, expected_revision=expected_revision, by="ann", domains=DOMAINS)
    )


async def find(database: Database, name: TriggerName = TICK) -> Trigger | None:
    return await database.read(lambda tx: stored.find(tx, name))


async def next_fire_minutes(database: Database, trigger_id: int) -> float | None:
    at = (await database.read(lambda tx: timetables.find_many(tx, [trigger_id])))[trigger_id].firing.next_fire_at
    return (at - T0) / MINUTE if at else None


async def ledger(database: Database, trigger_id: int) -> list[tuple[str, int, str]]:
    rows = await database.read(lambda tx: newest_entries(tx, trigger_id, limit=100))
    return [(fire.outcome.value, fire.count, fire.reason) for _, fire in rows]


async def test_the_first_deploy_is_revision_1_and_fires_at_the_next_slot(database: Database) -> None:
    deployed = await deploy(database, trigger())
    assert (deployed.revision, deployed.deployed_by, deployed.deployed_at) == (1, "ann", T0)
    assert await next_fire_minutes(database, deployed.id) == 1
    assert await find(database) == deployed


async def test_every_change_is_one_more_revision_and_history_keeps_all(database: Database, clock: FakeClock) -> None:
    deployed = await deploy(database, trigger())
    changes: list[Body[None]] = [
        lambda tx: triggers.set_active(tx, [TICK], False, by="bob"),
        lambda tx: triggers.set_active(tx, [TICK], False, by="bob"),
        lambda tx: triggers.set_active(tx, [TICK], True, by="bob"),
        lambda tx: triggers.delete(tx, [TICK], by="bob"),
        lambda tx: triggers.delete(tx, [TICK], by="bob"),
    ]
    for change in changes:
        clock.forward(timedelta(seconds=1))
        await database.write(change)
    assert await find(database) is None
    restored = await deploy(database, trigger())
    assert (restored.id, restored.revision, restored.deleted_at) == (deployed.id, 5, None)
    history = await database.read(lambda tx: trigger_lists.history(tx, ListQuery(), deployed.id))
    assert [(each.trigger.revision, each.action) for each in history.items] == [
        (5, "DEPLOY"),
        (4, "DELETE"),
        (3, "ACTIVATE"),
        (2, "DEACTIVATE"),
        (1, "DEPLOY"),
    ]
    second = await database.read(lambda tx: stored.at_revision(tx, deployed.id, 2))
    assert second is not None
    assert (second.active, second.updated_by, second.deployed_at) == (False, "bob", T0)


async def test_a_stale_revision_is_refused_with_both_numbers_and_changes_nothing(database: Database) -> None:
    await deploy(database, trigger())
    latest = await deploy(database, trigger())
    with pytest.raises(Conflict, match="revision 1 was given, the latest is 2"):
        await deploy(database, trigger(schedule=None), expected_revision=1)
    assert await find(database) == latest
    assert (await deploy(database, trigger(), expected_revision=2)).revision == 3


async def test_a_task_version_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match="no version 'v9'"):
        await deploy(database, trigger(task=replace(TASK, version="v9")))


async def test_deploying_the_task_replaces_all_its_triggers(database: Database) -> None:
    await deploy_task(database, TASK, [trigger("a"), trigger("b")])
    second = replace(TASK, version="v2")
    await deploy_task(database, second, [trigger("b", task=second), trigger("c", task=second)])
    page = await database.read(lambda tx: trigger_lists.page(tx, ListQuery(), TASK.task_name))
    assert sorted((each.name.name, each.task_version, each.revision) for each in page.items) == [
        ("b", "v2", 2),
        ("c", "v2", 1),
    ]
    await deploy_task(database, second, [])
    assert (await database.read(lambda tx: trigger_lists.page(tx, ListQuery(), None))).items == []


async def test_an_unknown_name_among_several_changes_nothing(database: Database) -> None:
    await deploy(database, trigger())
    unknown = replace(TICK, name="nobody")
    with pytest.raises(NotFound, match=r"env\.main/nobody"):
        await database.write(lambda tx: triggers.delete(tx, [TICK, unknown], by=""))
    with pytest.raises(NotFound, match="nothing was changed"):
        await database.write(lambda tx: triggers.set_active(tx, [TICK, unknown], False, by=""))
    found = await find(database)
    assert found is not None
    assert found.active


async def test_a_pause_closes_what_was_due_and_inactive_time_is_never_caught_up(
    database: Database, clock: FakeClock
) -> None:
    deployed = await deploy(database, trigger())
    clock.forward(3 * MINUTE)
    await database.write(lambda tx: triggers.set_active(tx, [TICK], False, by=""))
    assert await next_fire_minutes(database, deployed.id) is None
    assert await ledger(database, deployed.id) == [("missed", 3, "deactivated before it could fire")]
    clock.forward(10 * MINUTE)
    await database.write(lambda tx: triggers.set_active(tx, [TICK], True, by=""))
    assert await next_fire_minutes(database, deployed.id) == 14
    assert len(await ledger(database, deployed.id)) == 1


async def test_a_redeploy_keeps_what_was_due_owed_under_the_old_revision(database: Database, clock: FakeClock) -> None:
    deployed = await deploy(database, trigger())
    clock.forward(3 * MINUTE)
    await deploy(database, trigger(schedule=parse("*/10 * * * *")))
    assert await next_fire_minutes(database, deployed.id) == 10
    (owed,) = await database.write(lambda tx: backlogs.find(tx, [deployed.id]))
    assert (owed.revision, owed.schedule, owed.after, owed.until) == (1, EVERY_MINUTE, T0, clock())


async def test_an_unchanged_rate_keeps_its_phase_over_a_redeploy(database: Database, clock: FakeClock) -> None:
    deployed = await deploy(database, trigger(schedule=FixedRate(10 * MINUTE)))
    clock.forward(4 * MINUTE)
    await deploy(database, trigger(schedule=FixedRate(10 * MINUTE)))
    assert await next_fire_minutes(database, deployed.id) == 10


async def test_a_trigger_without_a_schedule_has_no_next_fire(database: Database) -> None:
    deployed = await deploy(database, trigger(schedule=None))
    assert await next_fire_minutes(database, deployed.id) is None


async def test_lists_show_active_triggers_first_page_by_page(database: Database, clock: FakeClock) -> None:
    for number in range(5):
        clock.forward(timedelta(seconds=1))
        await deploy(database, trigger(f"t{number}", active=number % 2 == 0))
    seen: list[str] = []
    query = ListQuery(limit=2)
    while True:
        page = await database.read(lambda tx, query=query: trigger_lists.page(tx, query, TASK))
        seen += [each.name.name for each in page.items]
        if not page.next_token:
            break
        query = replace(query, token=page.next_token)
    assert seen == ["t4", "t2", "t0", "t3", "t1"]


def test_outcomes_are_words_of_the_ledger() -> None:
    assert [outcome.value for outcome in Outcome] == ["fired", "skipped", "missed"]
