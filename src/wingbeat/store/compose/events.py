"""What became of triggers, for people: events by trigger, and how long they are kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from wingbeat.store.compose.transaction import Row, Transaction
from wingbeat.store.compose.trigger_tables import lateness, seconds

_PUBLIC = (
    "event_id", "trigger_name", "fired_at", "run_id", "payload_json", "status", "kind", "slot_key", "scheduled_for",
    "lateness", "revision", "attempt", "slots", "error", "initiated_by", "finished_at",
)  # fmt: skip
_REVISION = ("name", "revision", "action", "dag_nsref", "config_json", "changed_by", "changed_at")
_ACTIVATION = (
    "name", "dag_nsref", "trigger_type", "status", "last_run_at", "next_run_at", "last_run_id", "created_at",
    "config_json", "changed_by", "changed_at", "last_checked_at", "revision", "failures",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where among the events of a trigger one stands."""

    fired_at: float
    event_id: str


def add(
    tx: Transaction,
    name: str,
    *,
    status: str,
    now: datetime,
    run_id: str | None = None,
    payload_json: str | None = None,
    kind: str = "manual",
    scheduled_for: datetime | None = None,
    revision: int | None = None,
    slots: int = 1,
    error: str | None = None,
) -> str:
    """An event that is over as soon as it is told. Returns its id."""
    event_id = str(uuid4())
    tx.execute(
        "INSERT INTO trigger_events (event_id, trigger_name, fired_at, run_id, payload_json, status, kind,"
        " scheduled_for, lateness, revision, slots, error, finished_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        event_id,
        name,
        now.timestamp(),
        run_id,
        payload_json,
        status,
        kind,
        seconds(scheduled_for),
        lateness(scheduled_for, now),
        revision,
        slots,
        error,
        now.timestamp(),
    )
    return event_id


def of_trigger(
    tx: Transaction, name: str, *, limit: int, since: datetime | None, status: str | None
) -> list[dict[str, Any]]:
    """The latest first."""
    rows = tx.fetch(
        f"SELECT {', '.join(_PUBLIC)} FROM trigger_events WHERE trigger_name = ? AND fired_at >= ?"
        " AND (? IS NULL OR status = ?)"
        " ORDER BY fired_at DESC, coalesce(scheduled_for, fired_at) DESC, rowid DESC LIMIT ?",
        name,
        seconds(since) or 0.0,
        status,
        status,
        limit,
    )
    return [_named(_PUBLIC, row) for row in rows]


def get(tx: Transaction, event_id: str) -> dict[str, Any] | None:
    row = tx.fetchrow(f"SELECT {', '.join(_PUBLIC)} FROM trigger_events WHERE event_id = ?", event_id)
    return _named(_PUBLIC, row) if row else None


def activation(tx: Transaction, name: str) -> dict[str, Any] | None:
    row = tx.fetchrow(f"SELECT {', '.join(_ACTIVATION)} FROM trigger_activations WHERE name = ?", name)
    return _named(_ACTIVATION, row) if row else None


def activations(tx: Transaction, *, limit: int) -> list[dict[str, Any]]:
    rows = tx.fetch(f"SELECT {', '.join(_ACTIVATION)} FROM trigger_activations ORDER BY name LIMIT ?", limit)
    return [_named(_ACTIVATION, row) for row in rows]


def active_polls(tx: Transaction) -> list[dict[str, Any]]:
    rows = tx.fetch(
        f"SELECT {', '.join(_ACTIVATION)} FROM trigger_activations WHERE trigger_type = 'poll' AND status = 'active'"
        " ORDER BY name"
    )
    return [_named(_ACTIVATION, row) for row in rows]


def revisions(tx: Transaction, name: str, *, limit: int) -> list[dict[str, Any]]:
    """The latest first."""
    rows = tx.fetch(
        f"SELECT {', '.join(_REVISION)} FROM trigger_revisions WHERE name = ? ORDER BY revision DESC LIMIT ?",
        name,
        limit,
    )
    return [_named(_REVISION, row) for row in rows]


def prune_before(tx: Transaction, before: datetime, *, limit: int) -> int:
    """Remove events that are over. Their keys may fire again then."""
    return tx.execute(
        "DELETE FROM trigger_events WHERE event_id IN (SELECT event_id FROM trigger_events"
        " WHERE fired_at < ? AND finished_at IS NOT NULL ORDER BY fired_at, event_id LIMIT ?)",
        before.timestamp(),
        limit,
    )


def first_name(tx: Transaction) -> str | None:
    """Of the triggers that have events, in the order of their names."""
    return name_after(tx, "")


def name_after(tx: Transaction, name: str) -> str | None:
    """One step in the index, however many events a trigger has."""
    row = tx.fetchrow("SELECT min(trigger_name) FROM trigger_events WHERE trigger_name > ?", name)
    return row[0] if row else None


def place_of_newest(tx: Transaction, name: str, count: int) -> Place | None:
    """Of the event after the newest `count` ones of a trigger; none when there are not so many."""
    row = tx.fetchrow(
        "SELECT fired_at, event_id FROM trigger_events WHERE trigger_name = ?"
        " ORDER BY fired_at DESC, event_id DESC LIMIT 1 OFFSET ?",
        name,
        count,
    )
    return Place(*row) if row else None


def prune_until(tx: Transaction, name: str, until: Place, *, limit: int) -> int:
    """Remove events of a trigger that are over, the oldest first, up to this one."""
    return tx.execute(
        "DELETE FROM trigger_events WHERE event_id IN (SELECT event_id FROM trigger_events"
        " WHERE trigger_name = ? AND (fired_at, event_id) <= (?, ?) AND finished_at IS NOT NULL"
        " ORDER BY fired_at, event_id LIMIT ?)",
        name,
        until.fired_at,
        until.event_id,
        limit,
    )


def _named(columns: tuple[str, ...], row: Row) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))
