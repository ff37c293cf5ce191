"""Rows of `run_need`: runs that read what another run has written. That one, the source, is not pruned before them.

Who needs a source locks its row, and so does who prunes it: one of the two sees what the other did.
"""

from wingbeat.core.ids import RunId
from wingbeat.errors import Conflict
from wingbeat.store.database import Transaction

_KEY = ("source_project", "source_domain", "source_run", "project", "domain", "run")


async def add(tx: Transaction, run: RunId, source: RunId) -> bool:
    """Keep `source` for as long as `run` is kept. False: it is not there, or pruned, and nothing of it may be used."""
    if source == run:
        return True
    found = await tx.fetchrow(
        f"""
        SELECT name FROM run WHERE project = $1 AND domain = $2 AND name = $3 AND pruned_at IS NULL{tx.for_share}
        """,
        source.project,
        source.domain,
        source.name,
    )
    if found is None:
        return False
    await tx.execute(
        f"INSERT INTO run_need ({', '.join(_KEY)}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        source.project,
        source.domain,
        source.name,
        run.project,
        run.domain,
        run.name,
    )
    return True


async def require(tx: Transaction, run: RunId, source: RunId) -> None:
    """Like `add`. Raises Conflict when nothing of the source may be used."""
    if not await add(tx, run, source):
        raise Conflict(f"run {source.name!r} is not kept any more: what it has written cannot be used again")


async def sources(tx: Transaction, run: RunId) -> list[RunId]:
    """What the run reads of others."""
    rows = await tx.fetch(
        """
        SELECT source_project, source_domain, source_run FROM run_need
         WHERE project = $1 AND domain = $2 AND run = $3
         ORDER BY source_project, source_domain, source_run
        """,
        run.project,
        run.domain,
        run.name,
    )
    return [RunId(row["source_project"], row["source_domain"], row["source_run"]) for row in rows]
