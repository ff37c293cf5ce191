"""Compares what the executor says with what the database says, and writes down what follows.

Every round looks at everything, so a round that failed, or a server that was killed, is made good by the next one.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

import structlog

from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Failure, Outcome, Phase
from wingbeat.core.launch import ExecutionPhase, Status, key_of
from wingbeat.core.retry import LOST, Backoff, jittered
from wingbeat.errors import FailedPrecondition, NotFound, Unavailable
from wingbeat.executors.base import Executor
from wingbeat.loops.specs import Specs
from wingbeat.loops.statuses import EXECUTOR, Statuses
from wingbeat.operations import actions
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.store import queue
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Database, Transaction
from wingbeat.store.queue import Held
from wingbeat.wire.outcome import MAX_ERROR_BYTES, outcome_of, unread

RETRY = Backoff(timedelta(seconds=1), factor=2.0, cap=timedelta(seconds=30))
"""For what could not be settled, an attempt that would not stop among it: again and again, and never given up."""

log = structlog.get_logger(__name__)


class Watcher:
    TOPICS = (EXECUTOR, QUEUE)
    """What changes of these wake it."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        blobs: Blobs,
        *,
        node: str,
        specs: Specs,
        statuses: Statuses,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._executor = executor
        self._blobs = blobs
        self._node = node
        self._specs = specs
        self._statuses = statuses
        self._chance = chance
        self._failures = 0
        self.caught_up = False
        """Whether all that had happened while this server was down is written down."""

    async def tick(self) -> float | None:
        if not self._statuses.synced:
            return None
        # In this order: what the executor knows by now was claimed, and committed, before.
        statuses = self._statuses.snapshot()
        held = {key_of(item.attempt): item for item in await self._database.read(self._held)}
        rounds = [self._compare(key, status, held.get(key)) for key, status in statuses.items()]
        missing = [item for key, item in held.items() if key not in statuses and item.phase is Phase.RUNNING]
        results = await asyncio.gather(*rounds, self._give_up(missing), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for error in failed:
            log.warning("status not settled", error=str(error), exc_info=not isinstance(error, Unavailable) and error)
        self._failures = self._failures + 1 if failed else 0
        self.caught_up = self.caught_up or not failed
        return jittered(RETRY.delay(self._failures - 1), self._chance()).total_seconds() if failed else None

    async def _held(self, tx: Transaction) -> list[Held]:
        return await queue.held(tx, self._node)

    async def _compare(self, key: str, status: Status, held: Held | None) -> None:
        exited = status.phase is ExecutionPhase.EXITED
        if held is None:
            if not exited:
                await self._executor.stop(key, "the action was aborted, or runs elsewhere")
        elif exited:
            await self._finish(held, status, await self._outcome(held, status))
        elif status.phase is ExecutionPhase.RUNNING and held.phase is Phase.INITIALIZING:
            await self._start(held, status)

    async def _start(self, held: Held, status: Status) -> None:
        async def body(tx: Transaction) -> None:
            await actions.started(tx, held.attempt, held.token, at=status.started_at or tx.now)

        await self._database.write(body)

    async def _outcome(self, held: Held, status: Status) -> Outcome:
        try:
            document = await self._error_document(held)
        except FailedPrecondition as error:
            return unread(str(error))
        has_outputs = await self._blobs.exists(f"{held.output_prefix}/outputs.pb")
        return outcome_of(status, has_outputs=has_outputs, error_document=document)

    async def _error_document(self, held: Held) -> bytes | None:
        try:
            return await self._blobs.get(f"{held.output_prefix}/error.pb", at_most=MAX_ERROR_BYTES)
        except NotFound:
            return None

    async def _finish(self, held: Held, status: Status, outcome: Outcome) -> None:
        template = await self._specs.template(held.spec_digest)
        retries = NO_RETRIES if isinstance(template, Failure) else template.retries

        async def body(tx: Transaction) -> bool:
            if status.started_at is not None:
                await actions.started(tx, held.attempt, held.token, at=status.started_at)
            return await actions.finished(
                tx, held.attempt, held.token, outcome, retries=retries, chance=self._chance(), at=status.ended_at
            )

        if await self._database.write(body):
            log.info("attempt finished", key=status.key, outcome=type(outcome).__name__, reason=status.reason)

    async def _give_up(self, missing: list[Held]) -> None:
        """Attempts that ran, and that the executor has never heard of, are lost."""
        if not missing:
            return
        known = await self._executor.status([key_of(item.attempt) for item in missing])
        for item in missing:
            if known.get(key_of(item.attempt)) is None:
                await self._lose(item)

    async def _lose(self, held: Held) -> None:
        async def body(tx: Transaction) -> None:
            await actions.finished(tx, held.attempt, held.token, LOST, retries=NO_RETRIES, chance=self._chance())

        log.warning("attempt lost", key=key_of(held.attempt))
        await self._database.write(body)
