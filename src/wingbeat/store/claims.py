"""Which of the waiting entries of `queue` a node holds next: the most urgent first, then those whose turn it is.

Runs with a limit are counted under the lock of their own row, which is taken before any entry: so however many nodes
claim at once, no limit is passed. Besides, only who begins to read a run's files, and its pruner, lock that row. Who
waits for children is not counted. The other runs are not touched by any of this.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from wingbeat.core.ids import RunId
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Row, Transaction, maybe_moment, placeholders, to_micros
from wingbeat.store.queue import BY_TIME, CAN_BE_CLAIMED, COLUMNS, Entry, entry_of

_ORDER = "q.priority DESC, q.turn, q.available_at, q.project, q.domain, q.run, q.action"
_BUSY = """
    h.node IS NOT NULL AND h.action_limit > 0
    AND NOT EXISTS (SELECT 1 FROM queue c
                     WHERE c.project = h.project AND c.domain = h.domain AND c.run = h.run AND c.parent = h.action)
"""
"""Held by a node, of a run with a limit, and not waiting for children."""


async def claim(tx: Transaction, node: str, limit: int, *, lanes: Sequence[str] = ()) -> list[Entry]:
    """Up to `limit` waiting entries, now held by `node`. `lanes` are the queues that it serves; none for all."""
    candidates = [*await _limited(tx, limit, lanes), *await _unlimited(tx, limit, lanes)]
    if len(candidates) > limit:
        # Others pass over those that were locked in vain: they shall look again.
        candidates = sorted(candidates, key=_turn)[:limit]
        tx.changed(QUEUE)
    entries = [replace(entry, node=node, token=entry.token + 1) for entry in map(entry_of, candidates)]
    await tx.update(
        "UPDATE queue SET node = $5, token = $6 WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4",
        [(*_run(entry), entry.attempt.action.name, node, entry.token) for entry in entries],
    )
    return entries


async def next_available_at(tx: Transaction, lanes: Sequence[str] = ()) -> datetime | None:
    """When the first of the waiting entries may be claimed. Who waits for others of its run waits for no time."""
    row = await tx.fetchrow(
        f"""
        {_served(lanes, 2)}
        SELECT min((SELECT min(q.available_at) FROM queue q
                     WHERE {BY_TIME} AND q.lane = l.lane AND (action_limit = 0 OR q.available_at > $1))) AS first
          FROM l
        """,
        to_micros(tx.now),
        *lanes,
    )
    return maybe_moment(row["first"]) if row else None


async def _unlimited(tx: Transaction, limit: int, lanes: Sequence[str]) -> list[Row]:
    """Of each of the lanes up to `limit`; without lanes, of all together."""
    if not lanes:
        return list(await _first(tx, limit))
    return [row for lane in lanes for row in await _first(tx, limit, lane)]


async def _first(tx: Transaction, limit: int, *lane: str) -> Sequence[Row]:
    return await tx.fetch(
        f"""
        SELECT {COLUMNS}
          FROM queue q
         WHERE {CAN_BE_CLAIMED} AND action_limit = 0 AND q.available_at <= $1{" AND q.lane = $3" if lane else ""}
         ORDER BY {_ORDER}
         LIMIT $2{tx.skip_locked}
        """,
        to_micros(tx.now),
        limit,
        *lane,
    )


async def _limited(tx: Transaction, limit: int, lanes: Sequence[str]) -> list[Row]:
    limits = await _with_room(tx, limit, lanes)
    for run in limits:
        await tx.execute(
            f"SELECT name FROM run WHERE project = $1 AND domain = $2 AND name = $3{tx.for_update}", *_key(run)
        )
    claimable: list[Row] = []
    for run, action_limit in limits.items():
        room = action_limit - await _busy(tx, run)
        if room > 0:
            claimable += await _of_run(tx, run, min(room, limit), lanes)
    if len(claimable) < limit == len(limits):
        # Other nodes were faster, and there may be runs behind those: look again.
        tx.changed(QUEUE)
    return claimable


async def _with_room(tx: Transaction, limit: int, lanes: Sequence[str]) -> dict[RunId, int]:
    """The limits of runs that have room for one more at least, those whose turn it is; in the order of locks."""
    rows = await tx.fetch(
        f"""
        WITH busy AS (SELECT h.project, h.domain, h.run, count(*) AS number FROM queue h
                       WHERE {_BUSY} GROUP BY h.project, h.domain, h.run),
             waiting AS (SELECT q.project, q.domain, q.run, max(q.action_limit) AS action_limit,
                                max(q.priority) AS priority, min(q.turn) AS turn
                           FROM queue q
                          WHERE {CAN_BE_CLAIMED} AND q.action_limit > 0 AND q.available_at <= $1{_among(lanes, 3)}
                          GROUP BY q.project, q.domain, q.run)
        SELECT w.project, w.domain, w.run, w.action_limit
          FROM waiting w LEFT JOIN busy ON busy.project = w.project AND busy.domain = w.domain AND busy.run = w.run
         WHERE coalesce(busy.number, 0) < w.action_limit
         ORDER BY w.priority DESC, w.turn, w.project, w.domain, w.run
         LIMIT $2
        """,
        to_micros(tx.now),
        limit,
        *lanes,
    )
    found = {RunId(row["project"], row["domain"], row["run"]): row["action_limit"] for row in rows}
    return {run: found[run] for run in sorted(found, key=_key)}


async def _busy(tx: Transaction, run: RunId) -> int:
    row = await tx.fetchrow(
        f"SELECT count(*) AS number FROM queue h WHERE h.project = $1 AND h.domain = $2 AND h.run = $3 AND {_BUSY}",
        *_key(run),
    )
    return row["number"] if row else 0


async def _of_run(tx: Transaction, run: RunId, room: int, lanes: Sequence[str]) -> Sequence[Row]:
    return await tx.fetch(
        f"""
        SELECT {COLUMNS}
          FROM queue q
         WHERE q.project = $1 AND q.domain = $2 AND q.run = $3
           AND {CAN_BE_CLAIMED} AND q.action_limit > 0 AND q.available_at <= $4{_among(lanes, 6)}
         ORDER BY {_ORDER}
         LIMIT $5{tx.skip_locked}
        """,
        *_key(run),
        to_micros(tx.now),
        room,
        *lanes,
    )


def _served(lanes: Sequence[str], first: int) -> str:
    """The lanes, or all in which something waits, one look into an index for each, as the table `l`."""
    if lanes:
        return f"WITH l (lane) AS (VALUES {', '.join(f'(${first + n})' for n in range(len(lanes)))})"
    return f"""
        WITH RECURSIVE l (lane) AS (
            SELECT min(lane) FROM queue WHERE {BY_TIME}
             UNION ALL
            SELECT (SELECT min(q.lane) FROM queue q WHERE {BY_TIME} AND q.lane > l.lane)
              FROM l WHERE l.lane IS NOT NULL)
    """


def _among(lanes: Sequence[str], first: int) -> str:
    return f" AND q.lane IN ({placeholders(first, len(lanes))})" if lanes else ""


def _turn(row: Row) -> tuple[int, int, int]:
    return -row["priority"], row["turn"], row["available_at"]


def _run(entry: Entry) -> tuple[str, str, str]:
    return _key(entry.attempt.action.run)


def _key(run: RunId) -> tuple[str, str, str]:
    return run.project, run.domain, run.name
