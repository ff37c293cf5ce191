"""The children of an action, as their parent follows them: what changed lately, and how each of them stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from wingbeat.core.action import ActionType
from wingbeat.core.child import ChildState
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.core.value import Value
from wingbeat.store import signals
from wingbeat.store.actions import COLUMNS, FAILURE_COLUMNS, action_of, failure_of
from wingbeat.store.database import Row, Transaction, to_micros


async def of_parent(tx: Transaction, parent: ActionId, *, since: datetime | None) -> Sequence[ChildState]:
    """The children that changed at or after `since`, or all of them; the longest unchanged first."""
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS}, {FAILURE_COLUMNS}, r.output_base
          FROM action a
          JOIN run r ON r.project = a.project AND r.domain = a.domain AND r.name = a.run
          LEFT JOIN attempt t ON t.project = a.project AND t.domain = a.domain AND t.run = a.run AND t.action = a.name
                             AND t.number = a.attempts
         WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.parent = $4 AND a.updated_at >= $5
         ORDER BY a.updated_at, a.name
        """,
        *parent.names,
        to_micros(since) if since else 0,
    )
    conditions = any(row["action_type"] == ActionType.CONDITION for row in rows)
    values: Mapping[str, Value] = await signals.of_children(tx, parent, since=since) if conditions else {}
    return [_state(row, values.get(row["name"])) for row in rows]


def _state(row: Row, value: Value | None) -> ChildState:
    action = action_of(row)
    latest = AttemptId(action.id, action.attempts)
    return ChildState(action, failure_of(row), output_prefix(row["output_base"], latest), value)
