"""What changed among all runs. A look is narrow: only the runs that somebody waits for are read whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.ids import ROOT_ACTION, RunId, TaskId
from wingbeat.store.actions import COLUMNS, action_of
from wingbeat.store.database import Transaction, to_micros
from wingbeat.store.filters import Arguments
from wingbeat.store.runs import Listed, labels_of

PAGE = 1000
"""Runs in one statement."""


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run that changed, as narrow as lists can tell whether they show it."""

    run: RunId
    task: TaskId
    version: int
    at: int
    """Microseconds since 1970."""


async def page(tx: Transaction, *, since: datetime, after: RunChange | None) -> Sequence[RunChange]:
    """Up to `PAGE` runs that changed at or after `since`, the longest unchanged first; those that follow `after`."""
    run = after.run if after else RunId("", "", "")
    rows = await tx.fetch(
        """
        SELECT project, domain, run, task_project, task_domain, task_name, task_version, version, updated_at
          FROM action
         WHERE parent IS NULL AND updated_at >= $1 AND (updated_at, project, domain, run) > ($1, $2, $3, $4)
         ORDER BY updated_at, project, domain, run
         LIMIT $5
        """,
        after.at if after else to_micros(since),
        *run.names,
        PAGE,
    )
    return [
        RunChange(
            run=RunId(row["project"], row["domain"], row["run"]),
            task=TaskId(row["task_project"], row["task_domain"], row["task_name"], row["task_version"]),
            version=row["version"],
            at=row["updated_at"],
        )
        for row in rows
    ]


async def find_many(tx: Transaction, runs: Sequence[RunId]) -> Sequence[Listed]:
    """As lists show them, in any order; at most `PAGE`."""
    if not runs:
        return []
    args = Arguments()
    keys = args.rows(run.names for run in runs)
    # CROSS JOIN: SQLite keeps its order, and asks the index for each run.
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, run) AS (VALUES {keys})
        SELECT {COLUMNS}
          FROM k CROSS JOIN action a
         WHERE a.project = k.project AND a.domain = k.domain AND a.run = k.run AND a.name = '{ROOT_ACTION}'
        """,
        *args.values,
    )
    labels = await labels_of(tx, runs)
    roots = [action_of(row) for row in rows]
    return [Listed(root, labels.get(root.id.run, {})) for root in roots]
