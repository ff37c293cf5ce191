"""Which runs are old enough to go, which of them must stay, and the moment at which the others are gone for everybody.

What is gone is still there, as rows and as files: `store/clearing.py` says what is left of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from wingbeat.core.ids import ROOT_ACTION, RunId, Scope
from wingbeat.core.pruning import Ended, Kept
from wingbeat.store import buried_specs, run_needs
from wingbeat.store.changes import PRUNED, RUNS, run_topic
from wingbeat.store.database import Transaction, to_micros
from wingbeat.store.filters import Arguments

_ENDED = "a.parent IS NULL AND a.ended_at IS NOT NULL"
_REASONS = {
    Kept.UNFINISHED: """
        (SELECT 1 FROM queue q WHERE q.project = k.project AND q.domain = k.domain AND q.run = k.run LIMIT 1) = 1
    """,
    Kept.NEEDED: """
        (SELECT 1 FROM run_need n
          WHERE n.source_project = k.project AND n.source_domain = k.domain AND n.source_run = k.run
            AND (n.kept_until = 'pruned'
                 OR (SELECT 1 FROM queue q
                      WHERE q.project = n.project AND q.domain = n.domain AND q.run = n.run LIMIT 1) = 1)
          LIMIT 1) = 1
    """,
    Kept.CACHED: """
        (SELECT 1 FROM cache_entry c WHERE c.project = k.project AND c.domain = k.domain AND c.run = k.run LIMIT 1) = 1
    """,
}
"""LIMIT and not EXISTS, for which PostgreSQL would read all of a table at once and keep it for all runs."""


async def ended(tx: Transaction, *, before: datetime, after: Ended, limit: int) -> list[Ended]:
    """Runs of the scope of `after` that ended `before`, the next `limit` behind it."""
    rows = await tx.fetch(
        f"""
        SELECT a.ended_at, a.run FROM action a
         WHERE {_ENDED} AND a.project = $1 AND a.domain = $2 AND a.ended_at < $3 AND (a.ended_at, a.run) > ($4, $5)
         ORDER BY a.ended_at, a.run LIMIT $6
        """,
        after.scope.project,
        after.scope.domain,
        to_micros(before),
        after.ended_at,
        after.run,
        limit,
    )
    return [Ended(after.scope, row["ended_at"], row["run"]) for row in rows]


async def next_scope(tx: Transaction, after: Scope) -> Scope | None:
    """The next in which a run has ended."""
    row = await tx.fetchrow(
        f"""
        SELECT a.project, a.domain FROM action a
         WHERE {_ENDED} AND (a.project, a.domain) > ($1, $2)
         ORDER BY a.project, a.domain LIMIT 1
        """,
        after.project,
        after.domain,
    )
    return Scope(row["project"], row["domain"]) if row else None


async def lock(tx: Transaction, runs: Sequence[RunId]) -> list[RunId]:
    """Those that nobody else holds: they get no new reason to stay until the end of the transaction."""
    args = Arguments()
    # CROSS JOIN: SQLite keeps its order. To have them in order it would rather read all runs there are.
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, name) AS (VALUES {args.rows(run.names for run in runs)})
        SELECT r.project, r.domain, r.name
          FROM k CROSS JOIN run r
         WHERE r.project = k.project AND r.domain = k.domain AND r.name = k.name AND r.pruned_at IS NULL
         ORDER BY r.project, r.domain, r.name{tx.skip_locked}
        """,
        *args.values,
    )
    return [RunId(row["project"], row["domain"], row["name"]) for row in rows]


async def reasons(tx: Transaction, runs: Sequence[RunId]) -> Mapping[RunId, Kept]:
    """Why they must stay; those that need not are left out."""
    args = Arguments()
    cases = " ".join(f"WHEN {condition} THEN '{kept}'" for kept, condition in _REASONS.items())
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, run) AS (VALUES {args.rows(run.names for run in runs)})
        SELECT k.project, k.domain, k.run, CASE {cases} END AS kept FROM k
        """,
        *args.values,
    )
    return {
        RunId(row["project"], row["domain"], row["run"]): Kept(row["kept"]) for row in rows if row["kept"] is not None
    }


async def count_actions(tx: Transaction, runs: Sequence[RunId]) -> int:
    args = Arguments()
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, run) AS (VALUES {args.rows(run.names for run in runs)})
        SELECT (SELECT count(*) FROM action a WHERE a.project = k.project AND a.domain = k.domain AND a.run = k.run)
               AS actions
          FROM k
        """,
        *args.values,
    )
    return sum(row["actions"] for row in rows)


async def mark(tx: Transaction, runs: Sequence[RunId]) -> None:
    """The runs, which are locked, are in no list from now on, and no longer need what they have read of others."""
    if not runs:
        return
    await tx.update(
        """
        UPDATE run SET pruned_at = $4, inputs = NULL, request_id = NULL
         WHERE project = $1 AND domain = $2 AND name = $3
        """,
        [(*run.names, to_micros(tx.now)) for run in runs],
    )
    args = Arguments()
    root = args.add(ROOT_ACTION)
    roots = await tx.fetch(
        f"""
        WITH k (project, domain, run) AS (VALUES {args.rows(run.names for run in runs)})
        DELETE FROM action WHERE (project, domain, run, name) IN (SELECT project, domain, run, {root} FROM k)
        RETURNING spec_digest
        """,
        *args.values,
    )
    await buried_specs.bury(tx, {row["spec_digest"] for row in roots})
    await run_needs.forget(tx, runs)
    tx.changed(PRUNED, RUNS, *(run_topic(run) for run in runs))
