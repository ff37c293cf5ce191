"""What an answer of `poll_fn` becomes: fires, an event that says why not, or nothing.

Its one rule: the answer, the cursor and the end of the check are one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from wingbeat.compose.firing.answers import Fire, Skip
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.claims import run_id_of
from wingbeat.compose.trigger_defs import Overlapping, TriggerDef
from wingbeat.store.compose import activations, events, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.texts import storable
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Check:
    tick: Tick
    activation: Activation
    definition: TriggerDef


@dataclass(frozen=True, slots=True)
class Settled:
    begun: list[tuple[Tick, Fire]]
    """The fires that are ours to carry out."""
    makes_way: bool = False
    """Whether something else that waited may begin now."""


def settle(
    tx: Transaction,
    check: Check,
    answer: Skip | Sequence[Fire] | None,
    *,
    texts: Sequence[str],
    cursor: str | None,
    by: Claimant,
    now: datetime,
) -> Settled:
    """Fires for which there is no place wait for one. Nothing is ours when the check is somebody else's by now.

    `texts` are the payloads of the fires as they are kept.
    """
    tick, name = check.tick, check.activation.name
    if isinstance(answer, Skip):
        if not ticks.finish(tx, tick.event_id, owner=by.owner, status="skipped", error=answer.reason, now=now):
            return Settled([])
    elif not ticks.forget(tx, tick.event_id, owner=by.owner):
        return Settled([])
    activations.checked(tx, name, now)
    if cursor != check.activation.cursor_json:
        activations.keep_cursor(tx, name, cursor)
    woken = activations.wake(tx, name, now)
    fires: Sequence[Fire] = () if answer is None or isinstance(answer, Skip) else answer
    room = _room(tx, check, len(fires))
    unparked = ticks.unpark(tx, name, now, room=room, backfill=False)
    begun = _begun(tx, check, list(zip(fires, texts, strict=True)), room - unparked, by=by, now=now)
    return Settled(begun, makes_way=woken or unparked > 0)


def _room(tx: Transaction, check: Check, wanted: int) -> int:
    if check.definition.overlap == Overlapping.ALLOW:
        return wanted
    return check.definition.max_instances - ticks.places_taken(tx, check.activation.name)


def _begun(
    tx: Transaction, check: Check, fires: Sequence[tuple[Fire, str]], room: int, *, by: Claimant, now: datetime
) -> list[tuple[Tick, Fire]]:
    begun: list[tuple[Tick, Fire]] = []
    event_ids = sorted(str(uuid4()) for _ in fires)  # which is the order in which they are taken
    for number, (event_id, (fire, text)) in enumerate(zip(event_ids, fires, strict=True)):
        tick = replace(_tick(check, event_id, fire, number, now=now), payload_json=text)
        waits = len(begun) >= room
        if waits:
            claimed = ticks.claim(tx, replace(tick, status="waiting"), now=now, owner=None, lease_until=None)
        else:
            claimed = ticks.claim(tx, tick, now=now, owner=by.owner, lease_until=by.until(now))
        if not claimed:
            _note_repetition(tx, tick, now)
        elif not waits:
            begun.append((tick, fire))
    return begun


def _tick(check: Check, event_id: str, fire: Fire, number: int, *, now: datetime) -> Tick:
    tick, activation = check.tick, check.activation
    if fire.key is not None:
        key = storable(str(fire.key))
        kind, about = "sensor", f"{activation.name}/{key}"
    else:
        suffix = f"#{number}" if number else ""
        kind, key, about = "schedule", f"{tick.slot_key}{suffix}", f"{activation.name}{suffix}"
    return replace(
        tick,
        event_id=event_id,
        kind=kind,
        slot_key=key,
        run_id=run_id_of(about, activation.dag_nsref, tick.scheduled_for or now),
        attempt=1,
        status="running",
        slots=1 if number else tick.slots,
    )


def _note_repetition(tx: Transaction, tick: Tick, now: datetime) -> None:
    events.add(
        tx,
        tick.trigger_name,
        status="skipped",
        now=now,
        kind=tick.kind,
        scheduled_for=tick.scheduled_for,
        revision=tick.revision,
        error=f"{tick.kind} key {tick.slot_key!r} has fired already",
    )
