"""How the cache serves an action that a node is about to begin: with a result, by letting it wait, or not at all."""

from dataclasses import replace

from wingbeat.core.action import Action, Attempt, Event, Phase, after
from wingbeat.core.cache import CacheEntry, CacheStatus
from wingbeat.core.ids import ActionId
from wingbeat.core.launch import key_of
from wingbeat.operations import ending
from wingbeat.operations.current import record
from wingbeat.store import actions, cache, reservations
from wingbeat.store.database import Transaction
from wingbeat.store.queue import Entry


async def serve(tx: Transaction, action: Action, entry: Entry) -> Action | None:
    """The action, which computes by itself; None: it has a result or waits for one."""
    if action.cache is None:
        return action
    if action.cache.overwrite:
        if action.cache.serializable:
            await reservations.reserve(tx, action.cache.reservation, action.id)
        return replace(action, cache_status=CacheStatus.SKIPPED)
    found = await cache.find(tx, action.cache)
    if found is None and action.cache.serializable:
        holder = await reservations.reserve(tx, action.cache.reservation, action.id)
        # Whoever held it until just now may have left a result.
        found = await cache.find(tx, action.cache)
        if found is None and holder != action.id and not await _is_above(tx, holder, action):
            await _wait(tx, action, entry, holder, reservation=action.cache.reservation)
            return None
    if found is None:
        return replace(action, cache_status=CacheStatus.MISS)
    await _take(tx, action, entry, found)
    return None


async def _take(tx: Transaction, action: Action, entry: Entry, found: CacheEntry) -> None:
    """The action is over, with the outputs that were there."""
    phase = after(action.phase, Event.HIT)
    attempt = Attempt(
        id=entry.attempt,
        phase=phase,
        node="",
        token=entry.token,
        output_prefix=found.output_uri,
        created_at=tx.now,
        started_at=None,
        ended_at=tx.now,
        failure=None,
        log_uri=None,
    )
    await actions.save_attempt(tx, attempt)
    await record(tx, entry.attempt, phase, tx.now, f"the outputs are those of {key_of(found.origin)}")
    served = replace(action, cache_status=CacheStatus.HIT, output_uri=found.output_uri, origin=found.origin)
    await ending.close(tx, served, phase, tx.now)


async def _wait(tx: Transaction, action: Action, entry: Entry, holder: ActionId, *, reservation: str) -> None:
    phase = after(action.phase, Event.WAIT)
    await actions.save(tx, replace(action, phase=phase, cache_status=CacheStatus.MISS))
    if action.phase is Phase.QUEUED:
        why = f"action {holder.name} of run {holder.run.name} computes the same: its result is waited for"
        await record(tx, entry.attempt, phase, tx.now, why)
    await reservations.wait(tx, entry.attempt, reservation)


async def _is_above(tx: Transaction, holder: ActionId, action: Action) -> bool:
    """Whether the holder waits for the action itself, which would be for ever."""
    parent = action.parent if holder.run == action.id.run else None
    while parent is not None and parent != holder.name:
        above = await actions.find(tx, ActionId(holder.run, parent))
        parent = above.parent if above else None
    return parent is not None
