"""Backfills in the simulation: what was asked for, and whether what became of it is that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.simulation.auditor import Coverage, check
from tests.simulation.model import INSTANT, UNBOUNDED, Era, History
from wingbeat.core.backfill import BackfillState, Wanted
from wingbeat.core.cron import Cron
from wingbeat.core.schedule import between
from wingbeat.store.database import Row, Transaction, from_micros

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


@dataclass(slots=True)
class Asked:
    id: str
    history: History
    era: Era
    wanted: Wanted
    earliest: datetime
    """The earliest time that the clock has shown since: a slot after it may be one no more when it is due again."""
    state: BackfillState = BackfillState.RUNNING

    @property
    def slots(self) -> tuple[datetime, ...]:
        return slots_within(self.era, self.wanted)


def slots_within(era: Era, wanted: Wanted) -> tuple[datetime, ...]:
    """The phase of an interval goes back for ever: a backfill may ask for the time before the first slot."""
    if era.schedule is None:
        return ()
    begin = max(wanted.begin, era.policies.start or wanted.begin)
    last = min(wanted.end - INSTANT, era.policies.end or wanted.end)
    anchor = era.anchor
    if not isinstance(era.schedule, Cron):
        period: timedelta = era.schedule.period
        while anchor >= begin:
            anchor -= period
    return between(era.schedule, begin - INSTANT, last, anchor, limit=UNBOUNDED)


def judge(world: "Simulation", history: History, row: Row) -> None:
    """Of one slot that a backfill has decided."""
    asked = world.backfills[row["key"].partition(":")[0]]
    check(asked.history is history, "a backfill has started runs of another trigger", asked.id)
    check(asked.state is BackfillState.RUNNING, "a backfill goes on though it was stopped", asked.id, asked.state)
    check(from_micros(row["slot"]) in asked.slots, "a backfill has slots of its own", asked.id, row["slot"])
    archived = history.name.project in world.archived
    if row["outcome"] == "fired":
        check(not archived, "a backfill goes on in an archived project", asked.id)
        check(history.id not in world.poisoned, "a backfill started what cannot start", asked.id)
        check(not history.deleted, "a backfill goes on though its trigger is deleted", asked.id)
    else:
        check(
            archived and "archived" in row["reason"], "a backfill misses a slot for no reason", asked.id, row["reason"]
        )


async def audit_backfills(world: "Simulation", coverage: Mapping[int, Coverage]) -> None:
    """Raises Violation."""
    rows, testimony, working = await world.database.read(_evidence)
    for row in rows:
        asked = world.backfills[row["id"]]
        decided = [each for each in testimony if each["kind"] == "backfill" and each["key"].startswith(f"{asked.id}:")]
        _check_state(asked, row)
        _check_counts(asked, row, decided)
        running = working.get(asked.id, 0)
        check(running <= asked.wanted.max_running, "a backfill runs too much at once", asked.id, running)
    for history in world.by_id().values():
        mine = [each for each in testimony if each["trigger_id"] == history.id]
        _check_once(world, history, mine)
        for asked in (each for each in world.backfills.values() if each.history is history):
            if asked.state is BackfillState.DONE:
                _check_whole(asked, mine, coverage[history.id])


async def _evidence(tx: Transaction) -> tuple[Sequence[Row], Sequence[Row], Mapping[str, int]]:
    working = await tx.fetch(
        """
        SELECT substr(f.key, 1, instr(f.key, ':') - 1) AS id, count(*) AS number
          FROM fire f JOIN action a ON a.run = f.run_name AND a.ended_at IS NULL
         WHERE f.kind = 'backfill' GROUP BY 1
        """
    )
    return (
        await tx.fetch("SELECT * FROM backfill"),
        await tx.fetch("SELECT * FROM witness WHERE kind IN ('schedule', 'backfill') ORDER BY seq"),
        {row["id"]: row["number"] for row in working},
    )


def _check_state(asked: Asked, row: Row) -> None:
    """Programs end backfills; nothing else happens to one that nobody asked for."""
    state = BackfillState(row["state"])
    if state is not asked.state:
        check(asked.state is BackfillState.RUNNING and state.over, "a backfill changed", asked.id, asked.state, state)
        check(state is BackfillState.DONE or bool(row["reason"]), "a backfill was cancelled by nobody", asked.id)
        asked.state = state


def _check_counts(asked: Asked, row: Row, decided: Sequence[Row]) -> None:
    fired = sum(each["outcome"] == "fired" for each in decided)
    check(row["started"] == fired, "a backfill has miscounted its runs", asked.id, row["started"], fired)
    check(row["missed"] == len(decided) - fired, "a backfill has miscounted what it missed", asked.id)
    passed = sum(slot <= from_micros(row["after"]) for slot in asked.slots)
    counted = row["started"] + row["missed"] + row["left_out"]
    check(counted == passed, "a backfill has lost count", asked.id, counted, passed)
    late = [each for each in decided if each["slot"] > row["after"]]
    check(not late, "a backfill is ahead of itself", asked.id, late)


def _check_once(world: "Simulation", history: History, testimony: Iterable[Row]) -> None:
    """A slot has one run, whoever started it, and more only where a backfill was to start it again."""
    fired: set[int] = set()
    for row in testimony:
        if row["outcome"] != "fired":
            continue
        again = row["kind"] == "backfill" and world.backfills[row["key"].partition(":")[0]].wanted.again
        slot = row["slot"]
        check(again or slot not in fired, f"a slot of {history.name.name} ran twice", from_micros(slot), row["kind"])
        fired.add(slot)


def _check_whole(asked: Asked, testimony: Iterable[Row], coverage: Coverage) -> None:
    known = {from_micros(row["slot"]) for row in testimony if row["outcome"] == "fired" or row["kind"] == "backfill"}
    lost = [slot for slot in asked.slots if slot not in known | coverage.keys() and slot <= asked.earliest]
    check(not lost, "a backfill has lost slots", asked.id, lost[:5])
