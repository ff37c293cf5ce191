"""The change feed over PostgreSQL: one LISTEN connection, and one NOTIFY per replica every few milliseconds.

NOTIFY in each transaction would serialise all commits on a global lock; here the topics of many go out together.
What a dead process did not send is found by the slow reconciling reads of the watchers.
"""

import asyncio
import json
import random
import secrets
from collections.abc import Iterable

import structlog

from wingbeat.store.changes import EVERYTHING, Changes
from wingbeat.store.driver import FAULTS, Pool, connect

CHANNEL = "wingbeat"
COALESCE_SECONDS = 0.03
MAX_PAYLOAD = 7900
"""Bytes; PostgreSQL refuses 8,000 and more."""
MAX_RETRY_SECONDS = 5.0
SEND_SECONDS = 90.0

log = structlog.get_logger(__name__)


class Notifications:
    def __init__(self, url: str, pool: Pool, changes: Changes) -> None:
        self._url = url
        self._pool = pool
        self.changes = changes
        self._sender = secrets.token_hex(8)
        self._pending: dict[str, None] = {}
        self._something_pending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send_pending())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, topics: Iterable[str]) -> None:
        """Wake this process at once and the others soon."""
        self.changes.publish(topics)
        self._pending.update(dict.fromkeys(topics))
        if self._pending:
            self._something_pending.set()

    async def _send_pending(self) -> None:
        while True:
            await self._something_pending.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            topics, self._pending = list(self._pending), {}
            self._something_pending.clear()
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    for payload in _payloads(self._sender, topics):
                        await self._pool.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
            except FAULTS as error:
                log.warning("notify failed", error=str(error))
                self.send(topics)
                await asyncio.sleep(1)

    async def _listen(self) -> None:
        retry = 0.1
        while True:
            try:
                await self._listen_once()
                retry = 0.1
            except FAULTS as error:
                log.warning("listening for changes failed", error=str(error))
                retry = min(retry * 2, MAX_RETRY_SECONDS)
            await asyncio.sleep(random.uniform(retry / 2, retry))

    async def _listen_once(self) -> None:
        """Until the connection ends; whatever was missed before wakes everybody first."""
        connection = await connect(self._url)
        try:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _connection: closed.set())
            await connection.add_listener(CHANNEL, self._on_notification)
            self.changes.publish([EVERYTHING])
            await closed.wait()
        finally:
            await connection.close()

    def _on_notification(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, topics = json.loads(str(payload))
        if sender != self._sender:
            self.changes.publish(topics)


def _payloads(sender: str, topics: list[str]) -> list[str]:
    """As few payloads as fit the limit."""
    payload = json.dumps([sender, topics])
    if len(payload) <= MAX_PAYLOAD:
        return [payload]
    if len(topics) == 1:
        return [json.dumps([sender, [EVERYTHING]])]
    half = len(topics) // 2
    return _payloads(sender, topics[:half]) + _payloads(sender, topics[half:])
