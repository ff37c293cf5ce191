"""Rows of `event`: when an attempt entered a phase. They are only ever added."""

from collections.abc import Sequence

from wingbeat.core.action import Phase, PhaseChange
from wingbeat.core.ids import ActionId
from wingbeat.store.database import Transaction, from_micros, to_micros

_TYPES = {
    "project": "text",
    "domain": "text",
    "run": "text",
    "action": "text",
    "attempt": "bigint",
    "phase": "bigint",
    "message": "text",
    "at": "bigint",
}


async def record(tx: Transaction, changes: Sequence[tuple[ActionId, PhaseChange]]) -> None:
    rows = [
        (
            action.run.project,
            action.run.domain,
            action.run.name,
            action.name,
            change.attempt,
            change.phase.value,
            change.message,
            to_micros(change.at),
        )
        for action, change in changes
    ]
    await tx.insert("event", _TYPES, rows)


async def first_entries(tx: Transaction, action: ActionId) -> list[PhaseChange]:
    """When each attempt first entered each of its phases, and what was said of it while it was paused, as it happened.

    However often an attempt goes back and forth, no later attempt is crowded out of the answer. Of a pause no more than
    a few things are ever said.
    """
    rows = await tx.fetch(
        """
        SELECT attempt, phase, at, message
          FROM event
         WHERE id IN (SELECT min(id)
                        FROM event
                       WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4
                       GROUP BY attempt, phase, CASE WHEN phase = $5 THEN message END)
         ORDER BY id
        """,
        action.run.project,
        action.run.domain,
        action.run.name,
        action.name,
        Phase.PAUSED.value,
    )
    return [PhaseChange(row["attempt"], Phase(row["phase"]), from_micros(row["at"]), row["message"]) for row in rows]
