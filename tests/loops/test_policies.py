"""Triggers with policies, on both databases, with runs that end as they end in production."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, EVERY_MINUTE, TASK, deploy_task, trigger
from tests.ledger import newest_entries
from wingbeat.core.action import ErrorKind, Failure, Outcome, Phase, Success
from wingbeat.core.ids import Scope, TaskId
from wingbeat.core.policy import CatchUp, Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import Every, Schedule, between
from wingbeat.core.trigger import Deployment, Firing
from wingbeat.loops.scheduler import HELD_SECONDS, Pace, Scheduler
from wingbeat.operations import actions, projects, runs, triggers
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.operations.firing import Firer
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions as stored_actions
from wingbeat.store import backlogs, firings, pauses, unfinished
from wingbeat.store import triggers as stored
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ERROR = Failure("ValueError", ErrorKind.USER, "no")
TICK = trigger().name
TASK_SCOPE = Scope(TASK.project, TASK.domain)
UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)


def wanted(policies: Policies, name: str = "tick", schedule: Schedule = EVERY_MINUTE) -> Deployment:
    return replace(trigger(name, schedule), policies=policies)


def scheduler(database: Database, clock: FakeClock, pace: Pace = UNLIMITED) -> Scheduler:
    return Scheduler(
        database,
        Firer(DEFAULTS, DOMAINS),
        pace=pace,
        steady=lambda: (clock() - T0).total_seconds(),
        metrics=Metrics(),
    )


class Triggers:
    """What tests see of the triggers of a database."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.tick = scheduler(database, clock).tick

    async def minute(self, count: int = 1) -> None:
        """Minutes pass, and the scheduler looks at each."""
        for _ in range(count):
            self.clock.forward(MINUTE)
            await self.tick()

    async def id(self, name: str = "tick") -> int:
        return await self.id_of(TASK, name)

    async def id_of(self, task: TaskId, name: str = "tick") -> int:
        found = await self.database.read(lambda tx: stored.find(tx, trigger(name, task=task).name))
        assert found is not None
        return found.id

    async def ledger(self, name: str = "tick") -> list[tuple[str, float, float]]:
        """Outcome, first and last slot of each row in minutes since T0, by slot."""
        trigger_id = await self.id(name)
        rows = await self.database.read(lambda tx: newest_entries(tx, trigger_id, limit=1000))
        found = [
            (fire.outcome.value, (fire.first_slot - T0) / MINUTE, (fire.last_slot - T0) / MINUTE)
            for _, fire in rows
            if fire.first_slot and fire.last_slot
        ]
        return sorted(found, key=lambda row: row[1])

    async def fired(self, name: str = "tick") -> list[float]:
        return [first for outcome, first, _ in await self.ledger(name) if outcome == "fired"]

    async def skipped(self, name: str = "tick") -> list[float]:
        return [first for outcome, first, _ in await self.ledger(name) if outcome == "skipped"]

    async def running(self, name: str = "tick") -> int:
        return await self.running_of(TASK, name)

    async def running_of(self, task: TaskId, name: str = "tick") -> int:
        trigger_id = await self.id_of(task, name)
        return len(await self.database.read(lambda tx: unfinished.roots(tx, trigger_id)))

    async def firing(self, name: str = "tick") -> Firing:
        trigger_id = await self.id(name)
        return (await self.database.write(lambda tx: firings.lock(tx, [trigger_id])))[trigger_id]

    async def end(self, count: int = 1, outcome: Outcome | None = None) -> None:
        """The oldest runs are claimed by a node and end."""
        claims = await self.database.write(lambda tx: actions.claim(tx, "n1", count))
        assert len(claims) == count
        for claim in claims:

            async def body(tx: Transaction, claim: actions.Claim = claim) -> bool:
                return await actions.finished(
                    tx, claim.id, claim.token, outcome or Success(), retries=NO_RETRIES, chance=0.5
                )

            assert await self.database.write(body)


@pytest.fixture
def of(database: Database, clock: FakeClock) -> Triggers:
    return Triggers(database, clock)


async def test_skip_fires_again_once_the_run_is_over(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.SKIP))])
    await of.minute(3)
    assert await of.fired() == [1]
    assert await of.skipped() == [2, 3]
    await of.end()
    await of.minute()
    assert await of.fired() == [1, 4]


