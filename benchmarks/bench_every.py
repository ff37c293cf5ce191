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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from tests.deployed import DEFAULTS, DOMAINS, deploy_task, trigger
from tests.postgresql import postgresql_server
from wingbeat.core.schedule import Every
from wingbeat.core.trigger import moved
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations.firing import Firer, Round
from wingbeat.server.keeping import Loop, kept_going
from wingbeat.store import firings
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Body, Database, Transaction, open_database, to_micros
from wingbeat.telemetry import Metrics

T = TypeVar("T")

UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
DURABLE = ("max_connections=100", "listen_addresses=127.0.0.1", "shared_buffers=512MB", "max_wal_size=4GB")
FIRES_A_SECOND = 100
SECOND = timedelta(seconds=1)
PERIOD = 10 * SECOND
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
    """As many as fire in `PERIOD`, anchored evenly over that time."""
    number = FIRES_A_SECOND * (PERIOD // SECOND)
    await deploy_task(database, triggers=[trigger(f"t{each:05}", Every(PERIOD)) for each in range(number)])

    async def spread(tx: Transaction) -> None:
        rows = await tx.fetch("SELECT trigger_id FROM schedule ORDER BY trigger_id")
        deployed = await firings.lock(tx, [row["trigger_id"] for row in rows])
        anchored = [
            replace(firing, anchor=tx.now - PERIOD + each * SECOND / FIRES_A_SECOND)
            for each, firing in enumerate(deployed.values())
        ]
        await firings.save(tx, [moved(firing, tx.now) for firing in anchored])

    await database.write(spread)


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


async def measure(name: str, url: str, seconds: float) -> bool:
    """Whether the target is met."""
    database = Watched(await open_database(url))
    await store_triggers(database)
    scheduler = Scheduler(database, Firer(DEFAULTS, DOMAINS), pace=UNLIMITED, steady=time.monotonic, metrics=Metrics())
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
        f"{name}: {len(database.late_ms):,} fires in {seconds:.0f} s, late by {median:.1f} ms, p99 {worst:.1f} ms;"
        f" a bare commit {bare_median:.1f} ms, p99 {bare_worst:.1f} ms; {cpu / seconds:.0%} of a core"
    )
    await database.close()
    return worst < TARGET_MS and len(database.late_ms) >= FIRES_A_SECOND * (seconds - 2)


async def main() -> None:
    seconds = float(sys.argv[1]) if sys.argv[1:] else 25.0
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        met = await measure("sqlite", str(Path(directory) / "wingbeat.db"), seconds)
    with postgresql_server(DURABLE) as url:
        met = await measure("postgresql", url, seconds) and met
    if not met:
        sys.exit(f"missed: {FIRES_A_SECOND} fires a second, p99 under {TARGET_MS} ms")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    asyncio.run(main())
