"""What is left of pruned runs: rows that are removed a bounded number at a time, and where their files are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.ids import RunId
from wingbeat.store import buried_specs, upload_uses
from wingbeat.store.database import Row, Transaction, from_micros, to_micros
from wingbeat.store.filters import Arguments

KEYS = {
    "event": ("id",),
    "attempt": ("project", "domain", "run", "action", "number"),
    "signal": ("project", "domain", "run", "action"),
    "webhook": ("project", "domain", "run", "action"),
    "run_room": ("id",),
    "run_label": ("project", "domain", "run", "key"),
    "action": ("project", "domain", "run", "name"),
}
"""Tables about runs, with their keys, in the order in which they are emptied."""
_TO_CLEAR = "pruned_at IS NOT NULL AND cleared_at IS NULL"
_IS_RUN = "project = $1 AND domain = $2 AND name = $3"


@dataclass(frozen=True, slots=True)
class Remains:
    """A pruned run whose rows and files may still be there."""

    run: RunId
    output_base: str
    run_spec: bytes
    """The serialized flyteidl2.task.RunSpec, which knows where its raw data are."""


async def find(tx: Transaction, limit: int) -> list[Remains]:
    """Of the runs that were pruned first."""
    rows = await tx.fetch(
        f"""
        SELECT project, domain, name, output_base, run_spec FROM run
         WHERE {_TO_CLEAR} ORDER BY pruned_at LIMIT $1
        """,
        limit,
    )
    return [
        Remains(RunId(row["project"], row["domain"], row["name"]), row["output_base"], row["run_spec"]) for row in rows
    ]


async def count(tx: Transaction, *, most: int) -> int:
    """How many runs are pruned and not cleared; `most` stands for more, too."""
    rows = await tx.fetch(f"SELECT count(*) AS runs FROM (SELECT 1 FROM run WHERE {_TO_CLEAR} LIMIT $1) waiting", most)
    return rows[0]["runs"]


async def remove_rows(tx: Transaction, runs: Sequence[RunId], limit: int) -> int:
    """Remove up to `limit` rows of pruned runs; how many."""
    removed = 0
    for table, key in KEYS.items():
        if runs and removed < limit:
            gone = await _remove(tx, table, key, runs, limit - removed)
            removed += len(gone)
            if table == "action":
                await buried_specs.bury(tx, {row["spec_digest"] for row in gone})
    return removed


async def cleared(tx: Transaction, runs: Sequence[RunId]) -> None:
    """Nothing is left of them but their names."""
    await tx.update(
        f"UPDATE run SET cleared_at = $4, run_spec = $5 WHERE {_IS_RUN}",
        [(*run.names, to_micros(tx.now), b"") for run in runs],
    )
    await upload_uses.forget(tx, [upload_uses.of_run(run) for run in runs])


async def forget(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Free the names of up to `limit` runs that were cleared `before`; how many."""
    return await tx.execute(
        """
        DELETE FROM run WHERE (project, domain, name) IN (
               SELECT project, domain, name FROM run
                WHERE cleared_at IS NOT NULL AND cleared_at < $1 ORDER BY cleared_at LIMIT $2)
        """,
        to_micros(before),
        limit,
    )


async def pruned_at(tx: Transaction, run: RunId) -> datetime | None:
    """When it was pruned, if that is known."""
    row = await tx.fetchrow(f"SELECT pruned_at FROM run WHERE {_IS_RUN} AND pruned_at IS NOT NULL", *run.names)
    return from_micros(row["pruned_at"]) if row else None


async def _remove(tx: Transaction, table: str, key: Sequence[str], runs: Sequence[RunId], limit: int) -> Sequence[Row]:
    args = Arguments()
    keys = args.rows(run.names for run in runs)
    # CROSS JOIN: SQLite keeps its order, and asks the table's index for each run.
    return await tx.fetch(
        f"""
        DELETE FROM {table} WHERE ({", ".join(key)}) IN (
               WITH k (project, domain, run) AS (VALUES {keys})
               SELECT {", ".join(f"t.{column}" for column in key)} FROM k CROSS JOIN {table} t
                WHERE t.project = k.project AND t.domain = k.domain AND t.run = k.run
                LIMIT {args.add(limit)})
        RETURNING {"spec_digest" if table == "action" else "1"}
        """,
        *args.values,
    )
