"""From when until when a run goes on, for who has to know no more of it."""

from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.store.database import Transaction, from_micros, maybe_moment


@dataclass(frozen=True, slots=True)
class Life:
    created_at: datetime
    ended_at: datetime | None


async def find(tx: Transaction, run: RunId) -> Life | None:
    """None when there is no such run, or none any more."""
    row = await tx.fetchrow(
        """
        SELECT r.created_at, a.ended_at
          FROM run r JOIN action a ON a.project = r.project AND a.domain = r.domain AND a.run = r.name AND a.name = $4
         WHERE r.project = $1 AND r.domain = $2 AND r.name = $3 AND r.pruned_at IS NULL
        """,
        run.project,
        run.domain,
        run.name,
        ROOT_ACTION,
    )
    return None if row is None else Life(from_micros(row["created_at"]), maybe_moment(row["ended_at"]))
