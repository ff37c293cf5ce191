import asyncio
from datetime import timedelta

from tests.conftest import T0, FakeClock
from tests.queued_runs import root_of
from wingbeat.core.ids import AttemptId
from wingbeat.store import claims, nodes, queue
from wingbeat.store.database import Database, Transaction
from wingbeat.store.nodes import Node
from wingbeat.store.queue import Entry

LEASE = timedelta(seconds=60)


def entry(name: str, *, priority: int = 0, after: float = 0) -> Entry:
    return Entry(AttemptId(root_of(name), 1), priority, "", None, T0 + timedelta(seconds=after))


def names(entries: list[Entry]) -> list[str]:
    return [item.attempt.action.run.name for item in entries]


async def claim(database: Database, node: str = "n1", limit: int = 9) -> list[Entry]:
    return await database.write(lambda tx: claims.claim(tx, node, limit))


async def test_the_urgent_come_first_then_the_old(database: Database, clock: FakeClock) -> None:
    entries = [entry("young", after=2), entry("old"), entry("urgent", priority=1, after=2)]
    await database.write(lambda tx: queue.add(tx, entries))
    clock.forward(timedelta(seconds=2))
    assert names(await claim(database, limit=2)) == ["urgent", "old"]
    assert names(await claim(database)) == ["young"]
    assert await claim(database) == []


async def test_nobody_claims_before_the_time(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: queue.add(tx, [entry("later", after=5)]))
    assert await claim(database) == []
    assert await database.read(claims.next_available_at) == T0 + timedelta(seconds=5)
    clock.forward(timedelta(seconds=5))
    assert names(await claim(database)) == ["later"]
    assert await database.read(claims.next_available_at) is None


async def test_what_waits_for_no_time_is_claimed_by_nobody_until_it_is_released(
    database: Database, clock: FakeClock
) -> None:
    waiting = Entry(AttemptId(root_of("waiting"), 1), 9, "", None, queue.NEVER)
    await database.write(lambda tx: queue.add(tx, [waiting, entry("r")]))
    clock.forward(timedelta(days=365 * 1000))
    assert await database.read(queue.waiting_by_lane) == [("", 1)]
    assert names(await claim(database)) == ["r"]
    assert await database.read(claims.next_available_at) is None
    await database.write(lambda tx: queue.release(tx, waiting.attempt, at=tx.now))
    assert names(await claim(database)) == ["waiting"]


async def test_each_claim_has_a_new_token(database: Database) -> None:
    await database.write(lambda tx: queue.add(tx, [entry("r")]))
    tokens: list[int] = []
    for node in ("n1", "n2"):
        (claimed,) = await claim(database, node)
        tokens.append(claimed.token)
        assert claimed.node == node
        await database.write(lambda tx: queue.release(tx, entry("r").attempt, at=T0))
    assert tokens == [1, 2]


async def test_no_entry_is_claimed_twice_at_once(database: Database) -> None:
    await database.write(lambda tx: queue.add(tx, [entry(f"r{n}") for n in range(20)]))
    claimed = await asyncio.gather(*(claim(database, f"n{n}", limit=3) for n in range(10)))
    got = [name for entries in claimed for name in names(entries)]
    assert len(got) == len(set(got))


async def test_a_change_of_the_queue_wakes_its_watchers(database: Database) -> None:
    with database.changes.subscribe("queue") as subscription:
        await database.write(lambda tx: queue.add(tx, [entry("r")]))
        assert await subscription.wait(5)


async def test_what_a_dead_node_holds_is_abandoned(database: Database, clock: FakeClock) -> None:
    async def register(tx: Transaction) -> None:
        await queue.add(tx, [entry("r1"), entry("r2"), entry("waiting", after=9)])
        await nodes.register(tx, Node("n1", "h1", private_blobs=False), LEASE)

    await database.write(register)
    await claim(database)
    assert await database.write(lambda tx: queue.abandoned(tx, 9)) == []
    clock.forward(LEASE)
    assert names(await database.write(lambda tx: queue.abandoned(tx, 9))) == ["r1", "r2"]
    assert names(await database.write(lambda tx: queue.abandoned(tx, 1))) == ["r1"]


async def test_what_an_unknown_node_holds_is_abandoned(database: Database) -> None:
    await database.write(lambda tx: queue.add(tx, [entry("r1")]))
    await claim(database, "ghost")
    assert names(await database.write(lambda tx: queue.abandoned(tx, 9))) == ["r1"]
