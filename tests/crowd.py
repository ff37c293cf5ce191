"""A database with very many rows, planted as sets: copies of rows that operations have written."""

from collections.abc import Mapping
from typing import Any, cast

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from wingbeat.core.ids import Scope, TriggerName
from wingbeat.operations import actions, runs
from wingbeat.operations.runs import RunRequest
from wingbeat.store.database import Database, Transaction, to_micros

SCOPE = Scope(TASK.project, TASK.domain)
TRIGGERS = 200
_NOT_COPIED = {"event": {"id"}, "trigger_spec": {"trigger_id"}}
"""The database counts these."""
_SECOND = 1_000_000
_PHASES = """
    CASE WHEN n > {many} - 40 THEN 1 + n % 4 WHEN n % 19 = 1 THEN 6 WHEN n % 100 = 2 THEN 7
         WHEN n % 1000 = 3 THEN 8 WHEN n % 5000 = 4 THEN 9 ELSE 5 END
"""
"""Nearly all succeeded, some failed, the latest are going on."""


async def crowd(database: Database, many: int, *, deployed: int) -> None:
    """`many` runs of twenty tasks and of triggers, a second between one and the next, and what belongs to them.

    As many tasks, triggers and fires as `deployed` says.
    """
    await deploy_task(database, triggers=[trigger("tick", active=False)])
    names = TriggerName(TASK.project, TASK.domain, TASK.name, "tick")
    for name, wanted in (("plain", TASK), ("manual", names)):
        request = RunRequest(SCOPE, wanted, name=name)
        await database.write(
            lambda tx, request=request: runs.create(
                tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name=str(request.name)
            )
        )
    await database.write(lambda tx: actions.claim(tx, "n1", 1))
    await database.write(lambda tx: _deployed(tx, deployed))
    await database.write(lambda tx: _runs(tx, many))
    await database.write(lambda tx: _below_runs(tx, many))
    await database.write(lambda tx: tx.execute("ANALYZE"))


async def copy(tx: Transaction, table: str, number: int, where: str = "TRUE", **changed: str) -> None:
    """Copy one row `number` times; `changed` are expressions over it and `n`, which counts from 1."""
    row = await tx.fetchrow(f"SELECT * FROM {table} WHERE {where} LIMIT 1")
    assert row is not None, f"there is no row of {table} to copy"
    columns = [name for name in dict(cast("Any", row)) if name not in _NOT_COPIED.get(table, ())]
    await tx.execute(
        f"""
        WITH RECURSIVE numbers (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {number})
        INSERT INTO {table} ({", ".join(columns)})
        SELECT {", ".join(changed.get(name, f"one.{name}") for name in columns)}
          FROM (SELECT * FROM {table} WHERE {where} LIMIT 1) one, numbers
        """
    )


async def _deployed(tx: Transaction, number: int) -> None:
    age = f"{to_micros(tx.now)} - {_SECOND} * ({number} - n)"
    elsewhere = f"CASE WHEN n % 10 > 0 THEN 'p' || (n % 7) ELSE '{TASK.project}' END"
    task = {"name": "'env.t' || n", "created_at": age, "updated_at": age}
    await copy(tx, "task", number, **{**task, "project": elsewhere})
    await copy(tx, "task", number // 10, **{**task, "name": "'env.t7'", "version": "'w' || n"})
    latest = {**{key: task[key] for key in ("name", "created_at")}, "project": elsewhere}
    await copy(tx, "task_latest", number, **latest)
    await copy(
        tx, "trigger_spec", number, name="'t' || n", task_name="'env.t' || (n % 500)", updated_at=age, project=elsewhere
    )
    await copy(tx, "trigger_revision", number, trigger_id="1 + n % 100", revision="n + 1000")
    never: Mapping[str, str] = {"trigger_id": "1 + n", "wake_at": f"{to_micros(tx.now) + 3600 * _SECOND}"}
    await copy(tx, "schedule", number, **never)
    await copy(tx, "fire", number, key="'k' || n", decided_at=age)


async def _runs(tx: Transaction, many: int) -> None:
    age = f"{to_micros(tx.now)} - {_SECOND} * ({many} - n)"
    phase = _PHASES.format(many=many)
    await copy(tx, "run", many, "name = 'plain'", name="'r' || n", created_at=age)
    project = f"CASE WHEN n % 10 = 0 THEN 'other' ELSE '{TASK.project}' END"
    root: Mapping[str, str] = {
        "project": project,
        "run": "'r' || n",
        "phase": phase,
        "task_project": project,
        "task_name": "'env.t' || (n % 20)",
        "task_version": "'v' || ((n / 20) % 5)",
        "trigger_id": f"CASE WHEN n % 3 = 0 THEN 1 + n % {TRIGGERS} END",
        **{
            f"trigger_{part}": f"CASE WHEN n % 3 = 0 THEN one.trigger_{part} END"
            for part in ("task", "name", "revision")
        },
        "created_at": age,
        "updated_at": age,
        "ended_at": f"CASE WHEN {phase} IN (5, 6, 7, 8) THEN {age} END",
        "created_by_subject": "'somebody' || (n % 100)",
    }
    await copy(tx, "action", many, "run = 'manual'", **root)


async def _below_runs(tx: Transaction, many: int) -> None:
    few = many // 10
    child = {"run": "'r' || (n / 5)", "name": "'c' || n", "parent": "'a0'", "phase": "5", "ended_at": "one.created_at"}
    await copy(tx, "action", few, "run = 'plain'", **child)
    await copy(tx, "event", few, run="'r' || n")
    await copy(tx, "attempt", few, run="'r' || n")
    await copy(tx, "queue", few, "node IS NULL", run="'r' || n", turn="n + 10")
    await tx.execute(
        "INSERT INTO run_label (project, domain, run, key, value)"
        " SELECT project, domain, run, 'team', 'owls' FROM action WHERE parent IS NULL AND trigger_id IS NULL"
    )
