"""Who keeps a run going: a process, for as long as it renews its lease. A run of a process that is gone is crashed.

A lease counts for who cannot look: on the same machine the process itself says whether it is alive.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from wingbeat.store.compose.runs import COLUMNS, StoredRun
from wingbeat.store.compose.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Owner:
    """`place` is where `process` means something: who is in the same place can see whether it is alive."""

    owner: str
    place: str | None
    process: str | None
    lease_until: float


def renew(tx: Transaction, owner: Owner, *, unless_until: float) -> None:
    """A lease that lasts until then already stays as it is."""
    tx.execute(
        "INSERT INTO run_owners (owner, place, process, lease_until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until WHERE lease_until < ?",
        owner.owner,
        owner.place,
        owner.process,
        owner.lease_until,
        unless_until,
    )


def of_running_runs(tx: Transaction) -> tuple[list[Owner], list[str | None]]:
    """Those who have a lease, and the names of those who never took one."""
    names = _names(tx)
    rows = tx.fetch(
        "SELECT owner, place, process, lease_until FROM run_owners"
        " WHERE owner IN (SELECT value FROM json_each(?)) ORDER BY owner",
        json.dumps(names),
    )
    leased = [Owner(*row) for row in rows]
    return leased, [name for name in names if name not in {owner.owner for owner in leased}]


def get(tx: Transaction, owner: str) -> Owner | None:
    row = tx.fetchrow("SELECT owner, place, process, lease_until FROM run_owners WHERE owner = ?", owner)
    return Owner(*row) if row else None


def running_runs(tx: Transaction, owners: Collection[str | None], *, limit: int) -> list[StoredRun]:
    """The earliest first. No owner at all, as in a file of lythonic, is None."""
    rows = tx.fetch(
        f"SELECT {COLUMNS} FROM dag_runs WHERE status = 'running'"
        " AND (owner IN (SELECT value FROM json_each(?)) OR (? AND owner IS NULL))"
        " ORDER BY started_at, run_id LIMIT ?",
        json.dumps([owner for owner in owners if owner is not None]),
        None in owners,
        limit,
    )
    return [StoredRun(*row) for row in rows]


def has_running_runs(tx: Transaction, owner: str) -> bool:
    return tx.fetchrow("SELECT 1 FROM dag_runs WHERE status = 'running' AND owner = ? LIMIT 1", owner) is not None


def take(tx: Transaction, run_id: str, *, owner: str) -> None:
    """The run is running, and is the owner's."""
    tx.execute(
        "UPDATE dag_runs SET status = 'running', owner = ?, finished_at = NULL, error = NULL WHERE run_id = ?",
        owner,
        run_id,
    )


def taken_from(tx: Transaction, run_ids: Collection[str], *, owner: str) -> str | None:
    """The first of the runs that somebody else keeps going, or that is gone."""
    if len(run_ids) == 1:
        (run_id,) = run_ids
        row = tx.fetchrow("SELECT owner FROM dag_runs WHERE run_id = ?", run_id)
        return None if row and row[0] in (owner, None) else run_id
    rows = tx.fetch(
        "SELECT run_id FROM dag_runs WHERE run_id IN (SELECT value FROM json_each(?)) AND (owner = ? OR owner IS NULL)",
        json.dumps(list(run_ids)),
        owner,
    )
    kept = {run_id for (run_id,) in rows}
    return next((run_id for run_id in run_ids if run_id not in kept), None)


def forget(tx: Transaction, *, before: float) -> None:
    """Owners whose lease ended long ago and who have no run left."""
    tx.execute(
        "DELETE FROM run_owners WHERE lease_until < ? AND NOT EXISTS"
        " (SELECT 1 FROM dag_runs WHERE status = 'running' AND dag_runs.owner = run_owners.owner)",
        before,
    )


def _names(tx: Transaction) -> list[str | None]:
    """One step in the index for each, however many runs they have."""
    rows = tx.fetch(
        "WITH RECURSIVE each(owner) AS ("
        " SELECT min(owner) FROM dag_runs WHERE status = 'running'"
        " UNION ALL SELECT (SELECT min(owner) FROM dag_runs WHERE status = 'running' AND owner > each.owner)"
        " FROM each WHERE each.owner IS NOT NULL) SELECT owner FROM each WHERE owner IS NOT NULL"
    )
    without = tx.fetchrow("SELECT 1 FROM dag_runs WHERE status = 'running' AND owner IS NULL LIMIT 1")
    return [*(name for (name,) in rows), *([None] if without else [])]
