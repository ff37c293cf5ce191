"""The latest run of each of many tasks or versions: one look into an index for each, however many runs there are."""

from collections.abc import Mapping, Sequence

from wingbeat.core.action import Phase
from wingbeat.core.ids import RunId, TaskId, TaskName
from wingbeat.core.task import LatestRun
from wingbeat.store.database import Row, Transaction, from_micros
from wingbeat.store.filters import Arguments

_NAME = ("project", "domain", "name")
_VERSION = (*_NAME, "version")
_SHOWN = ("project", "domain", "run", "phase", "created_at")


async def of_tasks(tx: Transaction, tasks: Sequence[TaskName]) -> Mapping[TaskName, LatestRun]:
    """Of those that have run, whatever version."""
    keys = [(task.project, task.domain, task.name) for task in tasks]
    return {
        TaskName(row["task_project"], row["task_domain"], row["task_name"]): _latest(row)
        for row in await _latest_rows(tx, _NAME, keys)
    }


async def of_versions(tx: Transaction, tasks: Sequence[TaskId]) -> Mapping[TaskId, LatestRun]:
    """Of those that have run."""
    keys = [(task.project, task.domain, task.name, task.version) for task in tasks]
    return {
        TaskId(row["task_project"], row["task_domain"], row["task_name"], row["task_version"]): _latest(row)
        for row in await _latest_rows(tx, _VERSION, keys)
    }


async def _latest_rows(tx: Transaction, names: Sequence[str], keys: Sequence[Sequence[str]]) -> Sequence[Row]:
    if not keys:
        return []
    args = Arguments()
    values = ", ".join(f"({', '.join(args.add(part) for part in key)})" for key in keys)
    same = " AND ".join(f"a.task_{name} = k.{name}" for name in names)
    # Not one look for all columns: SQLite knows no LATERAL, and as a join databases would read all runs of a task.
    looks = ", ".join(
        f"""(SELECT a.{column} FROM action a WHERE a.parent IS NULL AND {same}
              ORDER BY a.created_at DESC, a.run DESC LIMIT 1) AS {column}"""
        for column in _SHOWN
    )
    wanted = ", ".join(f"k.{name} AS task_{name}" for name in names)
    rows = await tx.fetch(
        f"""
        WITH k ({", ".join(names)}) AS (VALUES {values})
        SELECT {wanted}, {looks} FROM k
        """,
        *args.values,
    )
    return [row for row in rows if row["run"] is not None]


def _latest(row: Row) -> LatestRun:
    return LatestRun(
        run=RunId(row["project"], row["domain"], row["run"]),
        task=row["task_name"],
        phase=Phase(row["phase"]),
        created_at=from_micros(row["created_at"]),
    )
