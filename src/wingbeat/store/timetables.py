"""What `schedule` and `backlog` say, for those who only look: nothing is locked here and nothing decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.ids import Scope, TriggerName
from wingbeat.core.trigger import Firing
from wingbeat.store import firings
from wingbeat.store.database import Row, Transaction, Value, maybe_moment, placeholders, to_micros

_COLUMNS = f"{', '.join(f's.{column.strip()}' for column in firings.COLUMNS.split(','))}, s.error"
_NAME = "t.project, t.domain, t.task_name, t.name"
_TABLES = "schedule s JOIN trigger_spec t ON t.trigger_id = s.trigger_id"


@dataclass(frozen=True, slots=True)
class Timetable:
    """When one trigger fires, and why it does not as it should, if so."""

    name: TriggerName
    firing: Firing
    error: str
    """Of the last decision; empty when it was a good one."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """What is due and not done, over all triggers."""

    overdue: int
    oldest_undecided: datetime | None
    backlogs: int
    waiting: int
    """Of the backlogs: for the end of a run."""
    behind: int
    """Triggers that have a backlog."""
    oldest_backlog: datetime | None
    failing: int


async def find_many(tx: Transaction, ids: Sequence[int]) -> dict[int, Timetable]:
    if not ids:
        return {}
    rows = await tx.fetch(
        f"SELECT {_COLUMNS}, {_NAME} FROM {_TABLES} WHERE s.trigger_id IN ({placeholders(1, len(ids))})", *ids
    )
    return {row["trigger_id"]: _timetable(row) for row in rows}


async def going(tx: Transaction, scope: Scope | None, *, limit: int) -> list[Timetable]:
    """Of the triggers that fire by themselves, in the order in which they were made."""
    where, args = (
        ("", ()) if scope is None else (" AND t.project = $2 AND t.domain = $3", (scope.project, scope.domain))
    )
    values: tuple[Value, ...] = (limit, *args)
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS}, {_NAME} FROM {_TABLES}
         WHERE s.next_fire_at IS NOT NULL{where}
         ORDER BY s.trigger_id LIMIT $1
        """,
        *values,
    )
    return [_timetable(row) for row in rows]


async def failing(tx: Transaction, limit: int) -> list[Timetable]:
    """Those whose last decisions failed, the worst first."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS}, {_NAME} FROM {_TABLES}
         WHERE s.failures > 0 ORDER BY s.failures DESC, s.trigger_id LIMIT $1
        """,
        limit,
    )
    return [_timetable(row) for row in rows]


async def lateness(tx: Transaction) -> Lateness:
    """What it costs grows with what is late, not with the number of triggers."""
    (row,) = await tx.fetch(
        """
        SELECT (SELECT count(*) FROM schedule WHERE wake_at <= $1) AS due,
               (SELECT next_fire_at FROM schedule WHERE wake_at <= $1 ORDER BY wake_at, trigger_id LIMIT 1) AS oldest,
               (SELECT count(*) FROM schedule WHERE failures > 0) AS failing,
               (SELECT count(*) FROM schedule WHERE failures > 0 AND wake_at > $1 AND next_fire_at <= $1) AS put_off,
               (SELECT min(next_fire_at) FROM schedule
                 WHERE failures > 0 AND wake_at > $1 AND next_fire_at <= $1) AS oldest_put_off,
               (SELECT count(*) FROM backlog) AS backlogs,
               (SELECT count(*) FROM backlog WHERE wake_at > $1) AS waiting,
               (SELECT count(DISTINCT trigger_id) FROM backlog) AS behind,
               (SELECT min(after) FROM backlog) AS oldest_backlog
        """,
        to_micros(tx.now),
    )
    undecided = [slot for slot in (row["oldest"], row["oldest_put_off"]) if slot is not None]
    return Lateness(
        overdue=row["due"] + row["put_off"],
        oldest_undecided=maybe_moment(min(undecided, default=None)),
        backlogs=row["backlogs"],
        waiting=row["waiting"],
        behind=row["behind"],
        oldest_backlog=maybe_moment(row["oldest_backlog"]),
        failing=row["failing"],
    )


async def active(tx: Transaction) -> int:
    """How many triggers fire by themselves. Counts them all: for people who ask, not for every few seconds."""
    (row,) = await tx.fetch("SELECT count(*) AS active FROM schedule WHERE wake_at IS NOT NULL")
    return row["active"]


def _timetable(row: Row) -> Timetable:
    name = TriggerName(row["project"], row["domain"], row["task_name"], row["name"])
    return Timetable(name, firings.firing_of(row), row["error"] or "")
