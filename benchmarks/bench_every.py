"""How late runs are: `@every` triggers that are spread to 100 fires a second, and the loop of a scheduler as it is.

    python benchmarks/bench_every.py [seconds]

A fire is late by the time from its slot to the commit of its run. Small commits go on beside it: they say what the
database could do at that very time. Slots are whole seconds, so the hundred of a second are due at once.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from tests.postgresql import postgresql_server
from wingbeat.core.ids import TriggerName
from wingbeat.core.schedule import Every
from wingbeat.core.trigger import Firing, moved
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations.firing import Firer, Round
from wingbeat.server.keeping import Loop, kept_going
from wingbeat.store import firings, triggers
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Body, Database, Transaction, open_database, to_micros
from wingbeat.telemetry import Metrics

T = TypeVar("T")

UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
DURABLE = ("max_connections=100", "listen_addresses=127.0.0.1", "shared_buffers=512MB", "max_wal_size=4GB")
FIRES_A_SECOND = 100
PERIOD_SECONDS = 10
TARGET_MS = 100
PROBE_SECONDS = 0.05
"""Between two bare commits."""


class Watched:
    """A database that notes how late the runs of each round were when they were committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changes = database.changes
        self.shared = database.shared
        self.read = database.read
        self.close = database.close
        self.late_ms: list[float] = []

    async def write(self, body: Body[T]) -> T:
        async def with_now(tx: Transaction) -> tuple[T, datetime]:
            return await body(tx), tx.now

        result, now = await self._database.write(with_now)
        if isinstance(result, Round):
            since = datetime.now(UTC) - now
            self.late_ms += [(lag + since) / timedelta(milliseconds=1) for lag in result.lags]
        return result


async def store_triggers(database: Database) -> None:
    """As many as fire in `PERIOD_SECONDS`, anchored evenly over that time."""
    await deploy_task(database, triggers=[trigger("first")])

    async def body(tx: Transaction) -> None:
        first = await triggers.find(tx, TriggerName(TASK.project, TASK.domain, TASK.name, "first"))
        assert first is not None
        columns = triggers.COLUMNS.replace("t.", "").split(",")
        names = [column.strip() for column in columns if "trigger_id" not in column and "triggered_at" not in column]
        for number in range(FIRES_A_SECOND * PERIOD_SECONDS):
            await tx.execute(
                f"INSERT INTO trigger_spec ({', '.join(names)})"
                f" SELECT {', '.join(f'$2' if name == 'name' else name for name in names)}"
                "   FROM trigger_spec WHERE trigger_id = $1",
                first.id,
                f"t{number:05}",
            )
        rows = await tx.fetch("SELECT trigger_id FROM trigger_spec ORDER BY trigger_id")
        for number, row in enumerate(rows[1:]):
            anchor = tx.now + timedelta(seconds=number / FIRES_A_SECOND - PERIOD_SECONDS)
            every = Every(timedelta(seconds=PERIOD_SECONDS))
            firing = Firing(row["trigger_id"], 1, every, active=True, anchor=anchor, decided_until=tx.now, next_fire_at=None)
            await firings.insert(tx, moved(firing, tx.now))
        await tx.execute("UPDATE schedule SET wake_at = NULL WHERE trigger_id = $1", first.id)

    await database.write(body)


async def commit_now_and_then(database: Database, took_ms: list[float]) -> None:
    """Bare commits of one small row, until cancelled."""

    async def body(tx: Transaction) -> None:
        await tx.execute("UPDATE project SET updated_at = $1", to_micros(tx.now))

    while True:
        began = time.perf_counter()
        await database.write(body)
        took_ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PROBE_SECONDS)


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 99th."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


async def measure(name: str, url: str, seconds: float) -> None:
    database = Watched(await open_database(url))
    await store_triggers(database)
    scheduler = Scheduler(
        database, Firer(DEFAULTS, DOMAINS), pace=UNLIMITED, steady=time.monotonic, metrics=Metrics()
    )
    commits: list[float] = []
    cpu = time.process_time()
    async with kept_going([Loop("scheduler", scheduler.tick, (SCHEDULE,))], database.changes):
        probe = asyncio.create_task(commit_now_and_then(database, commits))
        await asyncio.sleep(seconds)
        probe.cancel()
    cpu = time.process_time() - cpu
    median, worst = percentiles(database.late_ms)
    bare_median, bare_worst = percentiles(commits)
    print(
        f"{name}: {len(database.late_ms):,} fires in {seconds:.0f} s: late by {median:.1f} ms, p99 {worst:.1f} ms"
        f" (target {TARGET_MS}); a bare commit {bare_median:.1f} ms, p99 {bare_worst:.1f} ms; {cpu / seconds:.0%} of a core"
    )
    await database.close()


async def main() -> None:
    seconds = float(sys.argv[1]) if sys.argv[1:] else 25.0
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        await measure("sqlite", str(Path(directory) / "wingbeat.db"), seconds)
    with postgresql_server(DURABLE) as url:
        await measure("postgresql", url, seconds)


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    asyncio.run(main())
