"""Keeps this node's lease, and gives the actions of nodes that did not keep theirs another attempt.

A node that cannot renew stops what it runs before anybody else may take it over.
"""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from wingbeat.core.ids import ActionId
from wingbeat.core.launch import key_of
from wingbeat.errors import Unavailable
from wingbeat.executors.base import Executor
from wingbeat.loops.statuses import Statuses
from wingbeat.operations import actions, nodes
from wingbeat.store import queue
from wingbeat.store.database import Database
from wingbeat.store.nodes import Node

LEASE = timedelta(seconds=60)
RENEW_SECONDS = 10.0
STOP_AFTER_SECONDS = 35.0
"""Without a renewal. What is stopped then is gone when the lease is: an attempt's grace comes on top."""
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""A database that takes longer is away: behind a broken network it would say nothing until the lease is gone."""
BATCH = 100

log = structlog.get_logger(__name__)


class Rescuer:
    def __init__(
        self,
        database: Database,
        executor: Executor,
        *,
        node: Node,
        statuses: Statuses,
        lease: timedelta = LEASE,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._database = database
        self._executor = executor
        self._node = node
        self._statuses = statuses
        self._lease = lease
        self._chance = chance
        self._monotonic = monotonic
        self._answer_seconds = answer_seconds
        self._renewed_at = monotonic()
        self._others = 0

    async def join(self) -> None:
        """To be called once, before the loops. Raises FailedPrecondition when this node must not join the others."""
        self._renewed_at = self._monotonic()
        self._others = await self._database.write(lambda tx: nodes.join(tx, self._node, self._lease))

    async def tick(self) -> float:
        try:
            async with asyncio.timeout(self._answer_seconds):
                await self._renew()
                taken = await self._take_over()
        except (Unavailable, TimeoutError) as error:
            log.warning("lease not renewed", node=self._node.id, error=str(error) or "the database does not answer")
            await self._stop_if_overdue()
            return RETRY_SECONDS
        except Exception:
            # Whatever it is: without a lease nothing may run here for long.
            await self._stop_if_overdue()
            raise
        if taken:
            log.warning("actions of dead nodes taken over", count=taken)
        return 0 if taken == BATCH else RENEW_SECONDS

    async def _renew(self) -> None:
        asked_at = self._monotonic()
        self._others = await self._database.write(lambda tx: nodes.renew(tx, self._node, self._lease))
        self._renewed_at = asked_at

    async def _take_over(self) -> int:
        try:
            return await self._take(BATCH)
        except Unavailable:
            raise
        except Exception:
            log.exception("actions of dead nodes not taken over together: trying each by itself")
            return await self._take_one_by_one()

    async def _take_one_by_one(self) -> int:
        """One that cannot be taken over holds up no other. It is tried again with the next round."""
        taken = 0
        for entry in await self._database.write(lambda tx: queue.abandoned(tx, BATCH)):
            try:
                taken += await self._take(1, only=entry.attempt.action)
            except Unavailable:
                raise
            except Exception:
                log.exception("an action of a dead node cannot be taken over", key=key_of(entry.attempt))
        return taken

    async def _take(self, limit: int, *, only: ActionId | None = None) -> int:
        return await self._database.write(lambda tx: actions.take_over(tx, limit, chance=self._chance(), only=only))

    async def _stop_if_overdue(self) -> None:
        if not self._others or self._monotonic() - self._renewed_at < STOP_AFTER_SECONDS:
            return
        stops = [self._executor.stop(key, "the node could not renew its lease") for key in self._statuses.unfinished()]
        for error in await asyncio.gather(*stops, return_exceptions=True):
            if error is not None:
                log.warning("attempt not stopped", node=self._node.id, error=str(error))
