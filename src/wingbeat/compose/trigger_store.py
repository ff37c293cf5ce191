"""Triggers in a file of SQLite: which are active, what became of each of their slots, and who changed them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from wingbeat.clock import Clock, system_clock
from wingbeat.compose import event_pruning
from wingbeat.compose.arguments import check_moment, checked_limit
from wingbeat.compose.configs import TriggerConfig
from wingbeat.compose.firing import activating
from wingbeat.compose.initiators import run_initiator
from wingbeat.compose.json_text import safe_json_dumps
from wingbeat.compose.trigger_defs import TriggerDef, place_text
from wingbeat.store.compose import activations, events, trigger_tables
from wingbeat.store.compose.connection import File, open_file
from wingbeat.store.compose.transaction import Transaction

MOST_EVENTS = 1_000
MOST_ACTIVATIONS = 10_000
MOST_AT_ONCE = 500
"""Activated in one transaction, so that others have their turn."""


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
        self, trigger_config: TriggerDef | TriggerConfig, dag_nsref: str | None = None, *, keep_disabled: bool = False
    ) -> bool:
        """Whether the trigger is active now: with `keep_disabled`, one that was deactivated stays so.

        What an active trigger owes stays owed, under the schedule of that time; a pause is not caught up. Raises
        ValueError when a configuration comes without its `dag_nsref`.
        """
        definition = _definition(trigger_config, dag_nsref)
        by = run_initiator.get()
        return self.file.write(lambda tx: activating.activate(tx, definition, keep_disabled=keep_disabled, by=by))

    def activate_all(self, definitions: Sequence[TriggerDef], *, keep_disabled: bool = False) -> list[bool]:
        """What `activate` says of each, with a few transactions for many."""
        by = run_initiator.get()

        def activate(tx: Transaction, some: Sequence[TriggerDef]) -> list[bool]:
            return [activating.activate(tx, each, keep_disabled=keep_disabled, by=by) for each in some]

        starts = range(0, len(definitions), MOST_AT_ONCE)
        parts = (definitions[start : start + MOST_AT_ONCE] for start in starts)
        return [active for part in parts for active in self.file.write(partial(activate, some=part))]

    def resume(self, name: str) -> bool:
        """Activate a trigger again as it is stored, without its code; False when it was never activated.

        Raises ValueError for what another program has broken.
        """
        by = run_initiator.get()
        return self.file.write(lambda tx: activating.resume(tx, name, by=by))

    def deactivate(self, name: str) -> None:
        """Slots from now on do not fire. Nothing happens to one that is unknown, or inactive already."""
        by = run_initiator.get()
        self.file.write(lambda tx: activating.deactivate(tx, name, by=by))

    def get_activation(self, name: str) -> dict[str, Any] | None:
        return self.file.read(lambda tx: events.activation(tx, name))

    def get_activations(self, *, limit: int = MOST_ACTIVATIONS) -> list[dict[str, Any]]:
        """All triggers that were ever activated, by name."""
        most = checked_limit(limit)
        return self.file.read(lambda tx: events.activations(tx, limit=most))

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

        A fire stands for `slots` slots: its own, and those before it whose place it took. A row without `run_id` tells
        of slots that came to nothing: `slots` many from `scheduled_for` on, and why. Raises InvalidArgument for a
        moment without a time zone, and like the other lists for a limit below zero.
        """
        most = checked_limit(limit)
        if since is not None:
            check_moment("since", since)
        return self.file.read(lambda tx: events.of_trigger(tx, trigger_name, limit=most, since=since, status=status))

    def record_check(self, name: str) -> None:
        self.file.write(lambda tx: activations.checked(tx, name, tx.now))

    def update_last_run(self, name: str, run_id: str) -> None:
        self.file.write(lambda tx: activations.ran(tx, name, run_id, tx.now))

    def history(self, name: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """Every change of a trigger, the latest first: what it became, when and by whom."""
        most = checked_limit(limit)
        return self.file.read(lambda tx: events.revisions(tx, name, limit=most))

    def prune(self, keep: timedelta | int) -> int:
        """Remove events that are older, or all but so many of each trigger; returns how many. Fires that go on stay.

        A dedupe key may fire again when its event is gone. Raises InvalidArgument for anything else.
        """
        return event_pruning.prune(self.file, keep)


def _definition(trigger: TriggerDef | TriggerConfig, dag_nsref: str | None) -> TriggerDef:
    if isinstance(trigger, TriggerDef):
        return trigger if dag_nsref is None else replace(trigger, dag_nsref=place_text(trigger.name, dag_nsref))
    if dag_nsref is None:
        raise ValueError(f"trigger {trigger.name!r}: give dag_nsref, which a TriggerConfig does not have")
    return TriggerDef.from_config(trigger, place_text(trigger.name, dag_nsref))