async def test_buffer_one_fires_what_waits_as_soon_as_the_run_ends(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ONE))])
    await of.minute(4)
    assert await of.fired() == [1]
    assert await of.skipped() == [3, 4]
    of.clock.forward(5 * SECOND)
    await of.end()
    await of.tick()
    assert await of.fired() == [1, 2]
    assert await of.running() == 1
    await of.minute()
    assert await of.skipped() == [3, 4]
    await of.end()
    await of.tick()
    assert await of.fired() == [1, 2, 5]


async def test_buffer_all_runs_one_after_the_other_and_survives_a_restart(database_url: str, clock: FakeClock) -> None:
    database = await open_database(database_url, clock)
    of = Triggers(database, clock)
    await deploy_task(database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ALL))])
    await of.minute(4)
    await of.end()
    await database.close()
    database = await open_database(database_url, clock)
    of = Triggers(database, clock)
    for minute in (2, 3, 4):
        await of.tick()
        assert await of.fired() == list(range(1, minute + 1))
        assert await of.running() == 1
        await of.end(outcome=ERROR)
    await of.minute()
    assert await of.fired() == [1, 2, 3, 4, 5]
    await database.close()


async def test_ends_of_runs_whose_trigger_a_frozen_process_holds_hold_up_nobody(
    postgresql_url: str, clock: FakeClock
) -> None:
    database = await open_database(postgresql_url, clock)
    of = Triggers(database, clock)
    buffers = [wanted(Policies(overlap=Overlap.BUFFER_ALL), name) for name in ("held", "free")]
    await deploy_task(database, triggers=[*buffers, wanted(Policies(), "live")])
    await of.minute(2)
    await of.end(count=4)
    held, id_ = asyncio.Event(), await of.id("held")

    async def freeze(tx: Transaction) -> None:
        await firings.lock(tx, [id_])
        held.set()
        await asyncio.Event().wait()

    frozen = asyncio.create_task(database.write(freeze))
    await held.wait()
    clock.forward(MINUTE)
    async with asyncio.timeout(5):
        assert (await of.tick() or 60) <= HELD_SECONDS, "and it looks again soon"
    assert [await of.fired(name) for name in ("held", "free", "live")] == [[1], [1, 2], [1, 2, 3]]
    frozen.cancel()
    await asyncio.gather(frozen, return_exceptions=True)
    while await of.fired("held") != [1, 2]:
        await of.tick()
    await database.close()


async def test_a_group_that_a_frozen_process_counts_holds_up_nobody_else(postgresql_url: str, clock: FakeClock) -> None:
    database = await open_database(postgresql_url, clock)
    of = Triggers(database, clock)
    names = ("one", "other")
    together = [wanted(Policies(concurrency_key="gpu", concurrency_limit=2), name) for name in names]
    await deploy_task(database, triggers=[*together, wanted(Policies(), "live")])
    await of.minute(2)
    await of.end(count=1)
    held = asyncio.Event()
    ids = [await of.id(name) for name in names]
    (group,) = {each.group for each in (await database.write(lambda tx: firings.lock(tx, ids))).values()}

    async def freeze(tx: Transaction) -> None:
        assert await unfinished.hold_groups(tx, {group or ""})
        held.set()
        await asyncio.Event().wait()

    before = [await of.fired(name) for name in names]
    frozen = asyncio.create_task(database.write(freeze))
    await held.wait()
    clock.forward(MINUTE)
    async with asyncio.timeout(5):
        assert (await of.tick() or 60) <= HELD_SECONDS, "and it looks again soon"
    assert await of.fired("live") == [1, 2, 3]
    assert [await of.fired(name) for name in names] == before
    frozen.cancel()
    await asyncio.gather(frozen, return_exceptions=True)
    async with asyncio.timeout(5):
        while [await of.fired(name) for name in names] == before:
            await of.tick()
    await database.close()


async def test_slots_that_wait_are_one_row_however_many(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ALL))])
    await of.minute(10)
    trigger_id = await of.id()
    (backlog,) = await of.database.read(lambda tx: backlogs.find(tx, [trigger_id]))
    assert (backlog.after, backlog.until) == (T0 + MINUTE, T0 + 10 * MINUTE)


