from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from tests.queued_runs import enqueue, root, root_of
from wingbeat.core.action import Attempt, ErrorKind, Failure, Outcome, Phase, Success
from wingbeat.core.ids import AttemptId
from wingbeat.core.retry import LOST, Backoff, RetryPolicy
from wingbeat.errors import FailedPrecondition, NotFound
from wingbeat.operations import actions, ending, nodes
from wingbeat.operations.actions import NO_RETRIES, Claim
from wingbeat.store import actions as stored
from wingbeat.store import events, queue
from wingbeat.store.database import Database
from wingbeat.store.nodes import Node

SECOND = timedelta(seconds=1)
ERROR = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
LEASE = timedelta(seconds=60)


async def claim_one(database: Database, node: str = "n1") -> Claim:
    (claim,) = await database.write(lambda tx: actions.claim(tx, node, 1))
    return claim


async def finish(
    database: Database, claim: Claim, outcome: Outcome, *, retries: RetryPolicy = NO_RETRIES, token: int | None = None
) -> bool:
    token = claim.token if token is None else token
    return await database.write(
        lambda tx: actions.finished(tx, claim.id, token, outcome, retries=retries, chance=0.5, at=tx.now)
    )


async def attempts(database: Database, name: str = "r") -> list[Attempt]:
    return await database.read(lambda tx: stored.attempts(tx, root_of(name)))


async def phases(database: Database, name: str = "r") -> list[tuple[int, Phase]]:
    changes = await database.read(lambda tx: events.first_entries(tx, root_of(name)))
    return [(change.attempt, change.phase) for change in changes]


@pytest.fixture(autouse=True)
async def one_run(database: Database) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))


async def test_a_claim_begins_an_attempt(database: Database) -> None:
    claim = await claim_one(database)
    assert claim.run.inputs == b"in"
    assert claim.action.phase is Phase.INITIALIZING
    (attempt,) = await attempts(database)
    assert attempt == claim.attempt
    assert attempt.output_prefix == "s3://wingbeat/p/development/r/a0/1"
    assert await database.write(lambda tx: actions.claim(tx, "n2", 9)) == []


async def test_an_attempt_that_succeeds(database: Database, clock: FakeClock) -> None:
    claim = await claim_one(database)
    clock.forward(SECOND)
    assert await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    clock.forward(SECOND)
    assert await finish(database, claim, Success())
    action = await database.read(lambda tx: root(tx, "r"))
    (attempt,) = await attempts(database)
    assert (action.phase, action.output_uri) == (Phase.SUCCEEDED, attempt.output_prefix)
    assert (action.ended_at, action.duration_ms) == (T0 + 2 * SECOND, 2000)
    assert (attempt.started_at, attempt.ended_at, attempt.phase) == (T0 + SECOND, T0 + 2 * SECOND, Phase.SUCCEEDED)
    assert await phases(database) == [(1, phase) for phase in (Phase.QUEUED, Phase.INITIALIZING, Phase.RUNNING, 5)]
    assert await database.read(lambda tx: queue.held(tx, "n1")) == []


async def test_an_attempt_that_fails_for_good(database: Database) -> None:
    claim = await claim_one(database)
    assert await finish(database, claim, ERROR)
    action = await database.read(lambda tx: root(tx, "r"))
    (attempt,) = await attempts(database)
    assert (action.phase, action.output_uri, action.attempts) == (Phase.FAILED, None, 1)
    assert (attempt.phase, attempt.failure, attempt.ended_at) == (Phase.FAILED, ERROR, T0)


async def test_a_retry_keeps_the_failed_attempt_and_begins_another_in_its_own_place(
    database: Database, clock: FakeClock
) -> None:
    claim = await claim_one(database)
    policy = RetryPolicy(1, Backoff(5 * SECOND))
    assert await finish(database, claim, ERROR, retries=policy)
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.attempts, action.ended_at) == (Phase.QUEUED, 2, None)
    assert await database.write(lambda tx: actions.claim(tx, "n1", 1)) == []
    clock.forward(5 * SECOND)
    again = await claim_one(database)
    assert again.id.number == 2
    assert again.attempt.output_prefix.endswith("/a0/2")
    assert await finish(database, again, ERROR, retries=policy)
    first, second = await attempts(database)
    assert (first.phase, first.failure) == (second.phase, second.failure) == (Phase.FAILED, ERROR)
    assert (1, Phase.FAILED) in await phases(database)
    assert (await database.read(lambda tx: root(tx, "r"))).phase is Phase.FAILED


async def test_an_outcome_with_an_old_token_does_not_count(database: Database) -> None:
    first = await claim_one(database)
    assert await database.write(lambda tx: actions.release(tx, first.id, first.token, at=tx.now, why="busy"))
    second = await claim_one(database, "n2")
    assert second.id == first.id
    assert not await finish(database, first, Success())
    assert not await database.write(lambda tx: actions.started(tx, first.id, first.token, at=tx.now))
    assert not await database.write(lambda tx: actions.release(tx, first.id, first.token, at=tx.now, why="busy"))
    assert await finish(database, second, Success())


async def test_a_finished_action_is_never_overwritten(database: Database) -> None:
    claim = await claim_one(database)
    assert await finish(database, claim, Success())
    assert not await finish(database, claim, ERROR)
    assert not await database.write(lambda tx: ending.abort(tx, root_of("r"), "late"))
    assert (await database.read(lambda tx: root(tx, "r"))).phase is Phase.SUCCEEDED


