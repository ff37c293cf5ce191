import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.finished_runs import finish
from tests.planting import DOMAINS as PLANTED
from tests.planting import deployment, plant, spec
from tests.queued_runs import enqueue, root, root_of, run_of, task_spec
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId, Scope
from wingbeat.core.listing import ListQuery
from wingbeat.core.pruning import BEGINNING, Ended, Kept
from wingbeat.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from wingbeat.operations import current, ending, pruning, triggers
from wingbeat.operations import runs as operations
from wingbeat.operations.pruning import Order, Step
from wingbeat.operations.runs import RunRequest, create
from wingbeat.store import actions, cache, clearing, retention, run_needs, runs, tasks
from wingbeat.store.database import Database, Transaction
from wingbeat.wire.tasks import digest

DAY = timedelta(days=1)
OLD = Order(older_than=DAY)
TABLES = ("run", "action", "attempt", "event", "run_label", "run_need", "queue", "task_spec", "buried_spec")


def run(name: str) -> RunId:
    return root_of(name).run


async def prune(database: Database, order: Order = OLD, *, limit: int = 2) -> list[Step]:
    """Step after step until there is nothing more to look at."""
    steps: list[Step] = []
    place: Ended | None = BEGINNING
    while place is not None:
        step = await database.write(partial(_step, order, place, limit))
        assert len(step.runs) <= limit
        steps.append(step)
        place = step.reached
    return steps


async def _step(order: Order, place: Ended, limit: int, tx: Transaction) -> Step:
    return await pruning.step(tx, order, place, limit=limit)


async def clear(database: Database, *, limit: int = 3) -> None:
    remains = await database.read(lambda tx: pruning.remains(tx, limit=100))
    while await database.write(lambda tx: pruning.remove_rows(tx, remains, limit=limit)) == limit:
        pass
    await database.write(lambda tx: pruning.cleared(tx, remains))


def gone(steps: list[Step]) -> list[str]:
    return [each.name for step in steps for each in step.runs]


async def listed(database: Database) -> set[str]:
    page = await database.read(lambda tx: runs.list_page(tx, ListQuery()))
    return {each.root.id.run.name for each in page.items}


async def counts(database: Database) -> dict[str, int]:
    async def body(tx: Transaction) -> dict[str, int]:
        return {table: (await tx.fetch(f"SELECT count(*) AS n FROM {table}"))[0]["n"] for table in TABLES}

    return {table: count for table, count in (await database.read(body)).items() if count}


async def test_runs_go_by_the_age_of_their_end(database: Database, clock: FakeClock) -> None:
    for name in ("first", "second", "third"):
        await database.write(lambda tx, name=name: finish(tx, name))
        clock.forward(DAY)
    clock.now = T0 + 2 * DAY + timedelta(hours=1)
    assert gone(await prune(database)) == ["first", "second"]
    assert await listed(database) == {"third"}
    assert gone(await prune(database)) == []


