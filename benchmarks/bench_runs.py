"""Runs: their creation on PostgreSQL beside a bare loop that commits the same rows, and pages of a million of them.

    python benchmarks/bench_runs.py [stored] [created]

CreateRun goes through the whole ASGI application, from the bytes of a request to the bytes of its answer, without
sockets; the garbage collector is set as in a server, for both. The bare loop is asyncpg and nothing else: as many
connections as there are callers, and for each run BEGIN, an INSERT for each table with the very rows that CreateRun
wrote, and COMMIT. Commits are durable.
"""

import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
from flyteidl2.workflow import run_service_pb2 as pb

from tests.crowd import crowd
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.postgresql import postgresql_server
from wingbeat.core.ids import Scope, TaskId, TaskName, TriggerName
from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.run_service.service import Runs
from wingbeat.server.garbage import leave_what_is_loaded
from wingbeat.store import runs
from wingbeat.store.database import Database, open_database, to_micros
from wingbeat.store.runs import Within
from wingbeat.telemetry import Metrics
from wingbeat.wire import tasks as task_wire

DURABLE = ("max_connections=100", "listen_addresses=127.0.0.1", "shared_buffers=512MB", "max_wal_size=4GB")
CALLERS = 32
PACE = 200
"""Calls a second, for the latency."""
PACED_SECONDS = 10
MADE = ("run", "run_label", "action", "event", "queue", "timer")
PATH = "/flyteidl2.workflow.RunService/CreateRun"
RATE_TARGET, LATENCY_TARGET, PAGE_TARGET = 0.45, 3.0, 0.050

Call = Callable[[int], Awaitable[None]]


def quantile(times: Sequence[float], q: float) -> float:
    return sorted(times)[min(int(q * len(times)), len(times) - 1)]


async def rate(call: Call, number: int) -> float:
    """Calls a second with `CALLERS` at once."""
    numbers = iter(range(number))

    async def caller() -> None:
        for each in numbers:
            await call(each)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return number / (time.perf_counter() - began)


async def latencies(call: Call, number: int) -> list[float]:
    """Of calls that begin `PACE` times a second, however long the others take; late starts count."""
    began = time.perf_counter()

    async def one(each: int) -> float:
        due = began + each / PACE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await call(each)
        return time.perf_counter() - due

    return await asyncio.gather(*(one(each) for each in range(number)))


class Service:
    """The application, called as a web server would."""

    def __init__(self, database: Database) -> None:
        self._app: Any = build([Runs(database, DOMAINS, DEFAULTS)], draining=Draining(), metrics=Metrics())

    async def create(self, name: str) -> None:
        request = pb.CreateRunRequest(task_id=task_wire.id_to_proto(TASK), source="RUN_SOURCE_CLI")
        request.run_id.project, request.run_id.domain, request.run_id.name = TASK.project, TASK.domain, name
        body = request.SerializeToString()
        headers = [
            (b"content-type", b"application/proto"),
            (b"connect-protocol-version", b"1"),
            (b"x-request-id", name.encode()),
        ]
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": PATH,
            "raw_path": PATH.encode(), "root_path": "", "query_string": b"", "headers": headers, "scheme": "http",
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "extensions": {},
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            if (message := next(messages, None)) is not None:
                return message
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        assert sent[0]["status"] == 200, sent


class Bare:
    """The rows that are there, one run after the other, to be written again."""

    def __init__(self, connections: "asyncio.Queue[Any]", rows: Sequence[Sequence[tuple[str, Sequence[Any]]]]) -> None:
        self._connections = connections
        self._rows = rows

    async def create(self, number: int) -> None:
        connection = await self._connections.get()
        try:
            async with connection.transaction():
                for sql, values in self._rows[number]:
                    await connection.execute(sql, *values)
        finally:
            self._connections.put_nowait(connection)


async def take(connection: Any) -> list[list[tuple[str, Sequence[Any]]]]:
    """Each run's rows as the statements that write them; then no row is left."""
    by_run: dict[str, list[tuple[str, Sequence[Any]]]] = {}
    for table in MADE:
        for row in await connection.fetch(f"SELECT * FROM {table}"):
            values = {name: value for name, value in row.items() if (table, name) != ("event", "id")}
            marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
            name = row["name"] if table == "run" else row["run"]
            by_run.setdefault(name, []).append((sql, list(values.values())))
    await clear(connection)
    return list(by_run.values())


async def clear(connection: Any) -> None:
    for table in MADE:
        await connection.execute(f"DELETE FROM {table}")
    await connection.execute("CHECKPOINT")


