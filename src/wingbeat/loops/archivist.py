"""Keeps the logs of attempts that are over in the blob store, and only then lets the executor forget the attempt."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Attempt
from wingbeat.core.ids import AttemptId
from wingbeat.core.launch import ExecutionPhase, attempt_of, key_of
from wingbeat.core.log_index import LogIndex
from wingbeat.errors import Unavailable
from wingbeat.executors.base import Executor
from wingbeat.loops.statuses import EXECUTOR, Statuses
from wingbeat.operations import actions
from wingbeat.store import actions as stored_actions
from wingbeat.store import queue
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Database, Transaction

COPIES_AT_A_TIME = 4
RETRY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Archivist:
    TOPICS = (EXECUTOR, QUEUE)
    """What changes of these wake it."""

    def __init__(self, database: Database, executor: Executor, blobs: Blobs, *, node: str, statuses: Statuses) -> None:
        self._database = database
        self._executor = executor
        self._blobs = blobs
        self._node = node
        self._statuses = statuses
        self._copies = asyncio.Semaphore(COPIES_AT_A_TIME)

    async def tick(self) -> float | None:
        # In this order: an attempt that had ended by now and is not held any more has its outcome.
        ended = [key for key, status in self._statuses.snapshot().items() if status.phase is ExecutionPhase.EXITED]
        if not ended:
            return None
        held = {key_of(item.attempt) for item in await self._database.read(lambda tx: queue.held(tx, self._node))}
        settled = [key for key in ended if key not in held]
        ready = [key for key in settled if key not in self._statuses.asked]
        results = await asyncio.gather(*map(self._keep, ready), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for error in failed:
            log.warning("log not kept", error=str(error), exc_info=not isinstance(error, Unavailable) and error)
        return RETRY_SECONDS if failed or len(ready) < len(settled) else None

    async def _keep(self, key: str) -> None:
        attempt_id = attempt_of(key)
        attempt = await self._database.read(lambda tx: _attempt(tx, attempt_id))
        if attempt is not None and attempt.log_uri is None:
            async with self._copies:
                log_uri = await self._copy(key, attempt)
            await self._database.write(lambda tx: actions.keep_log(tx, attempt_id, log_uri))
        await self._executor.forget(key)
        self._statuses.drop(key)

    async def _copy(self, key: str, attempt: Attempt) -> str:
        log_uri, index = f"{attempt.output_prefix}/log", LogIndex()
        await self._blobs.write(log_uri, self._chunks(key, index))
        await self._blobs.put(LogIndex.uri(log_uri), index.encoded())
        return log_uri

    async def _chunks(self, key: str, index: LogIndex) -> AsyncIterator[bytes]:
        async for chunk in self._executor.logs(key, follow=False):
            if chunk is not None:
                index.note(chunk.offset, chunk.at)
                yield chunk.data


async def _attempt(tx: Transaction, attempt: AttemptId) -> Attempt | None:
    attempts = await stored_actions.attempts(tx, attempt.action)
    return next((item for item in attempts if item.id == attempt), None)
