"""Triggers at a million: a storm of fires beside a bare insert of the same rows, an idle scheduler, a page of the list.

    python benchmarks/bench_triggers.py [stored] [due]

Both databases with durable commits. The bare insert writes the very rows that the fires made into the same tables, as
sets of the same size, and moves the same watermarks: what is left is the cost of deciding.
"""

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from tests.postgresql import postgresql_server
from wingbeat.core.ids import Scope
from wingbeat.core.listing import ListQuery
from wingbeat.core.schedule import Every, encode
from wingbeat.core.zones import tzdata_version
from wingbeat.loops import scheduler as loop
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations.firing import Firer
from wingbeat.store import trigger_lists
from wingbeat.store.database import Database, Row, Transaction, open_database, to_micros
from wingbeat.telemetry import Metrics

UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
DURABLE = ("max_connections=100", "listen_addresses=127.0.0.1", "shared_buffers=512MB", "max_wal_size=4GB")
ROUND = 10_000
RATIO = 0.4
FIRST_MS = 2000
PAGE_MS = 20
GROWN_MB = 20
"""Above this, memory grows with what was fired."""
RUN = {"run": "name", "action": "run", "event": "run", "queue": "run", "fire": "run_name"}
"""What fires insert, and which column names the run; they also move rows of `schedule`."""


async def store_triggers(database: Database, number: int) -> None:
    """Clone one deployed trigger, with the next fire in an hour or more."""
    await deploy_task(database, triggers=[trigger("first", active=False)])
    spec = trigger().spec
    now = to_micros(datetime.now(UTC))
    spec_types = {
        "project": "text", "domain": "text", "task_name": "text", "name": "text", "revision": "bigint",
        "task_version": "text", "active": "boolean", "automation_type": "text", "spec": "bytea", "automation": "bytea",
        "description": "text", "deployed_by": "text", "updated_by": "text", "deployed_at": "bigint",
        "updated_at": "bigint",
    }  # fmt: skip
    for first in range(0, number, ROUND):
        rows = [
            (TASK.project, TASK.domain, TASK.name, f"t{first + n:07}", 1, TASK.version, True, "TYPE_SCHEDULE", spec,
             b"", "", "", "", now, now + n)
            for n in range(min(ROUND, number - first))
        ]  # fmt: skip
        await database.write(lambda tx, rows=rows: tx.insert("trigger_spec", spec_types, rows))
    schedule = encode(Every(timedelta(hours=1)))
    later = now + 3_600_000_000

    async def schedules(tx: Transaction) -> None:
        await tx.execute(
            f"""
            INSERT INTO schedule (trigger_id, revision, schedule, active, anchor, decided_until, next_fire_at, wake_at,
                                  tzdata, watches)
            SELECT trigger_id, 1, '{schedule}', active, {now}, {now}, {later} + trigger_id, {later} + trigger_id,
                   '{tzdata_version()}', active AND NOT active
              FROM trigger_spec t WHERE NOT EXISTS (SELECT 1 FROM schedule s WHERE s.trigger_id = t.trigger_id)
            """
        )

    await database.write(schedules)


async def make_due(database: Database, number: int) -> None:
    """The first `number` triggers have one slot, a second ago."""

    async def body(tx: Transaction) -> None:
        slot = to_micros(tx.now.replace(microsecond=0))
        await tx.execute(
            "UPDATE schedule SET anchor = $1, decided_until = $1, next_fire_at = $2, wake_at = $2"
            " WHERE trigger_id > 1 AND trigger_id <= $3",
            slot - 3_600_000_000,
            slot,
            number + 1,
        )

    await database.write(body)


def new_scheduler(database: Database) -> Scheduler:
    return Scheduler(database, Firer(DEFAULTS, DOMAINS), pace=UNLIMITED, steady=time.monotonic, metrics=Metrics())


async def storm(databases: Sequence[Database], number: int) -> float:
    await make_due(databases[0], number)
    began = time.perf_counter()
    await asyncio.gather(*(new_scheduler(database).tick() for database in databases))
    seconds = time.perf_counter() - began
    assert await count(databases[0], "run") == number, "every slot is one run"
    assert await count(databases[0], "fire") == number, "every slot is in the ledger"
    return seconds


