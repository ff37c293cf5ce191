"""One node of the server without its process: tests start it, drive it round by round, and kill it at any point."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.fake_executor import FakeExecutor
from wingbeat.blobs.signing import SigningKey
from wingbeat.blobs.store import Blobs, open_blobs
from wingbeat.loops.archivist import Archivist
from wingbeat.loops.dispatcher import Dispatcher
from wingbeat.loops.rescuer import Rescuer
from wingbeat.loops.specs import Specs
from wingbeat.loops.statuses import Statuses
from wingbeat.loops.watcher import Watcher
from wingbeat.store.database import Database
from wingbeat.store.nodes import Node
from wingbeat.wire.launch import LaunchSettings

SETTINGS = LaunchSettings("127.0.0.1:8080", insecure=True)


def blobs_in(path: object) -> Blobs:
    return open_blobs(f"{path}/blobs", signing=SigningKey(bytes(32)), public_url="http://127.0.0.1:8080", fsync=False)


class OneNode:
    def __init__(
        self,
        database: Database,
        executor: FakeExecutor,
        blobs: Blobs,
        *,
        name: str = "n1",
        slots: int = 8,
        monotonic: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._executor = executor
        self.statuses = Statuses(executor, database.changes)
        specs = Specs(database)
        node = Node(name, "host", private_blobs=False)
        common: Mapping[str, Any] = {"node": name, "statuses": self.statuses}
        self.dispatcher = Dispatcher(
            database, executor, blobs, slots=slots, settings=SETTINGS, specs=specs, chance=lambda: 0.5, **common
        )
        self.watcher = Watcher(database, executor, blobs, specs=specs, chance=lambda: 0.5, **common)
        self.archivist = Archivist(database, executor, blobs, **common)
        self.rescuer = Rescuer(
            database, executor, node=node, statuses=self.statuses, chance=lambda: 0.5, monotonic=monotonic
        )
        self._follow: asyncio.Task[float] | None = None

    async def __aenter__(self) -> "OneNode":
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def connect(self) -> None:
        self._follow = asyncio.create_task(self.statuses.follow())
        await self.hear()

    async def hear(self) -> None:
        """Until it knows everything that the executor says."""
        async with asyncio.timeout(5):
            while not (self.statuses.synced and self.statuses.snapshot() == self._executor.statuses):
                await asyncio.sleep(0)

    async def kill(self) -> None:
        await self.dispatcher.stop()
        if self._follow is not None:
            self._follow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follow

    async def round(self, after_each: Callable[[], None] = lambda: None) -> None:
        """Each loop once."""
        ticks: list[Callable[[], Awaitable[object]]] = [self.dispatcher.tick, self.watcher.tick, self.archivist.tick]
        for tick in ticks:
            await self.hear()
            await tick()
            after_each()
