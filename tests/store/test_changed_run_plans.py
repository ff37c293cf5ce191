"""What watchers read again after a change is found by its keys, however many runs there are."""

from datetime import timedelta
from typing import Any

from tests.conftest import T0, FakeClock
from tests.explained import Explained
from tests.finished_runs import finish
from tests.queued_runs import root_of
from tests.store.test_pruning_plans import fill
from wingbeat.store import action_changes, run_changes, task_groups
from wingbeat.store.database import Database, Transaction

RUNS = [root_of("r7").run, root_of("r9").run]


async def test_runs_that_changed_are_looked_up_and_never_searched(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r0", children=1))
    await database.write(fill)

    async def body(tx: Transaction) -> list[str]:
        explained = Explained(tx, sqlite=not database.shared)
        watched: Any = explained
        assert {each.root.id.run for each in await run_changes.find_many(watched, RUNS)} == set(RUNS)
        assert set(await action_changes.marks(watched, RUNS, since=T0 - timedelta(days=1))) == set(RUNS)
        await task_groups.errors_of(watched, RUNS)
        return explained.scanned("a", "r", "action")

    assert await database.read(body) == []
