"""Rows of `queue`: every action that waits for a node or is held by one.

The token grows with each claim; who acts on an older one has lost the action. How long a node may hold is the node's
own lease (`store/nodes.py`), so holding a thousand actions costs no more than holding one.

Runs share the nodes fairly by virtual clock (Zhang, 1990): an entry's turn is the moment it comes, and at least a
second after the turn of its run's last one. So the first action of a new run does not wait for another run's ten
thousandth, and that one is not put off for ever by new runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId
from wingbeat.store import rooms
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Row, Transaction, from_micros, placeholders, to_micros

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""What is available then is waited for and cannot be claimed: somebody else will say when it goes on."""
CAN_BE_CLAIMED = "node IS NULL AND available_at < 253370764800000000 AND NOT kept_back"
"""At some time: the words of the indexes, which only have entries that wait for a time before `NEVER`."""
BY_TIME = f"{CAN_BE_CLAIMED} AND token >= 0"
"""The same: the words of the index by lane and time, which is for nothing else."""
TURN_MICROS = 1_000_000
"""Between two entries of one run."""
_NAMES = (
    "project",
    "domain",
    "run",
    "action",
    "attempt",
    "parent",
    "priority",
    "turn",
    "lane",
    "trigger_id",
    "available_at",
    "node",
    "token",
    "action_limit",
)
COLUMNS = ", ".join(f"q.{name}" for name in _NAMES)
"""Of `queue q`."""
_IS_ACTION = "project = $1 AND domain = $2 AND run = $3 AND action = $4"


@dataclass(frozen=True, slots=True)
class Entry:
    attempt: AttemptId
    """The attempt that comes next, or that `node` is making."""
    priority: int
    lane: str
    trigger_id: int | None
    available_at: datetime
    """Nobody may claim it earlier."""
    parent: str | None = None
    """The action that asked for this one."""
    node: str | None = None
    token: int = 0
    action_limit: int = 0
    """How many actions of its run nodes may hold at once; 0 for any number."""


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that a node makes, as the database knows it."""

    attempt: AttemptId
    token: int
    phase: Phase
    output_prefix: str
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry waits."""

    lane: str
    action_limit: int
    kept_back: bool
    """Its run has no room for it."""