async def test_waiting_slots_are_looked_at_even_if_nobody_hears_of_the_end(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ONE), schedule=Every(2 * MINUTE))])
    await of.minute(4)
    assert await of.fired() == [2]
    await of.end()

    async def lose(tx: Transaction) -> None:
        assert await tx.execute("DELETE FROM run_end") == 1

    await of.database.write(lose)
    await of.minute()
    assert await of.fired() == [2, 4]


async def test_cancel_other_aborts_what_runs_by_hand_too(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.CANCEL_OTHER))])
    await of.minute()
    by_hand = await of.database.write(
        lambda tx: runs.create(
            tx,
            RunRequest(scope=TASK_SCOPE, wanted=TICK, name="by-hand"),
            defaults=DEFAULTS,
            domains=DOMAINS,
            fresh_name="x",
        )
    )
    assert await of.running() == 2
    await of.minute()
    assert await of.fired() == [1, 2]
    assert await of.running() == 1
    aborted = await of.database.read(lambda tx: stored_actions.find(tx, by_hand.root.id))
    assert aborted is not None
    assert aborted.phase is Phase.ABORTED
    assert "cancel-other" in (aborted.abort_reason or "")


async def test_a_slot_that_cannot_start_cancels_nothing(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.CANCEL_OTHER))])
    await of.minute()
    archived = Project(TASK.project, TASK.project, "", b"", ProjectState.ARCHIVED)
    await of.database.write(lambda tx: projects.update(tx, archived))
    await of.minute()
    assert await of.ledger() == [("fired", 1, 1), ("missed", 2, 2)]
    assert await of.running() == 1


async def test_a_run_by_hand_ignores_policies_and_counts_as_running(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.SKIP))])
    for name in ("one", "two"):
        request = RunRequest(scope=TASK_SCOPE, wanted=TICK, name=name)
        await of.database.write(
            lambda tx, request=request: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x")
        )
    await of.minute()
    assert (await of.running(), await of.skipped()) == (2, [1])


async def test_after_downtime_only_the_newest_slot_fires(of: Triggers) -> None:
    await deploy_task(
        of.database,
        triggers=[wanted(Policies(catch_up=CatchUp.LATEST)), wanted(Policies(catch_up=CatchUp.NONE), "none")],
    )
    of.clock.forward(30 * MINUTE + 90 * SECOND)
    await of.tick()
    assert await of.ledger() == [("skipped", 1, 30), ("fired", 31, 31)]
    assert await of.ledger("none") == [("missed", 1, 30), ("fired", 31, 31)]


async def test_a_deploy_after_downtime_owes_what_the_policies_leave(of: Triggers) -> None:
    policies = Policies(catch_up=CatchUp.LATEST)
    await deploy_task(of.database, triggers=[wanted(policies)])
    of.clock.forward(30 * MINUTE)
    await deploy_task(of.database, triggers=[wanted(policies)])
    await of.tick()
    assert await of.ledger() == [("skipped", 1, 29), ("fired", 30, 30)]


async def test_max_runs_survives_a_redeploy_and_counts_anew_when_it_is_new(of: Triggers) -> None:
    policies = Policies(max_runs=2)
    await deploy_task(of.database, triggers=[wanted(policies)])
    await of.minute()
    await deploy_task(of.database, triggers=[wanted(policies)])
    await of.minute(3)
    assert await of.fired() == [1, 2]
    assert (await of.firing()).next_fire_at is None
    await deploy_task(of.database, triggers=[wanted(replace(policies, max_runs=3))])
    await of.minute(3)
    assert await of.fired() == [1, 2, 5]
    for again in (Policies(), policies):
        await deploy_task(of.database, triggers=[wanted(again)])
    await of.minute(3)
    assert await of.fired() == [1, 2, 5, 8, 9]
    await deploy_task(of.database, triggers=[])
    await deploy_task(of.database, triggers=[wanted(policies)])
    await of.minute(3)
    assert await of.fired() == [1, 2, 5, 8, 9, 11, 12]


async def test_max_runs_bounds_what_is_caught_up(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(max_runs=3))])
    of.clock.forward(30 * MINUTE)
    await of.tick()
    assert await of.ledger() == [("fired", 1, 1), ("fired", 2, 2), ("skipped", 3, 29), ("fired", 30, 30)]
    await of.minute(2)
    assert len(await of.fired()) == 3


