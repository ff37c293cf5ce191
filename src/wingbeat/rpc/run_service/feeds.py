"""What many watch is read once: a feed is kept for as long as somebody follows it, and all its followers share it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

RECONCILE_SECONDS = 5.0
"""How late a watcher sees a change whose announcement was lost with the process that made it."""
COALESCE_SECONDS = 0.02
"""Changes that come together are one look."""


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


class Pace:
    """Keeps looks apart: changes that come together are one, and no look follows another without a rest as long."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    def begin(self) -> None:
        self._began = self._clock()

    async def rest(self) -> None:
        await asyncio.sleep(max(COALESCE_SECONDS, self._clock() - self._began))
