"""Runs of the embedded library: one row each, of which the whole life is written here and read back."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from wingbeat.store.compose.transaction import Row, Transaction

COLUMNS = "run_id, dag_nsref, parent_run_id, status, started_at, finished_at, initiated_by, trigger_name, owner, error"
"""Of a `StoredRun`, in its order."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run without what went in and came out, which may be large. Times are seconds since 1970."""

    run_id: str
    dag_nsref: str
    parent_run_id: str | None
    status: str
    started_at: float
    finished_at: float | None
    initiated_by: str | None
    trigger_name: str | None
    owner: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class NewRun:
    run_id: str
    dag_nsref: str
    inputs_json: str
    owner: str
    parent_run_id: str | None = None
    initiated_by: str | None = None
    trigger_name: str | None = None


def create(tx: Transaction, run: NewRun) -> bool:
    """Whether it is new: a run that exists is left as it is."""
    return bool(
        tx.execute(
            "INSERT INTO dag_runs (run_id, dag_nsref, parent_run_id, status, started_at, source_inputs_json,"
            " initiated_by, trigger_name, owner) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?)"
            " ON CONFLICT (run_id) DO NOTHING",
            run.run_id,
            run.dag_nsref,
            run.parent_run_id,
            tx.now.timestamp(),
            run.inputs_json,
            run.initiated_by,
            run.trigger_name,
            run.owner,
        )
    )


def set_status(tx: Transaction, run_id: str, status: str) -> None:
    tx.execute("UPDATE dag_runs SET status = ? WHERE run_id = ?", status, run_id)


def finish(
    tx: Transaction,
    run_id: str,
    *,
    status: str,
    outputs_json: str | None,
    error: str | None = None,
    owner: str | None = None,
) -> bool:
    """Whether it is there and, where an owner is given, nobody else's."""
    return bool(
        tx.execute(
            "UPDATE dag_runs SET status = ?, finished_at = ?, sink_outputs_json = ?, error = ?"
            " WHERE run_id = ? AND coalesce(owner = ?, TRUE)",
            status,
            tx.now.timestamp(),
            outputs_json,
            error,
            run_id,
            owner,
        )
    )


def get(tx: Transaction, run_id: str) -> StoredRun | None:
    row = tx.fetchrow(f"SELECT {COLUMNS} FROM dag_runs WHERE run_id = ?", run_id)
    return StoredRun(*row) if row else None


def get_io(tx: Transaction, run_id: str) -> Row | None:
    """What went in and what came out, as JSON."""
    return tx.fetchrow("SELECT source_inputs_json, sink_outputs_json FROM dag_runs WHERE run_id = ?", run_id)


def recent(tx: Transaction, *, limit: int, status: str | None, trigger_name: str | None) -> list[StoredRun]:
    """The latest first."""
    known = {"status": status, "trigger_name": trigger_name}
    wanted = {column: value for column, value in known.items() if value is not None}
    where = f"WHERE {' AND '.join(f'{column} = ?' for column in wanted)}" if wanted else ""
    rows = tx.fetch(
        f"SELECT {COLUMNS} FROM dag_runs {where} ORDER BY started_at DESC, run_id DESC LIMIT ?",
        *wanted.values(),
        limit,
    )
    return [StoredRun(*row) for row in rows]


def descendants(tx: Transaction, run_ids: Collection[str], *, limit: int) -> list[StoredRun]:
    """Level by level, within a level the earliest first; the given runs are not among them."""
    found: list[StoredRun] = []
    level = list(run_ids)
    while level and len(found) < limit:
        rows = tx.fetch(
            f"SELECT {COLUMNS} FROM dag_runs WHERE parent_run_id IN (SELECT value FROM json_each(?))"
            " ORDER BY started_at, run_id LIMIT ?",
            json.dumps(level),
            limit - len(found),
        )
        children = [StoredRun(*row) for row in rows]
        found += children
        level = [child.run_id for child in children]
    return found
