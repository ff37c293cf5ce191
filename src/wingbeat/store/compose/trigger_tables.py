"""The tables of triggers. Names and columns are public: people query them with `sqlite3`, so they only ever grow.

Times are seconds since 1970. A file of lythonic is taken as it is and gets the columns it lacks.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from wingbeat.store.compose.connection import File
from wingbeat.store.compose.transaction import Transaction

_TABLES = (
    """CREATE TABLE IF NOT EXISTS trigger_activations (
        name TEXT PRIMARY KEY,
        dag_nsref TEXT NOT NULL,
        trigger_type TEXT NOT NULL,
        status TEXT NOT NULL,
        last_run_at REAL,
        next_run_at REAL,
        last_run_id TEXT,
        created_at REAL NOT NULL,
        config_json TEXT,
        changed_by TEXT,
        changed_at REAL,
        last_checked_at REAL
    )""",
    """CREATE TABLE IF NOT EXISTS trigger_events (
        event_id TEXT PRIMARY KEY,
        trigger_name TEXT NOT NULL REFERENCES trigger_activations (name),
        fired_at REAL NOT NULL,
        run_id TEXT,
        payload_json TEXT,
        status TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS trigger_revisions (
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        action TEXT NOT NULL,
        dag_nsref TEXT NOT NULL,
        config_json TEXT,
        changed_by TEXT,
        changed_at REAL NOT NULL,
        PRIMARY KEY (name, revision)
    )""",
)
_ADDED: Mapping[str, Mapping[str, str]] = {
    "trigger_activations": {
        "changed_by": "TEXT",
        "changed_at": "REAL",
        "last_checked_at": "REAL",
        "revision": "INTEGER NOT NULL DEFAULT 0",
        "anchor": "REAL",
        "decided_until": "REAL",
        "failures": "INTEGER NOT NULL DEFAULT 0",
        "line_json": "TEXT",
        "cursor_json": "TEXT",
    },
    "trigger_events": {
        "kind": "TEXT NOT NULL DEFAULT 'manual'",
        "slot_key": "TEXT",
        "scheduled_for": "REAL",
        "lateness": "REAL",
        "revision": "INTEGER",
        "attempt": "INTEGER NOT NULL DEFAULT 1",
        "slots": "INTEGER NOT NULL DEFAULT 1",
        "error": "TEXT",
        "initiated_by": "TEXT",
        "finished_at": "REAL",
        "owner": "TEXT",
        "lease_until": "REAL",
    },
}
_INDEXES: Mapping[str, str] = {
    "trigger_activations_by_due": "trigger_activations (next_run_at, name)"
    " WHERE status = 'active' AND next_run_at IS NOT NULL",
    "trigger_events_by_trigger": "trigger_events (trigger_name, fired_at, event_id)",
    "trigger_events_by_moment": "trigger_events (trigger_name, scheduled_for) WHERE slot_key IS NOT NULL",
    "trigger_events_by_age": "trigger_events (fired_at, event_id)",
    "trigger_events_open": "trigger_events (lease_until, event_id)"
    " WHERE finished_at IS NULL AND lease_until IS NOT NULL",
    "trigger_events_parked": "trigger_events (trigger_name, scheduled_for, event_id) WHERE status = 'waiting'",
    "trigger_events_running": "trigger_events (trigger_name) WHERE status IN ('running', 'checking')",
}
_ONE_FIRE_PER_SLOT = """CREATE UNIQUE INDEX IF NOT EXISTS trigger_events_by_slot
    ON trigger_events (trigger_name, kind, slot_key) WHERE slot_key IS NOT NULL"""
_EDITS = (
    """CREATE TRIGGER IF NOT EXISTS trigger_activations_edited
    AFTER UPDATE OF status, config_json ON trigger_activations
    WHEN NEW.revision = OLD.revision AND (NEW.status IS NOT OLD.status OR NEW.config_json IS NOT OLD.config_json)
    BEGIN
        UPDATE trigger_activations SET revision = OLD.revision + 1,
            next_run_at = CASE NEW.status WHEN 'active' THEN 0 END,
            decided_until = CASE NEW.status WHEN OLD.status THEN decided_until
                ELSE CAST(strftime('%s', 'now') AS REAL) END
        WHERE name = NEW.name;
    END""",
    """CREATE TRIGGER IF NOT EXISTS trigger_activations_added AFTER INSERT ON trigger_activations
    WHEN NEW.decided_until IS NULL AND NEW.status = 'active' AND NEW.trigger_type = 'poll'
    BEGIN UPDATE trigger_activations SET next_run_at = 0 WHERE name = NEW.name; END""",
    """CREATE TRIGGER IF NOT EXISTS trigger_activations_rewound
    AFTER UPDATE OF last_run_at, last_checked_at ON trigger_activations
    WHEN coalesce(NEW.last_checked_at, NEW.last_run_at) < coalesce(OLD.last_checked_at, OLD.last_run_at)
        AND NEW.last_run_id IS OLD.last_run_id AND NEW.revision = OLD.revision
    BEGIN
        UPDATE trigger_activations SET decided_until = coalesce(NEW.last_checked_at, NEW.last_run_at),
            next_run_at = CASE WHEN NEW.status = 'active' AND NEW.trigger_type = 'poll' THEN 0 END
        WHERE name = NEW.name;
    END""",
)
"""Our own changes say a new revision or another run; others, made with `sqlite3`, are looked at when noticed."""


def ensure(file: File) -> None:
    """Make what the file lacks. A file that lacks nothing is not written, so that nobody is waited for."""
    if not file.read(_is_complete):
        file.write(_make)


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def moment(stored: float | None) -> datetime | None:
    return None if stored is None else datetime.fromtimestamp(stored, UTC)


def lateness(slot: datetime | None, now: datetime) -> float | None:
    """In seconds."""
    return None if slot is None else (now - slot).total_seconds()


def names_but(column: str, without: Collection[str]) -> tuple[str, list[str]]:
    """A condition that leaves out these triggers, with its values; nothing when there are none."""
    return (
        (f"AND {column} NOT IN (SELECT value FROM json_each(?))", [json.dumps(list(without))]) if without else ("", [])
    )


def _is_complete(tx: Transaction) -> bool:
    present = {name for (name,) in tx.fetch("SELECT name FROM sqlite_schema")}
    made = present.issuperset(("trigger_activations_rewound", *_INDEXES))
    return made and not any(_lacking(tx, table) for table in _ADDED)


def _make(tx: Transaction) -> None:
    for table in _TABLES:
        tx.execute(table)
    closed = "finished_at" in _lacking(tx, "trigger_events")
    for table, columns in _ADDED.items():
        for column in _lacking(tx, table):
            tx.execute(f"ALTER TABLE {table} ADD COLUMN {column} {columns[column]}")
    if closed:
        tx.execute("UPDATE trigger_events SET finished_at = fired_at")
        tx.execute("UPDATE trigger_activations SET next_run_at = 0 WHERE status = 'active' AND trigger_type = 'poll'")
    for name, columns in _INDEXES.items():
        tx.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
    for statement in (_ONE_FIRE_PER_SLOT, *_EDITS):
        tx.execute(statement)


def _lacking(tx: Transaction, table: str) -> list[str]:
    present = {name for (name,) in tx.fetch("SELECT name FROM pragma_table_info(?)", table)}
    return [column for column in _ADDED[table] if column not in present]
