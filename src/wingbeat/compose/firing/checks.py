"""What an answer of `poll_fn` becomes: fires, an event that says why not, or nothing.

Its one rule: the answer, the cursor and the end of the check are one transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from wingbeat.compose.firing.answers import Fire, Skip
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.claims import run_id_of
from wingbeat.compose.json_text import safe_json_dumps
from wingbeat.store.compose import activations, events, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.texts import storable
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction


def settle(
    tx: Transaction,
    check: Tick,
    activation: Activation,
    answer: Skip | Sequence[Fire] | None,
    *,
    cursor: str | None,
    by: Claimant,
    now: datetime,
) -> list[tuple[Tick, Fire]]:
    """The fires that are ours to carry out. No one is when the check is somebody else's by now."""
    if isinstance(answer, Skip):
        if not ticks.finish(tx, check.event_id, owner=by.owner, status="skipped", error=answer.reason, now=now):
            return []
    elif not ticks.forget(tx, check.event_id, owner=by.owner):
        return []
    activations.checked(tx, check.trigger_name, now)
    if cursor != activation.cursor_json:
        activations.keep_cursor(tx, check.trigger_name, cursor)
    activations.wake(tx, check.trigger_name, now)
    if answer is None or isinstance(answer, Skip):
        return []
    return [
        (tick, fire)
        for number, fire in enumerate(answer)
        if (tick := _begun(tx, check, activation, fire, number, by=by, now=now)) is not None
    ]


def _begun(
    tx: Transaction, check: Tick, activation: Activation, fire: Fire, number: int, *, by: Claimant, now: datetime
) -> Tick | None:
    if fire.key is not None:
        key = storable(str(fire.key))
        kind, about = "sensor", f"{activation.name}/{key}"
    else:
        suffix = f"#{number}" if number else ""
        kind, key, about = "schedule", f"{check.slot_key}{suffix}", f"{activation.name}{suffix}"
    slot = check.scheduled_for or now
    tick = replace(
        check,
        event_id=str(uuid4()),
        kind=kind,
        slot_key=key,
        run_id=run_id_of(about, activation.dag_nsref, slot),
        payload_json=safe_json_dumps(dict(fire.payload)),
        attempt=1,
        status="running",
        slots=1 if number else check.slots,
    )
    if ticks.claim(tx, tick, now=now, owner=by.owner, lease_until=by.until(now)):
        return tick
    events.add(
        tx,
        activation.name,
        status="skipped",
        now=now,
        kind=kind,
        scheduled_for=check.scheduled_for,
        revision=check.revision,
        error=f"{kind} key {key!r} has fired already",
    )
    return None
