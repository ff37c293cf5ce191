"""Rows of `backlog`: slots that are owed, in ranges. Who changes them holds the schedule row of their trigger."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from wingbeat.core.backlog import Backlog
from wingbeat.core.schedule import decode, encode
from wingbeat.store.database import Row, Transaction, Value, from_micros, to_micros

EVERYTHING = 2**31
"""A limit for what is bounded by its nature."""
RECHECK = timedelta(minutes=1)
"""How long waiting slots wait for word of a run's end before somebody looks by himself."""
_NAMES = ("trigger_id", "until", "revision", "schedule", "anchor", "after", "wake_at")
_NOW_OR_DUE = "CASE WHEN until > $2 THEN until ELSE $2 END"
"""Slots are owed from their moment on, also when it comes again because the clock has stepped back."""


async def ready(tx: Transaction, ids: Sequence[int], limit: int) -> list[Backlog]:
    """What these triggers, whose schedule rows are locked, owe by now."""
    return await _find(tx, ids, f"AND wake_at <= {to_micros(tx.now)}", limit)


async def find(tx: Transaction, ids: Sequence[int]) -> list[Backlog]:
    """All that these triggers, whose schedule rows are locked, still owe, waiting or not; the oldest first."""
    return sorted(await _find(tx, ids, "", EVERYTHING), key=lambda each: (each.trigger_id, each.until))


async def _find(tx: Transaction, ids: Sequence[int], ready: str, limit: int) -> list[Backlog]:
    if not ids:
        return []
    rows = await tx.fetch(
        f"""
        SELECT trigger_id, until, revision, schedule, anchor, after FROM backlog
         WHERE trigger_id = ANY($1::bigint[]) {ready}
         ORDER BY wake_at, trigger_id, until LIMIT {limit}
        """,
        list(ids),
    )
    return [_backlog(row) for row in rows]


async def add(tx: Transaction, added: Iterable[Backlog], *, wake_at: datetime | None = None) -> None:
    """To be caught up from `wake_at` on, or from now on."""
    await tx.insert("backlog", _NAMES, [_values(backlog, wake_at or tx.now) for backlog in added])


async def park(tx: Transaction, waiting: Iterable[Backlog]) -> None:
    """Slots wait for the end of a run. Those that follow a backlog without a gap become part of it."""
    for backlog in waiting:
        joined = await tx.execute(
            "UPDATE backlog SET until = $4 WHERE trigger_id = $1 AND until = $2 AND revision = $3",
            backlog.trigger_id,
            to_micros(backlog.after),
            backlog.revision,
            to_micros(backlog.until),
        )
        if not joined:
            await tx.insert("backlog", _NAMES, [_values(backlog, tx.now + RECHECK)])


async def wake(tx: Transaction, ids: Iterable[int]) -> None:
    """What waits of these triggers is looked at again now. Their schedule rows are locked."""
    now = to_micros(tx.now)
    await tx.update(
        f"UPDATE backlog SET wake_at = {_NOW_OR_DUE} WHERE trigger_id = $1 AND wake_at > $2",
        [(each, now) for each in ids],
    )


async def wake_group(tx: Transaction, group: str, limit: int) -> None:
    """The same for the triggers of a group, whose lock is held: the `limit` backlogs that have waited longest."""
    await tx.execute(
        f"""
        UPDATE backlog SET wake_at = {_NOW_OR_DUE}
         WHERE wake_at > $2
           AND (trigger_id, until) IN (SELECT b.trigger_id, b.until
                                         FROM backlog b JOIN schedule s ON s.trigger_id = b.trigger_id
                                        WHERE s.run_group = $1
                                        ORDER BY b.until, b.trigger_id LIMIT $3)
        """,
        group,
        to_micros(tx.now),
        limit,
    )


async def serve(tx: Transaction, left: Iterable[Backlog], done: Iterable[Backlog]) -> None:
    """Move what is left to the end of the line, and remove what is caught up."""
    now = to_micros(tx.now)
    await tx.update(
        "UPDATE backlog SET after = $3, wake_at = $4 WHERE trigger_id = $1 AND until = $2",
        [(backlog.trigger_id, to_micros(backlog.until), to_micros(backlog.after), now) for backlog in left],
    )
    await tx.update(
        "DELETE FROM backlog WHERE trigger_id = $1 AND until = $2",
        [(backlog.trigger_id, to_micros(backlog.until)) for backlog in done],
    )


def _values(backlog: Backlog, wake_at: datetime) -> tuple[Value, ...]:
    return (
        backlog.trigger_id,
        to_micros(backlog.until),
        backlog.revision,
        encode(backlog.schedule),
        to_micros(backlog.anchor),
        to_micros(backlog.after),
        to_micros(wake_at),
    )


def _backlog(row: Row) -> Backlog:
    return Backlog(
        trigger_id=row["trigger_id"],
        revision=row["revision"],
        schedule=decode(row["schedule"]),
        anchor=from_micros(row["anchor"]),
        after=from_micros(row["after"]),
        until=from_micros(row["until"]),
    )
