"""Rows that a run begins with because another one has finished well what they stand for.

A recovered action keeps its name, its parent and its outputs, which stay where they are; `origin` is who made them.
"""

from collections.abc import Collection, Sequence

from wingbeat.core.action import Action, Phase
from wingbeat.core.ids import RunId
from wingbeat.store.actions import NAMES
from wingbeat.store.changes import RUNS, run_topic
from wingbeat.store.database import Transaction, placeholders, to_micros

_FINISHED = f"a.phase IN ({Phase.SUCCEEDED.value}, {Phase.RECOVERED.value})"
_OF_SOURCE = "a.project = $5 AND a.domain = $6 AND a.run = $7"
_NOW = "CAST($4 AS BIGINT)"
_RECOVERED = {
    "project": "CAST($1 AS TEXT)",
    "domain": "CAST($2 AS TEXT)",
    "run": "CAST($3 AS TEXT)",
    "phase": str(Phase.RECOVERED.value),
    "attempts": "1",
    "cache_status": "0",
    "cache_policy": "NULL",
    "source": "CAST($8 AS TEXT)",
    "created_by_subject": "CAST($9 AS TEXT)",
    "created_at": _NOW,
    "updated_at": _NOW,
    "ended_at": _NOW,
    "duration_ms": "0",
    "version": "1",
    "origin": "COALESCE(a.origin, a.project || '/' || a.domain || '/' || a.run || '/' || a.name || '/'"
    " || CAST(a.attempts AS TEXT))",
}
"""What is another thing in the copy; the rest is the same."""


async def names(tx: Transaction, run: RunId, wanted: Collection[str]) -> set[str]:
    """Those of the names that actions of the run have."""
    if not wanted:
        return set()
    rows = await tx.fetch(
        "SELECT name FROM action"
        f" WHERE project = $1 AND domain = $2 AND run = $3 AND name IN ({placeholders(4, len(wanted))})",
        *run.names,
        *wanted,
    )
    return {row["name"] for row in rows}


async def copy(tx: Transaction, source: RunId, root: Action, *, besides: Sequence[str]) -> None:
    """All that is finished well in `source` is recovered in the run of `root`, but for the actions named."""
    target = root.id.run
    target_key = (*target.names, to_micros(tx.now))
    columns = ", ".join(_RECOVERED.get(name, f"a.{name}") for name in NAMES)
    await tx.execute(
        f"""
        INSERT INTO action ({", ".join(NAMES)})
        SELECT {columns} FROM action a
         WHERE {_OF_SOURCE} AND {_FINISHED} AND a.name NOT IN ({placeholders(10, len(besides))})
        """,
        *target_key,
        *source.names,
        root.source,
        root.created_by_subject,
        *besides,
    )
    await _copy_attempts(tx, *target_key, *source.names)
    await _record(tx, *target_key, f"recovered from run {source.name}")
    tx.changed(RUNS, run_topic(target))


async def _copy_attempts(tx: Transaction, *keys: str | int) -> None:
    """The last one of each, with its log: it has made the outputs."""
    await tx.execute(
        f"""
        INSERT INTO attempt (project, domain, run, action, number, phase, node, token, output_prefix, created_at,
                             started_at, ended_at, log_uri)
        SELECT r.project, r.domain, r.run, r.name, 1, r.phase, '', 0, t.output_prefix, {_NOW}, NULL, {_NOW}, t.log_uri
          FROM action a
          JOIN action r ON r.project = $1 AND r.domain = $2 AND r.run = $3 AND r.name = a.name
          JOIN attempt t ON t.project = a.project AND t.domain = a.domain AND t.run = a.run AND t.action = a.name
                        AND t.number = a.attempts
         WHERE {_OF_SOURCE} AND r.phase = {Phase.RECOVERED.value}
        """,
        *keys,
    )


async def _record(tx: Transaction, project: str, domain: str, run: str, now: int, message: str) -> None:
    await tx.execute(
        f"""
        INSERT INTO event (project, domain, run, action, attempt, phase, message, at)
        SELECT a.project, a.domain, a.run, a.name, 1, a.phase, CAST($5 AS TEXT), {_NOW}
          FROM action a
         WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.phase = {Phase.RECOVERED.value}
         ORDER BY a.name
        """,
        project,
        domain,
        run,
        now,
        message,
    )
