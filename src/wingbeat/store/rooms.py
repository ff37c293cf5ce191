"""Room in runs with a limit, and word of it in `run_room`. An entry that finds none is kept back until there is some.

Who comes or goes appends word and locks nothing. Claims take the word, and count a run under the lock of its own row:
so however many nodes claim at once, no limit is passed. Besides, only who begins to read a run's files, and its pruner,
lock that row. Nobody waits for it here: a run that others hold is passed over, and its word is left.
"""

from collections.abc import Collection, Iterable, Mapping

from wingbeat.core.ids import ActionId, RunId
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Transaction, to_micros
from wingbeat.store.filters import Arguments

MOST_RUNS = 100
"""Whose word is taken at a time."""
_OF_RUN = "q.project = $1 AND q.domain = $2 AND q.run = $3"


async def tell(tx: Transaction, runs: Iterable[RunId]) -> None:
    """These runs, which have limits, may have room for what is kept back."""
    await tx.insert("run_room", ("project", "domain", "run"), [run.names for run in runs])
    tx.changed(QUEUE)


async def let_in(tx: Transaction) -> None:
    """Take the word there is: what there is room for is kept back no longer."""
    rows = await tx.fetch(
        "SELECT project, domain, run FROM run_room GROUP BY project, domain, run ORDER BY min(id) LIMIT $1", MOST_RUNS
    )
    if not rows:
        return
    held = await hold(tx, [RunId(row["project"], row["domain"], row["run"]) for row in rows])
    # Before anything is counted: what is told from now on is for the next one.
    await tx.update("DELETE FROM run_room WHERE project = $1 AND domain = $2 AND run = $3", [run.names for run in held])
    for run, limit in held.items():
        await _let_into(tx, run, limit)
    if len(rows) == MOST_RUNS:
        tx.changed(QUEUE)


async def hold(tx: Transaction, runs: Collection[RunId]) -> Mapping[RunId, int]:
    """The limits of those that nobody else holds, locked until the end of the transaction."""
    if not runs:
        return {}
    args = Arguments()
    # CROSS JOIN: SQLite keeps its order.
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, name) AS (VALUES {args.rows(run.names for run in runs)})
        SELECT r.project, r.domain, r.name, r.action_limit
          FROM k CROSS JOIN run r
         WHERE r.project = k.project AND r.domain = k.domain AND r.name = k.name
         ORDER BY r.project, r.domain, r.name{tx.skip_locked}
        """,
        *args.values,
    )
    return {RunId(row["project"], row["domain"], row["name"]): row["action_limit"] for row in rows}


async def busy(tx: Transaction, run: RunId) -> int:
    """How many of its actions nodes hold. Who waits for children is not counted."""
    # No node has an empty name: by the range SQLite finds the index, and not all entries of the run.
    rows = await tx.fetch(
        f"""
        SELECT count(*) AS number FROM queue q
         WHERE {_OF_RUN} AND q.node > '' AND q.node IS NOT NULL AND q.action_limit > 0
           AND NOT EXISTS (SELECT 1 FROM queue c
                            WHERE c.project = q.project AND c.domain = q.domain AND c.run = q.run
                              AND c.parent = q.action)
        """,
        *run.names,
    )
    return rows[0]["number"]


async def keep_back(tx: Transaction, actions: Iterable[ActionId]) -> None:
    """Their runs, which are held, have no room for them."""
    await _mark(tx, actions, "TRUE")


async def _let_into(tx: Transaction, run: RunId, limit: int) -> None:
    """In each lane as many as there is room for: which of the lanes have a node is not known here."""
    lanes = await _lanes(tx, run)
    room = limit - await busy(tx, run) if lanes else 0
    for lane in lanes:
        wanted = room - await _waiting(tx, run, lane)
        if wanted > 0 and len(await _let_in(tx, run, lane, wanted)) < wanted and lane in await _lanes(tx, run):
            # Others hold what is kept back for a moment.
            await tell(tx, [run])


async def _lanes(tx: Transaction, run: RunId) -> list[str]:
    """Those in which something is kept back, one look into the index for each."""
    of_run = f"{_OF_RUN} AND kept_back"
    rows = await tx.fetch(
        f"""
        WITH RECURSIVE l (lane) AS (
            SELECT min(q.lane) FROM queue q WHERE {of_run}
             UNION ALL
            SELECT (SELECT min(q.lane) FROM queue q WHERE {of_run} AND q.lane > l.lane) FROM l WHERE l.lane IS NOT NULL)
        SELECT lane FROM l WHERE lane IS NOT NULL ORDER BY lane
        """,
        *run.names,
    )
    return [row["lane"] for row in rows]


async def _waiting(tx: Transaction, run: RunId, lane: str) -> int:
    """How many have been let in, or had no need to be, and are not taken yet."""
    rows = await tx.fetch(
        f"""
        SELECT count(*) AS number FROM queue q
         WHERE {_OF_RUN} AND q.lane = $4 AND q.available_at <= $5
           AND q.node IS NULL AND q.action_limit > 0 AND NOT kept_back
        """,
        *run.names,
        lane,
        to_micros(tx.now),
    )
    return rows[0]["number"]


async def _let_in(tx: Transaction, run: RunId, lane: str, wanted: int) -> list[ActionId]:
    rows = await tx.fetch(
        f"""
        SELECT q.action FROM queue q
         WHERE {_OF_RUN} AND q.lane = $4 AND kept_back
         ORDER BY q.priority DESC, q.turn, q.available_at, q.action LIMIT $5{tx.skip_locked}
        """,
        *run.names,
        lane,
        wanted,
    )
    actions = [ActionId(run, row["action"]) for row in rows]
    await _mark(tx, actions, "FALSE")
    return actions


async def _mark(tx: Transaction, actions: Iterable[ActionId], kept_back: str) -> None:
    await tx.update(
        f"UPDATE queue SET kept_back = {kept_back} WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4",
        [action.names for action in actions],
    )
