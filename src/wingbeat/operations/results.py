"""What an action leaves to others that ask for the same: its outputs, or its turn to compute."""

from collections.abc import Sequence
from dataclasses import replace

from wingbeat.core.action import Action, Phase
from wingbeat.core.cache import CacheStatus
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.store import cache, reservations
from wingbeat.store.database import Transaction


async def keep(tx: Transaction, action: Action, attempt: AttemptId) -> Action:
    """The action's outputs, which this attempt has made, serve others from now on."""
    if action.cache is None or action.output_uri is None:
        return action
    await cache.put(tx, action.cache, attempt, action.output_uri)
    return replace(action, cache_status=CacheStatus.POPULATED)


async def leave(tx: Transaction, action: Action, phase: Phase) -> None:
    """The action is over: whoever waits for its result goes on, all of them when there is one."""
    if action.cache is None or not action.cache.serializable:
        return
    if phase is Phase.SUCCEEDED:
        await reservations.give_up(tx, action.cache.reservation, action.id)
    else:
        await reservations.pass_on(tx, action.cache.reservation, action.id)


async def leave_unmade(tx: Transaction, actions: Sequence[ActionId]) -> None:
    """These actions of one run were aborted, whether others wait for a result of theirs or not."""
    over = frozenset(actions)
    for name, holder in await reservations.of_run(tx, actions[0].run):
        if holder in over:
            await reservations.pass_on(tx, name, holder)
