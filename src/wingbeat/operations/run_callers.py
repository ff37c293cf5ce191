"""Until when a run may call its server: while it goes on, and long enough after its end for its last words."""

from datetime import datetime, timedelta

from wingbeat.core.ids import RunId
from wingbeat.operations.pruning import YOUNGEST
from wingbeat.store import run_lives
from wingbeat.store.database import Transaction

GRACE = YOUNGEST
"""Attempts that were aborted take a moment to notice it."""
CLOCKS_APART = timedelta(hours=1)
"""Far less than a name rests before another run may have it."""


async def may_call(tx: Transaction, run: RunId, *, issued_at: datetime) -> bool:
    """Whether the run that was given its token at `issued_at`, no other of its name, goes on or has just ended."""
    life = await run_lives.find(tx, run)
    if life is None or issued_at < life.created_at - CLOCKS_APART:
        return False
    return life.ended_at is None or tx.now - life.ended_at < GRACE
