"""Rows of `schedule` and `backlog`: when triggers fire. The schedule row is the one lock for whatever changes firing.

It is always taken before anything else of a trigger is changed, several in the order of their ids.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.cron import tzdata_version
from wingbeat.core.schedule import decode, encode
from wingbeat.core.trigger import Backlog, Firing
from wingbeat.store.database import (
    Row,
    Transaction,
    Value,
    from_micros,
    maybe_micros,
    maybe_moment,
    placeholders,
    to_micros,
)

EVERYTHING = 2**31
"""A limit for what is bounded by its nature."""
_COLUMNS = "trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, failures"
_BACKLOG_TYPES = {
    "trigger_id": "bigint",
    "until": "bigint",
    "revision": "bigint",
    "schedule": "text",
    "anchor": "bigint",
    "after": "bigint",
    "wake_at": "bigint",
}


@dataclass(frozen=True, slots=True)
class Health:
    """Why a trigger does not fire as it should, if so."""

    failures: int
    error: str | None
    next_fire_at: datetime | None


async def lock(tx: Transaction, ids: Sequence[int]) -> dict[int, Firing]:
    """The firings of these triggers, locked until the end of the transaction; waits for other holders."""
    if not ids:
        return {}
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM schedule WHERE trigger_id IN ({placeholders(1, len(ids))})
         ORDER BY trigger_id{tx.for_update}
        """,
        *ids,
    )
    return {row["trigger_id"]: _firing(row) for row in rows}


async def claim_due(tx: Transaction, limit: int, *, only: int | None = None) -> list[Firing]:
    """Firings whose moment has come, the longest overdue first, locked; those that others hold are passed over."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM schedule WHERE wake_at <= $1{_only(only)}
         ORDER BY wake_at, trigger_id LIMIT $2{tx.skip_locked}
        """,
        to_micros(tx.now),
        limit,
    )
    return [_firing(row) for row in rows]


async def due_ids(tx: Transaction, limit: int) -> list[int]:
    """The triggers that `claim_due` and `claim_backlogs` would look at, not locked."""
    rows = await tx.fetch(
        """
        SELECT trigger_id FROM (SELECT trigger_id, wake_at FROM schedule WHERE wake_at <= $1
                                UNION ALL SELECT trigger_id, wake_at FROM backlog WHERE wake_at <= $1) due
         ORDER BY wake_at, trigger_id LIMIT $2
        """,
        to_micros(tx.now),
        limit,
    )
    return list(dict.fromkeys(row["trigger_id"] for row in rows))


async def claim_backlogs(tx: Transaction, limit: int, *, only: int | None = None) -> list[Backlog]:
    """Backlogs, the least recently served first, with the schedule rows of their triggers locked."""
    turns = await tx.fetch(
        f"""
        SELECT trigger_id FROM backlog WHERE wake_at <= $1{_only(only)}
         ORDER BY wake_at, trigger_id, until LIMIT $2
        """,
        to_micros(tx.now),
        limit,
    )
    ids = sorted({row["trigger_id"] for row in turns})
    if not ids:
        return []
    held = await tx.fetch(
        f"""
        SELECT trigger_id FROM schedule WHERE trigger_id IN ({placeholders(1, len(ids))})
         ORDER BY trigger_id{tx.skip_locked}
        """,
        *ids,
    )
    return await _backlogs(tx, [row["trigger_id"] for row in held], f"AND wake_at <= {to_micros(tx.now)}", limit)


async def backlogs(tx: Transaction, ids: Sequence[int]) -> list[Backlog]:
    """All that these triggers, whose schedule rows are locked, still owe."""
    return await _backlogs(tx, ids, "", EVERYTHING)