async def test_a_start_counts_once(database: Database, clock: FakeClock) -> None:
    claim = await claim_one(database)
    assert await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    clock.forward(SECOND)
    assert not await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    assert (await attempts(database))[0].started_at == T0


async def test_what_already_runs_cannot_be_released(database: Database) -> None:
    claim = await claim_one(database)
    await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    with pytest.raises(FailedPrecondition):
        await database.write(lambda tx: actions.release(tx, claim.id, claim.token, at=tx.now, why="busy"))


async def test_an_abort_ends_the_attempt_and_frees_the_node(database: Database) -> None:
    claim = await claim_one(database)
    await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
    assert await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.abort_reason, action.ended_at) == (Phase.ABORTED, "enough", T0)
    assert [attempt.phase for attempt in await attempts(database)] == [Phase.ABORTED]
    assert await database.read(lambda tx: queue.held(tx, "n1")) == []
    assert not await finish(database, claim, Success())


async def test_an_abort_ends_an_attempt_that_was_given_back(database: Database, clock: FakeClock) -> None:
    claim = await claim_one(database)
    await database.write(lambda tx: actions.release(tx, claim.id, claim.token, at=tx.now, why="busy"))
    clock.forward(SECOND)
    assert await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    (attempt,) = await attempts(database)
    assert (attempt.phase, attempt.ended_at) == (Phase.ABORTED, T0 + SECOND)


async def test_nothing_starts_or_ends_later_than_now_by_a_clock_that_is_fast(
    database: Database, clock: FakeClock
) -> None:
    claim, fast = await claim_one(database), T0 + 9 * SECOND
    await database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=fast))
    clock.forward(SECOND)
    await database.write(
        lambda tx: actions.finished(tx, claim.id, claim.token, Success(), retries=NO_RETRIES, chance=0.0, at=fast)
    )
    (attempt,) = await attempts(database)
    assert (attempt.started_at, attempt.ended_at) == (T0, T0 + SECOND)


async def test_an_abort_takes_an_action_out_of_the_queue(database: Database) -> None:
    assert await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    assert not await database.write(lambda tx: ending.abort(tx, root_of("r"), "again"))
    with pytest.raises(NotFound, match="run 'unknown' not found"):
        await database.write(lambda tx: ending.abort(tx, root_of("unknown"), "x"))
    assert await database.write(lambda tx: actions.claim(tx, "n1", 1)) == []


async def test_actions_of_a_dead_node_get_another_attempt(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: nodes.join(tx, Node("n1", "h", private_blobs=False), LEASE))
    dead = await claim_one(database)
    assert await database.write(lambda tx: actions.take_over(tx, 9, chance=0.5)) == 0
    clock.forward(LEASE)
    assert await database.write(lambda tx: actions.take_over(tx, 9, chance=0.5)) == 1
    assert await database.write(lambda tx: actions.take_over(tx, 9, chance=0.5)) == 0
    clock.forward(SECOND)
    again = await claim_one(database, "n2")
    assert again.id == AttemptId(root_of("r"), 2)
    assert [attempt.failure for attempt in await attempts(database)] == [LOST, None]
    assert not await finish(database, dead, Success())
    assert await finish(database, again, Success())


async def test_an_action_that_only_gets_lost_fails_in_the_end(database: Database, clock: FakeClock) -> None:
    for _ in range(4):
        await claim_one(database, "ghost")
        assert await database.write(lambda tx: actions.take_over(tx, 9, chance=0.5)) == 1
        clock.forward(LEASE)
    action = await database.read(lambda tx: root(tx, "r"))
    assert (action.phase, action.attempts) == (Phase.FAILED, 4)


async def test_a_log_is_kept_whatever_became_of_the_attempt(database: Database) -> None:
    claim = await claim_one(database)
    await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    before = await database.read(lambda tx: root(tx, "r"))
    await database.write(lambda tx: actions.keep_log(tx, claim.id, "s3://log"))
    (attempt,) = await attempts(database)
    assert (attempt.phase, attempt.log_uri) == (Phase.ABORTED, "s3://log")
    # Who watches compares versions.
    assert (await database.read(lambda tx: root(tx, "r"))).version == before.version + 1


async def test_a_claim_is_found_again_while_it_is_current(database: Database) -> None:
    claim = await claim_one(database)
    assert await database.write(lambda tx: actions.find_claim(tx, claim.id, claim.token)) == claim
    assert await database.write(lambda tx: actions.find_claim(tx, claim.id, claim.token + 1)) is None


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True), (True, True)])
async def test_private_blobs_allow_one_node_only(
    database: Database, clock: FakeClock, ours: bool, theirs: bool
) -> None:
    first, second = Node("n1", "h1", private_blobs=theirs), Node("n2", "h2", private_blobs=ours)
    assert await database.write(lambda tx: nodes.join(tx, first, LEASE)) == 0
    with pytest.raises(FailedPrecondition, match="n1"):
        await database.write(lambda tx: nodes.join(tx, second, LEASE))
    clock.forward(LEASE)
    assert await database.write(lambda tx: nodes.join(tx, second, LEASE)) == 0
