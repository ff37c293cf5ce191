"""Removes what is too old to keep, slowly: a step is one short transaction, and after each comes a pause for others.

Where it stopped is in memory only: a pass that is cut short begins again.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from wingbeat.operations import retention
from wingbeat.operations.retention import Place, Rule
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

BATCH = 1000
PAUSE_SECONDS = 0.2
"""Between two steps."""
REST_SECONDS = 3600.0
"""Between two passes: ages are days."""
LEASE = timedelta(seconds=REST_SECONDS + 600)
"""Outlives the rest, so that one node goes on pruning for all."""
ABANDONED = timedelta(days=7)
"""Without a sign of life, an upload is over."""

Sweep = Callable[[datetime], Awaitable[int]]
"""Forgets uploads in which nothing has happened since; how many."""

log = structlog.get_logger(__name__)


class Pruner:
    def __init__(
        self, database: Database, rules: Sequence[Rule], *, node: str, metrics: Metrics, sweep: Sweep | None = None
    ) -> None:
        self._database = database
        self._rules = rules
        self._node = node
        self._metrics = metrics
        self._sweep = sweep
        self._place = Place()

    async def tick(self) -> float:
        """One step."""
        place = self._place
        pruned = await self._database.write(
            lambda tx: retention.prune(tx, self._rules, place, limit=BATCH, node=self._node, lease=LEASE)
        )
        if pruned is None:
            self._place = Place()
            return REST_SECONDS
        self._count(pruned.what, pruned.removed)
        self._place = pruned.then or Place()
        if pruned.then is not None:
            return PAUSE_SECONDS
        if self._sweep is not None:
            self._count("multipart_uploads", await self._sweep(pruned.at - ABANDONED))
        return REST_SECONDS

    def _count(self, what: str, removed: int) -> None:
        if removed:
            self._metrics.pruned.labels(what).inc(removed)
            log.debug("removed by age", what=what, count=removed)