async def test_a_preview_changes_nothing_and_says_the_same(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r1", "r2", children=3))
    clock.forward(2 * DAY)
    before = await counts(database)
    found = await database.read(lambda tx: pruning.preview(tx, OLD, Ended(BEGINNING.scope, 0, ""), limit=10))
    while not found.runs and found.reached:
        found = await database.read(lambda tx, at=found.reached: pruning.preview(tx, OLD, at, limit=10))
    assert ([each.name for each in found.runs], found.actions) == (["r1", "r2"], 8)
    assert await counts(database) == before
    (step,) = [step for step in await prune(database, limit=10) if step.runs]
    assert (step.runs, step.actions) == (found.runs, found.actions)


async def test_actions_are_counted_for_those_who_ask_and_nobody_else(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r1", "r2", children=3))
    clock.forward(2 * DAY)
    at = Ended(Scope("p", "development"), 0, "")

    async def body(tx: Transaction) -> tuple[list[int], int]:
        steps = [await pruning.step(tx, OLD, at, limit=1, counting=each) for each in (True, False)]
        return [step.actions for step in steps], sum(len(step.runs) for step in steps)

    assert await database.write(body) == ([4, 0], 2)


async def test_nothing_is_left_but_the_name_and_that_not_for_ever(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r1", "r2", children=3))
    clock.forward(2 * DAY)
    await prune(database)
    await clear(database)
    assert await counts(database) == {"run": 2, "buried_spec": 1}
    clock.forward(pruning.NAME_RESTS + DAY)
    while await database.write(lambda tx: pruning.tidy(tx, limit=1)):
        pass
    assert await counts(database) == {}


async def test_a_run_with_an_action_that_is_not_over_stays(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "over"))
    await database.write(lambda tx: enqueue(tx, "waits"))
    await database.write(lambda tx: finish(tx, "late"))
    await database.write(_queue_a_child)
    clock.forward(2 * DAY)
    steps = await prune(database)
    assert gone(steps) == ["over"]
    assert sum(step.kept[Kept.UNFINISHED] for step in steps) == 1
    assert await listed(database) == {"waits", "late"}


async def _queue_a_child(tx: Transaction) -> None:
    """As an abort leaves it that has not come down to all children yet."""
    await tx.execute(
        """
        INSERT INTO queue (project, domain, run, action, attempt, parent, priority, turn, lane, available_at, token)
        VALUES ('p', 'development', 'late', 'c0', 1, 'a0', 0, 0, '', 0, 0)
        """
    )


async def test_a_run_stays_for_as_long_as_another_one_reads_it(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "source"))
    clock.forward(timedelta(minutes=1))
    await database.write(lambda tx: finish(tx, "reader"))
    assert await database.write(lambda tx: run_needs.add(tx, run("reader"), run("source")))
    assert await database.write(lambda tx: run_needs.add(tx, run("reader"), run("source")))
    assert await database.read(lambda tx: run_needs.sources(tx, run("reader"))) == [run("source")]
    clock.forward(DAY)
    steps = await prune(database, Order(DAY - timedelta(seconds=30)))
    assert (gone(steps), sum(step.kept[Kept.NEEDED] for step in steps)) == (["reader"], 1)
    assert gone(await prune(database)) == ["source"]


@pytest.mark.parametrize("at", ["inputs", "inputs/inputs.pb", "c1/1/outputs"])
@pytest.mark.parametrize("name", [None, "reader"], ids=["started with others", "created"])
async def test_a_run_stays_for_as_long_as_a_run_has_its_inputs_there(
    database: Database, clock: FakeClock, at: str, name: str | None
) -> None:
    uri = f"{run_of('source', task_spec()).output_base}{at}"

    async def begin(tx: Transaction) -> None:
        reader = replace(run_of("reader", task_spec(), inputs=None), input_uri=uri)
        await (operations.start(tx, [reader]) if name is None else runs.insert_if_free(tx, reader))

    await database.write(lambda tx: finish(tx, "source", "other"))
    await database.write(begin)
    clock.forward(2 * DAY)
    steps = await prune(database)
    assert (gone(steps), sum(step.kept[Kept.NEEDED] for step in steps)) == (["other"], 1)


async def test_a_run_stays_for_as_long_as_a_revision_of_a_trigger_has_its_inputs_there(
    database: Database, clock: FakeClock
) -> None:
    await database.write(lambda tx: finish(tx, "source"))
    uri = f"{run_of('source', task_spec()).output_base}inputs"
    await plant(database, spec(), deployment(uploaded=uri))
    clock.forward(2 * DAY)
    assert gone(await prune(database)) == []
    await database.write(lambda tx: triggers.deploy(tx, deployment(), by="", domains=PLANTED))
    clock.forward(DAY)
    assert gone(await prune(database)) == []
    await database.write(lambda tx: retention.revisions(tx, before=tx.now, after=0, limit=9))
    assert gone(await prune(database)) == ["source"]


async def test_a_run_stays_for_as_long_as_the_cache_has_a_result_of_it(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "source"))
    policy = CachePolicy("key", None, overwrite=False, serializable=False, max_age=None)
    await database.write(lambda tx: cache.put(tx, policy, AttemptId(root_of("source"), 1), "s3://wingbeat/outputs"))
    clock.forward(2 * DAY)
    steps = await prune(database)
    assert (gone(steps), sum(step.kept[Kept.CACHED] for step in steps)) == ([], 1)
    await database.write(lambda tx: retention.cache(tx, before=tx.now - DAY, after=0, limit=10))
    assert gone(await prune(database)) == ["source"]


@pytest.mark.parametrize("inserted", [True, False], ids=["an action that recovers", "an action that hits the cache"])
async def test_an_action_with_the_outputs_of_another_run_keeps_that_run(
    database: Database, clock: FakeClock, inserted: bool
) -> None:
    await database.write(lambda tx: finish(tx, "source"))
    origin = AttemptId(root_of("source"), 1)

    async def take(tx: Transaction) -> None:
        await finish(tx, "reader")
        action = replace(await root(tx, "reader"), origin=origin)
        if inserted:
            await actions.insert(tx, [replace(action, id=ActionId(run("reader"), "c1"), parent="a0")])
        else:
            await actions.save(tx, action)

    await database.write(take)
    assert await database.read(lambda tx: run_needs.sources(tx, run("reader"))) == [run("source")]
    clock.forward(2 * DAY)
    with pytest.raises(Conflict, match="'gone' is not kept any more"):
        await database.write(lambda tx: run_needs.require(tx, run("reader"), run("gone")))


async def test_nobody_starts_to_read_a_run_that_is_pruned_or_never_was(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "source"))
    clock.forward(2 * DAY)
    await database.write(lambda tx: finish(tx, "reader"))
    await prune(database)
    assert not await database.write(lambda tx: run_needs.add(tx, run("reader"), run("source")))
    assert not await database.write(lambda tx: run_needs.add(tx, run("reader"), run("nobody")))


