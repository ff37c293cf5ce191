"""Rows of `timer`: what is due when, for actions that are not over. An attempt has at most one timer of a kind.

Who takes a timer holds the action's row in the queue, as who removes it does: so it goes off once, or not at all.
"""

from collections.abc import Sequence
from datetime import datetime

from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.core.timer import Timer, TimerKind
from wingbeat.store.changes import TIMERS
from wingbeat.store.database import Row, Transaction, Value, from_micros, maybe_moment, placeholders, to_micros

_NAMES = ("project", "domain", "run", "action", "kind", "attempt", "at")
_COLUMNS = ", ".join(_NAMES)


async def add(tx: Transaction, timers: Sequence[Timer]) -> None:
    """Raises Conflict when there is one of the same kind for the same attempt."""
    if timers:
        await tx.insert("timer", _NAMES, [_values(timer) for timer in timers])
        tx.changed(TIMERS)


async def restore(tx: Transaction, timer: Timer) -> None:
    """Add the timer, unless there is one of its kind for its attempt: that one stays as it is."""
    await tx.execute(
        f"INSERT INTO timer ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING", *_values(timer)
    )
    tx.changed(TIMERS)


async def take(tx: Transaction, timer: Timer) -> bool:
    """Whether it was there; it is gone then. The action is locked."""
    taken = await tx.execute(
        """
        DELETE FROM timer
         WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4 AND kind = $5 AND attempt = $6 AND at = $7
        """,
        *_values(timer),
    )
    return taken == 1


async def remove(tx: Transaction, *actions: ActionId) -> None:
    """All of these actions of one run, which are locked."""
    run = actions[0].run
    await tx.execute(
        f"DELETE FROM timer WHERE project = $1 AND domain = $2 AND run = $3"
        f" AND action IN ({placeholders(4, len(actions))})",
        *run.names,
        *(action.name for action in actions),
    )


async def due(tx: Transaction, limit: int) -> list[Timer]:
    """The longest due first. They are not locked: `take` decides."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM timer WHERE at <= $1
         ORDER BY at, project, domain, run, action, kind, attempt
         LIMIT $2
        """,
        to_micros(tx.now),
        limit,
    )
    return [_timer(row) for row in rows]


async def next_at(tx: Transaction) -> datetime | None:
    row = await tx.fetchrow("SELECT min(at) AS first FROM timer")
    return maybe_moment(row["first"]) if row else None


def _values(timer: Timer) -> tuple[Value, ...]:
    action = timer.attempt.action
    return (
        *action.names,
        timer.kind.value,
        timer.attempt.number,
        to_micros(timer.at),
    )


def _timer(row: Row) -> Timer:
    action = ActionId(RunId(row["project"], row["domain"], row["run"]), row["action"])
    return Timer(AttemptId(action, row["attempt"]), TimerKind(row["kind"]), from_micros(row["at"]))
