"""Measures what waits and what is late, for /metrics. Every server does, so each of them shows the same numbers."""

from dataclasses import dataclass

from wingbeat.store import backfills, clearing, queue, timetables
from wingbeat.store.database import Database, Transaction
from wingbeat.store.timetables import Lateness
from wingbeat.telemetry import Metrics

EVERY_SECONDS = 15.0
MOST_LANES = 50
"""Anybody may name a lane, and whoever keeps metrics pays for every name."""
OTHER = "other"
MOST_RUNS = 10_000
"""Counted that are pruned: more of them say nothing more."""


@dataclass(frozen=True, slots=True)
class _Survey:
    late: Lateness
    overdue_seconds: float
    backfills: int
    runs_to_clear: int
    lanes: dict[str, int]


class Surveyor:
    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics

    async def tick(self) -> float:
        found = await self._database.read(_survey)
        metrics, late = self._metrics, found.late
        metrics.overdue_triggers.set(late.overdue)
        metrics.oldest_undecided_slot_seconds.set(found.overdue_seconds)
        metrics.failing_triggers.set(late.failing)
        metrics.backlogs.labels("late").set(late.backlogs - late.waiting)
        metrics.backlogs.labels("waiting").set(late.waiting)
        metrics.backfills.set(found.backfills)
        metrics.runs_to_clear.set(found.runs_to_clear)
        metrics.queued_actions.clear()
        for lane, waiting in found.lanes.items():
            metrics.queued_actions.labels(lane).set(waiting)
        return EVERY_SECONDS


async def _survey(tx: Transaction) -> _Survey:
    late = await timetables.lateness(tx)
    oldest = late.oldest_undecided or tx.now
    lanes = await queue.waiting_by_lane(tx)
    shown = dict(lanes[:MOST_LANES])
    others = sum(waiting for _, waiting in lanes[MOST_LANES:])
    return _Survey(
        late=late,
        overdue_seconds=(tx.now - oldest).total_seconds(),
        backfills=len(await backfills.going(tx)),
        runs_to_clear=await clearing.count(tx, most=MOST_RUNS),
        lanes=shown | ({OTHER: shown.get(OTHER, 0) + others} if others else {}),
    )
