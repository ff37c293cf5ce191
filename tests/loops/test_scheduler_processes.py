"""Real schedulers, really killed and really frozen, on one PostgreSQL. Afterwards the simulation's auditor looks."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.deployed import DEFAULTS, DOMAINS, deploy_task, trigger
from tests.loops.scheduler_process import PACE
from tests.simulation.auditor import Coverage, audit
from tests.simulation.model import History
from wingbeat.core.schedule import Every
from wingbeat.loops.scheduler import Scheduler
from wingbeat.operations import triggers
from wingbeat.operations.firing import Firer
from wingbeat.store import triggers as stored
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics

SECOND = timedelta(seconds=1)
REPOSITORY = Path(__file__).parent.parent.parent
SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))


class World:
    """Triggers on a real database, and their true histories."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.histories: dict[int, History] = {}

    async def deploy(self, *periods: int) -> None:
        wanted = [trigger(f"t{number}", Every(period * SECOND)) for number, period in enumerate(periods)]
        await deploy_task(self.database, triggers=wanted)
        latest = await self.now()
        for deployment in wanted:
            found = await self.database.read(lambda tx, name=deployment.name: stored.find(tx, name))
            assert found is not None
            history = History(deployment.name, found.id)
            history.changed(deployment.schedule, active=True, now=found.deployed_at, latest=latest)
            self.histories[found.id] = history

    async def redeploy(self, history: History, period: int) -> None:
        wanted = trigger(history.name.name, Every(period * SECOND))
        changed = await self.database.write(lambda tx: triggers.deploy(tx, wanted, by="tests", domains=DOMAINS))
        history.changed(wanted.schedule, active=True, now=changed.updated_at, latest=await self.now())

    async def set_active(self, history: History, active: bool) -> None:
        async def body(tx: Transaction) -> datetime:
            await triggers.set_active(tx, [history.name], active, by="tests")
            return tx.now

        now = await self.database.write(body)
        history.changed(history.current.schedule, active=active, now=now, latest=await self.now())

    async def now(self) -> datetime:
        async def body(tx: Transaction) -> datetime:
            return tx.now

        return await self.database.read(body)

    async def fired(self, history: History) -> int:
        async def body(tx: Transaction) -> int:
            rows = await tx.fetch(
                "SELECT count(*) AS fired FROM fire WHERE trigger_id = $1 AND outcome = 'fired'", history.id
            )
            return rows[0]["fired"]

        return await self.database.read(body)

    async def audit(self) -> dict[int, Coverage]:
        return await audit(self.database, self.histories, now=await self.now(), latest=await self.now())

    async def settle(self) -> None:
        """One more scheduler decides what is left; then every slot that was owed is in the ledger."""
        now = await self.now()
        last = Scheduler(self.database, Firer(DEFAULTS, DOMAINS), pace=PACE, steady=lambda: 0.0, metrics=Metrics())
        await last.tick()
        covered = await self.audit()
        for history in self.histories.values():
            assert {covered[history.id][slot].where for slot in history.owed(now)} <= {"fired", "missed"}


@pytest.fixture
async def world(postgresql_url: str) -> AsyncGenerator[World]:
    database = await open_database(postgresql_url)
    try:
        yield World(database)
    finally:
        await database.close()


@asynccontextmanager
async def process(url: str, *freezes_at: str) -> AsyncGenerator[Process]:
    """A scheduler that runs; killed at the end."""
    command = [sys.executable, "-m", "tests.loops.scheduler_process", url, *freezes_at]
    started = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=PIPE)
    try:
        assert started.stdout is not None
        assert await started.stdout.readline() == b"ready\n"
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


@pytest.mark.parametrize("table", ["run", "fire"])
async def test_what_a_frozen_scheduler_has_claimed_is_fired_by_another_and_only_by_it(
    world: World, postgresql_url: str, table: str
) -> None:
    await world.deploy(1, 1)
    async with process(postgresql_url, table) as frozen, process(postgresql_url):
        await asyncio.to_thread(os.waitid, os.P_PID, frozen.pid, os.WSTOPPED | os.WNOWAIT)
        since = await world.now()
        async with asyncio.timeout(20):
            while not all([await world.fired(history) >= 5 for history in world.histories.values()]):
                await asyncio.sleep(0.05)
        frozen.send_signal(signal.SIGCONT)
        while await world.now() < since + 4 * SECOND:
            await asyncio.sleep(0.05)
        assert frozen.returncode is None
        await world.audit()
    await world.settle()


async def test_schedulers_that_are_killed_and_frozen_at_random_fire_every_slot_once(
    world: World, postgresql_url: str
) -> None:
    dice = random.Random(1)
    await world.deploy(1, 1, 1, 2, 3)
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(process(postgresql_url)) for _ in range(3)]
        ends = asyncio.get_running_loop().time() + SECONDS
        while asyncio.get_running_loop().time() < ends:
            victim = dice.randrange(len(running))
            if dice.random() < 0.3:
                running[victim].kill()
                running[victim] = await stack.enter_async_context(process(postgresql_url))
            else:
                running[victim].send_signal(signal.SIGSTOP)
                await asyncio.sleep(dice.uniform(0, 1.5))
                running[victim].send_signal(signal.SIGCONT)
            await change_something(world, dice)
    await world.settle()


async def change_something(world: World, dice: random.Random) -> None:
    """One trigger gets another schedule, or rests for a moment."""
    history = dice.choice(list(world.histories.values()))
    if dice.random() < 0.5:
        await world.redeploy(history, dice.randint(1, 3))
        return
    await world.set_active(history, False)
    fired = await world.fired(history)
    await asyncio.sleep(dice.uniform(0, 1.5))
    assert await world.fired(history) == fired
    await world.set_active(history, True)
