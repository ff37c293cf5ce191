"""Removing what is too old to keep: a bounded number of rows at a time, found by an index and never by a scan.

Each function goes on where the one before it stopped, so that rows that must stay are passed over once and not again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wingbeat.core.ids import ROOT_ACTION
from wingbeat.store import run_needs, upload_uses
from wingbeat.store.database import Transaction, to_micros

_BACKFILLED = "SELECT trigger_id FROM backfill WHERE state IN ('running', 'paused')"
"""Triggers whose past is being decided about: their ledger says what has fired already."""


@dataclass(frozen=True, slots=True)
class Step:
    removed: int
    reached: int | None
    """Where the next step goes on; None: there is nothing more to remove."""


class Remove(Protocol):
    async def __call__(self, tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
        """Look at no more than about `limit` rows beyond `after`, 0 being the start, and remove what is too old."""
        ...


async def ledger(tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
    """Rows of `fire` that were decided `before`, but for triggers with a backfill that is not over.

    No slot fires again for it: what is decided is decided by the watermark of the schedule.
    """
    seen = await tx.fetch(
        "SELECT decided_at FROM fire WHERE decided_at >= $1 AND decided_at < $2 ORDER BY decided_at LIMIT $3",
        after,
        to_micros(before),
        limit,
    )
    if not seen:
        return Step(0, None)
    reached = seen[-1]["decided_at"]
    removed = await tx.execute(
        f"""
        DELETE FROM fire WHERE (trigger_id, kind, key) IN (
               SELECT trigger_id, kind, key FROM fire
                WHERE decided_at >= $1 AND decided_at <= $2 AND trigger_id NOT IN ({_BACKFILLED})
                ORDER BY decided_at LIMIT $3)
        """,
        after,
        reached,
        limit,
    )
    if removed == limit:
        return Step(removed, after)
    return Step(removed, reached + 1 if len(seen) == limit else None)


async def revisions(tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
    """Revisions made `before`, but for the latest of each trigger, deleted or not, and those that still owe slots."""
    triggers = await tx.fetch(
        "SELECT trigger_id FROM schedule WHERE trigger_id > $1 ORDER BY trigger_id LIMIT $2", after, limit
    )
    if not triggers:
        return Step(0, None)
    reached = triggers[-1]["trigger_id"]
    removed = await tx.fetch(
        """
        DELETE FROM trigger_revision WHERE (trigger_id, revision) IN (
               SELECT r.trigger_id, r.revision
                 FROM schedule s JOIN trigger_revision r ON r.trigger_id = s.trigger_id
                WHERE s.trigger_id > $1 AND s.trigger_id <= $2 AND s.revision > 1
                  AND r.revision < s.revision AND r.created_at < $3
                  AND NOT EXISTS (SELECT 1 FROM backlog b
                                   WHERE b.trigger_id = r.trigger_id AND b.revision = r.revision)
                  AND NOT EXISTS (SELECT 1 FROM backfill b
                                   WHERE b.trigger_id = r.trigger_id AND b.revision = r.revision
                                     AND b.state IN ('running', 'paused'))
                ORDER BY r.trigger_id, r.revision LIMIT $4)
        RETURNING trigger_id, revision
        """,
        after,
        reached,
        to_micros(before),
        limit,
    )
    gone = [(row["trigger_id"], row["revision"]) for row in removed]
    await upload_uses.forget(tx, [upload_uses.of_revision(*each) for each in gone])
    await run_needs.forget(tx, [run_needs.of_revision(*each) for each in gone])
    return Step(len(removed), after if len(removed) == limit else reached)


async def events(tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
    """The history of attempts of runs that ended `before`; how they ended stays with the attempts themselves."""
    seen = await tx.fetch("SELECT id, at FROM event WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
    if all(row["at"] >= to_micros(before) for row in seen):
        return Step(0, None)
    reached = seen[-1]["id"]
    removed = await tx.execute(
        f"""
        DELETE FROM event
         WHERE id > $1 AND id <= $2
           AND EXISTS (SELECT 1 FROM action a
                        WHERE a.project = event.project AND a.domain = event.domain AND a.run = event.run
                          AND a.name = '{ROOT_ACTION}' AND a.ended_at < $3)
        """,
        after,
        reached,
        to_micros(before),
    )
    return Step(removed, reached)


async def cache(tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
    """Results that were last used, or made, `before`: they serve nobody any more, and keep their runs no longer."""
    removed = await tx.fetch(
        """
        DELETE FROM cache_entry WHERE (key, project, domain) IN (
               SELECT key, project, domain FROM cache_entry
                WHERE used_at >= $1 AND used_at < $2 ORDER BY used_at, key, project, domain LIMIT $3)
        RETURNING used_at
        """,
        after,
        to_micros(before),
        limit,
    )
    return Step(len(removed), max(row["used_at"] for row in removed) if len(removed) == limit else None)
