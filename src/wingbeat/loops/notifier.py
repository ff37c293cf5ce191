"""Tells the webhooks of conditions, outside of any transaction: at least once, by whichever node takes them first."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import structlog

from wingbeat.core.callback import Callbacks
from wingbeat.core.webhook import Letter, is_allowed
from wingbeat.errors import PermissionDenied, Unavailable
from wingbeat.operations import webhooks
from wingbeat.store import webhooks as stored
from wingbeat.store.changes import WEBHOOKS
from wingbeat.store.database import Database, Transaction
from wingbeat.store.webhooks import Delivery

AT_ONCE = 32
LEASE = timedelta(minutes=1)
"""Outlives any answer: what a node has taken and not settled by then, another one takes."""

Post = Callable[[Letter], Awaitable[int]]
"""Sends it; the status of the answer. Raises Unavailable when there is none, PermissionDenied when it is not sent."""

log = structlog.get_logger(__name__)


class Notifier:
    TOPICS = (WEBHOOKS,)
    """What changes of these wake it."""

    def __init__(self, database: Database, post: Post, callbacks: Callbacks, *, hosts: Collection[str] = ()) -> None:
        """`hosts`: those that may be told; none are all."""
        self._database = database
        self._post = post
        self._callbacks = callbacks
        self._hosts = hosts

    async def tick(self) -> float | None:
        """One try at those that are due, up to a bound: what becomes due meanwhile waits for the slowest answer."""
        deliveries = await self._database.write(lambda tx: stored.claim(tx, AT_ONCE, lease=LEASE))
        results = await asyncio.gather(*map(self._deliver, deliveries), return_exceptions=True)
        for error in (result for result in results if isinstance(result, BaseException)):
            # It is tried again when its lease is over.
            log.warning("delivery not settled", error=str(error), exc_info=not isinstance(error, Unavailable) and error)
        return await self._database.read(_pause)

    async def _deliver(self, delivery: Delivery) -> None:
        letter = await self._database.write(lambda tx: webhooks.letter(tx, delivery, self._callbacks))
        if letter is None:
            return
        try:
            why, for_good = await self._failure(letter), False
        except PermissionDenied as error:
            why, for_good = str(error), True
        if why is None:
            await self._database.write(lambda tx: webhooks.told(tx, letter))
            return
        log.warning("webhook not told", condition=letter.key, host=letter.host, attempt=delivery.attempt, error=why)
        await self._database.write(lambda tx: webhooks.failed(tx, delivery, letter, why, for_good=for_good))

    async def _failure(self, letter: Letter) -> str | None:
        """Raises PermissionDenied when it must not be told at all."""
        if not is_allowed(letter.host, self._hosts):
            raise PermissionDenied(f"the setting webhooks.hosts does not name {letter.host}")
        try:
            status = await self._post(letter)
        except Unavailable as error:
            return str(error)
        if 200 <= status < 300:
            return None
        return f"it answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")


async def _pause(tx: Transaction) -> float | None:
    """Seconds until the first of them is due."""
    at = await stored.next_at(tx)
    return None if at is None else max(0.0, (at - tx.now).total_seconds())
