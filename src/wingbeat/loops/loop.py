"""How every loop keeps going: a round, a sleep until there is something to do, and never an end because of an error."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from wingbeat.errors import WingbeatError
from wingbeat.store.changes import Subscription

IDLE_SECONDS = 30.0
"""The longest sleep: what wakes a loop may be lost, its work is not."""
MAX_BACKOFF_SECONDS = 30.0

log = structlog.get_logger(__name__)

Tick = Callable[[], Awaitable[float | None]]
"""One round. Returns the seconds until it wants to run again; None: when something changes."""


async def run(
    tick: Tick, *, name: str, wake: Subscription, stop: asyncio.Event, idle_seconds: float = IDLE_SECONDS
) -> None:
    """Call `tick` until `stop`: at the time it asked for, or as soon as `wake` says that something changed.

    A round that fails is logged and repeated after a back-off with jitter; the back-off ends with the first good round.
    """
    failures = 0
    while not stop.is_set():
        try:
            pause = await tick()
            failures = 0
        except Exception as error:
            failures += 1
            pause = random.uniform(0.5, 1) * min(0.1 * 2**failures, MAX_BACKOFF_SECONDS)
            expected = isinstance(error, WingbeatError)
            log.warning("round failed", loop=name, error=str(error), failures=failures, exc_info=not expected)
            await _sleep(stop, pause)
            continue
        await _sleep_until_woken(wake, stop, idle_seconds if pause is None else min(pause, idle_seconds))


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _sleep_until_woken(wake: Subscription, stop: asyncio.Event, seconds: float) -> None:
    """A change, the end, or the time, whichever comes first."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    waits = {asyncio.ensure_future(wake.wait(seconds)), asyncio.ensure_future(stop.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
