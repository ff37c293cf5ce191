"""Every statement of pruning asks an index, however many runs there are."""

from datetime import timedelta
from typing import Any, cast

from tests.conftest import FakeClock
from tests.explained import Explained
from tests.finished_runs import finish
from tests.queued_runs import root_of
from wingbeat.core.ids import RunId
from wingbeat.core.pruning import BEGINNING
from wingbeat.operations import pruning
from wingbeat.operations.pruning import Order
from wingbeat.store import clearing, run_needs
from wingbeat.store.database import Database, Transaction

MANY = 20_000
STEP = 20
"""As a step of a thousand to a million, so that the plans are those of a million."""
BUSY = (
    "a",
    "u",
    "action",
    "t",
    "event",
    "attempt",
    "run",
    "queue",
    "q",
    "n",
    "run_need",
    "task_spec",
    "s",
    "run_label",
)


async def fill(tx: Transaction) -> None:
    """Copies of the run that is there, with all its rows."""
    await tx.execute("CREATE TABLE numbers (n BIGINT)")
    await tx.execute(
        f"""
        INSERT INTO numbers
        WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {MANY}) SELECT n FROM c
        """
    )
    for table, name in (("run", "name"), ("action", "run"), ("attempt", "run"), ("event", "run")):
        row = await tx.fetchrow(f"SELECT * FROM {table}")
        columns: list[str] = [column for column in dict(cast("Any", row)) if column != "id"]
        copied = ", ".join("'r' || n" if column == name else column for column in columns)
        await tx.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {copied} FROM {table}, numbers")
    await tx.execute(
        "INSERT INTO run_need SELECT 'p', 'development', 'r' || n, 'p', 'development', 'r' || (n + 1),"
        " CASE WHEN n % 4 = 0 THEN 'end' ELSE 'pruned' END FROM numbers WHERE n % 2 = 0"
    )
    await tx.execute(
        """
        INSERT INTO queue (project, domain, run, action, attempt, priority, turn, lane, available_at, token)
        SELECT 'p', 'development', 'r' || n, 'c0', 1, 0, 0, '', 0, 0 FROM numbers WHERE n % 20 = 0
        """
    )
    await tx.execute("INSERT INTO task_spec (digest, spec) SELECT 'd' || n, spec FROM task_spec, numbers")
    await tx.execute(
        "INSERT INTO buried_spec (digest, spec, buried_at)"
        " SELECT 'b' || n, spec, n FROM task_spec, numbers WHERE digest = 'd1'"
    )
    await tx.execute("ANALYZE")


async def test_no_statement_of_pruning_reads_a_whole_table(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "r0", children=1))
    await database.write(fill)
    clock.forward(timedelta(days=2))
    order = Order(timedelta(days=1))

    async def body(tx: Transaction) -> list[str]:
        explained = Explained(tx, sqlite=not database.shared)
        watched: Any = explained
        reached = (await pruning.step(watched, order, BEGINNING, limit=STEP)).reached
        assert reached
        decided = await pruning.step(watched, order, reached, limit=STEP)
        assert len(decided.runs) + decided.kept.total() == STEP
        assert decided.runs
        assert decided.kept
        remains = await pruning.remains(watched, limit=STEP)
        assert await pruning.remove_rows(watched, remains, limit=STEP) == STEP
        assert await clearing.count(watched, most=1000) >= len(decided.runs)
        await pruning.cleared(watched, remains)
        await clearing.pruned_at(watched, RunId("p", "development", "r1"))
        await run_needs.add(watched, root_of("r7").run, root_of("r9").run)
        await run_needs.sources(watched, root_of("r7").run)
        await pruning.tidy(watched, limit=STEP)
        await pruning.preview(watched, order, reached, limit=STEP)
        assert len(explained.plans) > 15
        steps = [step.strip() for plan in explained.plans for step in plan.splitlines()]
        through_an_index = [step for step in steps if step.startswith(tuple(f"SCAN {table} USING" for table in BUSY))]
        return explained.scanned(*BUSY) + through_an_index

    assert await database.write(body) == []