async def creation(url: str, created: int) -> bool:
    database = await open_database(url)
    await deploy_task(database)
    service = Service(database)
    admin: Any = await cast("Any", asyncpg).connect(url)
    connections: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CALLERS):
        connections.put_nowait(await cast("Any", asyncpg).connect(url))
    names = (f"r{number}" for number in itertools.count())

    async def create(_: int) -> None:
        await service.create(next(names))

    await rate(create, 500)
    rates: list[float] = []
    for _ in range(3):
        await clear(admin)
        ours = await rate(create, created)
        rows = await take(admin)
        bare = Bare(connections, rows)
        theirs = await rate(bare.create, created)
        rates.append(ours / theirs)
        print(f"CreateRun {ours:,.0f}/s, bare loop {theirs:,.0f}/s: {ours / theirs:.0%}")
    await clear(admin)
    paced = await latencies(create, PACE * PACED_SECONDS)
    rows = await take(admin)
    bare_paced = await latencies(Bare(connections, rows).create, PACE * PACED_SECONDS)
    ours99, bare99 = quantile(paced, 0.99), quantile(bare_paced, 0.99)
    print(
        f"at {PACE}/s: CreateRun p50 {quantile(paced, 0.5) * 1000:.1f} ms, p99 {ours99 * 1000:.1f} ms;"
        f" bare p50 {quantile(bare_paced, 0.5) * 1000:.1f} ms, p99 {bare99 * 1000:.1f} ms; {ours99 / bare99:.1f} times"
    )
    while not connections.empty():
        await connections.get_nowait().close()
    await admin.close()
    await database.close()
    median = quantile(rates, 0.5)
    print(f"CreateRun: {median:.0%} of the bare rate (target {RATE_TARGET:.0%})")
    return median >= RATE_TARGET and ours99 <= LATENCY_TARGET * bare99


ORDERS: dict[str, tuple[Sort, ...]] = {
    "own": (),
    "newest": (Sort("created_at"),),
    "oldest": (Sort("created_at", ascending=True),),
    "phase": (Sort("phase", ascending=True),),
}
SCOPE = Scope(TASK.project, TASK.domain)
DAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def wanted() -> dict[str, tuple[Within | None, tuple[Filter, ...]]]:
    """What people ask for: a scope, and filters as the SDK sends them."""
    task = Filter("task_name", Function.EQUAL, ("env.t7",))
    failed = Filter("phase", Function.EQUAL, ("6",))
    return {
        "everything": (None, ()),
        "project": (SCOPE, ()),
        "project, failed": (SCOPE, (failed,)),
        "project, of a day": (SCOPE, (Filter("created_at", Function.GREATER_THAN_OR_EQUAL, (DAY,)),)),
        "project, a task": (SCOPE, (task,)),
        "project, a task, failed": (SCOPE, (task, failed)),
        "task": (TaskName(TASK.project, TASK.domain, "env.t7"), ()),
        "version": (TaskId(TASK.project, TASK.domain, "env.t7", "v3"), ()),
        "trigger": (TriggerName(TASK.project, TASK.domain, TASK.name, "tick"), ()),
    }


async def pages(database: Database, within: Within | None, query: ListQuery, stored: int) -> list[float]:
    """Seconds for the first page, five times, and for pages at any depth by their tokens."""
    now = datetime.now(UTC)
    times: list[float] = []
    for each in range(20):
        token = ""
        if each >= 5:
            before = to_micros(now - timedelta(seconds=random.uniform(0, stored)))
            older = Filter("created_at", Function.LESS_THAN, (str(before),))
            jump = replace(query, limit=1, filters=(*query.filters, older))
            token = (await database.read(lambda tx, jump=jump: runs.list_page(tx, jump, within=within))).next_token
        page = replace(query, token=token)
        began = time.perf_counter()
        await database.read(lambda tx, page=page: runs.list_page(tx, page, within=within))
        times.append(time.perf_counter() - began)
    return times


async def lists(name: str, url: str, stored: int) -> bool:
    database = await open_database(url)
    began = time.perf_counter()
    await crowd(database, stored, deployed=1000)
    print(f"{name}: planted {stored:,} runs in {time.perf_counter() - began:.0f} s")
    worst = 0.0
    for what, (within, filters) in wanted().items():
        cells: list[str] = []
        for order, sort in ORDERS.items():
            times = await pages(database, within, ListQuery(limit=100, sort=sort, filters=filters), stored)
            worst = max(worst, quantile(times, 0.95))
            cells.append(f"{order} {quantile(times, 0.5) * 1000:.1f}/{quantile(times, 0.95) * 1000:.1f}")
        print(f"{name}: {what}: p50/p95 ms: {', '.join(cells)}")
    print(f"{name}: the slowest p95 of a page of 100 runs is {worst * 1000:.1f} ms (target {PAGE_TARGET * 1000:.0f})")
    await database.close()
    return worst <= PAGE_TARGET


async def main() -> None:
    leave_what_is_loaded()
    stored, created = map(int, sys.argv[1:3] or ("1000000", "2000"))
    with postgresql_server(DURABLE) as url:
        met = [await creation(url, created)]
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        met.append(await lists("sqlite", str(Path(directory) / "wingbeat.db"), stored))
    with postgresql_server(DURABLE) as url:
        met.append(await lists("postgresql", url, stored))
    sys.exit(0 if all(met) else "a target was missed")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    asyncio.run(main())
