"""Rows of `fire`, the ledger: one per fired slot, one per range of slots that did not fire. Rows are never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wingbeat.store.database import Row, Transaction, from_micros, maybe_micros, maybe_moment, placeholders, to_micros

COLUMNS = (
    "trigger_id",
    "kind",
    "key",
    "outcome",
    "reason",
    "first_slot",
    "last_slot",
    "count",
    "revision",
    "run_name",
    "decided_at",
)
MOST_SLOTS = 500
"""Slots in one statement."""


class FireKind(StrEnum):
    """What made a trigger fire. Only the keys of `SCHEDULE` are slots."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"
    """A slot of the past that somebody wanted; the key is `<backfill id>:<slot>`."""


class Outcome(StrEnum):
    FIRED = "fired"
    SKIPPED = "skipped"
    """On purpose, by a policy."""
    MISSED = "missed"
    """It should have fired and could not, for ever."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One moment of a trigger, or one range of consecutive slots that came to nothing for one reason."""

    trigger_id: int
    kind: FireKind
    key: str
    """Unique for the trigger and kind: the slot, or the name of a run that was started by hand."""
    outcome: Outcome
    reason: str
    first_slot: datetime | None
    last_slot: datetime | None
    count: int
    revision: int
    """The revision whose schedule produced it."""
    run_name: str | None


def fired(trigger_id: int, revision: int, slot: datetime, run_name: str) -> Fire:
    return Fire(trigger_id, FireKind.SCHEDULE, slot_key(slot), Outcome.FIRED, "", slot, slot, 1, revision, run_name)


def missed(trigger_id: int, revision: int, first: datetime, last: datetime, count: int, reason: str) -> Fire:
    return unfired(Outcome.MISSED, trigger_id, revision, first, last, count, reason)


def unfired(
    outcome: Outcome, trigger_id: int, revision: int, first: datetime, last: datetime, count: int, reason: str
) -> Fire:
    return Fire(trigger_id, FireKind.SCHEDULE, slot_key(first), outcome, reason, first, last, count, revision, None)


def backfilled(trigger_id: int, revision: int, backfill: str, slot: datetime, run: str | None, reason: str) -> Fire:
    """A slot of a backfill: fired with a run, missed without."""
    outcome, key = Outcome.FIRED if run else Outcome.MISSED, f"{backfill}:{slot_key(slot)}"
    return Fire(trigger_id, FireKind.BACKFILL, key, outcome, reason, slot, slot, 1, revision, run)


def slot_key(slot: datetime) -> str:
    return str(to_micros(slot))


async def insert(tx: Transaction, fires: Iterable[Fire]) -> None:
    """Raises Conflict when one of the keys is in the ledger already."""
    now = to_micros(tx.now)
    rows = [
        (
            fire.trigger_id,
            fire.kind.value,
            fire.key,
            fire.outcome.value,
            fire.reason,
            maybe_micros(fire.first_slot),
            maybe_micros(fire.last_slot),
            fire.count,
            fire.revision,
            fire.run_name,
            now,
        )
        for fire in fires
    ]
    await tx.insert("fire", COLUMNS, rows)


async def fired_slots(tx: Transaction, trigger_id: int, slots: Sequence[datetime]) -> set[datetime]:
    """Those of the slots that have fired, by the schedule or in a backfill."""
    found: set[datetime] = set()
    for first in range(0, len(slots), MOST_SLOTS):
        chunk = slots[first : first + MOST_SLOTS]
        several = placeholders(2, len(chunk))
        by_schedule = await tx.fetch(
            f"""
            SELECT first_slot FROM fire
             WHERE trigger_id = $1 AND kind = 'schedule' AND key IN ({several}) AND outcome = 'fired'
            """,
            trigger_id,
            *map(slot_key, chunk),
        )
        by_backfill = await tx.fetch(
            f"""
            SELECT first_slot FROM fire
             WHERE trigger_id = $1 AND kind = 'backfill' AND outcome = 'fired' AND first_slot IN ({several})
            """,
            trigger_id,
            *map(to_micros, chunk),
        )
        found |= {from_micros(row["first_slot"]) for row in (*by_schedule, *by_backfill)}
    return found


def fire_of(row: Row) -> Fire:
    """From a row with `COLUMNS`."""
    return Fire(
        trigger_id=row["trigger_id"],
        kind=FireKind(row["kind"]),
        key=row["key"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        first_slot=maybe_moment(row["first_slot"]),
        last_slot=maybe_moment(row["last_slot"]),
        count=row["count"],
        revision=row["revision"],
        run_name=row["run_name"],
    )
