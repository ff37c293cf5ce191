"""This machine as a place where actions run: its executor, and the loops that keep it busy."""

import platform
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from wingbeat.config.settings import Settings
from wingbeat.core.lane import lane_of
from wingbeat.errors import FailedPrecondition, StartError, Unavailable
from wingbeat.executors.local.executor import LocalExecutor
from wingbeat.loops.archivist import Archivist
from wingbeat.loops.dispatcher import Dispatcher, default_slots
from wingbeat.loops.rescuer import Rescuer
from wingbeat.loops.specs import Specs
from wingbeat.loops.statuses import Statuses
from wingbeat.loops.timekeeper import Timekeeper
from wingbeat.loops.watcher import Watcher
from wingbeat.server.address import Address
from wingbeat.server.authentication import Authentication
from wingbeat.server.data_directory import DataDirectory
from wingbeat.server.keeping import Loop
from wingbeat.server.storage import Storage
from wingbeat.store import nodes
from wingbeat.store.database import Database
from wingbeat.store.nodes import Node
from wingbeat.wire.launch import LaunchSettings


@dataclass(frozen=True, slots=True)
class RunningNode:
    id: str
    executor: LocalExecutor
    loops: Sequence[Loop]
    _database: Database
    _statuses: Statuses

    async def leave(self) -> int:
        """Stop being a node; how many actions go on without us. Nobody has to wait for an idle node's lease."""
        going_on = len(self._statuses.unfinished())
        try:
            ended = await self.executor.end_agent()
        except Unavailable:
            ended = False
        if ended:
            await self._database.write(lambda tx: nodes.remove(tx, self.id))
        return 0 if ended else going_on


@asynccontextmanager
async def running_node(
    settings: Settings,
    data: DataDirectory,
    database: Database,
    storage: Storage,
    address: Address,
    callers: Authentication,
) -> AsyncGenerator[RunningNode]:
    """Raises StartError: the executor cannot start, or another server's blobs are out of this one's reach."""
    launches = _launch_settings(storage, address, callers)
    executor = LocalExecutor(
        data.executor, warm=settings.executor.warm, shared_env=storage.environment(address.local_url)
    )
    statuses, specs = Statuses(executor, database.changes), Specs(database)
    lanes = tuple(lane_of(name) for name in settings.executor.queues)
    node = Node(data.node, platform.node(), private_blobs=storage.private, lanes=lanes)
    rescuer = Rescuer(database, executor, node=node, statuses=statuses)
    try:
        await rescuer.join()
    except FailedPrecondition as error:
        raise StartError(str(error)) from error
    slots = default_slots() if settings.executor.slots is None else settings.executor.slots
    dispatcher = Dispatcher(
        database,
        executor,
        storage.blobs,
        node=node.id,
        slots=slots,
        lanes=lanes,
        settings=launches,
        specs=specs,
        statuses=statuses,
    )
    watcher = Watcher(database, executor, storage.blobs, node=node.id, specs=specs, statuses=statuses)
    archivist = Archivist(database, executor, storage.blobs, node=node.id, statuses=statuses)
    timekeeper = Timekeeper(database, caught_up=lambda: watcher.caught_up)
    await executor.start()
    try:
        yield RunningNode(
            node.id,
            executor,
            (
                Loop("executor", statuses.follow, listens=True),
                Loop("dispatcher", dispatcher.tick, Dispatcher.TOPICS),
                Loop("watcher", watcher.tick, Watcher.TOPICS),
                Loop("archivist", archivist.tick, Archivist.TOPICS),
                Loop("rescuer", rescuer.tick),
                Loop("timekeeper", timekeeper.tick, Timekeeper.TOPICS),
            ),
            database,
            statuses,
        )
    finally:
        await dispatcher.stop()
        await executor.close()


def _launch_settings(storage: Storage, address: Address, callers: Authentication) -> LaunchSettings:
    local = urlsplit(address.local_url)
    return LaunchSettings(
        endpoint=local.netloc,
        insecure=local.scheme == "http",
        s3=storage.s3_access(address.local_url),
        path_of=callers.path_of,
    )
