"""Rows of `cache_reservation`, and the entries of the queue that wait for what their holders compute.

Whoever changes who waits locks the reservation first, so that no end of a holder passes by somebody who begins to wait.
"""

from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.store import queue, rooms
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Transaction, to_micros


async def reserve(tx: Transaction, name: str, action: ActionId) -> ActionId:
    """Who holds the reservation, which is locked then: `action`, unless somebody else was earlier."""
    (row,) = await tx.fetch(
        """
        INSERT INTO cache_reservation (name, project, domain, run, action) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET name = excluded.name
        RETURNING project, domain, run, action
        """,
        name,
        *action.names,
    )
    return ActionId(RunId(row["project"], row["domain"], row["run"]), row["action"])


async def wait(tx: Transaction, attempt: AttemptId, name: str) -> None:
    """The attempt waits in the queue until the reservation's holder is over."""
    await tx.execute(
        "UPDATE queue SET reservation = $5 WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4",
        *attempt.action.names,
        name,
    )
    await queue.release(tx, attempt, at=queue.NEVER)


async def pass_on(tx: Transaction, name: str, holder: ActionId) -> None:
    """The holder is over and has computed nothing: who has waited longest is the next one, and goes on."""
    if not await _holds(tx, name, holder):
        return
    heir = await tx.fetchrow(
        f"""
        SELECT project, domain, run, action FROM queue WHERE reservation = $1
         ORDER BY turn, project, domain, run, action LIMIT 1{tx.for_update}
        """,
        name,
    )
    if heir is None:
        await _remove(tx, name)
        return
    key = (heir["project"], heir["domain"], heir["run"], heir["action"])
    await tx.execute(
        "UPDATE cache_reservation SET project = $2, domain = $3, run = $4, action = $5 WHERE name = $1", name, *key
    )
    await tx.execute(
        "UPDATE queue SET reservation = NULL, available_at = $5"
        " WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4",
        *key,
        to_micros(tx.now),
    )
    tx.changed(QUEUE)


async def give_up(tx: Transaction, name: str, holder: ActionId) -> None:
    """There is a result: nobody computes any more, and all that have waited go on."""
    if not await _holds(tx, name, holder):
        return
    await _remove(tx, name)
    woken = await tx.fetch(
        """
        UPDATE queue SET reservation = NULL, available_at = $2, kept_back = action_limit > 0 WHERE reservation = $1
        RETURNING project, domain, run, action_limit
        """,
        name,
        to_micros(tx.now),
    )
    if woken:
        limited = {RunId(row["project"], row["domain"], row["run"]) for row in woken if row["action_limit"]}
        await rooms.tell(tx, sorted(limited))


async def of_run(tx: Transaction, run: RunId) -> list[tuple[str, ActionId]]:
    """All that actions of the run hold, by name and in its order."""
    rows = await tx.fetch(
        "SELECT name, action FROM cache_reservation WHERE project = $1 AND domain = $2 AND run = $3 ORDER BY name",
        *run.names,
    )
    return [(row["name"], ActionId(run, row["action"])) for row in rows]


async def _holds(tx: Transaction, name: str, action: ActionId) -> bool:
    """Locks the reservation."""
    row = await tx.fetchrow(
        f"SELECT project, domain, run, action FROM cache_reservation WHERE name = $1{tx.for_update}", name
    )
    return row is not None and (row["project"], row["domain"], row["run"], row["action"]) == action.names


async def _remove(tx: Transaction, name: str) -> None:
    await tx.execute("DELETE FROM cache_reservation WHERE name = $1", name)
