"""Triggers in a file of SQLite: which are active, what became of each of their slots, and who changed them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wingbeat.clock import Clock, system_clock
from wingbeat.compose.configs import TriggerConfig
from wingbeat.compose.firing.schedules import decode_line, encode_line, firing_of
from wingbeat.compose.firing.stored_definitions import decode, encode
from wingbeat.compose.initiators import run_initiator
from wingbeat.compose.json_text import safe_json_dumps
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.core.trigger import comes_due_at, owed
from wingbeat.errors import InvalidArgument
from wingbeat.store.compose import activations, events, trigger_tables
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.connection import File, open_file
from wingbeat.store.compose.transaction import Transaction

MOST_EVENTS = 1_000
MOST_ACTIVATIONS = 10_000
_BATCH = 1_000


class TriggerStore:
    """Its methods may be called from any thread, inside and outside of a running event loop.

    They raise Unavailable when another program has held the file for too long.
    """

    def __init__(self, db_path: Path | str, *, clock: Clock = system_clock) -> None:
        """Raises StartError when the file cannot be used."""
        self.db_path = Path(db_path)
        self.clock = clock
        self.file: File = open_file(self.db_path, clock=clock)
        trigger_tables.ensure(self.file)

    def activate(
        self, trigger: TriggerDef | TriggerConfig, dag_nsref: str | None = None, *, keep_disabled: bool = False
    ) -> bool:
        """Whether the trigger is active now: with `keep_disabled`, one that was deactivated stays so.

        What an active trigger owes stays owed, under the schedule of that time; a pause is not caught up. Raises
        ValueError when a configuration comes without its `dag_nsref`.
        """
        definition = _definition(trigger, dag_nsref)
        by = run_initiator.get()
        return self.file.write(lambda tx: _activate(tx, definition, keep_disabled=keep_disabled, by=by))

    def deactivate(self, name: str) -> None:
        """Slots from now on do not fire. Nothing happens to one that is unknown, or inactive already."""
        by = run_initiator.get()
        self.file.write(lambda tx: _deactivate(tx, name, by=by))

    def get_activation(self, name: str) -> dict[str, Any] | None:
        return self.file.read(lambda tx: events.activation(tx, name))

    def get_activations(self, *, limit: int = MOST_ACTIVATIONS) -> list[dict[str, Any]]:
        """All triggers that were ever activated, by name."""
        return self.file.read(lambda tx: events.activations(tx, limit=limit))

    def get_active_poll_triggers(self) -> list[dict[str, Any]]:
        return self.file.read(events.active_polls)

    def record_event(
        self,
        trigger_name: str,
        payload: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        status: str = "pending",
    ) -> str:
        """Returns the event's id."""
        text = safe_json_dumps(payload) if payload else None
        return self.file.write(
            lambda tx: events.add(tx, trigger_name, status=status, now=tx.now, run_id=run_id, payload_json=text)
        )

    def get_events(
        self,
        trigger_name: str,
        *,
        limit: int = MOST_EVENTS,
        since: datetime | None = None,
        status: str | None = None,
    ) -> list[dict[str, Any]]:
        """The latest first. Times are seconds since 1970, `lateness` in seconds.

        A row without `run_id` tells of slots that came to nothing: `slots` many from `scheduled_for` on, and why.
        """
        return self.file.read(lambda tx: events.of_trigger(tx, trigger_name, limit=limit, since=since, status=status))

    def record_check(self, name: str) -> None:
        self.file.write(lambda tx: activations.checked(tx, name, tx.now))

    def update_last_run(self, name: str, run_id: str) -> None:
        self.file.write(lambda tx: activations.ran(tx, name, run_id, tx.now))

    def history(self, name: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """Every change of a trigger, the latest first: what it became, when and by whom."""
        return self.file.read(lambda tx: events.revisions(tx, name, limit=limit))

    def prune(self, keep: timedelta | int) -> int:
        """Remove events that are older, or all but so many of each trigger; returns how many.

        A dedupe key may fire again when its event is gone.
        """
        removed = 0
        while gone := self.file.write(lambda tx: _prune(tx, keep)):
            removed += gone
        return removed


def _definition(trigger: TriggerDef | TriggerConfig, dag_nsref: str | None) -> TriggerDef:
    if isinstance(trigger, TriggerDef):
        return trigger if dag_nsref is None else replace(trigger, dag_nsref=str(dag_nsref))
    if dag_nsref is None:
        raise ValueError(f"trigger {trigger.name!r}: give dag_nsref, which a TriggerConfig does not have")
    return TriggerDef.from_config(trigger, str(dag_nsref))


def _activate(tx: Transaction, definition: TriggerDef, *, keep_disabled: bool, by: str | None) -> bool:
    before = activations.get(tx, definition.name)
    if before is not None and not before.active and keep_disabled:
        return False
    config = encode(definition)
    if before is not None and before.active and _same(before, definition, config):
        if by is not None:
            activations.sign(tx, definition.name, by=by, now=tx.now)
        return True
    after = _activated(before, definition, config, now=tx.now)
    resumed = before is not None and not before.active
    activations.put(tx, after, last_checked_at=tx.now if resumed else None)
    if by is not None or before is None or resumed:
        activations.sign(tx, definition.name, by=by, now=tx.now)
    activations.remember(tx, definition.name, "activate" if before is None or resumed else "change", by=by, now=tx.now)
    return True


def _same(before: Activation, definition: TriggerDef, config: str) -> bool:
    kept = (before.dag_nsref, before.trigger_type, before.config_json)
    return before.revision > 0 and kept == (definition.dag_nsref, definition.trigger_type, config)


def _activated(before: Activation | None, definition: TriggerDef, config: str, *, now: datetime) -> Activation:
    fresh = Activation(
        name=definition.name,
        dag_nsref=definition.dag_nsref,
        trigger_type=definition.trigger_type,
        status="active",
        config_json=config,
        created_at=now,
        revision=1 if before is None else before.revision + 1,
        anchor=now if before is None else before.anchor,
        decided_until=now if before is None else max(now, before.decided_until),
        next_run_at=None,
        failures=0,
        line_json=None,
        cursor_json=None if before is None else before.cursor_json,
    )
    if before is not None and before.active:
        fresh = replace(fresh, line_json=_owed_line(before, now))
    due_at = now if fresh.line_json else comes_due_at(firing_of(fresh, definition))
    return replace(fresh, next_run_at=due_at)


def _owed_line(before: Activation, now: datetime) -> str | None:
    """What waits, and what came due under the schedule until now."""
    try:
        backlog, _ = owed(firing_of(before, decode(before, None)), now)
    except (InvalidArgument, ValueError):
        return before.line_json
    return encode_line([*decode_line(before.line_json), *([backlog] if backlog else [])])


def _deactivate(tx: Transaction, name: str, *, by: str | None) -> None:
    before = activations.get(tx, name)
    if before is None:
        return
    if before.active:
        activations.disable(tx, name)
        activations.remember(tx, name, "deactivate", by=by, now=tx.now)
    if before.active or by is not None:
        activations.sign(tx, name, by=by, now=tx.now)


def _prune(tx: Transaction, keep: timedelta | int) -> int:
    if isinstance(keep, timedelta):
        return events.prune_before(tx, tx.now - keep, limit=_BATCH)
    return events.prune_beyond(tx, keep, limit=_BATCH)
