"""What many watch is read once: a feed is kept for as long as somebody follows it, and all its followers share it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from wingbeat.store.changes import Subscription

RECONCILE_SECONDS = 5.0
"""How late a watcher sees a change whose announcement was lost with the process that made it."""
OVERLAP = timedelta(seconds=2)
"""A look finds what changed since so long before the last one: transactions may end later, where several write."""
LONG_OVERLAP = timedelta(minutes=1)
"""That of a look that nothing announced: longer than any transaction takes."""


class Feed(Protocol):
    async def keep(self) -> None:
        """Read what is followed and tell the followers of changes, until there will be none any more."""
        ...

    def ring(self, error: Exception | None = None) -> None:
        """Wake all followers; they raise `error`, with which keeping the feed has ended."""
        ...


F = TypeVar("F", bound=Feed)
K = TypeVar("K")


class Bell:
    """Wakes one follower. Rings between two waits are never lost, many rings are one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._error: Exception | None = None

    def ring(self, error: Exception | None = None) -> None:
        self._error = error or self._error
        self._event.set()

    async def wait(self) -> None:
        """Raises the error with which keeping the feed has ended."""
        await self._event.wait()
        self._event.clear()
        if self._error is not None:
            raise self._error


class Feeds(Generic[K, F]):
    """The feeds that are followed now, by what they are about. For one event loop."""

    def __init__(self, make: Callable[[K], F]) -> None:
        self._make = make
        self._kept: dict[K, _Kept[F]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def of(self, key: K) -> AsyncGenerator[F]:
        """The feed, kept at least until the end of the block."""
        kept = self._kept.get(key)
        if kept is None or kept.task.done():
            kept = self._kept[key] = _Kept(self._make(key))
        kept.followers += 1
        try:
            yield kept.feed
        finally:
            kept.followers -= 1
            if not kept.followers:
                if self._kept.get(key) is kept:
                    del self._kept[key]
                kept.task.cancel()
                await asyncio.wait([kept.task])


class _Kept(Generic[F]):
    def __init__(self, feed: F) -> None:
        self.feed = feed
        self.followers = 0
        self.task = asyncio.ensure_future(feed.keep())
        self.task.add_done_callback(self._tell)

    def _tell(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled():
            error = task.exception()
            self.feed.ring(error if isinstance(error, Exception) else None)


class Looks:
    """When a feed looks, and how far back: farther every few seconds, for what ended later than its `now`.

    Looks are `seconds` apart, or as long as the last one took: changes that come together are one look.
    """

    def __init__(self, wakes: Subscription, seconds: float, *, shared: bool, unannounced: bool) -> None:
        """`shared`: others write to the database, and in one with a single writer nothing ends late. `unannounced`:
        nobody else looks for changes that were not announced.
        """
        self._wakes = wakes
        self._seconds = seconds
        self._rest = seconds
        self._unannounced = unannounced
        self._farthest = LONG_OVERLAP if shared else OVERLAP
        self._clock = asyncio.get_running_loop().time
        self._long_at = self._clock()
        self._long = False

    @contextmanager
    def look(self) -> Generator[timedelta]:
        """The look is the block; how much farther back it goes than to the one before."""
        began = self._clock()
        self._long = began >= self._long_at
        if self._long:
            self._long_at = began + RECONCILE_SECONDS
        yield self._farthest if self._long else OVERLAP
        self._rest = max(self._seconds, self._clock() - began)

    async def wait(self) -> None:
        """After a long look there is nothing to look for until something wakes us."""
        patient = self._long and not self._unannounced
        await self._wakes.wait(None if patient else max(0.0, self._long_at - self._clock()))
        await asyncio.sleep(self._rest)
