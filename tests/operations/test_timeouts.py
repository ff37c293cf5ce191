"""Each bound on its own and against what it races with, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from tests.queued_runs import root, root_of, run_of, task_spec
from wingbeat.core.action import Attempt, ErrorKind, Failure, Phase, PhaseChange, Success
from wingbeat.core.cache import CachePolicy
from wingbeat.core.retry import RetryPolicy
from wingbeat.core.timer import Timeouts, TimerKind
from wingbeat.operations import actions, ending, runs, timeouts
from wingbeat.operations.actions import NO_RETRIES, Claim
from wingbeat.store import actions as stored
from wingbeat.store import events, queue, tasks, timers
from wingbeat.store.database import Database
from wingbeat.wire.tasks import digest

SECOND = timedelta(seconds=1)
ALL = Timeouts(queued=5 * SECOND, runtime=10 * SECOND, deadline=60 * SECOND)


async def start_run(
    database: Database,
    bounds: Timeouts,
    *,
    retries: int = 0,
    name: str = "r",
    cache: CachePolicy | None = None,
    lane: str = "",
) -> None:
    spec = task_spec(retries=retries)
    run = replace(run_of(name, spec), timeouts=bounds, cache=cache, lane=lane)
    await database.write(lambda tx: tasks.put_spec(tx, digest(spec), spec))
    await database.write(lambda tx: runs.start(tx, [run]))


async def claim(database: Database) -> Claim:
    (claimed,) = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    return claimed


async def begin(database: Database) -> Claim:
    claimed = await claim(database)
    assert await database.write(lambda tx: actions.started(tx, claimed.id, claimed.token, at=tx.now))
    return claimed


async def expire_due(database: Database) -> list[TimerKind]:
    """What went off, as opposed to what only was due."""
    due = await database.read(lambda tx: timers.due(tx, 9))
    return [each.kind for each in due if await database.write(lambda tx, each=each: timeouts.expire(tx, each))]


async def attempts(database: Database) -> list[Attempt]:
    return await database.read(lambda tx: stored.attempts(tx, root_of("r")))


async def history(database: Database) -> list[PhaseChange]:
    return await database.read(lambda tx: events.first_entries(tx, root_of("r")))


async def test_an_action_without_bounds_has_no_timers(database: Database, clock: FakeClock) -> None:
    await start_run(database, Timeouts())
    await begin(database)
    assert await database.read(timers.next_at) is None


async def test_bounds_are_read_with_the_action_and_its_run(database: Database) -> None:
    await start_run(database, ALL)
    claimed = await claim(database)
    assert (claimed.action.timeouts, claimed.run.timeouts) == (ALL, ALL)


async def test_an_action_that_waits_too_long_is_over_without_ever_having_begun(
    database: Database, clock: FakeClock
) -> None:
    await start_run(database, replace(ALL, deadline=None), retries=3)
    clock.forward(5 * SECOND)
    assert await expire_due(database) == [TimerKind.QUEUED]
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.ended_at, action.duration_ms) == (Phase.TIMED_OUT, T0 + 5 * SECOND, 5000)
    (attempt,) = await attempts(database)
    assert (attempt.phase, attempt.node, attempt.started_at) == (Phase.TIMED_OUT, "", None)
    assert attempt.failure is not None
    assert (attempt.failure.code, attempt.failure.kind) == ("QUEUED_TIMEOUT_EXCEEDED", ErrorKind.USER)
    assert "0:00:05" in attempt.failure.message
    assert (await history(database))[-1].message == attempt.failure.message
    assert await database.write(lambda tx: actions.claim(tx, "n1", 9)) == []


async def test_who_was_taken_in_time_did_not_wait_too_long(database: Database, clock: FakeClock) -> None:
    await start_run(database, Timeouts(queued=5 * SECOND))
    await claim(database)
    clock.forward(5 * SECOND)
    assert await expire_due(database) == []
    assert await database.read(timers.next_at) is None


async def test_an_attempt_that_was_given_back_goes_on_waiting_where_it_was(
    database: Database, clock: FakeClock
) -> None:
    await start_run(database, Timeouts(queued=5 * SECOND))
    clock.forward(2 * SECOND)
    claimed = await claim(database)
    await database.write(lambda tx: actions.release(tx, claimed.id, claimed.token, at=tx.now, why="busy"))
    assert await database.read(timers.next_at) == T0 + 5 * SECOND


async def test_an_attempt_that_is_given_back_after_its_time_waits_no_longer(
    database: Database, clock: FakeClock
) -> None:
    await start_run(database, Timeouts(queued=5 * SECOND))
    claimed = await claim(database)
    clock.forward(5 * SECOND)
    assert await expire_due(database) == []
    await database.write(lambda tx: actions.release(tx, claimed.id, claimed.token, at=tx.now, why="busy"))
    assert await expire_due(database) == [TimerKind.QUEUED]
    (attempt,) = await attempts(database)
    assert (attempt.phase, attempt.node) == (Phase.TIMED_OUT, "n1")


async def test_an_attempt_that_runs_too_long_is_over_and_leaves_its_node(database: Database, clock: FakeClock) -> None:
    await start_run(database, ALL)
    clock.forward(3 * SECOND)
    claimed = await begin(database)
    clock.forward(10 * SECOND)
    # The bound of its wait is due, too, and counts no more.
    assert await expire_due(database) == [TimerKind.RUNTIME]
    action = await database.read(lambda tx: root(tx, "r"))
    assert action.phase is Phase.TIMED_OUT
    (attempt,) = await attempts(database)
    assert attempt.failure is not None
    assert (attempt.phase, attempt.failure.code) == (Phase.TIMED_OUT, "MAX_RUNTIME_EXCEEDED")
    assert await database.read(lambda tx: queue.held(tx, "n1")) == []
    late = await database.write(
        lambda tx: actions.finished(tx, claimed.id, claimed.token, Success(), retries=NO_RETRIES, chance=0)
    )
    assert not late


async def test_each_attempt_has_its_own_time_and_a_run_too_long_uses_up_a_retry(
    database: Database, clock: FakeClock
) -> None:
    await start_run(database, Timeouts(runtime=10 * SECOND), retries=1)
    await begin(database)
    clock.forward(10 * SECOND)
    assert await expire_due(database) == [TimerKind.RUNTIME]
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.attempts) == (Phase.QUEUED, 2)
    clock.forward(5 * SECOND)
    second = await begin(database)
    assert second.id.number == 2
    clock.forward(9 * SECOND)
    assert await expire_due(database) == []
    clock.forward(SECOND)
    assert await expire_due(database) == [TimerKind.RUNTIME]
    assert (await database.read(lambda tx: root(tx, "r"))).phase is Phase.TIMED_OUT
    assert [each.phase for each in await attempts(database)] == [Phase.TIMED_OUT, Phase.TIMED_OUT]


async def test_the_wait_of_a_retry_is_counted_from_when_it_may_be_taken(database: Database, clock: FakeClock) -> None:
    await start_run(database, Timeouts(queued=5 * SECOND))
    claimed = await begin(database)
    lost = Failure("Interrupted", ErrorKind.SYSTEM, "gone", retryable=True)
    await database.write(lambda tx: actions.finished(tx, claimed.id, claimed.token, lost, retries=NO_RETRIES, chance=1))
    clock.forward(5 * SECOND)
    assert await expire_due(database) == []
    clock.forward(SECOND)
    assert await expire_due(database) == [TimerKind.QUEUED]


async def test_who_waits_for_the_result_of_another_too_long_is_over(database: Database, clock: FakeClock) -> None:
    serial = CachePolicy("k", None, serializable=True)
    await start_run(database, Timeouts(), cache=serial, name="first")
    await begin(database)
    await start_run(database, Timeouts(queued=5 * SECOND), cache=serial)
    clock.forward(4 * SECOND)
    assert await database.write(lambda tx: actions.claim(tx, "n1", 9)) == []
    assert await expire_due(database) == []
    clock.forward(SECOND)
    assert await expire_due(database) == [TimerKind.QUEUED]
    (attempt,) = await attempts(database)
    assert attempt.failure is not None
    assert attempt.failure.message.startswith("the result that another action computes was not there")


@pytest.mark.parametrize("taken", [False, True], ids=["and is not taken", "and is taken"])
async def test_the_heir_of_one_who_computed_has_waited_all_the_time(
    database: Database, clock: FakeClock, *, taken: bool
) -> None:
    serial = CachePolicy("k", None, serializable=True)
    await start_run(database, Timeouts(), cache=serial, name="first")
    computing = await begin(database)
    await start_run(database, Timeouts(queued=5 * SECOND), cache=serial)
    assert await database.write(lambda tx: actions.claim(tx, "n1", 9)) == []
    clock.forward(4 * SECOND)
    no = Failure("ValueError", ErrorKind.USER, "no")
    await database.write(
        lambda tx: actions.finished(tx, computing.id, computing.token, no, retries=NO_RETRIES, chance=0)
    )
    if taken:
        await claim(database)
    clock.forward(SECOND)
    assert await expire_due(database) == ([] if taken else [TimerKind.QUEUED])


async def test_who_times_out_in_a_queue_without_a_node_is_told_so(database: Database, clock: FakeClock) -> None:
    await start_run(database, Timeouts(queued=5 * SECOND), lane="night")
    clock.forward(5 * SECOND)
    assert await expire_due(database) == [TimerKind.QUEUED]
    (attempt,) = await attempts(database)
    assert attempt.failure is not None
    assert attempt.failure.message.endswith("max_queued_time: no node that is alive serves the queue 'night'")


@pytest.mark.parametrize("running", [False, True], ids=["in the queue", "on a node"])
async def test_a_deadline_ends_the_action_whatever_retries_it_has(
    database: Database, clock: FakeClock, *, running: bool
) -> None:
    await start_run(database, Timeouts(deadline=60 * SECOND), retries=5)
    claimed = await begin(database)
    no = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
    await database.write(
        lambda tx: actions.finished(tx, claimed.id, claimed.token, no, retries=RetryPolicy(5), chance=0)
    )
    if running:
        await begin(database)
    clock.forward(60 * SECOND)
    assert await expire_due(database) == [TimerKind.DEADLINE]
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.attempts) == (Phase.TIMED_OUT, 2)
    last = (await attempts(database))[-1]
    assert last.failure is not None
    assert (last.id.number, last.phase, last.failure.code) == (2, Phase.TIMED_OUT, "DEADLINE_EXCEEDED")


async def test_a_timer_goes_off_once(database: Database, clock: FakeClock) -> None:
    await start_run(database, Timeouts(deadline=SECOND))
    clock.forward(SECOND)
    (timer,) = await database.read(lambda tx: timers.due(tx, 9))
    assert await database.write(lambda tx: timeouts.expire(tx, timer))
    assert not await database.write(lambda tx: timeouts.expire(tx, timer))


@pytest.mark.parametrize("how", ["success", "abort"])
async def test_an_action_that_is_over_leaves_no_timers(database: Database, clock: FakeClock, how: str) -> None:
    await start_run(database, ALL)
    claimed = await begin(database)
    if how == "success":
        await database.write(
            lambda tx: actions.finished(tx, claimed.id, claimed.token, Success(), retries=NO_RETRIES, chance=0)
        )
    else:
        await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    assert await database.read(timers.next_at) is None
