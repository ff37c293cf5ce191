"""All actions below one that are not over: found level by level, aborted many at a time.

Locks go from parents to children, within a level by name, so that two ends never wait for each other. A child is asked
for under the lock of its parent: once that is held, all children there will ever be are seen.
"""

from collections.abc import Sequence

from wingbeat.core.action import Phase
from wingbeat.core.ids import ActionId
from wingbeat.store.changes import RUNS, children_topic, run_topic
from wingbeat.store.database import Transaction, placeholders, to_micros

BATCH = 1000
"""Actions in one statement."""
_END = "CASE WHEN created_at > $5 THEN created_at ELSE $5 END"
"""Now, unless the clock has stepped back."""


async def lock(tx: Transaction, ancestor: ActionId) -> list[ActionId]:
    """Those below `ancestor`, whose own lock is held, parents before their children; all are locked."""
    found: list[ActionId] = []
    level = [ancestor]
    while level:
        level = [child for batch in batches(level) for child in await _children(tx, batch)]
        found += level
    return found


async def abort(tx: Transaction, actions: Sequence[ActionId], reason: str) -> None:
    """Those of one run, at most `BATCH`, whose locks are held: rows and history as of one that is aborted alone."""
    key, names = actions[0].run.names, placeholders(7, len(actions))
    args = (*key, Phase.ABORTED.value, to_micros(tx.now), reason, *(action.name for action in actions))
    await tx.execute(
        f"""
        INSERT INTO event (project, domain, run, action, attempt, phase, message, at)
        SELECT project, domain, run, name, attempts, CAST($4 AS BIGINT), CAST($6 AS TEXT), CAST($5 AS BIGINT)
          FROM action
         WHERE project = $1 AND domain = $2 AND run = $3 AND name IN ({names}) AND ended_at IS NULL
         ORDER BY name
        """,
        *args,
    )
    await tx.execute(
        f"""
        UPDATE attempt SET phase = $4, ended_at = {_END}
         WHERE project = $1 AND domain = $2 AND run = $3 AND action IN ({placeholders(6, len(actions))})
           AND ended_at IS NULL
        """,
        *args[:5],
        *args[6:],
    )
    rows = await tx.fetch(
        f"""
        UPDATE action
           SET phase = $4, ended_at = {_END}, updated_at = $5, duration_ms = ({_END} - created_at + 500) / 1000,
               abort_reason = $6, version = version + 1
         WHERE project = $1 AND domain = $2 AND run = $3 AND name IN ({names}) AND ended_at IS NULL
        RETURNING parent
        """,
        *args,
    )
    run = actions[0].run
    tx.changed(RUNS, run_topic(run), *(children_topic(run, parent) for parent in {row["parent"] for row in rows}))


def batches(actions: Sequence[ActionId]) -> list[Sequence[ActionId]]:
    return [actions[first : first + BATCH] for first in range(0, len(actions), BATCH)]


async def _children(tx: Transaction, parents: Sequence[ActionId]) -> list[ActionId]:
    rows = await tx.fetch(
        f"""
        SELECT q.action FROM queue q
         WHERE q.project = $1 AND q.domain = $2 AND q.run = $3 AND q.parent IN ({placeholders(4, len(parents))})
         ORDER BY q.action{tx.for_update}
        """,
        *parents[0].run.names,
        *(parent.name for parent in parents),
    )
    return [ActionId(parents[0].run, row["action"]) for row in rows]
