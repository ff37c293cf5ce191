"""Pausing triggers with a reason and an end. A pause is a deactivation that knows why, and when it is over.

Whatever else changes the trigger ends the pause, too: its own end then changes nothing any more.
"""

from datetime import datetime

from wingbeat.core.ids import TriggerName
from wingbeat.core.project import Domains
from wingbeat.errors import InvalidArgument
from wingbeat.operations import triggers
from wingbeat.store import firings, pauses
from wingbeat.store import triggers as stored
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Transaction
from wingbeat.store.pauses import Pause


async def pause(tx: Transaction, name: TriggerName, *, reason: str, until: datetime | None, by: str) -> None:
    """Deactivate, and remember why and until when; a trigger that is paused gets the new reason and end.

    Raises NotFound, FailedPrecondition, and InvalidArgument for an end that is past.
    """
    if until is not None and until <= tx.now:
        raise InvalidArgument(f"until is {until.isoformat()}: it must be later than now, {tx.now.isoformat()}")
    trigger = await triggers.usable(tx, name)
    await triggers.set_active(tx, [name], False, by=by)
    paused = (await stored.find_many(tx, [trigger.id]))[trigger.id]
    await pauses.put(tx, Pause(paused.id, paused.revision, reason, until, by, tx.now))
    tx.changed(SCHEDULE)


async def resume(tx: Transaction, name: TriggerName, *, by: str, domains: Domains) -> None:
    """Activate; the time of the pause is not caught up. Raises NotFound, FailedPrecondition."""
    trigger = await triggers.usable(tx, name)
    await triggers.activate(tx, [name], by=by, domains=domains)
    await pauses.remove(tx, trigger.id)


async def resume_ended(tx: Transaction, *, limit: int) -> int:
    """Resume the triggers whose pause is over, in the name of who paused them; how many pauses ended.

    Also where nothing can fire because the project is archived: when it is active again, so are they.
    """
    ids = sorted(await pauses.ended(tx, limit))
    await firings.lock(tx, ids)
    current, paused = await stored.find_many(tx, ids), await pauses.find_many(tx, ids)
    over = [each for each in paused.values() if each.until is not None and each.until <= tx.now]
    for each in over:
        trigger = current[each.trigger_id]
        if each.holds(trigger):
            await triggers.set_active(tx, [trigger.name], True, by=each.paused_by)
        await pauses.remove(tx, trigger.id)
    return len(over)
