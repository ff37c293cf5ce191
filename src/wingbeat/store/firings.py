"""Rows of `schedule`: when triggers fire. They are the one lock for whatever changes firing, `backlog` included.

It is always taken before anything else of a trigger is changed, several in the order of their ids.
"""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core import policy
from wingbeat.core.cron import tzdata_version
from wingbeat.core.schedule import decode, encode
from wingbeat.core.trigger import Firing, comes_due_at
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
from wingbeat.store.filters import Arguments

COLUMNS = (
    "trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, failures, policies, run_group,"
    " started, failed_runs"
)


async def lock(tx: Transaction, ids: Sequence[int]) -> dict[int, Firing]:
    """The firings of these triggers, locked until the end of the transaction; waits for other holders."""
    if not ids:
        return {}
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM schedule WHERE trigger_id = ANY($1::bigint[]) ORDER BY trigger_id{tx.for_update}
        """,
        list(ids),
    )
    return {row["trigger_id"]: firing_of(row) for row in rows}


async def claim_due(
    tx: Transaction, limit: int, *, only: int | None = None, without: Collection[str] = ()
) -> list[Firing]:
    """Firings whose moment has come, the longest overdue first, locked, but for the groups `without`.

    Those that others hold are passed over, here and below.
    """
    args = Arguments()
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM schedule
         WHERE wake_at <= {args.add(to_micros(tx.now))}{_only(only)}{_not_in(without, args)}
         ORDER BY wake_at, trigger_id LIMIT {args.add(limit)}{tx.skip_locked}
        """,
        *args.values,
    )
    return [firing_of(row) for row in rows]


async def claim_late(
    tx: Transaction, limit: int, *, only: int | None = None, without: Collection[str] = ()
) -> list[Firing]:
    """The firings of triggers whose backlogs have their turn, the least recently served first, locked."""
    args = Arguments()
    names = ", ".join(map(args.add, without))
    others = f" AND trigger_id NOT IN (SELECT trigger_id FROM schedule WHERE run_group IN ({names}))" if without else ""
    turns = await tx.fetch(
        f"""
        SELECT trigger_id FROM backlog WHERE wake_at <= {args.add(to_micros(tx.now))}{_only(only)}{others}
         ORDER BY wake_at, trigger_id, until LIMIT {args.add(limit)}
        """,
        *args.values,
    )
    return await _claim(tx, {row["trigger_id"] for row in turns})