async def add(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Entries of new runs, which have room for their first one, or of one run.

    Raises Conflict when an action is queued already.
    """
    new = all(entry.attempt.action.name == ROOT_ACTION and entry.attempt.number == 1 for entry in entries)
    turn = to_micros(tx.now) if new else await _next_turn(tx, entries[0].attempt.action.run)
    rows = [
        (
            *entry.attempt.action.names,
            entry.attempt.number,
            entry.parent,
            entry.priority,
            turn,
            entry.lane,
            entry.trigger_id,
            to_micros(entry.available_at),
            entry.node,
            entry.token,
            entry.action_limit,
            not new and entry.action_limit > 0 and entry.available_at < NEVER,
        )
        for entry in entries
    ]
    await tx.insert("queue", (*_NAMES, "kept_back"), rows)
    if not new and entries[0].action_limit:
        await rooms.tell(tx, [entries[0].attempt.action.run])
    tx.changed(QUEUE)


async def held(tx: Transaction, node: str) -> list[Held]:
    """What `node` is making and has not ended: the truth after a restart."""
    rows = await tx.fetch(
        """
        SELECT q.project, q.domain, q.run, q.action, q.attempt, q.token, t.phase, t.output_prefix, a.spec_digest
          FROM queue q
          JOIN action a ON a.project = q.project AND a.domain = q.domain AND a.run = q.run AND a.name = q.action
          JOIN attempt t ON t.project = q.project AND t.domain = q.domain AND t.run = q.run AND t.action = q.action
                        AND t.number = q.attempt
         WHERE q.node = $1 AND a.phase IN ($2, $3)
         ORDER BY q.project, q.domain, q.run, q.action
        """,
        node,
        Phase.INITIALIZING.value,
        Phase.RUNNING.value,
    )
    return [
        Held(_attempt(row), row["token"], Phase(row["phase"]), row["output_prefix"], row["spec_digest"]) for row in rows
    ]


async def abandoned(tx: Transaction, limit: int, *, only: ActionId | None = None) -> list[Entry]:
    """Entries, locked, whose node's lease is gone. In the order of the nodes: so those that wait are not looked at."""
    one = "AND q.project = $3 AND q.domain = $4 AND q.run = $5 AND q.action = $6" if only else ""
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS}
          FROM queue q
         WHERE q.node IS NOT NULL {one}
           AND NOT EXISTS (SELECT 1 FROM node n WHERE n.id = q.node AND n.lease_until > $1)
         ORDER BY q.node, q.project, q.domain, q.run, q.action
         LIMIT $2{tx.skip_locked}
        """,
        to_micros(tx.now),
        limit,
        *(only.names if only else ()),
    )
    return [entry_of(row) for row in rows]


async def find(tx: Transaction, action: ActionId) -> Entry | None:
    """The entry, locked until the end of the transaction."""
    row = await tx.fetchrow(
        f"""
        SELECT {COLUMNS}
          FROM queue q
         WHERE q.project = $1 AND q.domain = $2 AND q.run = $3 AND q.action = $4{tx.for_update}
        """,
        *action.names,
    )
    return None if row is None else entry_of(row)


async def waiting_by_lane(tx: Transaction) -> list[tuple[str, int]]:
    """How many entries may be claimed now and are not, by lane; the fullest first."""
    rows = await tx.fetch(
        f"""
        SELECT lane, count(*) AS waiting FROM queue WHERE {BY_TIME} AND available_at <= $1
         GROUP BY lane ORDER BY waiting DESC, lane
        """,
        to_micros(tx.now),
    )
    return [(row["lane"], row["waiting"]) for row in rows]


async def release(tx: Transaction, attempt: AttemptId, *, at: datetime) -> None:
    """Nobody holds the action any more; `attempt` may be claimed from `at` on."""
    left = await tx.fetch(
        f"UPDATE queue SET node = NULL, attempt = $5, available_at = $6 WHERE {_IS_ACTION} RETURNING action_limit",
        *attempt.action.names,
        attempt.number,
        to_micros(at),
    )
    await _leave(tx, attempt.action.run, left)


async def remove(tx: Transaction, *actions: ActionId) -> None:
    """These actions of one run are over: a node that still runs one will stop it."""
    run = actions[0].run
    left = await tx.fetch(
        f"DELETE FROM queue WHERE project = $1 AND domain = $2 AND run = $3"
        f" AND action IN ({placeholders(4, len(actions))}) RETURNING action_limit",
        *run.names,
        *(action.name for action in actions),
    )
    await _leave(tx, run, left)


async def waiting_parents(tx: Transaction, node: str) -> int:
    """How many of the actions that `node` holds have children that are not over: those use no slot."""
    rows = await tx.fetch(
        """
        SELECT count(*) AS number
          FROM queue q
         WHERE q.node = $1
           AND EXISTS (SELECT 1 FROM queue c
                        WHERE c.project = q.project AND c.domain = q.domain AND c.run = q.run AND c.parent = q.action)
        """,
        node,
    )
    return rows[0]["number"]


async def place(tx: Transaction, action: ActionId) -> Place | None:
    """Where the action waits; None when it is over."""
    row = await tx.fetchrow(f"SELECT lane, action_limit, kept_back FROM queue WHERE {_IS_ACTION}", *action.names)
    return None if row is None else Place(row["lane"], row["action_limit"], bool(row["kept_back"]))


async def terms_of_run(tx: Transaction, run: RunId) -> tuple[str, int]:
    """The lane and the limit with which the first action of a run that goes on was queued."""
    row = await tx.fetchrow(f"SELECT lane, action_limit FROM queue WHERE {_IS_ACTION}", *run.names, ROOT_ACTION)
    return (row["lane"], row["action_limit"]) if row else ("", 0)


def entry_of(row: Row) -> Entry:
    """From a row with `COLUMNS`."""
    return Entry(
        attempt=_attempt(row),
        priority=row["priority"],
        lane=row["lane"],
        trigger_id=row["trigger_id"],
        available_at=from_micros(row["available_at"]),
        parent=row["parent"],
        node=row["node"],
        token=row["token"],
        action_limit=row["action_limit"],
    )


async def _leave(tx: Transaction, run: RunId, left: Sequence[Row]) -> None:
    """These entries of the run are in nobody's hands any more."""
    if any(row["action_limit"] for row in left):
        await rooms.tell(tx, [run])
    tx.changed(QUEUE)


async def _next_turn(tx: Transaction, run: RunId) -> int:
    rows = await tx.fetch(
        "SELECT max(turn) AS last FROM queue WHERE project = $1 AND domain = $2 AND run = $3",
        *run.names,
    )
    return max(to_micros(tx.now), (rows[0]["last"] or 0) + TURN_MICROS)


def _attempt(row: Row) -> AttemptId:
    return AttemptId(ActionId(RunId(row["project"], row["domain"], row["run"]), row["action"]), row["attempt"])
