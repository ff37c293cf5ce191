"""The ledger as tests read it."""

from datetime import datetime

from wingbeat.store.database import Transaction, from_micros
from wingbeat.store.fires import COLUMNS, Fire, fire_of


async def newest_entries(tx: Transaction, trigger_id: int, *, limit: int) -> list[tuple[datetime, Fire]]:
    """The newest entries of a trigger's ledger with the moments they were decided, newest first."""
    rows = await tx.fetch(
        f"""
        SELECT {", ".join(COLUMNS)} FROM fire
         WHERE trigger_id = $1 ORDER BY decided_at DESC, kind, key DESC LIMIT $2
        """,
        trigger_id,
        limit,
    )
    return [(from_micros(row["decided_at"]), fire_of(row)) for row in rows]
