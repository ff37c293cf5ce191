"""What changed among the actions of a run. A look is narrow: only what is new to the watcher is read whole."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from wingbeat.core.action import Action
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.store.actions import COLUMNS, action_of
from wingbeat.store.database import Transaction, to_micros
from wingbeat.store.filters import Arguments

PAGE = 1000
"""Actions in one statement."""


Mark = tuple[int, int]
"""Of a run: differs from an earlier one when something changed in between. Without a change it may differ, too."""


async def page(tx: Transaction, run: RunId, *, after: str) -> Sequence[Action]:
    """Up to `PAGE` actions whose names follow `after`, by name."""
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS}
          FROM action a
         WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.name > $4
         ORDER BY a.name
         LIMIT $5
        """,
        *run.names,
        after,
        PAGE,
    )
    return [action_of(row) for row in rows]


async def versions(tx: Transaction, run: RunId, *, since: datetime) -> Mapping[str, int]:
    """Those of the actions that changed at or after `since`, by name; the root's always."""
    rows = await tx.fetch(
        f"""
        SELECT name, version
          FROM action
         WHERE project = $1 AND domain = $2 AND run = $3 AND parent IS NOT NULL AND updated_at >= $4
        UNION ALL
        SELECT name, version
          FROM action
         WHERE project = $1 AND domain = $2 AND run = $3 AND name = '{ROOT_ACTION}'
        """,
        *run.names,
        to_micros(since),
    )
    return {row["name"]: row["version"] for row in rows}


async def marks(tx: Transaction, runs: Sequence[RunId], *, since: datetime) -> Mapping[RunId, Mark]:
    """Of those of the runs that exist; what changed before `since` is not looked at."""
    found: dict[RunId, Mark] = {}
    for first in range(0, len(runs), PAGE):
        args = Arguments(to_micros(since))
        keys = args.rows(run.names for run in runs[first : first + PAGE])
        rows = await tx.fetch(
            f"""
            WITH k (project, domain, run) AS (VALUES {keys})
            SELECT r.project, r.domain, r.run, r.version,
                   (SELECT CAST(coalesce(sum(c.version), 0) AS bigint)
                      FROM action c
                     WHERE c.project = r.project AND c.domain = r.domain AND c.run = r.run AND c.parent IS NOT NULL
                       AND c.updated_at >= $1) AS below
              FROM k CROSS JOIN action r
             WHERE r.project = k.project AND r.domain = k.domain AND r.run = k.run AND r.name = '{ROOT_ACTION}'
            """,
            *args.values,
        )
        found.update({RunId(row["project"], row["domain"], row["run"]): (row["version"], row["below"]) for row in rows})
    return found


async def find_many(tx: Transaction, run: RunId, names: Sequence[str]) -> Sequence[Action]:
    found: list[Action] = []
    for first in range(0, len(names), PAGE):
        args = Arguments(*run.names)
        marks = ", ".join(args.add(name) for name in names[first : first + PAGE])
        rows = await tx.fetch(
            f"""
            SELECT {COLUMNS}
              FROM action a
             WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.name IN ({marks})
            """,
            *args.values,
        )
        found.extend(action_of(row) for row in rows)
    return found
