"""A scheduler in a process of its own: `python -m tests.loops.scheduler_process URL [TABLE]`.

With the name of a table it freezes, once, in the middle of the transaction that is about to insert there.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tests.deployed import DEFAULTS, DOMAINS
from wingbeat.loops import loop
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations.firing import Firer
from wingbeat.store import postgresql
from wingbeat.store.changes import SCHEDULE
from wingbeat.store.database import Value, open_database
from wingbeat.store.postgresql import PostgresqlTransaction
from wingbeat.telemetry import Metrics, configure_logging

PACE = Pace(cycle=timedelta(seconds=2), catch_up=0, rate=0, burst=0)


async def main(url: str, freezes_at: str = "") -> None:
    configure_logging(json=False, level="ERROR")
    _shorten_time_outs()
    if freezes_at:
        _freeze_at(freezes_at)
    database = await open_database(url)
    scheduler = Scheduler(database, Firer(DEFAULTS, DOMAINS), pace=PACE, steady=time.monotonic, metrics=Metrics())
    print("ready", flush=True)
    with database.changes.subscribe(SCHEDULE) as wake:
        await loop.run(scheduler.tick, name="scheduler", wake=wake, stop=asyncio.Event(), idle_seconds=2)


def _shorten_time_outs() -> None:
    """What a frozen process holds is free after a second, so that tests need not wait for ten."""
    shortened = postgresql._BEGIN_WRITE.replace("= '10s'", "= '1s'")
    assert shortened != postgresql._BEGIN_WRITE
    module: Any = postgresql
    module._BEGIN_WRITE = shortened


def _freeze_at(table: str) -> None:
    transactions: Any = PostgresqlTransaction
    insert = PostgresqlTransaction.insert

    async def freezing(
        tx: PostgresqlTransaction, into: str, columns: Mapping[str, str], rows: Sequence[Sequence[Value]]
    ) -> None:
        if into == table and rows:
            transactions.insert = insert
            os.kill(os.getpid(), signal.SIGSTOP)
        await insert(tx, into, columns, rows)

    transactions.insert = freezing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