async def test_jitter_wakes_the_scheduler_later_and_leaves_the_slot_alone(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(jitter=MINUTE))])
    pause = await of.tick()
    assert pause is not None
    assert 60 < pause < 120
    of.clock.forward(timedelta(seconds=pause) - SECOND / 1000)
    await of.tick()
    assert await of.fired() == []
    of.clock.forward(SECOND / 1000)
    await of.tick()
    assert await of.fired() == [1]


async def test_a_deploy_does_not_fire_what_jitter_still_holds_back(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(jitter=MINUTE))])
    pause = await of.tick()
    assert pause is not None
    of.clock.forward(MINUTE)
    await deploy_task(of.database, triggers=[wanted(Policies())])
    of.clock.forward(timedelta(seconds=pause) - MINUTE - SECOND / 1000)
    await of.tick()
    assert await of.fired() == []
    of.clock.forward(SECOND / 1000)
    await of.tick()
    assert await of.fired() == [1]


async def test_so_many_failures_in_a_row_pause_the_trigger_and_say_who_did(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(pause_after_failures=2))])
    for outcome in (ERROR, Success(), ERROR, ERROR):
        await of.minute()
        await of.end(outcome=outcome)
    await of.minute(2)
    assert await of.fired() == [1, 2, 3, 4]
    found = await of.database.read(lambda tx: stored.find(tx, TICK))
    assert found is not None
    assert (found.active, found.revision, found.updated_by) == (False, 2, "wingbeat/pause-after-failures")
    (pause,) = (await of.database.read(lambda tx: pauses.find_many(tx, [found.id]))).values()
    assert pause.holds(found)
    assert pause.reason == "2 runs in a row have failed"
    await of.database.write(lambda tx: triggers.set_active(tx, [TICK], True, by="ann"))
    await of.minute()
    await of.end(outcome=ERROR)
    await of.minute()
    assert (await of.fired())[-2:] == [7, 8]


async def test_a_pause_closes_what_waits(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ALL))])
    await of.minute(3)
    await of.database.write(lambda tx: triggers.set_active(tx, [TICK], False, by="ann"))
    await of.end()
    await of.minute()
    assert await of.ledger() == [("fired", 1, 1), ("missed", 2, 3)]


async def test_a_redeploy_without_policies_frees_what_waits(of: Triggers) -> None:
    await deploy_task(of.database, triggers=[wanted(Policies(overlap=Overlap.BUFFER_ALL))])
    await of.minute(3)
    await deploy_task(of.database, triggers=[wanted(Policies())])
    await of.tick()
    assert await of.fired() == [1, 2, 3]


async def test_runs_of_triggers_with_one_key_count_together_over_all_schedulers(
    database_url: str, clock: FakeClock
) -> None:
    databases = [await open_database(database_url, clock) for _ in range(3)]
    of = Triggers(databases[0], clock)
    shared = Policies(concurrency_key="gpu", concurrency_limit=3)
    names = [f"t{number}" for number in range(8)]
    await deploy_task(databases[0], triggers=[wanted(shared, name) for name in names])
    loops = [scheduler(database, clock) for database in databases for _ in range(2)]

    async def running() -> int:
        return sum([await of.running(name) for name in names])

    clock.forward(MINUTE)
    await asyncio.gather(*(loop.tick() for loop in loops))
    assert await running() == 3
    for left in (3, 2):
        await of.end(3)
        await asyncio.gather(*(loop.tick() for loop in loops))
        assert await running() == left
    assert [await of.fired(name) for name in names] == [[1]] * 8
    for database in databases:
        await database.close()


async def test_the_same_key_elsewhere_is_another_one(of: Triggers) -> None:
    shared = Policies(concurrency_key="gpu", concurrency_limit=1)
    elsewhere = replace(TASK, domain="production")
    await deploy_task(of.database, triggers=[wanted(shared)])
    away = replace(trigger(task=elsewhere), policies=shared)
    await deploy_task(of.database, elsewhere, [away])
    await of.minute()
    found = await of.database.read(lambda tx: stored.find(tx, away.name))
    assert found is not None
    assert len(await of.database.read(lambda tx: unfinished.roots(tx, found.id))) == 1
    assert await of.running() == 1


