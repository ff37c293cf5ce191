"""Activating, changing and deactivating a trigger, and what becomes of the slots that came due before.

Its one rule: changes settle first. What is owed stays owed under the schedule of that time, and what will not fire any
more is told.
"""

from dataclasses import replace
from datetime import datetime

from wingbeat.compose.firing import ledger
from wingbeat.compose.firing.schedules import decode_line, encode_line, firing_of, schedule_of
from wingbeat.compose.firing.stored_definitions import encode, stored
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.backlog import Backlog, Cause, Reason, Unfired
from wingbeat.core.trigger import Firing, comes_due_at, owed, ripe_at, undecided_slots
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose import activations
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.transaction import Transaction

_STOPPED = Reason(Cause.STOPPED, "deactivated before it could fire")


def first(definition: TriggerDef, config: str, now: datetime) -> Activation:
    """What is stored of a trigger that was never active before."""
    return Activation(
        name=definition.name,
        dag_nsref=definition.dag_nsref,
        trigger_type=definition.trigger_type,
        status="active",
        config_json=config,
        created_at=now,
        revision=1,
        anchor=now,
        decided_until=now,
        next_run_at=None,
        failures=0,
        line_json=None,
        cursor_json=None,
    )


def activate(tx: Transaction, definition: TriggerDef, *, keep_disabled: bool, by: str | None) -> bool:
    """Whether the trigger is active now: with `keep_disabled`, one that was deactivated stays so."""
    before = activations.get(tx, definition.name)
    if before is not None and not before.active and keep_disabled:
        return False
    _activate(tx, before, definition, encode(definition), by=by)
    return True


def resume(tx: Transaction, name: str, *, by: str | None) -> bool:
    """Activate it again as it is stored; False when it is not. Raises ValueError for what somebody else wrote there."""
    before = activations.get(tx, name)
    if before is not None:
        _activate(tx, before, stored(before), before.config_json, by=by)
    return before is not None


def deactivate(tx: Transaction, name: str, *, by: str | None) -> None:
    before = activations.get(tx, name)
    if before is None:
        return
    if before.active:
        firing = _firing(before)
        undecided = None if firing is None else undecided_slots(firing, tx.now)
        lost = [*decode_line(before.line_json), *([undecided] if undecided else [])]
        ledger.note(tx, name, [Unfired(slots, "missed", _STOPPED) for slots in lost], tx.now)
        activations.disable(tx, name)
        activations.remember(tx, name, "deactivate", by=by, now=tx.now)
    if before.active or by is not None:
        activations.sign(tx, name, by=by, now=tx.now)


def _activate(
    tx: Transaction, before: Activation | None, definition: TriggerDef, config: str, *, by: str | None
) -> None:
    if before is not None and before.active and _same(before, definition, config):
        if by is not None:
            activations.sign(tx, definition.name, by=by, now=tx.now)
        return
    resumed = before is not None and not before.active
    activations.put(tx, _activated(tx, before, definition, config), last_checked_at=tx.now if resumed else None)
    if by is not None or before is None or resumed:
        activations.sign(tx, definition.name, by=by, now=tx.now)
    activations.remember(tx, definition.name, "activate" if before is None or resumed else "change", by=by, now=tx.now)


def _same(before: Activation, definition: TriggerDef, config: str) -> bool:
    kept = (before.dag_nsref, before.trigger_type, before.config_json)
    return before.revision > 0 and kept == (definition.dag_nsref, definition.trigger_type, config)


def _activated(tx: Transaction, before: Activation | None, definition: TriggerDef, config: str) -> Activation:
    now, last = tx.now, activations.last_revision(tx, definition.name)
    fresh = replace(first(definition, config, now), revision=last + 1)
    if before is None:
        return replace(fresh, next_run_at=comes_due_at(firing_of(fresh, definition)))
    firing = _firing(before)
    fresh = replace(
        fresh,
        revision=max(before.revision, last) + 1,
        anchor=before.anchor if firing and firing.schedule == schedule_of(definition) else now,
        decided_until=max(now, before.decided_until),
        cursor_json=before.cursor_json,
    )
    line, served_at = _owed(tx, before, firing) if before.active else ([], None)
    wakes = [at for at in (served_at, comes_due_at(firing_of(fresh, definition))) if at is not None]
    return replace(fresh, line_json=encode_line(line), next_run_at=min(wakes, default=None))


def _owed(tx: Transaction, before: Activation, firing: Firing | None) -> tuple[list[Backlog], datetime | None]:
    """What waits, with what came due under the schedule until now, and when to look at it."""
    line = decode_line(before.line_json)
    backlog, unfired = (None, ()) if firing is None else owed(firing, tx.now)
    ledger.note(tx, before.name, unfired, tx.now)
    if firing is None or backlog is None:
        return line, tx.now if line else None
    return [*line, backlog], tx.now if line else ripe_at(firing, backlog)


def _firing(before: Activation) -> Firing | None:
    """None for a schedule that another program broke, which owes nothing that anybody could name."""
    try:
        return firing_of(before, stored(before))
    except (InvalidArgument, ValueError):
        return None
