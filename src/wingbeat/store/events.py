"""Rows of `event`: when an attempt entered a phase. They are only ever added."""

from collections.abc import Sequence
from dataclasses import dataclass

from wingbeat.core.action import Phase, PhaseChange
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.store.database import Transaction, from_micros, to_micros

PAGE = 500
"""Events in one statement."""

_NAMES = ("project", "domain", "run", "action", "attempt", "phase", "message", "at")


@dataclass(frozen=True, slots=True)
class Said:
    """A change of an attempt's phase that somebody said something about; `id` grows."""

    id: int
    change: PhaseChange


async def record(tx: Transaction, changes: Sequence[tuple[ActionId, PhaseChange]]) -> None:
    rows = [
        (
            *action.names,
            change.attempt,
            change.phase.value,
            change.message,
            to_micros(change.at),
        )
        for action, change in changes
    ]
    await tx.insert("event", _NAMES, rows)


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
        *action.names,
        Phase.PAUSED.value,
    )
    return [PhaseChange(row["attempt"], Phase(row["phase"]), from_micros(row["at"]), row["message"]) for row in rows]


async def said(tx: Transaction, attempt: AttemptId, *, after: int) -> list[Said]:
    """Up to `PAGE` of the messages of an attempt that follow the one with the id `after`, as they were recorded."""
    rows = await tx.fetch(
        """
        SELECT id, attempt, phase, at, message
          FROM event
         WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4 AND attempt = $5 AND id > $6
           AND message <> ''
         ORDER BY id
         LIMIT $7
        """,
        *attempt.action.names,
        attempt.number,
        after,
        PAGE,
    )
    return [
        Said(row["id"], PhaseChange(row["attempt"], Phase(row["phase"]), from_micros(row["at"]), row["message"]))
        for row in rows
    ]
