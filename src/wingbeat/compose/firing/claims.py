"""Who fires what: slots that are due become fires of this process, in one transaction with the cursor that moves.

Its one rule: a trigger whose decision fails is left alone for a while, with an event, and the others go on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.runs import inputs_of
from wingbeat.compose.firing.schedules import Decision, count, decide, encode_line, first_slot, wake_at
from wingbeat.compose.initiators import SCHEDULER
from wingbeat.compose.json_text import safe_json_dumps
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.ids import TriggerName, fire_name
from wingbeat.core.trigger import LIVE, back_off
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose import activations, events, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction

MOST_TRIGGERS = 200
"""Looked at in one transaction."""
Definitions = Callable[[Activation], TriggerDef]
"""Raises ValueError for a trigger that cannot be understood here."""


@dataclass(frozen=True, slots=True)
class Claimed:
    begun: list[tuple[Tick, Activation]]
    """Nobody had them before."""
    taken: list[Tick]
    """Their next attempt is due, or who had them is gone."""
    next_look: datetime | None


def claim_due(tx: Transaction, now: datetime, *, by: Claimant, definitions: Definitions) -> Claimed:
    taken = _take_over(tx, now, by=by)
    begun: list[tuple[Tick, Activation]] = []
    for activation in activations.due(tx, now, limit=MOST_TRIGGERS):
        try:
            begun += [(tick, activation) for tick in _claim(tx, activation, definitions(activation), now, by=by)]
        except (InvalidArgument, ValueError) as error:
            _leave_alone(tx, activation, now, error)
    looks = [at for at in (activations.next_due(tx), ticks.next_expiry(tx)) if at is not None]
    return Claimed(begun, taken, min(looks, default=None))


def rewind(tx: Transaction, now: datetime) -> int:
    """After the clock was ahead: what was decided for the future is decided again; what fired has its row."""
    ahead = activations.decided_beyond(tx, now + LIVE, limit=100_000)
    for activation in ahead:
        activations.move(tx, activation.name, decided_until=now, next_run_at=now, line_json=activation.line_json)
    return len(ahead)


def run_id_of(name: str, dag_nsref: str, slot: datetime, *, attempt: int = 1) -> str:
    """The same in every process: whoever takes a fire over finds its run."""
    return fire_name(TriggerName("local", "local", dag_nsref, name), slot, attempt - 1)


def slot_tick(activation: Activation, slot: datetime, *, status: str, payload: Mapping[str, Any] | None) -> Tick:
    return Tick(
        event_id=str(uuid4()),
        trigger_name=activation.name,
        kind="schedule",
        slot_key=slot.isoformat(),
        run_id=run_id_of(activation.name, activation.dag_nsref, slot),
        payload_json=safe_json_dumps(payload) if payload else None,
        scheduled_for=slot,
        revision=activation.revision,
        attempt=1,
        status=status,
        initiated_by=SCHEDULER,
    )


def _take_over(tx: Transaction, now: datetime, *, by: Claimant) -> list[Tick]:
    expired = ticks.expired(tx, now=now, limit=MOST_TRIGGERS)
    if not expired:
        return []
    taken = [tick for tick, owner in expired if by.may_take(tick.event_id, owner, now)]
    ours = {tick.event_id for tick in taken}
    ticks.take(tx, ours, owner=by.owner, lease_until=by.until(now))
    others = [tick.event_id for tick, _ in expired if tick.event_id not in ours]
    if others:
        ticks.put_off(tx, others, until=by.until(now))
    return taken


def _claim(
    tx: Transaction, activation: Activation, definition: TriggerDef, now: datetime, *, by: Claimant
) -> list[Tick]:
    decision = decide(activation, definition, running=ticks.running(tx, activation.name), now=now)
    begun: list[Tick] = []
    for slot in decision.fires:
        if definition.poll_fn is None:
            tick = slot_tick(activation, slot, status="running", payload=inputs_of(definition, None, slot))
        else:
            tick = slot_tick(activation, slot, status="checking", payload=None)
        if ticks.claim(tx, tick, now=now, owner=by.owner, lease_until=by.until(now)):
            begun.append(tick)
    _settle(tx, activation.name, decision, now)
    return begun


def _settle(tx: Transaction, name: str, decision: Decision, now: datetime) -> None:
    for unfired in decision.unfired:
        events.add(
            tx,
            name,
            status=unfired.outcome,
            now=now,
            kind="schedule",
            scheduled_for=first_slot(unfired),
            revision=unfired.slots.revision,
            slots=count(unfired),
            error=unfired.reason.text,
        )
    activations.move(
        tx,
        name,
        decided_until=decision.firing.decided_until,
        next_run_at=wake_at(decision, now),
        line_json=encode_line(decision.line),
    )


def _leave_alone(tx: Transaction, activation: Activation, now: datetime, error: Exception) -> None:
    failures = activation.failures + 1
    events.add(tx, activation.name, status="error", now=now, kind="schedule", error=str(error))
    activations.move(
        tx,
        activation.name,
        decided_until=activation.decided_until,
        next_run_at=now + back_off(failures),
        line_json=activation.line_json,
        failures=failures,
    )


def payload_of(tick: Tick) -> dict[str, Any]:
    return json.loads(tick.payload_json) if tick.payload_json else {}
