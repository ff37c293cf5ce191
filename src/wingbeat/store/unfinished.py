"""Runs of triggers that are not over, and the lock under which the runs of a group are counted.

Those of backfills are none of them: a backfill has its own limit, and live slots do not wait for it.
"""

from collections.abc import Sequence

from wingbeat.core.ids import ActionId, RunId
from wingbeat.store.database import Transaction, placeholders

_LIVE = """
    a.trigger_id IS NOT NULL AND a.ended_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM backfill_run b WHERE b.project = a.project AND b.domain = a.domain AND b.run = a.run)
"""


async def counts(tx: Transaction, ids: Sequence[int]) -> dict[int, int]:
    """By trigger; none stands for 0."""
    rows = await tx.fetch(
        f"""
        SELECT a.trigger_id, count(*) AS number FROM action a
         WHERE a.trigger_id IN ({placeholders(1, len(ids))}) AND {_LIVE}
         GROUP BY a.trigger_id
        """,
        *ids,
    )
    return {row["trigger_id"]: row["number"] for row in rows}


async def counts_of_groups(tx: Transaction, groups: Sequence[str]) -> dict[str, int]:
    """By group, over all its triggers; none stands for 0."""
    rows = await tx.fetch(
        f"""
        SELECT s.run_group, count(*) AS number
          FROM schedule s JOIN action a ON a.trigger_id = s.trigger_id
         WHERE s.run_group IN ({placeholders(1, len(groups))}) AND {_LIVE}
         GROUP BY s.run_group
        """,
        *groups,
    )
    return {row["run_group"]: row["number"] for row in rows}


async def roots(tx: Transaction, trigger_id: int) -> list[ActionId]:
    """The root actions of the trigger's runs that are not over."""
    rows = await tx.fetch(
        f"""
        SELECT a.project, a.domain, a.run, a.name FROM action a
         WHERE a.trigger_id = $1 AND {_LIVE}
         ORDER BY a.project, a.domain, a.run, a.name
        """,
        trigger_id,
    )
    return [ActionId(RunId(row["project"], row["domain"], row["run"]), row["name"]) for row in rows]


async def lock_groups(tx: Transaction, groups: Sequence[str]) -> None:
    """Until the end of the transaction nobody else counts these groups, which are in ascending order.

    Taken after schedule rows and before backlogs.
    """
    for group in groups:
        await tx.execute(
            """
            INSERT INTO lease (name, holder, token, lease_until) VALUES ($1, '', 1, 0)
            ON CONFLICT (name) DO UPDATE SET token = lease.token + 1
            """,
            f"runs of {group}",
        )
