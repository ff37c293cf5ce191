"""Fires that are not over: who does them, and until when nobody else may.

Its one rule: a fire belongs to whoever inserted it, or took it when its lease had ended, and to nobody else. The row is
that of the event, so claiming a slot and remembering it is one statement.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from wingbeat.store.compose.transaction import Row, Transaction
from wingbeat.store.compose.trigger_tables import lateness, moment, names_but, seconds

_COLUMNS = (
    "event_id, trigger_name, kind, slot_key, run_id, payload_json, scheduled_for, revision, attempt, status,"
    " initiated_by, slots"
)
_OPEN = "finished_at IS NULL"


@dataclass(frozen=True, slots=True)
class Tick:
    event_id: str
    trigger_name: str
    kind: str
    """schedule, sensor (a key of `poll_fn`), manual or backfill."""
    slot_key: str | None
    run_id: str
    payload_json: str | None
    scheduled_for: datetime | None
    revision: int
    attempt: int
    status: str
    """checking (`poll_fn` is asked), running or waiting (for its turn or its next attempt)."""
    initiated_by: str | None
    slots: int = 1
    """How many it stands for: the one it is for, and those before it whose place that one took."""


def claim(tx: Transaction, tick: Tick, *, now: datetime, owner: str | None, lease_until: datetime | None) -> bool:
    """Whether the fire is ours: nobody had it."""
    return bool(
        tx.execute(
            f"INSERT OR IGNORE INTO trigger_events ({_COLUMNS}, fired_at, lateness, owner, lease_until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tick.event_id,
            tick.trigger_name,
            tick.kind,
            tick.slot_key,
            tick.run_id,
            tick.payload_json,
            seconds(tick.scheduled_for),
            tick.revision,
            tick.attempt,
            tick.status,
            tick.initiated_by,
            tick.slots,
            now.timestamp(),
            lateness(tick.scheduled_for, now),
            owner,
            seconds(lease_until),
        )
    )


def expired(
    tx: Transaction, *, now: datetime, limit: int, without: Collection[str] = ()
) -> list[tuple[Tick, str | None]]:
    """Fires that are due, or whose lease has ended, with those who had them; the longest overdue first."""
    others, names = names_but("trigger_name", without)
    rows = tx.fetch(
        f"SELECT {_COLUMNS}, owner FROM trigger_events WHERE {_OPEN} AND lease_until <= ? {others}"
        " ORDER BY lease_until, event_id LIMIT ?",
        now.timestamp(),
        *names,
        limit,
    )
    return [(_tick(row[:-1]), row[-1]) for row in rows]


def held(tx: Transaction, *, now: datetime, limit: int) -> list[tuple[str, str, float]]:
    """Fires whose lease goes on, with who has them and until when."""
    return tx.fetch(
        f"SELECT event_id, owner, lease_until FROM trigger_events WHERE {_OPEN} AND lease_until > ?"
        " AND owner IS NOT NULL ORDER BY lease_until, event_id LIMIT ?",
        now.timestamp(),
        limit,
    )


def take(tx: Transaction, event_ids: Collection[str], *, owner: str, lease_until: datetime) -> None:
    """They are the owner's now. A status `running` said that somebody had begun."""
    tx.execute(
        "UPDATE trigger_events SET owner = ?, lease_until = ?,"
        " status = CASE status WHEN 'waiting' THEN 'running' ELSE status END"
        " WHERE event_id IN (SELECT value FROM json_each(?))",
        owner,
        lease_until.timestamp(),
        json.dumps(list(event_ids)),
    )


def put_off(tx: Transaction, event_ids: Collection[str], *, until: datetime) -> None:
    """Look later: who has them is alive."""
    tx.execute(
        "UPDATE trigger_events SET lease_until = ? WHERE event_id IN (SELECT value FROM json_each(?))",
        until.timestamp(),
        json.dumps(list(event_ids)),
    )


def renew(tx: Transaction, event_ids: Collection[str], *, owner: str, lease_until: datetime) -> None:
    tx.execute(
        f"UPDATE trigger_events SET lease_until = ? WHERE {_OPEN} AND owner = ?"
        " AND event_id IN (SELECT value FROM json_each(?))",
        lease_until.timestamp(),
        owner,
        json.dumps(list(event_ids)),
    )


