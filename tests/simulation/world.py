"""A world to simulate in: one clock that anybody may turn, one database file, programs that end or stop anywhere.

Only one program moves at a time, from one database call to the next, so the same moves have the same end.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from tests.conftest import FakeClock
from wingbeat.errors import Unavailable
from wingbeat.store.changes import Changes
from wingbeat.store.database import Argument, Body, Database, Row, Transaction, Value, open_database

T = TypeVar("T")


class SteppingClock(FakeClock):
    """Goes forward or steps; `steady` only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.latest = self.now
        """The latest moment it ever showed."""
        self._steady = 0.0

    def forward(self, step: timedelta) -> None:
        self.step(step)
        self._steady += step.total_seconds()

    def step(self, by: timedelta) -> None:
        self.now = self.now + by
        self.latest = max(self.latest, self.now)

    def steady(self) -> float:
        return self._steady


class Killed(BaseException):
    """The end of a program, wherever it was."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a program in its next write."""

    error: Callable[[], BaseException]
    statements: int
    """So many are done before it; with fewer in the transaction it happens right before the COMMIT."""
    after_commit: bool = False


def killed(statements: int, *, after_commit: bool = False) -> Fault:
    return Fault(Killed, statements, after_commit)


def interrupted(statements: int) -> Fault:
    return Fault(lambda: Unavailable("the database is busy"), statements)


class FaultyTransaction:
    def __init__(self, tx: Transaction, fault: Fault) -> None:
        self._tx = tx
        self._fault = fault
        self._left = fault.statements
        self.now, self.settled, self.for_share = tx.now, tx.settled, tx.for_share
        self.for_update, self.skip_locked = tx.for_update, tx.skip_locked

    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]:
        self._count()
        return await self._tx.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        self._count()
        return await self._tx.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: Value) -> int:
        self._count()
        return await self._tx.execute(sql, *args)

    async def insert(self, table: str, columns: Collection[str], rows: Sequence[Sequence[Value]]) -> None:
        self._count()
        await self._tx.insert(table, columns, rows)

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._count()
        await self._tx.update(sql, rows)

    def changed(self, *topics: str) -> None:
        self._tx.changed(*topics)

    def _count(self) -> None:
        if not self._left:
            raise self._fault.error()
        self._left -= 1


class FaultyDatabase:
    """A database whose next call, if it is a write, meets the fault that is set; with a gate it waits for its turn."""

    shared = True

    def __init__(self, database: Database, gate: "Gate | None" = None) -> None:
        self._database = database
        self._gate = gate
        self.fault: Fault | None = None

    @property
    def changes(self) -> Changes:
        return self._database.changes

    async def write(self, body: Body[T]) -> T:
        if self._gate:
            await self._gate.turn()
        fault, self.fault = self.fault, None
        if fault is None:
            return await self._database.write(body)
        await self._database.write(lambda tx: _faulty(body, tx, fault))
        raise fault.error()

    async def read(self, body: Body[T]) -> T:
        if self._gate:
            await self._gate.turn()
        self.fault = None
        return await self._database.read(body)

    async def close(self) -> None:
        await self._database.close()


async def _faulty(body: Body[T], tx: Transaction, fault: Fault) -> T:
    if fault.after_commit:
        return await body(tx)
    await body(FaultyTransaction(tx, fault))
    raise fault.error()


class Gate:
    """Where a program waits until it is let on."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._stopped = asyncio.Event()

    async def turn(self) -> None:
        self._stopped.set()
        await self._opened.wait()
        self._opened.clear()

    async def start(self, program: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let it begin, up to its first turn."""
        self._stopped.clear()
        task = asyncio.create_task(program)
        task.add_done_callback(lambda _: self._stopped.set())
        await self._stopped.wait()
        return task

    async def let_on(self) -> None:
        """Until it waits again, or ends."""
        self._stopped.clear()
        self._opened.set()
        await self._stopped.wait()


class Loop(Protocol):
    async def tick(self) -> float | None: ...


class Program:
    """A loop in a process of its own. It does nothing unless it is told to go on."""

    def __init__(self, name: str, database: Database, loop_on: Callable[[Database], Loop]) -> None:
        self._gate = Gate()
        self._database = FaultyDatabase(database, self._gate)
        self._tick: asyncio.Task[float | None] | None = None
        self.loop = loop_on(self._database)
        self.loop_on = loop_on
        self.name = f"{type(self.loop).__name__.lower()} {name}"

    @property
    def amid(self) -> bool:
        """Whether it has begun a round and not ended it."""
        return self._tick is not None

    async def go_on(self, fault: Fault | None = None) -> bool:
        """Do the next database call, with this fault if it writes. Whether the round is over.

        Raises Killed, and what the round raises.
        """
        if self._tick is None:
            self._tick = await self._gate.start(self.loop.tick())
        self._database.fault = fault
        await self._gate.let_on()
        if not self._tick.done():
            return False
        tick, self._tick = self._tick, None
        tick.result()
        return True

    async def round(self) -> float | None:
        """A whole round: the seconds it wants to sleep afterwards."""
        self._tick = await self._gate.start(self.loop.tick())
        while not self._tick.done():
            await self._gate.let_on()
        tick, self._tick = self._tick, None
        return tick.result()

    async def end(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            await asyncio.gather(self._tick, return_exceptions=True)
            self._tick = None
        await self._database.close()


async def start(name: str, url: str, clock: SteppingClock, loop_on: Callable[[Database], Loop]) -> Program:
    return Program(name, await open_database(url, clock), loop_on)
