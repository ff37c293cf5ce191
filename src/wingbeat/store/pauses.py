"""Rows of `pause`: why triggers are paused and until when. One counts while its trigger is as the pause left it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from wingbeat.core.trigger import Trigger
from wingbeat.store.database import (
    Row,
    Transaction,
    from_micros,
    maybe_micros,
    maybe_moment,
    placeholders,
    to_micros,
)

_COLUMNS = "trigger_id, revision, reason, until, paused_by, paused_at"


@dataclass(frozen=True, slots=True)
class Pause:
    trigger_id: int
    revision: int
    """The trigger's when it was paused: whatever changes it later ends the pause."""
    reason: str
    until: datetime | None
    paused_by: str
    paused_at: datetime

    def holds(self, trigger: Trigger) -> bool:
        return not trigger.active and trigger.deleted_at is None and trigger.revision == self.revision

    def moved(self, revision: int) -> "Pause":
        """The same pause of a later revision."""
        return replace(self, revision=revision)


async def put(tx: Transaction, pause: Pause) -> None:
    """The trigger's only pause from now on. Its schedule row is locked."""
    await remove(tx, pause.trigger_id)
    await tx.execute(
        f"INSERT INTO pause ({_COLUMNS}) VALUES ({placeholders(1, 6)})",
        pause.trigger_id,
        pause.revision,
        pause.reason,
        maybe_micros(pause.until),
        pause.paused_by,
        to_micros(pause.paused_at),
    )


async def remove(tx: Transaction, trigger_id: int) -> None:
    await tx.execute("DELETE FROM pause WHERE trigger_id = $1", trigger_id)


async def find_many(tx: Transaction, ids: Sequence[int]) -> dict[int, Pause]:
    """By trigger; also those that do not hold any more."""
    if not ids:
        return {}
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM pause WHERE trigger_id IN ({placeholders(1, len(ids))})", *ids)
    return {row["trigger_id"]: _pause(row) for row in rows}


async def ended(tx: Transaction, limit: int) -> list[int]:
    """Triggers whose pause is over, the longest over first."""
    rows = await tx.fetch(
        "SELECT trigger_id FROM pause WHERE until <= $1 ORDER BY until, trigger_id LIMIT $2", to_micros(tx.now), limit
    )
    return [row["trigger_id"] for row in rows]


async def next_end(tx: Transaction) -> datetime | None:
    row = await tx.fetchrow("SELECT min(until) AS until FROM pause WHERE until IS NOT NULL")
    return maybe_moment(row["until"]) if row else None


def _pause(row: Row) -> Pause:
    return Pause(
        trigger_id=row["trigger_id"],
        revision=row["revision"],
        reason=row["reason"],
        until=maybe_moment(row["until"]),
        paused_by=row["paused_by"],
        paused_at=from_micros(row["paused_at"]),
    )
