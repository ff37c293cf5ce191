from datetime import timedelta
from typing import Any, cast

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.explained import Explained
from wingbeat.core.ids import Scope, TaskName
from wingbeat.operations import runs
from wingbeat.operations.runs import RunRequest
from wingbeat.store import latest_runs
from wingbeat.store.database import Database, Transaction

MANY = 20_000


async def fill(tx: Transaction) -> None:
    """Runs of other versions and of other tasks: copies of the one that is there."""
    row = await tx.fetchrow("SELECT * FROM action")
    columns: list[str] = list(dict(cast("Any", row)))
    copied: dict[str, str] = {
        "run": "'r' || n",
        "task_version": "'v' || (n % 50)",
        "task_name": "'task' || (n % 7)",
        "created_at": "n",
    }
    await tx.execute(
        f"""
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY})
        INSERT INTO action ({", ".join(columns)})
        SELECT {", ".join(copied.get(name, name) for name in columns)} FROM action, numbers
        """
    )
    await tx.execute("ANALYZE")


async def test_latest_runs_are_looked_up_and_never_searched(database: Database, clock: FakeClock) -> None:
    await deploy_task(database)
    request = RunRequest(Scope(TASK.project, TASK.domain), TASK, name="only")
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="only"))
    await database.write(fill)
    clock.forward(timedelta(minutes=1))
    sqlite = not database.shared
    names = [TASK.task_name, *(TaskName(TASK.project, TASK.domain, f"task{number}") for number in range(7))]

    async def body(tx: Transaction) -> tuple[dict[str, str], Explained]:
        explained = Explained(tx, sqlite=sqlite)
        by_task = await latest_runs.of_tasks(cast("Any", explained), names)
        by_version = await latest_runs.of_versions(cast("Any", explained), [TASK])
        assert by_version[TASK].run.name == "only"
        return {name.name: latest.run.name for name, latest in by_task.items()}, explained

    found, explained = await database.read(body)
    assert found == {
        "env.main": "only",
        **{f"task{n}": f"r{max(r for r in range(MANY + 1) if r % 7 == n)}" for n in range(7)},
    }
    plans = "\n".join(explained.plans)
    assert explained.scanned("a", "action") == []
    assert "action_root_by_task" in plans
    assert "action_root_by_version" in plans


async def test_nothing_is_asked_for_nothing(database: Database) -> None:
    assert await database.read(lambda tx: latest_runs.of_tasks(tx, [])) == {}
    assert await database.read(lambda tx: latest_runs.of_versions(tx, [])) == {}
