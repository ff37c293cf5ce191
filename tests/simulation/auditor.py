"""Holds a database to what its triggers owe: every slot covered once, every fire one run, nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tests.simulation.model import INSTANT, Era, History
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.store.database import Database, Row, Transaction, from_micros


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Where a slot was found: in the ledger with an outcome, in a backlog, or not decided yet."""

    where: str
    revision: int


Coverage = dict[datetime, Covered]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the database says about fires."""

    ledger: list[Row]
    backlogs: list[Row]
    schedules: list[Row]
    runs: list[Row]


async def audit(
    database: Database, histories: Mapping[int, History], *, now: datetime, latest: datetime
) -> dict[int, Coverage]:
    """Where every slot of every trigger is. Raises Violation."""
    evidence = await database.read(_evidence)
    _check_runs(evidence)
    covered = {
        trigger_id: _coverage(history, _of(trigger_id, evidence), now, latest)
        for trigger_id, history in histories.items()
    }
    for trigger_id, history in histories.items():
        _check_owed(history, covered[trigger_id], now)
    return covered


def check(holds: bool, message: str, *context: object) -> None:
    if not holds:
        raise Violation(f"{message}: {', '.join(map(str, context))}")


async def _evidence(tx: Transaction) -> Evidence:
    return Evidence(
        ledger=list(await tx.fetch("SELECT * FROM fire WHERE kind = 'schedule'")),
        backlogs=list(await tx.fetch("SELECT * FROM backlog")),
        schedules=list(await tx.fetch("SELECT * FROM schedule")),
        runs=list(
            await tx.fetch(
                """
                SELECT r.name, r.slot, r.name IN (SELECT run_name FROM fire WHERE kind = 'backfill') AS backfilled,
                       a.trigger_id, a.trigger_revision, a.phase,
                       (SELECT count(*) FROM queue q
                         WHERE q.project = r.project AND q.domain = r.domain AND q.run = r.name) AS queued
                  FROM run r LEFT JOIN action a
                    ON a.project = r.project AND a.domain = r.domain AND a.run = r.name AND a.name = $1
                """,
                ROOT_ACTION,
            )
        ),
    )


def _of(trigger_id: int, evidence: Evidence) -> Evidence:
    def mine(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row["trigger_id"] == trigger_id]

    return Evidence(mine(evidence.ledger), mine(evidence.backlogs), mine(evidence.schedules), mine(evidence.runs))


def _check_runs(evidence: Evidence) -> None:
    """One run per fired slot, one ledger row per scheduled run, and whatever a run needs to go on."""
    fired = {
        (row["run_name"], row["trigger_id"], row["first_slot"], row["revision"])
        for row in evidence.ledger
        if row["outcome"] == "fired"
    }
    scheduled = [
        (row["name"], row["trigger_id"], row["slot"], row["trigger_revision"])
        for row in evidence.runs
        if row["slot"] is not None and not row["backfilled"]
    ]
    check(len(scheduled) == len(set(scheduled)), "a run is there twice")
    check(fired == set(scheduled), "ledger and runs differ", sorted(fired ^ set(scheduled))[:5])
    for row in evidence.runs:
        check(row["phase"] is not None, "a run has no root action", row["name"])
        queued = 0 if Phase(row["phase"]).terminal else 1
        check(row["queued"] == queued, "a run is not in the queue as often as it should", row["name"], row["queued"])


def _coverage(history: History, evidence: Evidence, now: datetime, latest: datetime) -> Coverage:
    coverage: Coverage = {}
    name = history.name.name

    def cover(slots: Iterable[datetime], where: str, era: Era) -> None:
        for slot in slots:
            check(slot not in coverage, f"a slot of {name} is covered twice", slot, coverage.get(slot), where)
            check(
                era.may_owe(slot, latest),
                f"a slot of {name} is {where} under a revision that does not owe it",
                slot,
                era,
            )
            coverage[slot] = Covered(where, era.revision)

    for row in evidence.ledger:
        era = history.era(row["revision"])
        cover(_slots_of(row, era), row["outcome"], era)
        early = row["outcome"] == "fired" and row["decided_at"] < row["first_slot"]
        check(not early, f"{name} fired early", from_micros(row["first_slot"]), from_micros(row["decided_at"]))
    for row in evidence.backlogs:
        era = history.era(row["revision"])
        cover(era.slots(from_micros(row["after"]), from_micros(row["until"])), "in the backlog", era)
    for row in evidence.schedules:
        check(row["revision"] == history.current.revision, f"{name} has another revision", row["revision"])
        check(bool(row["active"]) == history.active, f"{name} is active or not, but wrongly so")
        cover(history.current.slots(from_micros(row["decided_until"]), now), "due", history.current)
    return coverage


def _slots_of(row: Row, era: Era) -> tuple[datetime, ...]:
    """The slots of a row of the ledger; they must be consecutive slots of the revision's own schedule."""
    first, last = from_micros(row["first_slot"]), from_micros(row["last_slot"])
    slots = era.slots(first - INSTANT, last)
    check(
        len(slots) == row["count"] and slots[0] == first and slots[-1] == last,
        "a row of the ledger does not have the slots it says",
        dict(zip(("first", "last", "count", "revision"), (first, last, row["count"], row["revision"]), strict=True)),
        era,
    )
    return slots


def _check_owed(history: History, coverage: Coverage, now: datetime) -> None:
    for slot, revision in history.owed(now).items():
        found = coverage.get(slot)
        check(found is not None, f"a slot of {history.name.name} is lost", slot, f"revision {revision}")
        assert found is not None
        check(found.revision == revision, f"a slot of {history.name.name} has another revision", slot, revision, found)
