"""Who fires what: slots that are due become fires of this process, in one transaction with the cursor that moves.

Its one rule: a trigger whose decision fails is left alone for a while, with an event, and the others go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from wingbeat.compose.firing import ledger
from wingbeat.compose.firing.claimants import Claimant, has_gone
from wingbeat.compose.firing.code import Code, Look
from wingbeat.compose.firing.payloads import event_text
from wingbeat.compose.firing.runs import inputs_of
from wingbeat.compose.firing.schedules import Decision, count, decide, encode_line, wake_at
from wingbeat.compose.initiators import SCHEDULER
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.backlog import Cause, Unfired
from wingbeat.core.ids import TriggerName, fire_name
from wingbeat.core.trigger import LIVE, back_off
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose import activations, events, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction

MOST_TRIGGERS = 200
"""Looked at in one transaction."""
_MOST_HELD = 10_000


@dataclass(frozen=True, slots=True)
class Begun:
    tick: Tick
    activation: Activation
    inputs: Mapping[str, Any] | None
    """Of its run, as the code has them; None where `poll_fn` is asked for them."""


@dataclass(frozen=True, slots=True)
class Claimed:
    begun: list[Begun]
    """Nobody had them before."""
    taken: list[Tick]
    """Their next attempt is due, or who had them is gone."""
    next_look: datetime | None
    code: Look


def claim_due(tx: Transaction, now: datetime, *, by: Claimant, code: Code) -> Claimed:
    look = code.look(now)
    taken = _take_over(tx, look, by=by)
    begun: list[Begun] = []
    for activation in activations.due(tx, now, limit=MOST_TRIGGERS, without=look.passed_over()):
        try:
            if (definition := look.fireable(tx, activation)) is not None:
                begun += _claim(tx, activation, definition, now, by=by, code=code)
        except (InvalidArgument, ValueError) as error:
            _leave_alone(tx, activation, now, error)
    return Claimed(begun, taken, _next_look(tx, look), look)


def rewind(tx: Transaction, now: datetime) -> int:
    """After the clock was ahead: what was decided for the future is decided again; what fired has its row.

    Returns of how many triggers; those beyond `MOST_TRIGGERS` are left to the next transaction.
    """
    ahead = activations.decided_beyond(tx, now + LIVE, limit=MOST_TRIGGERS)
    for activation in ahead:
        activations.move(tx, activation.name, decided_until=now, next_run_at=now, line_json=activation.line_json)
    return len(ahead)


def release_abandoned(tx: Transaction, now: datetime) -> None:
    """What processes had that were seen to be gone need not wait for the end of its lease."""
    held = ticks.held(tx, now=now, limit=_MOST_HELD)
    gone = {owner for owner, until in {owner: until for _, owner, until in held}.items() if has_gone(owner, until, now)}
    if gone:
        ticks.put_off(tx, [event_id for event_id, owner, _ in held if owner in gone], until=now)


def run_id_of(name: str, dag_nsref: str, slot: datetime, *, attempt: int = 1) -> str:
    """The same in every process: whoever takes a fire over finds its run."""
    return fire_name(TriggerName("local", "local", dag_nsref, name), slot, attempt - 1)


def slot_tick(activation: Activation, slot: datetime, *, status: str, payload_json: str | None = None) -> Tick:
    return Tick(
        event_id=str(uuid4()),
        trigger_name=activation.name,
        kind="schedule",
        slot_key=slot.isoformat(),
        run_id=run_id_of(activation.name, activation.dag_nsref, slot),
        payload_json=payload_json,
        scheduled_for=slot,
        revision=activation.revision,
        attempt=1,
        status=status,
        initiated_by=SCHEDULER,
    )


def _take_over(tx: Transaction, look: Look, *, by: Claimant) -> list[Tick]:
    now = look.now
    expired = ticks.expired(tx, now=now, limit=MOST_TRIGGERS, without=look.passed_over())
    if not expired:
        return []
    free = [tick for tick, owner in expired if by.may_take(tick.event_id, owner, now)]
    others = {tick.event_id for tick, _ in expired}.difference(tick.event_id for tick in free)
    if others:
        ticks.put_off(tx, others, until=by.until(now))
    taken = [tick for tick in free if _may_fire(tx, tick, look)]
    ticks.take(tx, [tick.event_id for tick in taken], owner=by.owner, lease_until=by.until(now))
    return taken


def _may_fire(tx: Transaction, tick: Tick, look: Look) -> bool:
    """Unless it is left to those who have its code. What is wrong with it is told when it is carried out."""
    activation = activations.get(tx, tick.trigger_name)
    try:
        return activation is None or look.fireable(tx, activation) is not None
    except (InvalidArgument, ValueError):
        return True


def _next_look(tx: Transaction, look: Look) -> datetime | None:
    absent = look.passed_over()
    looks = (
        activations.next_due(tx, without=absent),
        ticks.next_expiry(tx, without=absent),
        look.next_look(),
    )
    return min((at for at in looks if at is not None), default=None)


def _claim(
    tx: Transaction, activation: Activation, definition: TriggerDef, now: datetime, *, by: Claimant, code: Code
) -> list[Begun]:
    decision = decide(activation, definition, running=ticks.running(tx, activation.name), now=now)
    before_last, unfired = _superseded_by_a_fire(decision)
    begun: list[Begun] = []
    for slot in decision.fires:
        inputs = inputs_of(definition, None, slot) if definition.poll_fn is None else None
        text = event_text(inputs, code.codecs(activation.dag_nsref), slot=slot) if inputs else None
        status = "checking" if inputs is None else "running"
        tick = slot_tick(activation, slot, status=status, payload_json=text)
        if slot == decision.fires[-1]:
            tick = replace(tick, slots=1 + before_last)
        if ticks.claim(tx, tick, now=now, owner=by.owner, lease_until=by.until(now)):
            begun.append(Begun(tick, activation, inputs))
    ledger.note(tx, activation.name, unfired, now)
    _move(tx, activation.name, decision, now)
    return begun


def _superseded_by_a_fire(decision: Decision) -> tuple[int, Sequence[Unfired]]:
    """How many slots the last fire stands for besides its own, and those that need a row of their own."""
    last = max(decision.fires, default=None)
    behind = [
        each
        for each in decision.unfired
        if last is not None and each.reason.cause is Cause.SUPERSEDED and each.slots.until < last
    ]
    return sum(map(count, behind)), [each for each in decision.unfired if each not in behind]


def _move(tx: Transaction, name: str, decision: Decision, now: datetime) -> None:
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