async def claim_heard(tx: Transaction, limit: int, *, without: Collection[str] = ()) -> list[Firing]:
    """The firings of triggers that there is word for of ends of their runs, in the order of their ids, locked."""
    args = Arguments()
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM schedule
         WHERE trigger_id IN (SELECT trigger_id FROM run_end){_not_in(without, args)}
         ORDER BY trigger_id LIMIT {args.add(limit)}{tx.skip_locked}
        """,
        *args.values,
    )
    return [firing_of(row) for row in rows]


async def due_ids(tx: Transaction, limit: int) -> list[int]:
    """The triggers that `claim_due` would look at, not locked."""
    return await _ids_waiting(tx, "schedule", limit)


async def late_ids(tx: Transaction, limit: int) -> list[int]:
    """The triggers whose backlogs `claim_late` would look at, not locked."""
    return await _ids_waiting(tx, "backlog", limit)


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
    state = _state(firing)
    await tx.execute(
        f"""
        INSERT INTO schedule
            (trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, wake_at, started,
             policies, watches, run_group, failed_runs, tzdata)
        VALUES ({placeholders(1, len(state))})
        """,
        *state,
    )


async def save(tx: Transaction, firings: Iterable[Firing]) -> None:
    """Write states that were decided while their rows are locked."""
    await tx.update(
        """
        UPDATE schedule
           SET revision = $2, schedule = $3, active = $4, anchor = $5, decided_until = $6, next_fire_at = $7,
               wake_at = $8, started = $9, policies = $10, watches = $11, run_group = $12, failed_runs = $13,
               tzdata = $14, failures = 0, error = NULL
         WHERE trigger_id = $1
        """,
        [_state(firing) for firing in firings],
    )


async def advance(tx: Transaction, firings: Iterable[Firing], *, fired: Container[int] = ()) -> None:
    """Move the watermarks of schedules that stay what they are: the narrow write of every fire.

    The triggers in `fired` fired in this transaction.
    """
    now = to_micros(tx.now)
    await tx.update(
        """
        UPDATE schedule
           SET decided_until = $2, next_fire_at = $3, wake_at = $4, started = $5,
               triggered_at = coalesce($6, triggered_at), failures = 0, error = NULL
         WHERE trigger_id = $1
        """,
        [(firing.trigger_id, *_watermarks(firing), now if firing.trigger_id in fired else None) for firing in firings],
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


async def save_failed_runs(tx: Transaction, firings: Iterable[Firing]) -> None:
    await tx.update(
        "UPDATE schedule SET failed_runs = $2 WHERE trigger_id = $1",
        [(firing.trigger_id, firing.failed_runs) for firing in firings],
    )


async def stale(tx: Transaction, limit: int) -> list[Firing]:
    """Firings that were computed with another version of the time zones, locked."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM schedule WHERE wake_at IS NOT NULL AND tzdata <> $1 LIMIT $2{tx.skip_locked}",
        tzdata_version(),
        limit,
    )
    return [firing_of(row) for row in rows]


async def _claim(tx: Transaction, ids: Collection[int]) -> list[Firing]:
    if not ids:
        return []
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM schedule WHERE trigger_id = ANY($1::bigint[]) ORDER BY trigger_id{tx.skip_locked}
        """,
        sorted(ids),
    )
    return [firing_of(row) for row in rows]


async def _ids_waiting(tx: Transaction, table: str, limit: int) -> list[int]:
    rows = await tx.fetch(
        f"SELECT trigger_id FROM {table} WHERE wake_at <= $1 ORDER BY wake_at, trigger_id LIMIT $2",
        to_micros(tx.now),
        limit,
    )
    return list(dict.fromkeys(row["trigger_id"] for row in rows))


def _only(trigger_id: int | None) -> str:
    return "" if trigger_id is None else f" AND trigger_id = {trigger_id}"


def _not_in(groups: Collection[str], args: Arguments) -> str:
    names = ", ".join(map(args.add, groups))
    return f" AND (run_group IS NULL OR run_group NOT IN ({names}))" if groups else ""


def _state(firing: Firing) -> tuple[Value, ...]:
    return (
        firing.trigger_id,
        firing.revision,
        encode(firing.schedule) if firing.schedule else None,
        firing.active,
        to_micros(firing.anchor),
        *_watermarks(firing),
        policy.encode(firing.policies),
        firing.policies.watching,
        firing.group,
        firing.failed_runs,
        tzdata_version(),
    )


def _watermarks(firing: Firing) -> tuple[Value, ...]:
    """`decided_until`, `next_fire_at`, `wake_at`, `started`."""
    return (
        to_micros(firing.decided_until),
        maybe_micros(firing.next_fire_at),
        maybe_micros(comes_due_at(firing)),
        firing.started,
    )


def firing_of(row: Row) -> Firing:
    """From a row with `COLUMNS`."""
    return Firing(
        trigger_id=row["trigger_id"],
        revision=row["revision"],
        schedule=decode(row["schedule"]) if row["schedule"] else None,
        active=bool(row["active"]),
        anchor=from_micros(row["anchor"]),
        decided_until=from_micros(row["decided_until"]),
        next_fire_at=maybe_moment(row["next_fire_at"]),
        failures=row["failures"],
        policies=policy.decode(row["policies"]),
        group=row["run_group"],
        started=row["started"],
        failed_runs=row["failed_runs"],
    )
