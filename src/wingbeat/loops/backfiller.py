"""Starts the runs of backfills. Any number of processes may run it; none of them remembers anything."""

import structlog

from wingbeat.errors import Unavailable
from wingbeat.operations import backfills
from wingbeat.operations.firing import Firer
from wingbeat.store import backfills as stored
from wingbeat.store.changes import RUNS
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

log = structlog.get_logger(__name__)


class Backfiller:
    TOPICS = (RUNS, stored.TOPIC)

    def __init__(self, database: Database, firer: Firer, metrics: Metrics) -> None:
        self._database = database
        self._firer = firer
        self._metrics = metrics

    async def tick(self) -> None:
        """Start what may be started, of each backfill by itself. Every run that begins or ends wakes this: a look."""
        ready = await self._database.read(stored.ready)
        if not ready:
            return
        await self._database.write(stored.forget_ended)
        for backfill_id, trigger_id in ready:
            try:
                await self._advance(backfill_id, trigger_id)
            except Unavailable:
                raise
            except Exception:
                log.exception("a backfill cannot go on", backfill=backfill_id, trigger_id=trigger_id)

    async def _advance(self, backfill_id: str, trigger_id: int) -> None:
        """Batch by batch, so that no lock is held for long."""
        more = True
        while more:
            done = await self._database.write(lambda tx: backfills.advance(tx, self._firer, backfill_id, trigger_id))
            self._metrics.count_fires(done.started, done.missed.items())
            more = done.more
