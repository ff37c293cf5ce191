"""Rows of `run_end`: word of runs that ended, for triggers that watch theirs. Appended by the end, taken once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.action import Phase, TriggerRef
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Transaction, to_micros


@dataclass(frozen=True, slots=True)
class RunEnd:
    trigger_id: int
    revision: int
    phase: Phase


async def append(tx: Transaction, trigger: TriggerRef, *, run_name: str, phase: Phase, at: datetime) -> None:
    """Nothing happens for a trigger that does not watch its runs, or for a run of a backfill."""
    appended = await tx.execute(
        """
        INSERT INTO run_end (trigger_id, revision, run_name, phase, at)
        SELECT trigger_id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT)
          FROM schedule WHERE trigger_id = $1 AND watches
           AND NOT EXISTS (SELECT 1 FROM backfill_run b WHERE b.project = $6 AND b.domain = $7 AND b.run = $3)
        """,
        trigger.id,
        trigger.revision,
        run_name,
        phase.value,
        to_micros(at),
        trigger.name.project,
        trigger.name.domain,
    )
    if appended:
        tx.changed(SCHEDULE)


async def waiting(tx: Transaction) -> bool:
    """Whether there is word of any trigger."""
    return bool(await tx.fetch("SELECT 1 AS one FROM run_end LIMIT 1"))


async def take(tx: Transaction, ids: Sequence[int]) -> list[RunEnd]:
    """All word of these triggers, whose schedule rows are locked, in the order of the ends; it is gone then."""
    rows = await tx.fetch(
        "DELETE FROM run_end WHERE trigger_id = ANY($1::bigint[]) RETURNING id, trigger_id, revision, phase",
        list(ids),
    )
    return [
        RunEnd(row["trigger_id"], row["revision"], Phase(row["phase"]))
        for row in sorted(rows, key=lambda row: row["id"])
    ]
