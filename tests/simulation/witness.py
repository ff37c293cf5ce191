"""What a simulated database remembers beside its tables: in which order the ledger and the revisions were written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wingbeat.store.database import Row, Transaction

_LIVE = """
    a.ended_at IS NULL AND a.trigger_id IS NOT NULL
    AND a.run NOT IN (SELECT run_name FROM fire WHERE kind = 'backfill' AND run_name IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Working:
    """Runs that are not over, but those of backfills."""

    by_trigger: Mapping[int, int]
    by_group: Mapping[str, int]
    groups: Mapping[int, str]
    """Of the triggers that have one."""


async def call(tx: Transaction) -> None:
    """From now on everything is seen, and nothing in the ledger changes."""
    columns = "trigger_id, revision, kind, key, slot, outcome, reason"
    await tx.execute(f"CREATE TABLE witness (seq INTEGER PRIMARY KEY, {columns})")
    await tx.execute(
        f"""
        CREATE TRIGGER fire_is_written AFTER INSERT ON fire BEGIN
            INSERT INTO witness ({columns})
            VALUES (new.trigger_id, new.revision, new.kind, new.key, new.first_slot, new.outcome, new.reason);
        END
        """
    )
    await tx.execute(
        f"""
        CREATE TRIGGER revision_is_written AFTER INSERT ON trigger_revision BEGIN
            INSERT INTO witness ({columns})
            VALUES (new.trigger_id, new.revision, 'revision', '', NULL, new.action, '');
        END
        """
    )
    for change in ("UPDATE", "DELETE"):
        await tx.execute(
            f"CREATE TRIGGER no_{change.lower()}_of_fire BEFORE {change} ON fire"
            " BEGIN SELECT raise(ABORT, 'the ledger never changes'); END"
        )


async def hear(tx: Transaction, after: int) -> Sequence[Row]:
    return await tx.fetch("SELECT * FROM witness WHERE seq > $1 ORDER BY seq", after)


async def working(tx: Transaction) -> Working:
    rows = await tx.fetch(
        f"""
        SELECT s.trigger_id, s.run_group, count(a.run) AS number
          FROM schedule s LEFT JOIN action a ON a.trigger_id = s.trigger_id AND {_LIVE}
         GROUP BY s.trigger_id, s.run_group
        """
    )
    by_group: dict[str, int] = {}
    for row in rows:
        by_group[row["run_group"]] = by_group.get(row["run_group"], 0) + row["number"]
    return Working(
        {row["trigger_id"]: row["number"] for row in rows},
        by_group,
        {row["trigger_id"]: row["run_group"] for row in rows if row["run_group"]},
    )
