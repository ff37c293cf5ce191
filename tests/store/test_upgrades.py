"""What a migration makes of rows that were there before it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.conftest import FakeClock
from tests.queued_runs import root_of
from wingbeat.core.ids import RunId
from wingbeat.store import migrations, run_needs, tasks, upload_uses
from wingbeat.store.database import EPOCH, Database, Transaction, open_database

pending = migrations.pending

ACTION = """
    INSERT INTO action (project, domain, run, name, parent, action_group, action_type, phase, attempts, cache_status,
                        task_project, task_domain, task_name, task_version, task_type, short_name, function_name,
                        environment, spec_digest, source, created_by_subject, input_uri, created_at, updated_at,
                        version, origin, relation_type, related_run)
    VALUES ('p', 'development', $1, $2, $3, '', 1, 3, 1, 0, 'p', 'development', 't', 'v', '', '', '', '', '', '', '',
            '', 0, 0, 1, $4, $5, $6)
"""
RUN = """
    INSERT INTO run (project, domain, name, run_spec, input_uri, output_base, kickoff_arg, priority, lane, not_honoured,
                     created_at)
    VALUES ('p', 'development', $1, $2, '', '', '', 0, '', '[]', 0)
"""


def run(name: str) -> RunId:
    return root_of(name).run


def up_to(version: int, dialect: str, applied: int) -> list[migrations.Migration]:
    return [each for each in pending(dialect, applied) if each.version <= version]


@asynccontextmanager
async def opened(url: str, clock: FakeClock) -> AsyncGenerator[Database]:
    database = await open_database(url, clock)
    try:
        yield database
    finally:
        await database.close()


async def test_runs_need_what_they_needed_before_anybody_wrote_it_down(
    database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill(tx: Transaction) -> None:
        await tasks.put_spec(tx, "d", b"spec")
        for name in ("served", "recovered", "again"):
            await tx.execute(RUN, name, b"")
        await tx.execute(ACTION, "served", "a0", None, "p/development/source_1/a0/1", None, None)
        await tx.execute(ACTION, "served", "c1", "a0", "p/development/source_1/c1/2", None, None)
        await tx.execute(ACTION, "served", "c2", "a0", "p/development/served/c1/1", None, None)
        await tx.execute(ACTION, "recovered", "a0", None, None, 2, "p/development/first")
        await tx.execute(ACTION, "again", "a0", None, None, 1, "p/development/first")

    monkeypatch.setattr(migrations, "pending", partial(up_to, 11))
    async with opened(database_url, clock) as old:
        await old.write(fill)
    monkeypatch.setattr(migrations, "pending", pending)
    async with opened(database_url, clock) as new:
        rows = await new.read(lambda tx: tx.fetch("SELECT source_run, run, kept_until FROM run_need ORDER BY run"))
        assert [(row["source_run"], row["run"], row["kept_until"]) for row in rows] == [
            ("first", "again", "end"),
            ("first", "recovered", "pruned"),
            ("source_1", "served", "pruned"),
        ]
        assert await new.read(upload_uses.known_since) > FakeClock().now
        assert await new.read(lambda tx: run_needs.sources(tx, run("served"))) == [run("source_1")]


async def test_a_new_database_knows_of_all_uploads(database: Database) -> None:
    assert await database.read(upload_uses.known_since) == EPOCH
