"""What is kept of the runs: whole trees are removed, a few at a time, and never one that has not ended."""

import json
from dataclasses import dataclass

from wingbeat.store.compose.transaction import Transaction

_ROOT = (
    "(parent_run_id IS NULL OR NOT EXISTS (SELECT 1 FROM dag_runs AS parent"
    " WHERE parent.run_id = dag_runs.parent_run_id))"
)
_PARTS = ("edge_traversals", "node_executions", "dag_runs")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the order of their starts a run stands."""

    started_at: float
    run_id: str


BEGINNING = Place(float("-inf"), "")


def place_of_newest(tx: Transaction, count: int) -> Place | None:
    """Of the run after the newest `count` ones; none when there are not so many."""
    row = tx.fetchrow(
        f"SELECT started_at, run_id FROM dag_runs WHERE {_ROOT} ORDER BY started_at DESC, run_id DESC LIMIT 1 OFFSET ?",
        count,
    )
    return Place(*row) if row else None


def ended(tx: Transaction, *, after: Place, until: Place, finished_before: float, limit: int) -> list[Place]:
    """Runs that nobody called, with all of theirs, have ended: `after` exclusive, `until` inclusive."""
    rows = tx.fetch(
        "SELECT started_at, run_id FROM dag_runs WHERE (started_at, run_id) > (?, ?) AND (started_at, run_id) <= (?, ?)"
        f" AND {_ROOT} AND status IN ('completed', 'failed', 'cancelled') AND finished_at < ?"
        " ORDER BY started_at, run_id LIMIT ?",
        after.started_at,
        after.run_id,
        until.started_at,
        until.run_id,
        finished_before,
        limit,
    )
    return [Place(*row) for row in rows]


def remove(tx: Transaction, root: str, *, limit: int) -> int:
    """A run with all of its descendants: how many runs were removed. Less than the limit means all of them."""
    gone = json.dumps(_leaves_first(tx, root, limit=limit))
    removed = 0
    for table in _PARTS:
        removed = tx.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT value FROM json_each(?))", gone)
    return removed


def _leaves_first(tx: Transaction, run_id: str, *, limit: int) -> list[str]:
    """So that what a limit leaves is a tree."""
    children = tx.fetch(
        "SELECT run_id FROM dag_runs WHERE parent_run_id = ? ORDER BY started_at, run_id LIMIT ?", run_id, limit
    )
    found: list[str] = []
    for (child,) in children:
        found += _leaves_first(tx, child, limit=limit - len(found))
        if len(found) >= limit:
            return found
    return [*found, run_id]
