"""Runs of triggers that are not over, and the lock under which the runs of a group are counted.

Those of backfills are none of them: a backfill has its own limit, and live slots do not wait for it.
"""

from collections.abc import Collection, Sequence

from wingbeat.core.ids import ActionId, RunId
from wingbeat.store.database import Transaction, placeholders
from wingbeat.store.filters import Arguments

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


async def hold_groups(tx: Transaction, groups: Collection[str]) -> frozenset[str]:
    """Those that nobody else counts at this moment, and that nobody else will until the end of the transaction."""
    leases = {f"runs of {group}": group for group in sorted(groups)}
    args = Arguments()
    await tx.execute(
        f"""
        INSERT INTO lease (name, holder, token, lease_until)
        VALUES {args.rows((name, "", 1, 0) for name in leases)}
            ON CONFLICT (name) DO NOTHING
        """,
        *args.values,
    )
    rows = await tx.fetch(
        f"SELECT name FROM lease WHERE name IN ({placeholders(1, len(leases))}) ORDER BY name{tx.skip_locked}", *leases
    )
    return frozenset(leases[row["name"]] for row in rows)
