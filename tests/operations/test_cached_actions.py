"""Actions that the cache serves, on both databases: hits, those who compute, and those who wait for them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import FakeClock
from tests.queued_runs import root, root_of, run_of, task_spec
from wingbeat.core.action import Action, ErrorKind, Failure, Outcome, Phase, Success
from wingbeat.core.cache import CachePolicy, CacheStatus
from wingbeat.core.ids import ActionId, AttemptId, Scope
from wingbeat.core.retry import RetryPolicy
from wingbeat.core.timer import UNLIMITED, Timeouts
from wingbeat.operations import actions, ending, nodes, runs
from wingbeat.operations import timeouts as timeout_operations
from wingbeat.operations.actions import Claim
from wingbeat.store import actions as stored
from wingbeat.store import events, queue, tasks, timers
from wingbeat.store.database import Database, Transaction
from wingbeat.store.nodes import Node
from wingbeat.wire.tasks import digest

HOUR = timedelta(hours=1)
CACHED = CachePolicy("k", Scope("p", "development"))
SERIAL = replace(CACHED, serializable=True)
ERROR = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
SPEC = task_spec()


async def start(database: Database, policy: CachePolicy | None, *names: str, timeouts: Timeouts = UNLIMITED) -> None:
    async def body(tx: Transaction) -> None:
        await tasks.put_spec(tx, digest(SPEC), SPEC)
        await runs.start(tx, [replace(run_of(name, SPEC), cache=policy, timeouts=timeouts) for name in names])

    await database.write(body)


async def claim(database: Database, node: str = "n1", limit: int = 9) -> list[Claim]:
    return await database.write(lambda tx: actions.claim(tx, node, limit))


async def end(database: Database, claim: Claim, outcome: Outcome | None = None, *, retries: int = 0) -> None:
    ended, policy = outcome or Success(), RetryPolicy(retries)
    assert await database.write(
        lambda tx: actions.finished(tx, claim.id, claim.token, ended, retries=policy, chance=0.0)
    )


async def found(database: Database, name: str) -> Action:
    return await database.read(lambda tx: root(tx, name))


async def statuses(database: Database, *names: str) -> list[tuple[Phase, int]]:
    seen = [await found(database, name) for name in names]
    return [(action.phase, action.cache_status) for action in seen]


async def compute(database: Database, policy: CachePolicy, name: str) -> Action:
    """A run that computes, by itself."""
    await start(database, policy, name)
    (claimed,) = await claim(database)
    await end(database, claimed)
    return await found(database, name)


async def is_served(database: Database, policy: CachePolicy, name: str) -> bool:
    """Whether a run with the policy has nothing to compute; if it has, it fails."""
    await start(database, policy, name)
    claims = await claim(database)
    for each in claims:
        await end(database, each, ERROR)
    return not claims


async def test_the_second_action_has_the_result_of_the_first(database: Database, clock: FakeClock) -> None:
    made = await compute(database, CACHED, "one")
    assert (made.phase, made.cache_status, made.origin) == (Phase.SUCCEEDED, CacheStatus.POPULATED, None)
    await start(database, CACHED, "two")
    clock.forward(timedelta(seconds=2))
    assert await claim(database) == []
    hit = await found(database, "two")
    assert (hit.phase, hit.cache_status) == (Phase.SUCCEEDED, CacheStatus.HIT)
    assert (hit.output_uri, hit.origin) == (made.output_uri, AttemptId(made.id, 1))
    assert (hit.ended_at, hit.duration_ms, hit.recovered_from) == (clock.now, 2000, None)
    (attempt,) = await database.read(lambda tx: stored.attempts(tx, hit.id))
    assert (attempt.phase, attempt.output_prefix, attempt.node) == (Phase.SUCCEEDED, made.output_uri, "")
    assert await database.read(lambda tx: queue.held(tx, "n1")) == []
    changes = await database.read(lambda tx: events.first_entries(tx, hit.id))
    assert [change.phase for change in changes] == [Phase.QUEUED, Phase.SUCCEEDED]
    assert changes[-1].message == "the outputs are those of p/development/one/a0/1"


async def test_a_miss_is_told_while_it_computes_and_failures_serve_nobody(database: Database) -> None:
    await start(database, CACHED, "one")
    (claimed,) = await claim(database)
    assert await statuses(database, "one") == [(Phase.INITIALIZING, CacheStatus.MISS)]
    await end(database, claimed, ERROR)
    assert await statuses(database, "one") == [(Phase.FAILED, CacheStatus.MISS)]
    assert not await is_served(database, CACHED, "two")


async def test_an_action_without_a_policy_is_not_served(database: Database) -> None:
    await compute(database, CACHED, "one")
    await start(database, None, "two")
    assert len(await claim(database)) == 1
    assert await statuses(database, "two") == [(Phase.INITIALIZING, CacheStatus.DISABLED)]


async def test_a_retry_looks_again(database: Database) -> None:
    await start(database, CACHED, "one")
    (failing,) = await claim(database)
    await compute(database, CACHED, "two")
    await end(database, failing, ERROR, retries=1)
    assert await claim(database) == []
    action = await found(database, "one")
    assert (action.phase, action.attempts, action.cache_status) == (Phase.SUCCEEDED, 2, CacheStatus.HIT)


async def test_a_hit_ends_children_that_are_claimed_together_with_their_parent(database: Database) -> None:
    await start(database, CACHED, "one", "two")
    first, second = sorted(await claim(database), key=lambda each: each.id.action.run.name)
    child = await ask(database, "one", replace(CACHED, key=f"{CACHED.key}, and later in the order of keys"))
    await end(database, second)
    await end(database, first, ERROR, retries=1)
    assert await claim(database) == []
    assert (await found(database, "one")).phase is Phase.SUCCEEDED
    ended = await database.read(lambda tx: stored.find(tx, child))
    assert ended
    assert ended.phase is Phase.ABORTED


async def test_who_overwrites_does_not_look_and_leaves_another_result(database: Database) -> None:
    first = await compute(database, CACHED, "one")
    overwriting = replace(CACHED, overwrite=True)
    await start(database, overwriting, "two")
    (claimed,) = await claim(database)
    assert await statuses(database, "two") == [(Phase.INITIALIZING, CacheStatus.SKIPPED)]
    await end(database, claimed)
    assert await statuses(database, "two") == [(Phase.SUCCEEDED, CacheStatus.POPULATED)]
    assert await is_served(database, CACHED, "three")
    third = await found(database, "three")
    assert third.output_uri != first.output_uri
    assert third.origin == AttemptId(root_of("two"), 1)


async def test_the_first_of_two_results_stays(database: Database) -> None:
    await start(database, CACHED, "one", "two")
    first, second = await claim(database)
    await end(database, second)
    await end(database, first)
    assert await is_served(database, CACHED, "three")
    assert (await found(database, "three")).origin == second.id


async def test_results_that_are_too_old_do_not_count_and_are_replaced(database: Database, clock: FakeClock) -> None:
    aged = replace(CACHED, max_age=HOUR)
    await compute(database, CACHED, "one")
    clock.forward(HOUR)
    assert await is_served(database, aged, "just in time")
    clock.forward(timedelta(seconds=1))
    fresh = await compute(database, aged, "two")
    assert await is_served(database, aged, "again")
    assert (await found(database, "again")).output_uri == fresh.output_uri


@pytest.mark.parametrize(
    ("other", "served"),
    [
        pytest.param(Scope("p", "development"), True, id="its own scope"),
        pytest.param(None, True, id="everywhere"),
        pytest.param(Scope("q", "development"), False, id="another project"),
        pytest.param(Scope("p", "production"), False, id="another domain"),
        pytest.param(Scope("p-development", ""), False, id="names that run into each other"),
    ],
)
async def test_results_count_where_they_are_looked_for(
    database: Database, other: Scope | None, *, served: bool
) -> None:
    await compute(database, replace(CACHED, scope=None), "one")
    assert await is_served(database, replace(CACHED, scope=other), "two") == served
    assert not await is_served(database, replace(CACHED, key="other", scope=other), "three")


async def test_the_last_use_of_a_result_is_known_to_the_hour(database: Database, clock: FakeClock) -> None:
    async def used_at(tx: Transaction) -> int:
        (row,) = await tx.fetch("SELECT used_at - made_at AS lasted FROM cache_entry")
        return row["lasted"]

    await compute(database, CACHED, "one")
    clock.forward(HOUR / 2)
    assert await is_served(database, CACHED, "two")
    assert await database.read(used_at) == 0
    clock.forward(HOUR / 2)
    assert await is_served(database, CACHED, "three")
    assert await database.read(used_at) == HOUR / timedelta(microseconds=1)


class TestOneComputes:
    async def test_the_others_wait_and_have_its_result(self, database: Database) -> None:
        await start(database, SERIAL, "one", "two", "three")
        (claimed,) = await claim(database)
        waiting = [name for name in ("one", "two", "three") if root_of(name) != claimed.id.action]
        assert await statuses(database, *waiting) == [(Phase.WAITING_FOR_RESOURCES, CacheStatus.MISS)] * 2
        assert await claim(database) == []
        await end(database, claimed)
        assert await claim(database) == []
        assert await statuses(database, *waiting) == [(Phase.SUCCEEDED, CacheStatus.HIT)] * 2
        assert await is_served(database, SERIAL, "four")

    async def test_the_history_says_for_whom_it_waits(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        await claim(database)
        await start(database, SERIAL, "two")
        assert await claim(database) == []
        changes = await database.read(lambda tx: events.first_entries(tx, root_of("two")))
        assert changes[-1].phase is Phase.WAITING_FOR_RESOURCES
        assert changes[-1].message == "action a0 of run one computes the same: its result is waited for"

    async def test_exactly_one_goes_on_when_it_fails(self, database: Database) -> None:
        await start(database, SERIAL, "one", "two", "three")
        seen: list[ActionId] = []
        for _ in range(3):
            (claimed,) = await claim(database)
            seen.append(claimed.id.action)
            await end(database, claimed, ERROR)
        assert sorted(seen) == sorted(map(root_of, ("one", "two", "three")))
        assert await claim(database) == []
        assert await database.read(reserved) == 0

    async def test_a_retry_keeps_the_turn(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        (claimed,) = await claim(database)
        await start(database, SERIAL, "two")
        await end(database, claimed, ERROR, retries=1)
        (again,) = await claim(database)
        assert again.id == AttemptId(claimed.id.action, 2)
        assert await statuses(database, "two") == [(Phase.WAITING_FOR_RESOURCES, CacheStatus.MISS)]

    async def test_one_that_waits_can_be_aborted_and_is_not_missed(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        (claimed,) = await claim(database)
        await start(database, SERIAL, "two")
        await start(database, SERIAL, "three")
        assert await claim(database) == []
        assert await database.write(lambda tx: ending.abort(tx, root_of("two"), "enough"))
        assert (await found(database, "two")).phase is Phase.ABORTED
        await end(database, claimed, ERROR)
        (next_one,) = await claim(database)
        assert next_one.id.action == root_of("three")

    async def test_the_heir_may_be_aborted_before_a_node_takes_it(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        (claimed,) = await claim(database)
        await start(database, SERIAL, "two")
        await start(database, SERIAL, "three")
        assert await claim(database) == []
        await end(database, claimed, ERROR)
        await database.write(lambda tx: ending.abort(tx, root_of("two"), "enough"))
        (next_one,) = await claim(database)
        assert next_one.id.action == root_of("three")

    async def test_an_abort_of_the_one_that_computes_passes_its_turn_on(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        await claim(database)
        await start(database, SERIAL, "two")
        assert await claim(database) == []
        await database.write(lambda tx: ending.abort(tx, root_of("one"), "enough"))
        (claimed,) = await claim(database)
        assert claimed.id.action == root_of("two")

    @pytest.mark.parametrize("late", ["one", "two"])
    async def test_a_deadline_ends_who_computes_and_who_waits(
        self, database: Database, clock: FakeClock, late: str
    ) -> None:
        for name in ("one", "two", "three"):
            await start(database, SERIAL, name, timeouts=Timeouts(deadline=HOUR) if name == late else UNLIMITED)
            assert len(await claim(database)) == (name == "one")
            clock.forward(HOUR / 2)
        (timer,) = await database.read(lambda tx: timers.due(tx, 9))
        assert await database.write(lambda tx: timeout_operations.expire(tx, timer))
        assert (await found(database, late)).phase is Phase.TIMED_OUT
        if late == "one":
            (heir,) = await claim(database)
            assert heir.id.action == root_of("two")
            await end(database, heir)
        else:
            await end(database, (await held(database))[0])
        assert await claim(database) == []
        assert await statuses(database, "three") == [(Phase.SUCCEEDED, CacheStatus.HIT)]

    async def test_a_node_that_dies_keeps_nobody_waiting(self, database: Database, clock: FakeClock) -> None:
        await database.write(lambda tx: nodes.join(tx, Node("n1", "h", private_blobs=False), lease=HOUR))
        await start(database, SERIAL, "one")
        await claim(database, "n1")
        await start(database, SERIAL, "two")
        assert await claim(database, "n2") == []
        clock.forward(2 * HOUR)
        assert await database.write(lambda tx: actions.take_over(tx, 9, chance=0.0)) == 1
        clock.forward(HOUR)
        (claimed,) = await claim(database, "n2")
        await end(database, claimed)
        assert await claim(database, "n2") == []
        assert {phase for phase, _ in await statuses(database, "one", "two")} == {Phase.SUCCEEDED}

    async def test_two_nodes_never_compute_the_same(self, database: Database) -> None:
        keys = [replace(SERIAL, key=f"k{number}") for number in range(4)]
        for number, policy in enumerate(keys):
            await start(database, policy, *(f"r{number}{copy}" for copy in "abcd"))
        claims = await asyncio.gather(*(claim(database, f"n{node}", 4) for node in range(4)))
        held = [each for taken in claims for each in taken]
        while more := await claim(database):
            held.extend(more)
        assert len({each.action.cache for each in held}) == len(held) == len(keys)
        for each in held:
            await end(database, each)
        assert await claim(database, limit=99) == []
        names = [f"r{number}{copy}" for number in range(4) for copy in "abcd"]
        seen = await statuses(database, *names)
        assert {phase for phase, _ in seen} == {Phase.SUCCEEDED}
        assert [status for _, status in seen].count(CacheStatus.POPULATED) == len(keys)

    async def test_ends_and_claims_at_the_same_time_leave_nobody_behind(self, database: Database) -> None:
        for turn in range(5):
            policy = replace(SERIAL, key=f"k{turn}")
            await start(database, policy, f"first{turn}")
            (claimed,) = await claim(database)
            await start(database, policy, *(f"r{turn}{copy}" for copy in "abc"))
            claiming = [claim(database, f"n{node}", 1) for node in range(3)]
            await asyncio.gather(end(database, claimed, ERROR if turn % 2 else Success()), *claiming)
            while left := [*await claim(database), *await held(database)]:
                await end(database, left[0])
            assert {(await found(database, f"r{turn}{copy}")).phase for copy in "abc"} == {Phase.SUCCEEDED}

    async def test_who_overwrites_waits_for_nobody_and_others_wait_for_it(self, database: Database) -> None:
        overwriting = replace(SERIAL, overwrite=True)
        await start(database, overwriting, "one", "two")
        first, second = await claim(database)
        await start(database, SERIAL, "three")
        assert await claim(database) == []
        await end(database, second)
        await end(database, first)
        assert await claim(database) == []
        assert await statuses(database, "three") == [(Phase.SUCCEEDED, CacheStatus.HIT)]

    async def test_nobody_waits_for_what_waits_for_it(self, database: Database) -> None:
        await start(database, SERIAL, "one")
        await claim(database)
        child = await ask(database, "one", SERIAL)
        (claimed,) = await claim(database)
        assert claimed.id.action == child

    async def test_the_end_of_a_parent_passes_the_turns_of_its_children_on(self, database: Database) -> None:
        await start(database, None, "one")
        await claim(database)
        child = await ask(database, "one", SERIAL)
        (claimed,) = await claim(database)
        assert claimed.id.action == child
        await start(database, SERIAL, "two")
        assert await claim(database) == []
        await database.write(lambda tx: ending.abort(tx, root_of("one"), "enough"))
        (heir,) = await claim(database)
        assert heir.id.action == root_of("two")


async def ask(database: Database, name: str, policy: CachePolicy) -> ActionId:
    """The root of the run asks for a child."""
    child = ActionId(root_of(name).run, "c")

    async def body(tx: Transaction) -> None:
        parent = await root(tx, name)
        action = replace(parent, id=child, parent="a0", phase=Phase.QUEUED, version=1, cache=policy)
        await stored.insert(tx, [action])
        await queue.add(tx, [queue.Entry(AttemptId(child, 1), 0, "", None, tx.now, parent="a0")])

    await database.write(body)
    return child


async def reserved(tx: Transaction) -> int:
    (row,) = await tx.fetch("SELECT count(*) AS number FROM cache_reservation")
    return row["number"]


async def held(database: Database) -> list[Claim]:
    async def body(tx: Transaction) -> list[Claim | None]:
        entries = [entry for node in ("n0", "n1", "n2") for entry in await queue.held(tx, node)]
        return [await actions.find_claim(tx, entry.attempt, entry.token) for entry in entries]

    return [each for each in await database.write(body) if each]
