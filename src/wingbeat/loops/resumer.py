"""Resumes triggers whose pause is over. Any number of processes may run it."""

from wingbeat.operations import pauses
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Database, Transaction
from wingbeat.store.pauses import next_end

BATCH = 100


class Resumer:
    TOPICS = (SCHEDULE,)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tick(self) -> float | None:
        """Returns the seconds until the next pause ends, or None: when somebody pauses a trigger."""
        while await self._database.write(lambda tx: pauses.resume_ended(tx, limit=BATCH)) == BATCH:
            continue
        return await self._database.read(_seconds_to_next)


async def _seconds_to_next(tx: Transaction) -> float | None:
    end = await next_end(tx)
    return None if end is None else max(0.0, (end - tx.now).total_seconds())