async def test_a_run_that_somebody_begins_to_read_meanwhile_stays(database: Database, clock: FakeClock) -> None:
    """Of two transactions at the same time, one sees the other."""
    if not database.shared:
        pytest.skip("SQLite has one writer")
    await database.write(lambda tx: finish(tx, "source"))
    clock.forward(2 * DAY)
    await database.write(lambda tx: finish(tx, "reader"))
    added, pruned = asyncio.Event(), asyncio.Event()

    async def read(tx: Transaction) -> None:
        await run_needs.add(tx, run("reader"), run("source"))
        added.set()
        await pruned.wait()

    reading = asyncio.create_task(database.write(read))
    await added.wait()
    steps = await prune(database)
    pruned.set()
    await reading
    assert (gone(steps), sum(step.kept[Kept.BUSY] for step in steps)) == ([], 1)
    assert sum(step.kept[Kept.NEEDED] for step in await prune(database)) == 1


async def test_scopes_narrow_and_none_is_left_out(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "here"))
    await database.write(_elsewhere)
    clock.forward(2 * DAY)
    assert gone(await prune(database, Order(DAY, project="q"))) == []
    assert gone(await prune(database, Order(DAY, domain="production"))) == ["there"]
    assert gone(await prune(database, Order(DAY, project="p", domain="development"))) == ["here"]


async def _elsewhere(tx: Transaction) -> None:
    await finish(tx, "there")
    for table, name in (("run", "name"), ("action", "run"), ("attempt", "run"), ("event", "run")):
        await tx.execute(f"UPDATE {table} SET domain = 'production' WHERE {name} = 'there'")


async def test_what_is_asked_of_a_pruned_run_is_told_that_it_was(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r1", children=1))
    clock.forward(2 * DAY)
    await prune(database)
    for _ in range(2):
        with pytest.raises(NotFound, match=r"'r1' was pruned at 2026-01-03 00:00 UTC, its inputs and outputs too"):
            await database.read(lambda tx: current.get(tx, root_of("r1")))
        assert await database.read(lambda tx: runs.find(tx, run("r1"))) is None
        assert await database.read(lambda tx: runs.taken(tx, [run("r1")])) == {run("r1")}
        await clear(database)


async def test_a_spec_goes_with_its_last_run_and_comes_back_when_one_begins_meanwhile(
    database: Database, clock: FakeClock
) -> None:
    one, other = task_spec(), task_spec(retries=3)
    await database.write(lambda tx: finish(tx, "r1", spec=one))
    await database.write(lambda tx: finish(tx, "r2", spec=other))
    clock.forward(2 * DAY)
    await prune(database)
    await clear(database)
    assert (await counts(database))["buried_spec"] == 2
    assert await database.read(lambda tx: tasks.spec(tx, digest(one))) == one

    async def written_down_late(tx: Transaction) -> None:
        await enqueue(tx, "r3", spec=one)
        await tx.execute("DELETE FROM task_spec")  # it had seen the spec before that was buried

    await database.write(written_down_late)
    clock.forward(pruning.SPEC_RESTS + DAY)
    await database.write(lambda tx: pruning.tidy(tx, limit=10))
    assert await database.read(lambda tx: tasks.spec(tx, digest(one))) == one
    assert await database.read(lambda tx: tasks.spec(tx, digest(other))) is None
    assert "buried_spec" not in await counts(database)


async def test_a_deployed_task_keeps_its_spec(database: Database, clock: FakeClock) -> None:

    await deploy_task(database)
    request = RunRequest(Scope(TASK.project, TASK.domain), TASK, name="only", request_id="again")
    make = partial(create, request=request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="other")
    await database.write(lambda tx: make(tx))
    await database.write(
        lambda tx: ending.abort(tx, ActionId(RunId(TASK.project, TASK.domain, "only"), ROOT_ACTION), "over")
    )
    clock.forward(2 * DAY)
    assert gone(await prune(database)) == ["only"]
    await clear(database)
    assert await counts(database) == {"run": 1, "task_spec": 1}
    with pytest.raises(AlreadyExists, match="was pruned lately"):
        await database.write(lambda tx: make(tx))
    clock.forward(pruning.NAME_RESTS + DAY)
    await database.write(lambda tx: pruning.tidy(tx, limit=9))
    await database.write(lambda tx: make(tx))
    assert await listed(database) == {"only"}


def test_what_has_just_ended_is_not_pruned() -> None:
    with pytest.raises(InvalidArgument, match="at least 0:10:00"):
        pruning.check(Order(timedelta(minutes=9)))
    pruning.check(Order(timedelta(minutes=10)))


OTHERS = {
    "queue": "a run with an entry is not pruned",
    "timer": "of actions that are not over",
    "cache_entry": "a run with an entry is not pruned",
    "cache_reservation": "held by actions that are not over",
    "backfill_run": "forgotten when the run is over",
    "run_need": "removed in the moment a run is pruned",
    "run": "keeps the name",
}


async def test_every_table_about_runs_is_emptied_of_pruned_ones(database: Database) -> None:
    async def body(tx: Transaction) -> set[str]:
        sql = (
            "SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'run'"
            " AND table_schema = 'public'"
            if database.shared
            else "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'run'"
            " WHERE m.type = 'table'"
        )
        return {row["name"] for row in await tx.fetch(sql)}

    assert await database.read(body) - set(clearing.KEYS) - set(OTHERS) == set()