async def _backlogs(tx: Transaction, ids: Sequence[int], ready: str, limit: int) -> list[Backlog]:
    if not ids:
        return []
    rows = await tx.fetch(
        f"""
        SELECT trigger_id, until, revision, schedule, anchor, after FROM backlog
         WHERE trigger_id IN ({placeholders(1, len(ids))}) {ready}
         ORDER BY wake_at, trigger_id, until LIMIT {limit}
        """,
        *ids,
    )
    return [_backlog(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Wakes:
    """When the scheduler has something to do next: live slots and backlogs; None for never."""

    live: datetime | None
    late: datetime | None


async def next_wakes(tx: Transaction) -> Wakes:
    """One look at the first entry of two indexes."""
    rows = await tx.fetch(
        "SELECT (SELECT min(wake_at) FROM schedule WHERE wake_at IS NOT NULL) AS live,"
        " (SELECT min(wake_at) FROM backlog) AS late"
    )
    return Wakes(maybe_moment(rows[0]["live"]), maybe_moment(rows[0]["late"]))


async def insert(tx: Transaction, firing: Firing) -> None:
    await tx.execute(
        f"""
        INSERT INTO schedule
            (trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, wake_at, tzdata)
        VALUES ({placeholders(1, 9)})
        """,
        *_moved(firing)[:6],
        maybe_micros(firing.next_fire_at),
        maybe_micros(firing.next_fire_at),
        tzdata_version(),
    )


async def save(tx: Transaction, firings: Iterable[Firing]) -> None:
    """Write states that were decided while their rows are locked."""
    await tx.update(
        """
        UPDATE schedule
           SET revision = $2, schedule = $3, active = $4, anchor = $5, decided_until = $6, next_fire_at = $7,
               wake_at = $7, failures = 0, error = NULL, tzdata = $8
         WHERE trigger_id = $1
        """,
        [(*_moved(firing), tzdata_version()) for firing in firings],
    )


async def advance(tx: Transaction, firings: Iterable[Firing]) -> None:
    """Move the watermarks of schedules that stay what they are: the narrow write of every fire."""
    await tx.update(
        """
        UPDATE schedule SET decided_until = $2, next_fire_at = $3, wake_at = $3, failures = 0, error = NULL
         WHERE trigger_id = $1
        """,
        [(f.trigger_id, to_micros(f.decided_until), maybe_micros(f.next_fire_at)) for f in firings],
    )


async def touch(tx: Transaction, ids: Iterable[int]) -> None:
    """These triggers fired in this transaction."""
    now = to_micros(tx.now)
    await tx.update(
        "UPDATE schedule SET triggered_at = $2 WHERE trigger_id = $1", [(trigger_id, now) for trigger_id in ids]
    )


async def postpone(tx: Transaction, trigger_id: int, *, until: datetime, error: str) -> None:
    """Count a decision that failed and say why; the slots stay due."""
    await tx.execute(
        """
        UPDATE schedule
           SET failures = failures + 1, error = $2, wake_at = CASE WHEN wake_at < $3 THEN $3 ELSE wake_at END
         WHERE trigger_id = $1
        """,
        trigger_id,
        error,
        to_micros(until),
    )
    await tx.execute(
        "UPDATE backlog SET wake_at = $2 WHERE trigger_id = $1 AND wake_at < $2", trigger_id, to_micros(until)
    )


async def add_backlogs(tx: Transaction, added: Iterable[Backlog]) -> None:
    now = to_micros(tx.now)
    rows = [
        (
            backlog.trigger_id,
            to_micros(backlog.until),
            backlog.revision,
            encode(backlog.schedule),
            to_micros(backlog.anchor),
            to_micros(backlog.after),
            now,
        )
        for backlog in added
    ]
    await tx.insert("backlog", _BACKLOG_TYPES, rows)


async def serve_backlogs(tx: Transaction, left: Iterable[Backlog], done: Iterable[Backlog]) -> None:
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


async def stale(tx: Transaction, limit: int) -> list[Firing]:
    """Firings that were computed with another version of the time zones, locked."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM schedule WHERE wake_at IS NOT NULL AND tzdata <> $1 LIMIT $2{tx.skip_locked}",
        tzdata_version(),
        limit,
    )
    return [_firing(row) for row in rows]


async def health(tx: Transaction, trigger_id: int) -> Health | None:
    row = await tx.fetchrow("SELECT failures, error, next_fire_at FROM schedule WHERE trigger_id = $1", trigger_id)
    return Health(row["failures"], row["error"], maybe_moment(row["next_fire_at"])) if row else None


def _only(trigger_id: int | None) -> str:
    return "" if trigger_id is None else f" AND trigger_id = {trigger_id}"


def _moved(firing: Firing) -> tuple[Value, ...]:
    return (
        firing.trigger_id,
        firing.revision,
        encode(firing.schedule) if firing.schedule else None,
        firing.active,
        to_micros(firing.anchor),
        to_micros(firing.decided_until),
        maybe_micros(firing.next_fire_at),
    )


def _firing(row: Row) -> Firing:
    return Firing(
        trigger_id=row["trigger_id"],
        revision=row["revision"],
        schedule=decode(row["schedule"]) if row["schedule"] else None,
        active=bool(row["active"]),
        anchor=from_micros(row["anchor"]),
        decided_until=from_micros(row["decided_until"]),
        next_fire_at=maybe_moment(row["next_fire_at"]),
        failures=row["failures"],
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
