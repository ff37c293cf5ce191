"""The latest run of each of many tasks or versions: one look into an index for each, however many runs there are."""

from collections.abc import Mapping, Sequence

from wingbeat.core.action import Phase
from wingbeat.core.ids import RunId, TaskId, TaskName
from wingbeat.core.task import LatestRun
from wingbeat.store.database import Row, Transaction, from_micros
from wingbeat.store.filters import Arguments

_NAME = ("project", "domain", "name")
_VERSION = (*_NAME, "version")
_SHOWN = ("project", "domain", "run", "phase", "created_at", *(f"task_{name}" for name in _VERSION))


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
    """An index has the runs of each phase by age, so the latest is the latest of ten."""
    if not keys:
        return []
    args = Arguments()
    phases = ", ".join(f"({phase.value})" for phase in Phase)
    ages = await tx.fetch(
        f"""
        WITH k ({", ".join(names)}) AS (VALUES {args.rows(keys)}),
             p (phase) AS (VALUES {phases})
        SELECT {", ".join(f"k.{name}" for name in names)}, p.phase,
               (SELECT max(a.created_at) FROM action a WHERE {_same("a", names)} AND a.phase = p.phase) AS created_at
          FROM k CROSS JOIN p
        """,
        *args.values,
    )
    latest: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in ages:
        if row["created_at"] is not None:
            key = tuple(row[name] for name in names)
            latest[key] = max(latest.get(key, (0, 0)), (row["created_at"], row["phase"]))
    return await _rows(tx, names, latest)


async def _rows(
    tx: Transaction, names: Sequence[str], latest: Mapping[tuple[str, ...], tuple[int, int]]
) -> Sequence[Row]:
    if not latest:
        return []
    args = Arguments()
    found = ", ".join(
        f"({_marks(key, args)}, CAST({args.add(at)} AS BIGINT), CAST({args.add(phase)} AS BIGINT))"
        for key, (at, phase) in latest.items()
    )
    then = "{0}.phase = k.phase AND {0}.created_at = k.created_at"
    return await tx.fetch(
        f"""
        WITH k ({", ".join(names)}, created_at, phase) AS (VALUES {found})
        SELECT {", ".join(f"a.{column}" for column in _SHOWN)}
          FROM k JOIN action a ON {_same("a", names)} AND {then.format("a")}
         WHERE a.run = (SELECT max(b.run) FROM action b WHERE {_same("b", names)} AND {then.format("b")})
        """,
        *args.values,
    )


def _same(table: str, names: Sequence[str]) -> str:
    return f"{table}.parent IS NULL AND " + " AND ".join(f"{table}.task_{name} = k.{name}" for name in names)


def _marks(key: Sequence[str], args: Arguments) -> str:
    return ", ".join(args.add(part) for part in key)


def _latest(row: Row) -> LatestRun:
    return LatestRun(
        run=RunId(row["project"], row["domain"], row["run"]),
        task=row["task_name"],
        phase=Phase(row["phase"]),
        created_at=from_micros(row["created_at"]),
    )
