"""Launches that are under way. Rounds wait for them a little, so that one that takes long holds up no other claim."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from wingbeat.errors import Unavailable

PATIENCE_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Launches:
    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called when one ends that a round did not wait for."""
        self._wake = wake
        self._going: dict[asyncio.Task[None], str] = {}
        self._overdue: frozenset[asyncio.Task[None]] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._going.values())

    def add(self, key: str, launch: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(launch)
        self._going[task] = key
        task.add_done_callback(self._ended)

    async def settle(self, *, patience: float = PATIENCE_SECONDS) -> int:
        """Wait for them, but no longer than so many seconds; how many have failed since the last time."""
        if self._going and patience:
            await asyncio.wait(self._going, timeout=patience)
        ended = [task for task in self._going if task.done()]
        for task in ended:
            del self._going[task]
        self._overdue = frozenset(self._going)
        failed = [error for task in ended if not task.cancelled() and (error := task.exception())]
        for error in failed:
            log.warning("launch not accepted", error=str(error), exc_info=not isinstance(error, Unavailable) and error)
        return len(failed)

    async def stop(self) -> None:
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task in self._overdue:
            self._wake()
