"""Removes runs that are too old to keep, and what is left of pruned runs, whoever has pruned them.

One node at a time does it, in small steps. What is left is in the database, so that any node goes on where one died.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from wingbeat.blobs.store import Blobs
from wingbeat.core.ids import RunId
from wingbeat.core.pruning import BEGINNING, Ended
from wingbeat.errors import Unavailable
from wingbeat.operations import pruning
from wingbeat.operations.pruning import Order
from wingbeat.store import leases
from wingbeat.store.changes import PRUNED
from wingbeat.store.clearing import Remains
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

LEASE_NAME = "runs"
LEASE = timedelta(minutes=5)
"""Far longer than a step. Two nodes at it would do everything twice and harm nothing."""
RUNS = 100
"""In one step; each may have thousands of actions."""
RUNS_AT_A_TIME = 8
"""Whose files are removed."""
ROWS = 1000
BLOBS = 1000
PAUSE_SECONDS = 0.05
"""Between two steps."""
REST_SECONDS = 3600.0
"""Between two passes: ages are days."""
_RAW_DATA = re.compile(r"[^/]+/[0-9]+/raw/")
"""Where attempts keep theirs, below a run's directory in a place that is not the run's alone."""

log = structlog.get_logger(__name__)


class RunPruner:
    TOPICS = (PRUNED,)
    """What changes of these wake it."""

    def __init__(self, database: Database, blobs: Blobs, *, age: timedelta | None, node: str, metrics: Metrics) -> None:
        """`age`: how long runs are kept after their end; None: until somebody prunes them."""
        self._database = database
        self._blobs = blobs
        self._order = None if age is None else Order(max(age, pruning.YOUNGEST))
        self._node = node
        self._metrics = metrics
        self._place: Ended | None = BEGINNING
        self._refused: set[RunId] = set()
        """Pruned runs whose files could not be removed: they are tried again in the next pass."""
        self._runs_at_a_time = asyncio.Semaphore(RUNS_AT_A_TIME)

    async def tick(self) -> float:
        """One step: the rest of runs that are pruned before runs that are not, so that little is left at a time."""
        remains = await self._database.write(self._begin)
        if remains is None:
            return LEASE.total_seconds()
        if remains:
            await self._clear(remains)
            return PAUSE_SECONDS
        if self._place is None or self._order is None:
            self._place = BEGINNING
            self._refused.clear()
            return PAUSE_SECONDS if await self._tidied() else REST_SECONDS
        await self._prune(self._order, self._place)
        return PAUSE_SECONDS

    async def _begin(self, tx: Transaction) -> list[Remains] | None:
        """What is left of some runs, if anything; None while another node does all this."""
        if await leases.acquire(tx, LEASE_NAME, self._node, LEASE) is None:
            return None
        found = await pruning.remains(tx, limit=RUNS + len(self._refused))
        return [each for each in found if each.run not in self._refused]

    async def _prune(self, order: Order, place: Ended) -> None:
        step = await self._database.write(lambda tx: pruning.step(tx, order, place, limit=RUNS, counting=False))
        self._place = step.reached
        self._count("runs", len(step.runs))

    async def _clear(self, remains: Sequence[Remains]) -> None:
        removed = await self._database.write(lambda tx: pruning.remove_rows(tx, remains, limit=ROWS))
        if removed == ROWS:
            return
        results = await asyncio.gather(*map(self._emptied, remains), return_exceptions=True)
        done = [each for each, result in zip(remains, results, strict=True) if result is True]
        await self._database.write(lambda tx: pruning.cleared(tx, done))
        for each, error in zip(remains, results, strict=True):
            if isinstance(error, BaseException):
                self._put_off(each.run, error)

    def _put_off(self, run: RunId, error: BaseException) -> None:
        """So that one run holds up no other. Raises `error` when it says more about the storage than about the run."""
        if isinstance(error, Unavailable) or not isinstance(error, Exception) or len(self._refused) == RUNS:
            raise error
        self._refused.add(run)
        log.warning(
            "files of a pruned run not removed", project=run.project, domain=run.domain, run=run.name, error=str(error)
        )

    async def _emptied(self, remains: Remains) -> bool:
        """Remove some files of the run; whether all are gone."""
        places = pruning.files(remains)
        async with self._runs_at_a_time:
            return await self._removed_below(places.outputs) and (
                places.raw_data == places.outputs or await self._removed_below(places.raw_data, only=_is_raw_data)
            )

    async def _removed_below(self, uri: str, *, only: Callable[[str], bool] | None = None) -> bool:
        if not self._blobs.owns(uri):
            log.info("files kept: they are not in this server's storage", uri=uri)
            return True
        removed = await self._blobs.remove_below(uri, limit=BLOBS, only=only)
        self._count("blobs", removed)
        return removed < BLOBS

    async def _tidied(self) -> int:
        return await self._database.write(lambda tx: pruning.tidy(tx, limit=ROWS))

    def _count(self, what: str, removed: int) -> None:
        if removed:
            self._metrics.pruned.labels(what).inc(removed)


def _is_raw_data(key: str) -> bool:
    return bool(_RAW_DATA.match(key))
