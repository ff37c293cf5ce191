"""Lets timers go off. Any number of processes may run it: the lock of a timer's action decides who does it, once."""

import asyncio
from collections.abc import Callable

import structlog

from wingbeat.core.timer import Timer
from wingbeat.errors import Unavailable
from wingbeat.operations import timeouts
from wingbeat.store import timers
from wingbeat.store.changes import TIMERS
from wingbeat.store.database import Database, Transaction

BATCH = 32
"""Timers that go off side by side, each in its own transaction: one that cannot be dealt with holds up no other."""
MOST_PUT_OFF = 1000
RETRY_SECONDS = 1.0
MOST_WAITS = 30
"""Seconds after a start, at most, until timers go off all the same."""

log = structlog.get_logger(__name__)


class Timekeeper:
    TOPICS = (TIMERS,)

    def __init__(self, database: Database, *, caught_up: Callable[[], bool] = lambda: True) -> None:
        """`caught_up`: what ended in time while the server was down is known by now, and has no timer any more."""
        self._database = database
        self._caught_up = caught_up
        self._waits = 0
        self._put_off: set[Timer] = set()
        """Those that could not be dealt with: the ones behind them have their turn first."""

    async def tick(self) -> float | None:
        """Returns the seconds until the next timer is due, or None: when one is added."""
        if self._waits < MOST_WAITS and not self._caught_up():
            self._waits += 1
            return RETRY_SECONDS
        found = await self._database.read(lambda tx: timers.due(tx, BATCH + len(self._put_off)))
        due = [timer for timer in found if timer not in self._put_off]
        results = await asyncio.gather(*map(self._expire, due), return_exceptions=True)
        for timer, error in zip(due, results, strict=True):
            if isinstance(error, BaseException):
                self._put_off.add(timer)
                log.warning(
                    "timer not settled", error=str(error), exc_info=not isinstance(error, Unavailable) and error
                )
        if not self._put_off:
            return await self._database.read(_seconds_to_next)
        if len(due) == BATCH and len(self._put_off) < MOST_PUT_OFF:
            return 0.0
        self._put_off.clear()
        return RETRY_SECONDS

    async def _expire(self, timer: Timer) -> None:
        if await self._database.write(lambda tx: timeouts.expire(tx, timer)):
            log.info(
                "timer went off", kind=timer.kind, action=timer.attempt.action.name, run=timer.attempt.action.run.name
            )


async def _seconds_to_next(tx: Transaction) -> float | None:
    first = await timers.next_at(tx)
    return None if first is None else max(0.0, (first - tx.now).total_seconds())
