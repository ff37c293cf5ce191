"""The loop that keeps triggers firing: it sleeps until something is due, is changed here, or was changed by others.

Its one rule: it awaits only looks at the file. Fires are tasks of their own, so none delays another.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from wingbeat.clock import Clock
from wingbeat.compose.firing.claims import Claimed, claim_due, release_abandoned, rewind
from wingbeat.compose.firing.fires import Fires
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.errors import WingbeatError
from wingbeat.store.compose.ticks import Tick

LONGEST_SLEEP = 1.0
"""Seconds until it asks whether somebody has changed the file or the clock, for which no table is read."""
_JUMP = timedelta(seconds=2)
_AFTER_ERROR = 1.0
_log = logging.getLogger("wingbeat.compose.trigger")


class Scheduler:
    def __init__(self, fires: Fires, clock: Clock) -> None:
        self._fires = fires
        self._clock = clock
        self._began = clock()
        self._nudged = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def nudge(self) -> None:
        """Something is due earlier than it was."""
        self._nudged.set()

    def take_nudge(self) -> bool:
        """Whether there was one since the last look or question."""
        nudged = self._nudged.is_set()
        self._nudged.clear()
        return nudged

    @property
    def idle(self) -> bool:
        return not self._tasks

    def stop(self) -> None:
        """Claim nothing more; what runs goes on."""
        self._stopping = True
        self._nudged.set()

    async def keep_going(self) -> None:
        await self.rewind()
        while not self._stopping:
            self._nudged.clear()
            await self._sleep_until(await self._look_or_log())

    async def look(self, now: datetime) -> Claimed:
        """Claim what is due at `now`, and begin it."""
        fires = self._fires
        claimed = await fires.claim(lambda tx: claim_due(tx, now, by=fires.by, code=fires.code))
        fires.code.saw(claimed.code)
        for definition in claimed.code.wanted.values():
            _spawned(self._tasks, self._fetch(definition))
        for begun in claimed.begun:
            _spawned(self._tasks, fires.begin(begun, of_before=self._is_of_before(begun.tick)))
        for tick in claimed.taken:
            _spawned(
                self._tasks, fires.carry_out(tick, again=True) if tick.status == "running" else fires.take_up(tick)
            )
        return claimed

    async def _fetch(self, definition: TriggerDef) -> None:
        await self._fires.code.fetch(definition)
        self.nudge()

    def _is_of_before(self, tick: Tick) -> bool:
        """Whether its slot came before this scheduler: it may have begun then."""
        return tick.scheduled_for is not None and tick.scheduled_for < self._began

    async def rewind(self) -> None:
        """After the clock was ahead, decide again about what is to come; take from processes that are gone."""
        file, now, rewound = self._fires.file, self._clock(), 0
        try:
            await file.awrite(lambda tx: release_abandoned(tx, now))
            while count := await file.awrite(lambda tx: rewind(tx, now)):
                rewound += count
            if rewound:
                _log.warning("the clock was ahead: %s triggers go on from now", rewound)
        except WingbeatError as error:
            _log.warning("triggers could not be looked at: %s", error)

    async def drain(self, timeout: float | None) -> None:
        """Wait for the fires that are going on; those that take longer are given back."""
        if not self._tasks:
            return
        try:
            await asyncio.wait(set(self._tasks), timeout=timeout)
        finally:
            late = list(self._tasks)
            for task in late:
                task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _look_or_log(self) -> datetime | None:
        now = self._clock()
        try:
            return (await self.look(now)).next_look
        except WingbeatError as error:
            _log.warning("triggers could not be looked at, which is tried again: %s", error)
            return now + timedelta(seconds=_AFTER_ERROR)

    async def _sleep_until(self, moment: datetime | None) -> None:
        """Until `moment`, a nudge, another process's change, or a jump of the clock."""
        if moment is not None and moment <= self._clock():
            return
        edition = await self._edition()
        while not self._stopping:
            before, began = self._clock(), time.monotonic()
            left = LONGEST_SLEEP if moment is None else (moment - before).total_seconds()
            if left <= 0 or await self._was_nudged(min(left, LONGEST_SLEEP)):
                return
            jump = self._clock() - before - timedelta(seconds=time.monotonic() - began)
            if abs(jump) > _JUMP:
                await self.rewind()
                return
            if await self._edition() != edition:
                return

    async def _was_nudged(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return False
        return True

    async def _edition(self) -> int | None:
        try:
            return await self._fires.file.aedition()
        except WingbeatError:
            return None


def _spawned(tasks: set[asyncio.Task[Any]], work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
