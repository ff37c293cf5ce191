"""Triggers that were activated, with the cursor of their schedule, and every change of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from wingbeat.store.compose.transaction import Row, Transaction
from wingbeat.store.compose.trigger_tables import moment, names_but, seconds

_COLUMNS = (
    "name, dag_nsref, trigger_type, status, config_json, created_at, last_run_at, last_checked_at, revision, anchor,"
    " decided_until, next_run_at, failures, line_json, cursor_json"
)


@dataclass(frozen=True, slots=True)
class Activation:
    name: str
    dag_nsref: str
    trigger_type: str
    status: str
    config_json: str
    created_at: datetime
    revision: int
    anchor: datetime
    decided_until: datetime
    next_run_at: datetime | None
    """When somebody must look at it: its next slot is due, a slot waits, or a failed decision is tried again."""
    failures: int
    line_json: str | None
    cursor_json: str | None

    @property
    def active(self) -> bool:
        return self.status == "active"


def get(tx: Transaction, name: str) -> Activation | None:
    row = tx.fetchrow(f"SELECT {_COLUMNS} FROM trigger_activations WHERE name = ?", name)
    return _activation(row) if row else None


def put(tx: Transaction, activation: Activation, *, last_checked_at: datetime | None) -> None:
    """A trigger that is active from the beginning has run "now": its first fire is the next slot."""
    made = seconds(activation.created_at)
    tx.execute(
        f"INSERT INTO trigger_activations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET dag_nsref = excluded.dag_nsref, trigger_type = excluded.trigger_type,"
        " status = excluded.status, config_json = excluded.config_json, revision = excluded.revision,"
        " anchor = excluded.anchor, decided_until = excluded.decided_until, next_run_at = excluded.next_run_at,"
        " failures = 0, line_json = excluded.line_json, last_run_at = coalesce(?, last_run_at),"
        " last_checked_at = coalesce(?, last_checked_at)",
        activation.name,
        activation.dag_nsref,
        activation.trigger_type,
        activation.status,
        activation.config_json,
        made,
        made,
        None,
        activation.revision,
        seconds(activation.anchor),
        seconds(activation.decided_until),
        seconds(activation.next_run_at),
        0,
        activation.line_json,
        activation.cursor_json,
        seconds(last_checked_at),
        seconds(last_checked_at),
    )


def disable(tx: Transaction, name: str) -> None:
    tx.execute(
        "UPDATE trigger_activations SET status = 'disabled', next_run_at = NULL, line_json = NULL, revision = 1 +"
        " max(revision, (SELECT coalesce(max(revision), 0) FROM trigger_revisions WHERE name = ?)) WHERE name = ?",
        name,
        name,
    )


def sign(tx: Transaction, name: str, *, by: str | None, now: datetime) -> None:
    """Who made it what it is."""
    tx.execute(
        "UPDATE trigger_activations SET changed_by = ?, changed_at = ? WHERE name = ?", by, now.timestamp(), name
    )


def last_revision(tx: Transaction, name: str) -> int:
    """0 for a trigger that never had one. It may have had some though another program removed it."""
    row = tx.fetchrow("SELECT max(revision) FROM trigger_revisions WHERE name = ?", name)
    return (row[0] or 0) if row else 0


def remember(tx: Transaction, name: str, action: str, *, by: str | None, now: datetime) -> None:
    """Keep what the trigger is now as its latest revision."""
    tx.execute(
        "INSERT INTO trigger_revisions (name, revision, action, dag_nsref, config_json, changed_by, changed_at)"
        " SELECT name, revision, ?, dag_nsref, config_json, ?, ? FROM trigger_activations WHERE name = ?",
        action,
        by,
        now.timestamp(),
        name,
    )


def move(
    tx: Transaction,
    name: str,
    *,
    decided_until: datetime,
    next_run_at: datetime | None,
    line_json: str | None,
    failures: int = 0,
) -> None:
    tx.execute(
        "UPDATE trigger_activations SET decided_until = ?, next_run_at = ?, line_json = ?, failures = ? WHERE name = ?",
        seconds(decided_until),
        seconds(next_run_at),
        line_json,
        failures,
        name,
    )


def fail(tx: Transaction, name: str, failures: int) -> None:
    """So many decisions have failed in a row; when it is due stays as it is."""
    tx.execute("UPDATE trigger_activations SET failures = ? WHERE name = ?", failures, name)


def keep_cursor(tx: Transaction, name: str, cursor_json: str | None) -> None:
    tx.execute("UPDATE trigger_activations SET cursor_json = ? WHERE name = ?", cursor_json, name)


def checked(tx: Transaction, name: str, now: datetime) -> None:
    tx.execute(
        "UPDATE trigger_activations SET last_checked_at = max(?, coalesce(last_checked_at, 0)) WHERE name = ?",
        now.timestamp(),
        name,
    )


def ran(tx: Transaction, name: str, run_id: str | None, now: datetime) -> None:
    """A fire is a check, too."""
    tx.execute(
        "UPDATE trigger_activations SET last_run_at = ?, last_checked_at = ?, last_run_id = ? WHERE name = ?",
        now.timestamp(),
        now.timestamp(),
        run_id,
        name,
    )


def ended(tx: Transaction, name: str, run_id: str, now: datetime) -> bool:
    """`ran` and `wake`."""
    row = tx.fetchrow(
        "UPDATE trigger_activations SET last_run_at = ?, last_checked_at = ?, last_run_id = ?, next_run_at ="
        " CASE WHEN line_json IS NOT NULL AND status = 'active' THEN ? ELSE next_run_at END WHERE name = ?"
        " RETURNING line_json IS NOT NULL AND status = 'active'",
        now.timestamp(),
        now.timestamp(),
        run_id,
        now.timestamp(),
        name,
    )
    return row is not None and bool(row[0])


def wake(tx: Transaction, name: str, now: datetime) -> bool:
    """Look at a trigger for which slots wait, as a run of it is over. Whether it is one."""
    return bool(
        tx.execute(
            "UPDATE trigger_activations SET next_run_at = ?"
            " WHERE name = ? AND line_json IS NOT NULL AND status = 'active'",
            now.timestamp(),
            name,
        )
    )


def due(tx: Transaction, now: datetime, *, limit: int, without: Collection[str] = ()) -> list[Activation]:
    """The most overdue first."""
    others, names = names_but("name", without)
    rows = tx.fetch(
        f"SELECT {_COLUMNS} FROM trigger_activations WHERE status = 'active' AND next_run_at <= ? {others}"
        " ORDER BY next_run_at, name LIMIT ?",
        now.timestamp(),
        *names,
        limit,
    )
    return [_activation(row) for row in rows]


def next_due(tx: Transaction, *, without: Collection[str] = ()) -> datetime | None:
    others, names = names_but("name", without)
    row = tx.fetchrow(
        f"SELECT next_run_at FROM trigger_activations WHERE status = 'active' AND next_run_at IS NOT NULL {others}"
        " ORDER BY next_run_at LIMIT 1",
        *names,
    )
    return moment(row[0]) if row else None


def decided_beyond(tx: Transaction, until: datetime, *, limit: int) -> list[Activation]:
    """Those that were decided when the clock was ahead."""
    rows = tx.fetch(
        f"SELECT {_COLUMNS} FROM trigger_activations WHERE status = 'active' AND decided_until > ?"
        " ORDER BY name LIMIT ?",
        until.timestamp(),
        limit,
    )
    return [_activation(row) for row in rows]


def _activation(row: Row) -> Activation:
    (
        name,
        nsref,
        kind,
        status,
        config,
        made,
        ran_at,
        checked_at,
        revision,
        anchor,
        decided,
        due_at,
        failures,
        line,
        at,
    ) = row
    created = moment(made)
    began = moment(checked_at or ran_at or made)
    if created is None or began is None:
        raise ValueError(f"trigger {name!r} has no created_at")
    return Activation(
        name=name,
        dag_nsref=nsref,
        trigger_type=kind,
        status=status,
        config_json=config or "{}",
        created_at=created,
        revision=revision,
        anchor=moment(anchor) or created,
        decided_until=moment(decided) or began,
        next_run_at=moment(due_at),
        failures=failures,
        line_json=line,
        cursor_json=at,
    )
