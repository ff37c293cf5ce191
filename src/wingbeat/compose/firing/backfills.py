"""Fires for slots of the past: those that have not fired, a few at a time, the oldest first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from wingbeat.compose.firing.claims import slot_tick
from wingbeat.compose.firing.schedules import firing_of
from wingbeat.compose.firing.stored_definitions import asks_a_function
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.backfill import Wanted, planned, undecided
from wingbeat.errors import FailedPrecondition
from wingbeat.store.compose import ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.transaction import Transaction

MOST_SLOTS = 10_000


def plan(
    tx: Transaction, activation: Activation, definition: TriggerDef, *, begin: datetime, end: datetime, by: str | None
) -> Sequence[datetime]:
    """The slots in [begin, end) that will fire. Raises InvalidArgument and FailedPrecondition."""
    if asks_a_function(activation):
        raise FailedPrecondition(
            f"trigger {activation.name!r} asks its poll_fn what to run, which knows nothing of the past: fire it by"
            " hand with what is to run, fire(name, payload)"
        )
    wanted = Wanted(begin, end, again=False, max_running=definition.max_instances)
    firing = firing_of(activation, definition)
    backfill = planned(firing, wanted, backfill_id=activation.name, by=by or "", now=tx.now)
    taken = ticks.slots_taken(tx, activation.name, begin, end)
    slots = [slot for slot in undecided(backfill, MOST_SLOTS) if slot not in taken]
    for number, slot in enumerate(slots):
        tick = slot_tick(activation, slot, status="waiting")
        at = tx.now if number < definition.max_instances else None
        ticks.claim(tx, replace(tick, kind="backfill", initiated_by=by), now=tx.now, owner=None, lease_until=at)
    return slots
