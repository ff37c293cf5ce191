"""Fires triggers by the clock. Any number of processes may run it; none of them remembers anything that matters.

Live slots come first; what was late is caught up in between, so many runs in a cycle and no more.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from opentelemetry.trace import TracerProvider

from wingbeat.clock import system_clock
from wingbeat.core.rate import TokenBucket
from wingbeat.errors import Unavailable, WingbeatError
from wingbeat.operations import firing, watching
from wingbeat.operations.firing import Firer, Round
from wingbeat.store import backlogs, firings, nodes, run_ends
from wingbeat.store.database import Database, Transaction, to_micros
from wingbeat.telemetry import Metrics

BATCH = 500
"""Triggers in one transaction at most: many enough to be cheap, few enough to hold no lock for long."""
AT_ONCE = 2
"""Transactions in a storm, where the database can do several."""
NOTE_SECONDS = 10.0
"""Between two notes that rounds end: so a scheduler that hangs is seen, and idle ones hardly write."""
MIN_SLEEP = 0.01
"""Seconds; what is due and not claimed is in the hands of another scheduler, or waits for a token."""
HELD_SECONDS = 0.1
"""Until the next look at ends of runs whose triggers somebody else holds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast runs are created. 0 means unlimited, for each number by itself."""

    cycle: timedelta
    """A cycle of catching up, and the longest sleep (`resyncInterval`)."""
    catch_up: int
    """Late runs in one cycle at most (`maxCatchupRunsPerLoop`)."""
    rate: float
    """Runs a second (`executionQps`)."""
    burst: int
    """Runs at once (`executionBurst`)."""


class _Fire(Protocol):
    async def __call__(self, tx: Transaction, firer: Firer, *, limit: int, only: int | None = None) -> Round: ...


@dataclass(frozen=True, slots=True)
class _Slots:
    """Live slots or late ones."""

    fire: _Fire
    waiting: Callable[[Transaction, int], Coroutine[Any, Any, list[int]]]
    """The triggers that `fire` would look at."""


_LIVE = _Slots(firing.fire_due, firings.due_ids)
_LATE = _Slots(firing.fire_backlogs, firings.late_ids)


class Scheduler:
    def __init__(
        self,
        database: Database,
        firer: Firer,
        *,
        pace: Pace,
        steady: Callable[[], float],
        metrics: Metrics,
        traces: TracerProvider | None = None,
        node: str | None = None,
    ) -> None:
        """`steady`: seconds of a clock that never steps; `node`: where it is noted that rounds end."""
        self._database = database
        self._firer = firer
        self._pace = pace
        self._steady = steady
        self._metrics = metrics
        self._tracer = traces.get_tracer("wingbeat.scheduler") if traces else None
        self._tokens = TokenBucket(pace.rate, pace.burst)
        self._cycle_ends = steady()
        self._late_left = 0
        self._zones_current = False
        self._node = node
        self._note_at = steady()

    async def tick(self) -> float | None:
        """Fire what is due. Returns the seconds until there is more to do, or None: when something changes."""
        await self._bring_zones_up_to_date()
        all_heard = await self._hear_of_ends()
        await self._fire_live()
        await self._catch_up()
        await self._note_round()
        pause = await self._seconds_to_next()
        return pause if all_heard else min(HELD_SECONDS, pause or HELD_SECONDS)

    async def _bring_zones_up_to_date(self) -> None:
        while not self._zones_current:
            self._zones_current = await self._database.write(firing.recompute_stale) < firing.STALE_BATCH

    async def _hear_of_ends(self) -> bool:
        """Whether nothing is left to hear: triggers that somebody else holds are passed over, and hold up nobody."""
        while await self._database.read(run_ends.waiting):
            if not await self._database.write(lambda tx: watching.hear_of_ends(tx, BATCH)):
                return False
            await self._fire_live()
        return True

    async def _fire_live(self) -> None:
        """Batch by batch; in a storm more than one at once: the database writes one while another is decided."""
        if await self._fire_batch():
            at_once = AT_ONCE if self._database.shared else 1
            endings = await asyncio.gather(*(self._fire_batches() for _ in range(at_once)), return_exceptions=True)
            for error in (each for each in endings if each):
                raise error

    async def _fire_batches(self) -> None:
        while await self._fire_batch():
            continue

    async def _fire_batch(self) -> bool:
        """Whether more may be due."""
        granted = self._tokens.take(BATCH, self._steady())
        if not granted:
            return False
        done = await self._round(_LIVE, granted)
        return max(done.claimed, done.decided) >= granted

    async def _catch_up(self) -> None:
        """Batch by batch, so that a live slot never waits for more than one."""
        if self._steady() >= self._cycle_ends:
            self._late_left = self._pace.catch_up or backlogs.EVERYTHING
            self._cycle_ends = self._steady() + self._pace.cycle.total_seconds()
        while granted := self._tokens.take(min(BATCH, self._late_left), self._steady()):
            done = await self._round(_LATE, granted)
            self._late_left -= done.fired
            if not done.claimed:
                return
            await self._fire_live()

    async def _round(self, slots: _Slots, granted: int) -> Round:
        """One transaction; what was granted and not used is given back."""
        began = system_clock()
        try:
            done = await self._database.write(lambda tx: slots.fire(tx, self._firer, limit=granted))
        except Unavailable:
            self._tokens.give_back(granted)
            raise
        except Exception:
            log.exception("a batch of fires failed: trying each trigger by itself")
            done = await self._one_by_one(slots, granted)
        self._tokens.give_back(granted - done.fired)
        self._trace(began, done)
        self._metrics.count_fires(done.fired, (done.missed + done.left_out).items())
        for lag in done.lags:
            self._metrics.fire_lag_seconds.observe(lag.total_seconds())
        return done

    async def _one_by_one(self, slots: _Slots, granted: int) -> Round:
        """The same for one trigger after the other: only the culprit is put off, and it says why."""
        done = firing.NOTHING
        for trigger_id in await self._database.read(lambda tx: slots.waiting(tx, granted)):
            one = await self._one(slots, trigger_id, granted - done.decided)
            done = done.and_then(replace(one, claimed=1))
            if done.decided >= granted:
                break
        return done

    async def _one(self, slots: _Slots, trigger_id: int, limit: int) -> Round:
        try:
            return await self._database.write(lambda tx: slots.fire(tx, self._firer, limit=limit, only=trigger_id))
        except Unavailable:
            raise
        except Exception as error:
            text = str(error) if isinstance(error, WingbeatError) else f"{type(error).__name__}: {error}"
            log.exception("a trigger cannot be fired", trigger_id=trigger_id)
            await self._database.write(lambda tx: firing.postpone(tx, trigger_id, text))
            return firing.NOTHING

    async def _seconds_to_next(self) -> float | None:
        async def body(tx: Transaction) -> tuple[float | None, float | None]:
            wakes = await firings.next_wakes(tx)
            live, late = (moment and (moment - tx.now).total_seconds() for moment in (wakes.live, wakes.late))
            return live, late

        live, late = await self._database.read(body)
        if late is not None and not self._late_left:
            late = max(late, self._cycle_ends - self._steady())
        waits = [wait for wait in (live, late) if wait is not None]
        if not waits:
            return None
        return max(min(waits), self._tokens.seconds_to_next(self._steady()), MIN_SLEEP)

    async def _note_round(self) -> None:
        node = self._node
        if node is not None and self._steady() >= self._note_at:
            await self._database.write(lambda tx: nodes.note_round(tx, node))
            self._note_at = self._steady() + NOTE_SECONDS

    def _trace(self, began: datetime, done: Round) -> None:
        """A round that found nothing to do leaves no span."""
        if self._tracer and done.claimed:
            attributes = {"wingbeat.runs": done.fired, "wingbeat.triggers": done.claimed}
            self._tracer.start_span("fire triggers", start_time=1000 * to_micros(began), attributes=attributes).end()
