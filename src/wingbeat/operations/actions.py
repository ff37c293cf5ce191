"""The life of an action's attempts: claimed, started, finished, given back. Only who holds the current claim may tell.

The queue's row is the one lock for all of it and always taken first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from wingbeat.core.action import Action, Attempt, Event, Failure, Outcome, Phase, Success, after
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.core.retry import LOST, RetryPolicy
from wingbeat.core.run import Run
from wingbeat.operations import caching, ending
from wingbeat.operations.current import by_token, find_attempt, get, of_entry, record
from wingbeat.store import actions, claims, queue, runs, timers
from wingbeat.store.database import Transaction

NO_RETRIES = RetryPolicy()
PUT_OFF = timedelta(minutes=1)
"""How long an action waits of which nothing can be made."""
WAITING = frozenset({Phase.QUEUED, Phase.WAITING_FOR_RESOURCES})


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that a node holds, and all that it takes to launch it."""

    action: Action
    run: Run
    attempt: Attempt

    @property
    def id(self) -> AttemptId:
        return self.attempt.id

    @property
    def token(self) -> int:
        return self.attempt.token


async def claim(tx: Transaction, node: str, limit: int, *, lanes: Sequence[str] = ()) -> list[Claim]:
    """Up to `limit` waiting actions begin their next attempt on `node`, which serves `lanes`, or all."""
    entries = await claims.claim(tx, node, limit, lanes=lanes)
    taken = [(entry, await actions.find(tx, entry.attempt.action)) for entry in entries]
    # In one order on all nodes, so that no two of them wait for each other's rows of the cache.
    taken.sort(key=lambda found: found[1].cache.key if found[1] and found[1].cache else "")
    begun = [await _begin(tx, entry, await _by_now(tx, action)) for entry, action in taken]
    return [claim for claim in begun if claim]


async def put_off(tx: Transaction, node: str, *, lanes: Sequence[str] = (), why: str) -> None:
    """The action that would be claimed next is left alone for a while, visibly."""
    for entry in await claims.claim(tx, node, 1, lanes=lanes):
        await queue.release(tx, entry.attempt, at=tx.now + PUT_OFF)
        await record(tx, entry.attempt, Phase.QUEUED, tx.now, why)


async def find_claim(tx: Transaction, attempt: AttemptId, token: int) -> Claim | None:
    """The claim, if it is the current one."""
    entry = await queue.find(tx, attempt.action)
    if entry is None or entry.attempt != attempt or entry.token != token:
        return None
    current, run = await of_entry(tx, entry), await runs.find(tx, attempt.action.run)
    return Claim(current.action, run, current.attempt) if current and run else None


async def started(tx: Transaction, attempt: AttemptId, token: int, *, at: datetime) -> bool:
    """The attempt's process runs since `at`, or since now if that is earlier.

    False, and nothing changes, when that is known or does not count.
    """
    current = await by_token(tx, attempt, token)
    if current is None or current.attempt.phase is not Phase.INITIALIZING:
        return False
    phase = after(current.action.phase, Event.START)
    since = max(min(at, tx.now), current.attempt.created_at)
    await actions.save_attempt(tx, replace(current.attempt, phase=phase, started_at=since))
    await actions.save(tx, replace(current.action, phase=phase))
    await record(tx, attempt, phase, since)
    await timers.add(tx, current.action.timeouts.when_started(attempt, since))
    return True


async def finished(
    tx: Transaction,
    attempt: AttemptId,
    token: int,
    outcome: Outcome,
    *,
    retries: RetryPolicy,
    chance: float,
    at: datetime | None = None,
) -> bool:
    """The attempt ended, at `at` or now: its action is over too, or waits for its next attempt.

    `chance` is a random number in [0, 1). False, and nothing changes, when the claim is not the current one.
    """
    current = await by_token(tx, attempt, token)
    if current is None:
        return False
    ended_at = min(at or tx.now, tx.now)
    match outcome:
        case Success():
            await ending.succeed(tx, current, ended_at)
        case Failure():
            await ending.fail(tx, current, outcome, ended_at, retries=retries, chance=chance)
    return True


