"""Rows of `webhook`: conditions whose webhook is not told yet. Written with the condition, removed once it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.core.ids import ActionId, RunId
from wingbeat.store.changes import WEBHOOKS
from wingbeat.store.database import Row, Transaction, maybe_moment, to_micros

_IS_ACTION = "project = $1 AND domain = $2 AND run = $3 AND action = $4"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try at a webhook, and how many there were, this one included."""

    condition: ActionId
    attempt: int


async def add(tx: Transaction, condition: ActionId) -> None:
    """It is told at once. Raises Conflict when it waits already."""
    names = ("project", "domain", "run", "action", "attempts", "due_at")
    await tx.insert("webhook", names, [(*condition.names, 0, to_micros(tx.now))])
    tx.changed(WEBHOOKS)


async def claim(tx: Transaction, limit: int, *, lease: timedelta) -> Sequence[Delivery]:
    """Up to `limit` that are due, the longest due first. Nobody else gets them before the lease is over."""
    rows = await tx.fetch(
        f"""
        SELECT project, domain, run, action, attempts FROM webhook WHERE due_at <= $1
         ORDER BY due_at, project, domain, run, action
         LIMIT $2{tx.skip_locked}
        """,
        to_micros(tx.now),
        limit,
    )
    deliveries = [Delivery(_condition(row), row["attempts"] + 1) for row in rows]
    await tx.update(
        f"UPDATE webhook SET attempts = $5, due_at = $6 WHERE {_IS_ACTION}",
        [(*each.condition.names, each.attempt, to_micros(tx.now + lease)) for each in deliveries],
    )
    return deliveries


async def retry(tx: Transaction, delivery: Delivery, *, at: datetime) -> None:
    """Unless somebody else has tried in the meantime."""
    await tx.execute(
        f"UPDATE webhook SET due_at = $6 WHERE {_IS_ACTION} AND attempts = $5",
        *delivery.condition.names,
        delivery.attempt,
        to_micros(at),
    )


async def remove(tx: Transaction, condition: ActionId) -> bool:
    """Whether it was there."""
    return await tx.execute(f"DELETE FROM webhook WHERE {_IS_ACTION}", *condition.names) > 0


async def next_at(tx: Transaction) -> datetime | None:
    """When the first of them is due."""
    row = await tx.fetchrow("SELECT min(due_at) AS first FROM webhook")
    return maybe_moment(row["first"]) if row else None


def _condition(row: Row) -> ActionId:
    return ActionId(RunId(row["project"], row["domain"], row["run"]), row["action"])
