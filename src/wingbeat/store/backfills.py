"""Rows of `backfill` and `backfill_run`: what backfills do, and their runs that are not over."""

from collections.abc import Iterable, Sequence

from wingbeat.core.backfill import Backfill, BackfillState, Wanted
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.core.listing import Filter, Function, ListQuery, Page, Sort
from wingbeat.core.schedule import decode, encode
from wingbeat.store.database import (
    Row,
    Transaction,
    Value,
    from_micros,
    maybe_micros,
    maybe_moment,
    to_micros,
)
from wingbeat.store.filters import Arguments, Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page

TOPIC = "backfills"
"""Wakes whoever starts their runs."""
_NAMES = (
    "id",
    "trigger_id",
    "revision",
    "schedule",
    "anchor",
    "first",
    "last",
    "after",
    "again",
    "max_running",
    "state",
    "reason",
    "slots",
    "started",
    "left_out",
    "missed",
    "created_by",
    "created_at",
    "ended_at",
)
_RUN_NAMES = ("project", "domain", "run", "backfill_id")
_COLUMNS = ", ".join(_NAMES)
_ROOT = f"a.project = r.project AND a.domain = r.domain AND a.run = r.run AND a.name = '{ROOT_ACTION}'"
_LISTING = Listing(
    select=_COLUMNS,
    source="backfill WHERE {where}",
    columns=Columns(
        {"created_at": Column("created_at", Kind.MOMENT), "id": Column("id"), "state": Column("state")},
    ),
    key=("id",),
    default_sort=(Sort("created_at", ascending=False),),
)


async def insert(tx: Transaction, backfill: Backfill) -> None:
    tx.changed(TOPIC)
    await tx.insert("backfill", _NAMES, [_values(backfill)])


async def save(tx: Transaction, backfill: Backfill) -> None:
    """What can change of a backfill whose row is locked."""
    tx.changed(TOPIC)
    await tx.execute(
        """
        UPDATE backfill
           SET after = $2, state = $3, reason = $4, started = $5, left_out = $6, missed = $7, ended_at = $8
         WHERE id = $1
        """,
        backfill.id,
        to_micros(backfill.after),
        backfill.state,
        backfill.reason,
        backfill.started,
        backfill.left_out,
        backfill.missed,
        maybe_micros(backfill.ended_at),
    )


async def find(tx: Transaction, backfill: str) -> Backfill | None:
    return await _one(tx, backfill, "")


async def lock(tx: Transaction, backfill: str) -> Backfill | None:
    """Locked until the end of the transaction. The schedule row of its trigger, if at all, is locked before."""
    return await _one(tx, backfill, tx.for_update)


async def page(
    tx: Transaction, trigger_id: int | None, states: Sequence[BackfillState], *, limit: int, token: str
) -> Page[Backfill]:
    """The newest first; `trigger_id` None and no states are all. Raises InvalidArgument for a token of another list."""
    args = Arguments()
    filters = (Filter("state", Function.VALUE_IN, tuple(states)),) if states else ()
    scope = [] if trigger_id is None else [f"trigger_id = {args.add(trigger_id)}"]
    found = await fetch_page(tx, _LISTING, ListQuery(limit=limit, token=token, filters=filters), scope=scope, args=args)
    return Page([_backfill(row) for row in found.items], found.next_token)


async def going(tx: Transaction) -> list[tuple[str, int]]:
    """The backfills that start runs, with their triggers, the oldest first."""
    rows = await tx.fetch("SELECT id, trigger_id FROM backfill WHERE state = 'running' ORDER BY created_at, id")
    return [(row["id"], row["trigger_id"]) for row in rows]


async def ready(tx: Transaction) -> list[tuple[str, int]]:
    """Of those that start runs, the ones that may start another now, or are done, the oldest first."""
    rows = await tx.fetch(
        f"""
        SELECT id, trigger_id
          FROM (SELECT b.id, b.trigger_id, b.created_at, b.max_running, b.after < b.last - 1 AS has_slots,
                       (SELECT count(*) FROM backfill_run r JOIN action a ON {_ROOT}
                         WHERE r.backfill_id = b.id AND a.ended_at IS NULL) AS working
                  FROM backfill b WHERE b.state = 'running') AS each_one
         WHERE working = 0 OR (has_slots AND working < max_running)
         ORDER BY created_at, id
        """
    )
    return [(row["id"], row["trigger_id"]) for row in rows]


async def add_runs(tx: Transaction, backfill: str, runs: Iterable[RunId]) -> None:
    await tx.insert("backfill_run", _RUN_NAMES, [(*run.names, backfill) for run in runs])


async def forget_ended(tx: Transaction) -> None:
    """Runs that are over are no longer known as runs of backfills."""
    await tx.execute(
        f"""
        DELETE FROM backfill_run
         WHERE NOT EXISTS (SELECT 1 FROM action a
                            WHERE a.project = backfill_run.project AND a.domain = backfill_run.domain
                              AND a.run = backfill_run.run AND a.name = '{ROOT_ACTION}' AND a.ended_at IS NULL)
        """
    )


async def running(tx: Transaction, ids: Sequence[str]) -> dict[str, int]:
    """How many runs of these backfills are not over; none stands for 0."""
    if not ids:
        return {}
    rows = await tx.fetch(
        f"""
        SELECT r.backfill_id, count(*) AS number
          FROM backfill_run r JOIN action a ON {_ROOT}
         WHERE r.backfill_id = ANY($1::text[]) AND a.ended_at IS NULL
         GROUP BY r.backfill_id
        """,
        list(ids),
    )
    return {row["backfill_id"]: row["number"] for row in rows}


async def _one(tx: Transaction, backfill: str, locking: str) -> Backfill | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM backfill WHERE id = $1{locking}", backfill)
    return None if row is None else _backfill(row)


def _values(backfill: Backfill) -> tuple[Value, ...]:
    return (
        backfill.id,
        backfill.trigger_id,
        backfill.revision,
        encode(backfill.schedule),
        to_micros(backfill.anchor),
        to_micros(backfill.wanted.begin),
        to_micros(backfill.wanted.end),
        to_micros(backfill.after),
        backfill.wanted.again,
        backfill.wanted.max_running,
        backfill.state,
        backfill.reason,
        backfill.slots,
        backfill.started,
        backfill.left_out,
        backfill.missed,
        backfill.created_by,
        to_micros(backfill.created_at),
        maybe_micros(backfill.ended_at),
    )


def _backfill(row: Row) -> Backfill:
    return Backfill(
        id=row["id"],
        trigger_id=row["trigger_id"],
        revision=row["revision"],
        schedule=decode(row["schedule"]),
        anchor=from_micros(row["anchor"]),
        wanted=Wanted(
            from_micros(row["first"]),
            from_micros(row["last"]),
            again=bool(row["again"]),
            max_running=row["max_running"],
        ),
        after=from_micros(row["after"]),
        state=BackfillState(row["state"]),
        reason=row["reason"],
        slots=row["slots"],
        started=row["started"],
        left_out=row["left_out"],
        missed=row["missed"],
        created_by=row["created_by"],
        created_at=from_micros(row["created_at"]),
        ended_at=maybe_moment(row["ended_at"]),
    )
