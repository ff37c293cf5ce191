"""Which of the waiting entries of `queue` a node holds next: the most urgent first, then those whose turn it is.

An entry of a run with a limit is looked at like any other, but only once: without room in its run it is kept back.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from wingbeat.core.ids import RunId
from wingbeat.store import rooms
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Row, Transaction, maybe_moment, to_micros
from wingbeat.store.filters import Arguments
from wingbeat.store.queue import BY_TIME, CAN_BE_CLAIMED, COLUMNS, Entry, entry_of

_ORDER = "q.priority DESC, q.turn, q.available_at, q.project, q.domain, q.run, q.action"


async def claim(tx: Transaction, node: str, limit: int, *, lanes: Sequence[str] = ()) -> list[Entry]:
    """Up to `limit` waiting entries, now held by `node`. `lanes` are the queues that it serves; none for all."""
    await rooms.let_in(tx)
    claimed: list[Entry] = []
    held: set[RunId] = set()
    wanted = limit
    while wanted:
        candidates = await _next(tx, wanted, lanes, held)
        taken = [replace(each, node=node, token=each.token + 1) for each in await _with_room(tx, candidates, held)]
        await tx.update(
            "UPDATE queue SET node = $5, token = $6 WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4",
            [(*entry.attempt.action.names, node, entry.token) for entry in taken],
        )
        claimed += taken
        wanted = limit - len(claimed) if len(candidates) == wanted else 0
    return claimed


async def next_available_at(tx: Transaction, lanes: Sequence[str] = ()) -> datetime | None:
    """When the first of the waiting entries may be claimed. Who waits for others of its run waits for no time."""
    (row,) = await tx.fetch(
        f"""
        {_served(lanes)}
        SELECT min((SELECT min(q.available_at) FROM queue q WHERE {BY_TIME} AND q.lane = l.lane)) AS first,
               (SELECT 1 FROM run_room LIMIT 1) AS room
          FROM l
        """,
        *lanes,
    )
    return tx.now if row["room"] else maybe_moment(row["first"])


async def _with_room(tx: Transaction, candidates: Sequence[Entry], held: set[RunId]) -> list[Entry]:
    """Those that there is room for; runs that others hold go to `held`, and what else is left is kept back."""
    limited = {entry.attempt.action.run for entry in candidates if entry.action_limit}
    limits = await rooms.hold(tx, limited)
    held |= limited - limits.keys()
    room = {run: limit - await rooms.busy(tx, run) for run, limit in limits.items()}
    taken: list[Entry] = []
    left: list[Entry] = []
    for entry in (each for each in candidates if each.attempt.action.run not in held):
        run = entry.attempt.action.run
        (taken if room.get(run, 1) > 0 else left).append(entry)
        if run in room:
            room[run] -= 1
    await rooms.keep_back(tx, [entry.attempt.action for entry in left])
    if any(each > 0 for each in room.values()):
        # Others pass over a run that is held: they shall look again.
        tx.changed(QUEUE)
    return taken


async def _next(tx: Transaction, limit: int, lanes: Sequence[str], without: Collection[RunId]) -> list[Entry]:
    """Of each of the lanes up to `limit`, or of all together; then the first `limit` of those."""
    rows = [row for lane in lanes or (None,) for row in await _first(tx, limit, lane, without)]
    if len(rows) > limit:
        # Others pass over those that were locked in vain.
        rows = sorted(rows, key=_turn)[:limit]
        tx.changed(QUEUE)
    return list(map(entry_of, rows))


async def _first(tx: Transaction, limit: int, lane: str | None, without: Collection[RunId]) -> Sequence[Row]:
    args = Arguments()
    of_lane = "" if lane is None else f"AND q.lane = {args.add(lane)}"
    of_others = (
        f"AND (q.project, q.domain, q.run) NOT IN (VALUES {args.rows(run.names for run in without)})" if without else ""
    )
    return await tx.fetch(
        f"""
        SELECT {COLUMNS}
          FROM queue q
         WHERE {CAN_BE_CLAIMED} AND q.available_at <= {args.add(to_micros(tx.now))} {of_lane} {of_others}
         ORDER BY {_ORDER}
         LIMIT {args.add(limit)}{tx.skip_locked}
        """,
        *args.values,
    )


def _served(lanes: Sequence[str]) -> str:
    """The lanes, or all in which something waits, one look into an index for each, as the table `l`."""
    if lanes:
        return f"WITH l (lane) AS (VALUES {', '.join(f'(${n + 1})' for n in range(len(lanes)))})"
    return f"""
        WITH RECURSIVE l (lane) AS (
            SELECT min(lane) FROM queue WHERE {BY_TIME}
             UNION ALL
            SELECT (SELECT min(q.lane) FROM queue q WHERE {BY_TIME} AND q.lane > l.lane)
              FROM l WHERE l.lane IS NOT NULL)
    """


def _turn(row: Row) -> tuple[int, int, int]:
    return -row["priority"], row["turn"], row["available_at"]
