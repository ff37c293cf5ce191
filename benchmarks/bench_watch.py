"""Runs that are watched: the snapshot of 10,000 actions, a change until it arrives, watchers that have nothing to do,
and 5,000 traces of one parent. The services run in a process of their own, so that its time and memory are theirs.

    python benchmarks/bench_watch.py [actions] [changes] [watchers] [traces]

PostgreSQL does not wait for its disk. The baseline reads the same rows with one bare SELECT and serialises them.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from flyteidl2.actions import actions_service_pb2
from flyteidl2.actions.actions_service_connect import ActionsServiceClient
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb
from flyteidl2.workflow.run_service_connect import RunServiceClient

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.listening import listening
from tests.loops.node import blobs_in
from tests.postgresql import postgresql_server
from wingbeat.core.action import Action, Phase
from wingbeat.core.action_tree import Shown
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, Scope
from wingbeat.operations import runs
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.actions_service import Actions
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.run_service.feeds import RECONCILE_SECONDS
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.streams import closing
from wingbeat.store import actions
from wingbeat.store.actions import COLUMNS, action_of
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics
from wingbeat.wire import actions as wire
from wingbeat.wire import times

SNAPSHOT_SECONDS = 3.0
CHANGE_MILLISECONDS = 200.0
IDLE_PERCENT = 2.0
GROWTH_MEGABYTES = 20.0
"""What all traces may add to the memory that the first few left behind."""
WARM_UP = 1000
"""Traces."""
TRACES_SECONDS = 120.0
IDLE_SECONDS = 2 * RECONCILE_SECONDS
AT_ONCE = 50
"""Traces that the parent records at the same time."""
SET = 1000
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Server:
    process: psutil.Process
    runs: RunServiceClient
    actions: ActionsServiceClient

    @property
    def megabytes(self) -> float:
        return self.process.memory_info().rss / MEGABYTE

    async def percent_of_a_core(self, seconds: float) -> float:
        before = self.process.cpu_times()
        await asyncio.sleep(seconds)
        after = self.process.cpu_times()
        return 100 * (after.user + after.system - before.user - before.system) / seconds


async def serve(url: str, directory: str) -> None:
    """In the process of the services: until standard input ends."""
    database = await open_database(url)
    draining = Draining()
    services = [Runs(database, DOMAINS, DEFAULTS), Actions(database, blobs_in(directory))]
    app = build(services, draining=draining, metrics=Metrics())
    async with listening(app, on_stopping=draining.begin) as address:
        print(address.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await database.close()


@contextmanager
def process(url: str, directory: str) -> Generator[tuple[str, psutil.Process]]:
    child = subprocess.Popen(
        [sys.executable, __file__, "serve", url, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip(), psutil.Process(child.pid)
    finally:
        child.stdin.close()
        child.wait(30)


@asynccontextmanager
async def running(url: str, directory: str) -> AsyncGenerator[Server]:
    with process(url, directory) as (address, child):
        async with RunServiceClient(address) as runs_client, ActionsServiceClient(address) as actions_client:
            yield Server(child, runs_client, actions_client)


def run_id(name: str) -> identifier_pb2.RunIdentifier:
    return identifier_pb2.RunIdentifier(project=TASK.project, domain=TASK.domain, name=name)


async def plant(database: Database, name: str, count: int = 1) -> Action:
    """A run of `count` actions, all but the first of them below the first."""
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name=name)
    created = await database.write(
        lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x")
    )
    root = created.root
    for first in range(1, count, SET):
        children = [
            replace(root, id=ActionId(root.id.run, f"n{number:05}"), parent=ROOT_ACTION, phase=Phase.RUNNING)
            for number in range(first, min(first + SET, count))
        ]
        await database.write(lambda tx, children=children: actions.insert(tx, children))
    return root


async def bare(database: Database, run: RunId) -> float:
    """Seconds to read the rows of a run with one statement, and to serialise them."""
    began = time.perf_counter()

    async def body(tx: Transaction) -> list[Action]:
        rows = await tx.fetch(
            f"SELECT {COLUMNS} FROM action a WHERE a.project = $1 AND a.domain = $2 AND a.run = $3",
            run.project,
            run.domain,
            run.name,
        )
        return [action_of(row) for row in rows]

    shown = [wire.enriched(Shown(action, {}, visible=True)) for action in await database.read(body)]
    pb.WatchActionsResponse(enriched_actions=shown).SerializeToString()
    return time.perf_counter() - began


def trace(run: str, name: str) -> actions_service_pb2.EnqueueRequest:
    now = times.to_proto(datetime.now(UTC))
    step = run_definition_pb2.TraceAction(
        name="step",
        phase="ACTION_PHASE_SUCCEEDED",
        start_time=now,
        end_time=now,
        outputs={"output_uri": "s3://b/o.pb"},
        spec={},
    )
    action = actions_service_pb2.Action(
        action_id=identifier_pb2.ActionIdentifier(run=run_id(run), name=name),
        parent_action_name=ROOT_ACTION,
        input_uri="s3://b/i",
        run_output_base="s3://b",
        trace=step,
    )
    return actions_service_pb2.EnqueueRequest(action=action)


async def snapshot_and_changes(server: Server, run: str, count: int, changes: int) -> tuple[float, list[float]]:
    """Seconds until all actions have come; milliseconds from the answer of each call that makes a
    change, which is committed by then, to its message.
    """
    began = time.perf_counter()
    late: list[float] = []
    async with closing(server.runs.watch_actions(pb.WatchActionsRequest(run_id=run_id(run)))) as stream:
        known: set[str] = set()
        while len(known) < count:
            known.update(each.action.id.name for each in (await anext(stream)).enriched_actions)
        took = time.perf_counter() - began
        for number in range(changes):
            name = f"t{number}"
            await server.actions.enqueue(trace(run, name))
            answered = time.perf_counter()
            while name not in known:
                known.update(each.action.id.name for each in (await anext(stream)).enriched_actions)
            late.append((time.perf_counter() - answered) * 1000)
    return took, late


async def idle(server: Server, names: list[str]) -> tuple[float, float]:
    """Percent of a core without watchers, and with one for each of the runs."""
    nobody = await server.percent_of_a_core(RECONCILE_SECONDS / 2)
    streams = [server.runs.watch_actions(pb.WatchActionsRequest(run_id=run_id(name))) for name in names]
    for stream in streams:
        await anext(stream)
    await asyncio.sleep(RECONCILE_SECONDS + 1)
    watched = await server.percent_of_a_core(IDLE_SECONDS)
    for stream in streams:
        async with closing(stream):
            pass
    return nobody, watched


async def traces(server: Server, run: str, count: int) -> tuple[float, int, int]:
    """Seconds in which the parent records its traces, and how many of them the parent and a watcher were told of."""
    begun = asyncio.Semaphore(AT_ONCE)

    async def record(number: int) -> None:
        async with begun:
            await server.actions.enqueue(trace(run, f"t{number}"))

    async with asyncio.timeout(TRACES_SECONDS), asyncio.TaskGroup() as group:
        told, seen = (
            group.create_task(told_the_parent(server, run, count)),
            group.create_task(shown(server, run, count)),
        )
        began = time.perf_counter()
        await asyncio.gather(*(record(number) for number in range(count)))
        took = time.perf_counter() - began
    return took, len(told.result()), len(seen.result())


async def told_the_parent(server: Server, run: str, count: int) -> set[str]:
    parent = identifier_pb2.ActionIdentifier(run=run_id(run), name=ROOT_ACTION)
    request = actions_service_pb2.WatchForUpdatesRequest(parent_action_id=parent)
    names: set[str] = set()
    async with closing(server.actions.watch_for_updates(request)) as stream:
        async for message in stream:
            if message.HasField("action_update"):
                names.add(message.action_update.action_id.name)
            if len(names) == count:
                break
    return names


async def shown(server: Server, run: str, count: int) -> set[str]:
    names: set[str] = set()
    async with closing(server.runs.watch_actions(pb.WatchActionsRequest(run_id=run_id(run)))) as stream:
        async for message in stream:
            names.update(each.action.id.name for each in message.enriched_actions)
            if len(names) == count + 1:
                break
    return names - {ROOT_ACTION}


async def measure(name: str, url: str, directory: str, sizes: list[int]) -> list[str]:
    """Says what it finds; what misses its target."""
    count, changes, watchers, trace_count = sizes
    names = [f"idle{number}" for number in range(watchers)]
    database = await open_database(url)
    await deploy_task(database)
    root = await plant(database, "wide", count)
    for each in [*names, "first", "second"]:
        await plant(database, each)
    baseline = statistics.median([await bare(database, root.id.run) for _ in range(3)])
    await database.close()
    missed: list[str] = []

    def check(what: str, value: float, most: float, unit: str) -> None:
        print(f"{name}: {what} {value:.1f} {unit} (target {most:.0f})")
        if value > most:
            missed.append(f"{name}: {what} {value:.1f} {unit}, more than {most:.0f}")

    async with running(url, directory) as server:
        snapshot, late = await snapshot_and_changes(server, "wide", count, changes)
        check(f"snapshot of {count:,} actions", snapshot, SNAPSHOT_SECONDS, "s")
        print(f"{name}: {snapshot / baseline:.1f} times reading and serialising the same rows, {baseline:.2f} s")
        ranked = sorted(late)
        check("from a change to its message, p50", statistics.median(ranked), CHANGE_MILLISECONDS, "ms")
        check("from a change to its message, p99", ranked[int(len(ranked) * 0.99)], CHANGE_MILLISECONDS, "ms")
        nobody, watched = await idle(server, names)
        print(f"{name}: nobody watches: {nobody:.1f} % of a core")
        check(f"{watchers} idle watchers of as many runs", watched, IDLE_PERCENT, "% of a core")
        await traces(server, "first", min(WARM_UP, trace_count))
        before = server.megabytes
        took, told, seen = await traces(server, "second", trace_count)
        print(f"{name}: {trace_count:,} traces of one parent: {trace_count / took:,.0f}/s")
        check("traces that the parent or a watcher was not told of:", 2 * trace_count - told - seen, 0, "")
        check("memory that the traces add", server.megabytes - before, GROWTH_MEGABYTES, "MB")
    return missed


async def main() -> None:
    sizes = list(map(int, sys.argv[1:5] or ("10000", "200", "200", "5000")))
    with tempfile.TemporaryDirectory(prefix="wingbeat-bench-") as directory:
        missed = await measure("sqlite", str(Path(directory) / "wingbeat.db"), directory, sizes)
        with postgresql_server() as url:
            missed += await measure("postgresql", url, directory, sizes)
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(*sys.argv[2:4]))
    else:
        os.chdir(Path(__file__).parent.parent)
        asyncio.run(main())