async def bare_insert(database: Database) -> float:
    """Take the rows out and put them in again, in the sets in which they came, with nothing decided."""

    async def take(tx: Transaction) -> dict[str, Sequence[Row]]:
        return {table: await tx.fetch(f"SELECT * FROM {table}") for table in RUN}

    taken = await database.read(take)
    await clear(database)
    columns = {table: await column_names(database, table) for table in RUN}
    turns = {row["run_name"]: row["trigger_id"] for row in taken["fire"]}
    sets = {
        table: [
            tuple(row[name] for name in columns[table]) for row in sorted(rows, key=lambda row: turns[row[RUN[table]]])
        ]
        for table, rows in taken.items()
    }
    moves = sorted((row["trigger_id"], row["first_slot"], row["first_slot"] + 1) for row in taken["fire"])
    began = time.perf_counter()
    for first in range(0, len(moves), loop.BATCH):

        async def body(tx: Transaction, first: int = first) -> None:
            for table in RUN:
                await tx.insert(table, columns[table], sets[table][first : first + loop.BATCH])
            await tx.update(
                "UPDATE schedule SET decided_until = $2, next_fire_at = $3, wake_at = $3, triggered_at = $2"
                " WHERE trigger_id = $1",
                moves[first : first + loop.BATCH],
            )

        await database.write(body)
    return time.perf_counter() - began


async def column_names(database: Database, table: str) -> list[str]:
    sql = "SELECT name FROM pragma_table_info($1)"
    if database.shared:
        sql = "SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1"
    rows = await database.read(lambda tx: tx.fetch(sql, table))
    return [row["name"] for row in rows if (table, row["name"]) != ("event", "id")]


async def clear(database: Database) -> None:
    async def body(tx: Transaction) -> None:
        for table in RUN:
            await tx.execute(f"DELETE FROM {table}")

    await database.write(body)


async def count(database: Database, table: str) -> int:
    rows = await database.read(lambda tx: tx.fetch(f"SELECT count(*) AS number FROM {table}"))
    return rows[0]["number"]


async def idle(database: Database) -> tuple[float, float]:
    """Milliseconds of the first round of a new scheduler, and of the rounds after it."""
    scheduler = new_scheduler(database)
    times: list[float] = []
    for _ in range(50):
        began = time.perf_counter()
        await scheduler.tick()
        times.append((time.perf_counter() - began) * 1000)
    return times[0], statistics.median(times[1:])


async def page(database: Database) -> float:
    """Milliseconds for 100 triggers of a project."""
    times: list[float] = []
    scope = Scope(TASK.project, TASK.domain)
    for _ in range(20):
        began = time.perf_counter()
        await database.read(lambda tx: trigger_lists.page(tx, ListQuery(limit=100), scope))
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def memory_mb() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def measure(name: str, url: str, stored: int, due: int) -> bool:
    """Whether the targets are met."""
    database = await open_database(url)
    await store_triggers(database, stored)
    first, later = await idle(database)
    listed = await page(database)
    print(
        f"{name}: {stored:,} triggers stored; a new scheduler's first round {first:.1f} ms, idle rounds {later:.2f} ms;"
        f" a page of 100 triggers {listed:.1f} ms"
    )
    ratios: list[float] = []
    for _ in range(5):
        cpu = time.process_time()
        fired = await storm([database], due)
        cpu = time.process_time() - cpu
        bare = await bare_insert(database)
        ratios.append(bare / fired)
        await clear(database)
        print(
            f"{name}: {due:,} due: {fired:.2f} s ({cpu:.2f} s of our processor), {due / fired:,.0f}/s;"
            f" bare {bare:.2f} s; {bare / fired:.0%} of its rate"
        )
    before = memory_mb()
    for _ in range(3):
        await storm([database], due)
        await clear(database)
    grown = memory_mb() - before
    if database.shared:
        others = [database, await open_database(url), await open_database(url)]
        print(f"{name}: three schedulers: {await storm(others, due):.2f} s")
        for other in others[1:]:
            await other.close()
    await database.close()
    ratio = statistics.median(ratios)
    print(f"{name}: {ratio:.0%} of the bare rate; three more storms: {grown:+.0f} MB of memory")
    return ratio >= RATIO and first < FIRST_MS and listed < PAGE_MS and grown < GROWN_MB


async def main() -> None:
    stored, due = map(int, sys.argv[1:3] or ("1000000", "10000"))
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        met = await measure("sqlite", str(Path(directory) / "wingbeat.db"), stored, due)
    with postgresql_server(DURABLE) as url:
        met = await measure("postgresql", url, stored, due) and met
    if not met:
        sys.exit(f"missed: {RATIO:.0%} of the bare rate, start in {FIRST_MS} ms, page in {PAGE_MS} ms, flat memory")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    asyncio.run(main())