async def covered(of: Triggers, task: TaskId) -> None:
    """Each slot up to the last decision is in the ledger or the backlog, once; deploys leave no gap."""
    trigger_id = await of.id_of(task)
    now = (await of.database.write(lambda tx: firings.lock(tx, [trigger_id])))[trigger_id]
    rows = await of.database.read(lambda tx: newest_entries(tx, trigger_id, limit=10_000))
    owed = await of.database.read(lambda tx: backlogs.find(tx, [trigger_id]))
    spans = [
        (fire.first_slot - timedelta(microseconds=1), fire.last_slot, fire.count)
        for _, fire in rows
        if fire.first_slot and fire.last_slot
    ]
    spans += [(each.after, each.until, -1) for each in owed]
    slots = [slot for after, until, _ in spans for slot in between(EVERY_MINUTE, after, until, T0, limit=10_000)]
    assert sorted(slots) == list(between(EVERY_MINUTE, T0, now.decided_until, T0, limit=10_000)), task
    for after, until, count in spans:
        assert count in (-1, len(between(EVERY_MINUTE, after, until, T0, limit=10_000)))


MIXED = {
    "plain": Policies(),
    "skip": Policies(overlap=Overlap.SKIP, catch_up=CatchUp.LATEST),
    "one": Policies(overlap=Overlap.BUFFER_ONE, jitter=20 * SECOND),
    "all": Policies(overlap=Overlap.BUFFER_ALL, catch_up_window=3 * MINUTE),
    "cancel": Policies(overlap=Overlap.CANCEL_OTHER),
    "gpu-a": Policies(concurrency_key="gpu", concurrency_limit=2),
    "gpu-b": Policies(concurrency_key="gpu", concurrency_limit=2, overlap=Overlap.SKIP),
    "gpu-c": Policies(concurrency_key="gpu", concurrency_limit=2, overlap=Overlap.CANCEL_OTHER),
}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_at_once_no_slot_is_lost_and_no_limit_exceeded(
    database_url: str, clock: FakeClock, seed: int
) -> None:
    chance = random.Random(seed)
    databases = [await open_database(database_url, clock) for _ in range(3)]
    of = Triggers(databases[0], clock)
    tasks = {name: replace(TASK, name=f"env.{name}") for name in MIXED}

    async def deploy(name: str) -> None:
        await deploy_task(
            chance.choice(databases), tasks[name], [replace(trigger(task=tasks[name]), policies=MIXED[name])]
        )

    async def end(outcome: Outcome) -> None:
        database = chance.choice(databases)
        for claim in await database.write(lambda tx: actions.claim(tx, "n1", 2)):
            await database.write(
                lambda tx, claim=claim: actions.finished(
                    tx, claim.id, claim.token, outcome, retries=NO_RETRIES, chance=0.5
                )
            )

    for name in MIXED:
        await deploy(name)
    loops = [scheduler(database, clock) for database in databases]
    for _ in range(25):
        clock.forward(chance.choice([SECOND, 20 * SECOND, MINUTE, MINUTE, 5 * MINUTE]))
        await asyncio.gather(
            *(loop.tick() for loop in loops),
            *(end(chance.choice([Success(), ERROR])) for _ in range(chance.randrange(4))),
            *(deploy(chance.choice(list(MIXED))) for _ in range(chance.randrange(2))),
        )
        running = {name: await of.running_of(tasks[name]) for name in MIXED}
        assert all(running[name] <= 1 for name in ("skip", "one", "all", "cancel", "gpu-b", "gpu-c")), running
        assert running["gpu-a"] + running["gpu-b"] + running["gpu-c"] <= 2, running
    for task in tasks.values():
        await covered(of, task)
    for database in databases:
        await database.close()


async def test_triggers_without_policies_ask_the_database_nothing_more(
    of: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deploy_task(of.database, triggers=[trigger()])
    for name in ("counts", "counts_of_groups", "hold_groups", "roots"):
        monkeypatch.setattr(unfinished, name, None)
    await of.minute(2)
    of.clock.forward(10 * MINUTE)
    await of.tick()
    assert len(await of.fired()) == 12
    await of.end()

    async def no_word(tx: Transaction) -> int:
        return len(await tx.fetch("SELECT id FROM run_end"))

    assert await of.database.read(no_word) == 0
