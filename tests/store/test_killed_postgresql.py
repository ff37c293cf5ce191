"""PostgreSQL is killed under load: callers are told to try again, and what was acknowledged is there afterwards."""

import asyncio
import itertools
from collections.abc import Generator

import asyncpg
import pytest

from tests.postgresql import CRASH_SAFE, Cluster, postgresql_cluster
from wingbeat.errors import Unavailable
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Database, Transaction, open_database, to_micros

KEY = {"name": "text", "value": "bytea", "created_at": "bigint"}
WRITERS = 24
"""More than there are connections: some are in a transaction, some wait for one."""
DEATHS = 2


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    with postgresql_cluster(CRASH_SAFE) as cluster:
        yield cluster


async def keep_writing(database: Database, writer: int, over: asyncio.Event) -> list[str]:
    """The names that were acknowledged."""
    acknowledged: list[str] = []
    for number in itertools.count():
        if over.is_set():
            break
        name = f"{writer}-{number}"

        async def body(tx: Transaction, name: str = name) -> None:
            await tx.insert("keyring", KEY, [(name, b"", to_micros(tx.now))])
            await tx.fetch("SELECT count(*) FROM keyring")
            tx.changed(QUEUE)

        try:
            await database.write(body)
            acknowledged.append(name)
        except Unavailable:
            await asyncio.sleep(0.02)
    return acknowledged


async def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT name FROM keyring")]


async def test_callers_are_told_to_try_again_and_what_was_acknowledged_is_there(cluster: Cluster) -> None:
    database, over = await open_database(cluster.url), asyncio.Event()
    writing = [asyncio.create_task(keep_writing(database, writer, over)) for writer in range(WRITERS)]
    for _ in range(DEATHS):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.kill)
        await asyncio.to_thread(cluster.start)
    await asyncio.sleep(0.3)
    over.set()
    acknowledged = [name for names in await asyncio.gather(*writing) for name in names]
    stored = await database.read(names)
    await database.close()
    assert acknowledged
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


async def test_changes_of_other_processes_are_heard_again_after_a_restart(cluster: Cluster) -> None:
    here, there = await open_database(cluster.url), await open_database(cluster.url)
    with there.changes.subscribe(QUEUE) as queue:
        while await queue.wait(0.2):  # the first connection of the feed wakes everybody
            pass
        await asyncio.to_thread(cluster.kill)
        await asyncio.to_thread(cluster.start)
        assert await queue.wait(10), "what was missed meanwhile"
        while await queue.wait(0.5):
            pass

        async def body(tx: Transaction) -> None:
            tx.changed(QUEUE)

        while not await queue.wait(0.5):
            try:
                await here.write(body)
            except Unavailable:
                continue
    await here.close()
    await there.close()


async def test_a_connection_that_cannot_go_on_is_given_up(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of microseconds between the word of a dying server and the end of its connection."""
    database = await open_database(postgresql_url)
    used: list[int] = []

    async def fails(tx: Transaction) -> None:
        used.append(await backend(tx))
        monkeypatch.setattr(asyncpg.Connection, "execute", stuck)
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    async def stuck(*_: object) -> None:
        monkeypatch.undo()
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")

    with pytest.raises(Unavailable):
        await database.write(fails)
    assert await database.read(backend) not in used
    await database.close()


async def backend(tx: Transaction) -> int:
    row = await tx.fetchrow("SELECT pg_backend_pid() AS pid")
    assert row
    return row["pid"]