def finish(tx: Transaction, event_id: str, *, owner: str, status: str, error: str | None, now: datetime) -> bool:
    """False when the fire is somebody else's by now."""
    return bool(
        tx.execute(
            "UPDATE trigger_events SET status = ?, error = ?, finished_at = ?, lease_until = NULL"
            f" WHERE event_id = ? AND owner = ? AND {_OPEN}",
            status,
            error,
            now.timestamp(),
            event_id,
            owner,
        )
    )


def try_again(tx: Transaction, tick: Tick, *, owner: str, run_id: str, error: str, at: datetime) -> bool:
    """The next attempt, as another run."""
    return bool(
        tx.execute(
            "UPDATE trigger_events SET status = 'waiting', attempt = attempt + 1, run_id = ?, error = ?, owner = NULL,"
            f" lease_until = ? WHERE event_id = ? AND owner = ? AND {_OPEN}",
            run_id,
            error,
            at.timestamp(),
            tick.event_id,
            owner,
        )
    )


def give_back(tx: Transaction, event_id: str, *, owner: str, at: datetime) -> None:
    """Whoever comes first at that time goes on with it."""
    tx.execute(
        f"UPDATE trigger_events SET owner = NULL, lease_until = ? WHERE event_id = ? AND owner = ? AND {_OPEN}",
        at.timestamp(),
        event_id,
        owner,
    )


def forget(tx: Transaction, event_id: str, *, owner: str) -> bool:
    """A check that found nothing leaves no event."""
    return bool(
        tx.execute(
            "DELETE FROM trigger_events WHERE event_id = ? AND owner = ? AND status = 'checking'", event_id, owner
        )
    )


def running(tx: Transaction, name: str) -> int:
    """Those of backfills, which have a limit of their own, count for nothing here."""
    row = tx.fetchrow(
        "SELECT count(*) FROM trigger_events"
        " WHERE trigger_name = ? AND status IN ('running', 'checking') AND kind <> 'backfill'",
        name,
    )
    return row[0] if row else 0


def places_taken(tx: Transaction, name: str) -> int:
    """By fires that go on or wait for their next attempt; those by hand and of backfills take none."""
    row = tx.fetchrow(
        "SELECT (SELECT count(*) FROM trigger_events WHERE trigger_name = ? AND status IN ('running', 'checking')"
        " AND kind NOT IN ('backfill', 'manual')) + (SELECT count(*) FROM trigger_events"
        " WHERE trigger_name = ? AND status = 'waiting' AND lease_until IS NOT NULL AND kind <> 'backfill')",
        name,
        name,
    )
    return row[0] if row else 0


def unpark(tx: Transaction, name: str, now: datetime, *, room: int, backfill: bool) -> int:
    """Let the earliest of the fires that wait for a place be taken: those of backfills, or the others. How many."""
    return tx.execute(
        "UPDATE trigger_events SET lease_until = ? WHERE event_id IN (SELECT event_id FROM trigger_events"
        " WHERE trigger_name = ? AND status = 'waiting' AND lease_until IS NULL AND (kind = 'backfill') = ?"
        " ORDER BY scheduled_for, event_id LIMIT ?)",
        now.timestamp(),
        name,
        backfill,
        max(room, 0),
    )


def next_expiry(tx: Transaction, *, without: Collection[str] = ()) -> datetime | None:
    others, names = names_but("trigger_name", without)
    row = tx.fetchrow(
        f"SELECT lease_until FROM trigger_events WHERE {_OPEN} AND lease_until IS NOT NULL {others}"
        " ORDER BY lease_until, event_id LIMIT 1",
        *names,
    )
    return moment(row[0]) if row else None


def slots_taken(tx: Transaction, name: str, first: datetime, last: datetime) -> set[datetime]:
    rows = tx.fetch(
        "SELECT DISTINCT scheduled_for FROM trigger_events WHERE trigger_name = ? AND slot_key IS NOT NULL"
        " AND scheduled_for BETWEEN ? AND ?",
        name,
        first.timestamp(),
        last.timestamp(),
    )
    return {at for (stored,) in rows if (at := moment(stored))}


def _tick(row: Row) -> Tick:
    event_id, name, kind, key, run_id, payload, slot, revision, attempt, status, by, slots = row
    return Tick(event_id, name, kind, key, run_id, payload, moment(slot), revision, attempt, status, by, slots)
