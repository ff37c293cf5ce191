"""Runs counted by task: one pass over the runs of a window, then only what changes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from wingbeat.core.action import TERMINAL, ErrorKind, Phase
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.core.task_group import RECENT, Recent, TaskGroup, TaskGroups, Window
from wingbeat.store.database import Row, Transaction, from_micros, maybe_moment, to_micros
from wingbeat.store.filters import Arguments

_FOREVER = 2**63 - 1
_PAIRS = 50
"""Groups and phases in one statement."""
_RUNS = 1000
"""Runs in one statement."""
_UNFINISHED = ", ".join(str(phase.value) for phase in Phase if phase not in TERMINAL)
_FAILED = f"{Phase.FAILED.value}, {Phase.TIMED_OUT.value}"
_WINDOW = "a.parent IS NULL AND a.project = $1 AND a.domain = $2 AND a.created_at >= $3 AND a.created_at <= $4"
_LAST_ATTEMPT = (
    "t.project = a.project AND t.domain = a.domain AND t.run = a.run AND t.action = a.name AND t.number = a.attempts"
)


async def read(tx: Transaction, window: Window) -> TaskGroups:
    """All groups of the window, without their recent runs."""
    rows = await tx.fetch(
        f"""
        SELECT a.task_name, a.phase, a.created_by_subject, count(*) AS runs, max(a.created_at) AS latest,
               count(a.duration_ms) AS finished, CAST(coalesce(sum(a.duration_ms), 0) AS bigint) AS duration_ms,
               max(a.ended_at) AS ended_at
          FROM action a
         WHERE {_WINDOW}
         GROUP BY a.task_name, a.phase, a.created_by_subject
        """,
        *_args(window).values,
    )
    of_task: dict[str, list[Row]] = {}
    for row in rows:
        of_task.setdefault(row["task_name"], []).append(row)
    errors = await _errors(tx, window)
    groups = {task: _group(task, found, errors.get(task, {})) for task, found in of_task.items()}
    return TaskGroups(tx.now, groups, await _unfinished(tx, window))


async def with_recent(tx: Transaction, window: Window, groups: Iterable[TaskGroup]) -> list[TaskGroup]:
    """The groups with their recent runs: the newest of each phase are at most as many as are shown."""
    wanted = list(groups)
    pairs = [(group.task, phase) for group in wanted for phase in group.phases]
    found: dict[str, list[Recent]] = {}
    for first in range(0, len(pairs), _PAIRS):
        for row in await _newest(tx, window, pairs[first : first + _PAIRS]):
            found.setdefault(row["task_name"], []).append(_recent(row))
    for recent in found.values():
        recent.sort(key=lambda each: (each.created_at, each.run), reverse=True)
    return [replace(group, recent=tuple(found.get(group.task, [])[:RECENT])) for group in wanted]


async def errors_of(tx: Transaction, runs: Sequence[RunId]) -> Mapping[RunId, ErrorKind]:
    """Whose fault it is that these runs failed, for those that did."""
    found: dict[RunId, ErrorKind] = {}
    for first in range(0, len(runs), _RUNS):
        args = Arguments()
        keys = args.rows(run.names for run in runs[first : first + _RUNS])
        rows = await tx.fetch(
            f"""
            WITH k (project, domain, run) AS (VALUES {keys})
            SELECT a.project, a.domain, a.run, t.error_kind
              FROM k CROSS JOIN action a
              JOIN attempt t ON {_LAST_ATTEMPT}
             WHERE a.project = k.project AND a.domain = k.domain AND a.run = k.run AND a.name = '{ROOT_ACTION}'
               AND a.phase IN ({_FAILED})
            """,
            *args.values,
        )
        found.update({_run(row): ErrorKind(row["error_kind"] or ErrorKind.UNSPECIFIED) for row in rows})
    return found


async def _errors(tx: Transaction, window: Window) -> Mapping[str, Mapping[ErrorKind, int]]:
    rows = await tx.fetch(
        f"""
        SELECT a.task_name, coalesce(t.error_kind, '{ErrorKind.UNSPECIFIED}') AS kind, count(*) AS runs
          FROM action a
          JOIN attempt t ON {_LAST_ATTEMPT}
         WHERE {_WINDOW} AND a.phase IN ({_FAILED})
         GROUP BY 1, 2
        """,
        *_args(window).values,
    )
    errors: dict[str, dict[ErrorKind, int]] = {}
    for row in rows:
        errors.setdefault(row["task_name"], {})[ErrorKind(row["kind"])] = row["runs"]
    return errors


async def _unfinished(tx: Transaction, window: Window) -> dict[RunId, Phase]:
    rows = await tx.fetch(
        f"SELECT a.project, a.domain, a.run, a.phase FROM action a WHERE {_WINDOW} AND a.phase IN ({_UNFINISHED})",
        *_args(window).values,
    )
    return {_run(row): Phase(row["phase"]) for row in rows}


async def _newest(tx: Transaction, window: Window, pairs: Sequence[tuple[str, Phase]]) -> Sequence[Row]:
    args = _args(window)
    each = [
        f"""
        SELECT * FROM (
            SELECT a.task_name, a.run, a.phase, a.created_at, a.environment, a.short_name, t.started_at
              FROM action a
              LEFT JOIN attempt t ON t.project = a.project AND t.domain = a.domain AND t.run = a.run
                                 AND t.action = a.name AND t.number = 1
             WHERE {_WINDOW} AND a.task_name = {args.add(task)} AND a.phase = {phase.value}
             ORDER BY a.created_at DESC, a.run DESC
             LIMIT {RECENT}) AS newest
        """
        for task, phase in pairs
    ]
    return await tx.fetch(" UNION ALL ".join(each), *args.values)


def _args(window: Window) -> Arguments:
    end = _FOREVER if window.end is None else to_micros(window.end)
    return Arguments(window.scope.project, window.scope.domain, to_micros(window.start), end)


def _group(task: str, rows: Sequence[Row], errors: Mapping[ErrorKind, int]) -> TaskGroup:
    phases: dict[Phase, int] = {}
    for row in rows:
        phases[Phase(row["phase"])] = phases.get(Phase(row["phase"]), 0) + row["runs"]
    return TaskGroup(
        task=task,
        phases=phases,
        latest_run_at=from_micros(max(row["latest"] for row in rows)),
        created_by=frozenset(row["created_by_subject"] for row in rows) - {""},
        finished=sum(row["finished"] for row in rows),
        duration_ms=sum(row["duration_ms"] for row in rows),
        latest_finished_at=maybe_moment(max((row["ended_at"] for row in rows if row["ended_at"]), default=None)),
        errors=errors,
    )


def _recent(row: Row) -> Recent:
    return Recent(
        run=row["run"],
        phase=Phase(row["phase"]),
        created_at=from_micros(row["created_at"]),
        environment=row["environment"],
        short_name=row["short_name"],
        started_at=maybe_moment(row["started_at"]),
    )


def _run(row: Row) -> RunId:
    return RunId(row["project"], row["domain"], row["run"])