async def timed_out(tx: Transaction, attempt: AttemptId, token: int, failure: Failure, *, retries: RetryPolicy) -> bool:
    """The attempt has run too long: its node stops it. False, and nothing changes, when the claim is not current."""
    current = await by_token(tx, attempt, token)
    if current is None:
        return False
    await ending.fail(tx, current, failure, tx.now, retries=retries, chance=0, event=Event.TIME_OUT)
    return True


async def release(tx: Transaction, attempt: AttemptId, token: int, *, at: datetime, why: str) -> bool:
    """The attempt was never launched: it waits in the queue again, claimable from `at` on."""
    current = await by_token(tx, attempt, token)
    if current is None:
        return False
    phase = after(current.action.phase, Event.RELEASE)
    await actions.save_attempt(tx, replace(current.attempt, phase=phase))
    await actions.save(tx, replace(current.action, phase=phase))
    await record(tx, attempt, phase, tx.now, why)
    await queue.release(tx, attempt, at=at)
    # It goes on counting from when the attempt first waited: one that is not there any more went off meanwhile.
    for timer in current.action.timeouts.when_available(attempt, tx.now):
        await timers.restore(tx, replace(timer, at=tx.now))
    return True


async def take_over(tx: Transaction, limit: int, *, chance: float, only: ActionId | None = None) -> int:
    """Actions of nodes whose lease is gone lose their attempt; the number of actions."""
    entries = await queue.abandoned(tx, limit, only=only)
    for entry in entries:
        current = await of_entry(tx, entry)
        if current is not None:
            await ending.fail(tx, current, LOST, tx.now, retries=NO_RETRIES, chance=chance)
    return len(entries)


async def note_cache(tx: Transaction, action_id: ActionId, *, attempt: int, status: int) -> bool:
    """Keep how the cache served the attempt that is being made, which 0 means too. Phases are not told to us.

    False, and nothing changes, for another attempt, and when the action is over or says so already. Raises NotFound.
    """
    await queue.find(tx, action_id)  # the lock
    action = await get(tx, action_id)
    if action.phase.terminal or attempt not in (0, action.attempts) or status == action.cache_status:
        return False
    await actions.save(tx, replace(action, cache_status=status))
    return True


async def keep_log(tx: Transaction, attempt: AttemptId, log_uri: str) -> None:
    """The attempt's whole log is at `log_uri`, however the attempt ended."""
    await queue.find(tx, attempt.action)  # the lock
    action, found = await actions.find(tx, attempt.action), await find_attempt(tx, attempt)
    if action is not None and found is not None and found.log_uri != log_uri:
        await actions.save_attempt(tx, replace(found, log_uri=log_uri))
        await actions.save(tx, action)


async def _by_now(tx: Transaction, found: Action | None) -> Action | None:
    """A parent that was taken with it, and that the cache has served first, has ended it."""
    return found if found is None or found.cache is None else await actions.find(tx, found.id)


async def _begin(tx: Transaction, entry: queue.Entry, found: Action | None) -> Claim | None:
    """None when there is nothing to launch: the action is over, or waits for the result of another one."""
    run = await runs.find(tx, entry.attempt.action.run)
    if found is None or run is None or found.phase not in WAITING:
        await queue.remove(tx, entry.attempt.action)
        return None
    action = await caching.serve(tx, found, entry)
    if action is None:
        return None
    phase = after(action.phase, Event.CLAIM)
    attempt = Attempt(
        id=entry.attempt,
        phase=phase,
        node=entry.node or "",
        token=entry.token,
        output_prefix=output_prefix(run.output_base, entry.attempt),
        created_at=tx.now,
        started_at=None,
        ended_at=None,
        failure=None,
        log_uri=None,
    )
    await actions.save_attempt(tx, attempt)
    saved = await actions.save(tx, replace(action, phase=phase))
    await record(tx, attempt.id, phase, tx.now)
    return Claim(saved, run, attempt)
