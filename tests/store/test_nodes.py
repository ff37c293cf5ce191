from datetime import timedelta

from tests.conftest import T0, FakeClock
from tests.queued_runs import root_of
from wingbeat.core.ids import AttemptId
from wingbeat.store import claims, leases, nodes, queue
from wingbeat.store.database import Database, Transaction
from wingbeat.store.nodes import Membership, Node

LEASE = timedelta(seconds=60)
ONE, TWO = Node("n1", "h1", private_blobs=False), Node("n2", "h2", private_blobs=True)


async def test_a_node_lives_as_long_as_its_lease(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: nodes.register(tx, ONE, LEASE))
    assert await database.read(lambda tx: nodes.others(tx, "n2")) == [Membership(ONE, T0, T0 + LEASE)]
    assert await database.read(lambda tx: nodes.others(tx, "n1")) == []
    clock.forward(LEASE)
    assert await database.read(lambda tx: nodes.others(tx, "n2")) == []
    assert await database.write(lambda tx: nodes.renew(tx, "n1", LEASE))
    assert await database.read(lambda tx: nodes.others(tx, "n2")) == [Membership(ONE, T0, T0 + 2 * LEASE)]


async def test_a_restarted_node_is_the_same_node(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: nodes.register(tx, ONE, LEASE))
    clock.forward(LEASE / 2)
    moved = Node("n1", "h9", private_blobs=True)
    await database.write(lambda tx: nodes.register(tx, moved, LEASE))
    (only,) = await database.read(lambda tx: nodes.others(tx, ""))
    assert only == Membership(moved, T0 + LEASE / 2, T0 + LEASE * 1.5)


async def test_a_node_that_left_is_forgotten_unless_it_holds_something(database: Database, clock: FakeClock) -> None:
    async def prepare(tx: Transaction) -> None:
        await nodes.register(tx, ONE, LEASE)
        await nodes.register(tx, TWO, LEASE)
        await queue.add(tx, [queue.Entry(AttemptId(root_of("r"), 1), 0, "", None, T0)])
        await claims.claim(tx, "n1", 1)

    await database.write(prepare)
    clock.forward(2 * LEASE)
    await database.write(lambda tx: nodes.remove_expired(tx, tx.now))
    assert await database.write(lambda tx: nodes.renew(tx, "n1", LEASE))
    assert not await database.write(lambda tx: nodes.renew(tx, "n2", LEASE))
    await database.write(lambda tx: nodes.remove(tx, "n1"))
    assert not await database.write(lambda tx: nodes.renew(tx, "n1", LEASE))


async def test_a_lease_has_one_holder_at_a_time(database: Database, clock: FakeClock) -> None:
    async def acquire(holder: str) -> int | None:
        return await database.write(lambda tx: leases.acquire(tx, "pruner", holder, LEASE))

    assert await acquire("n1") == 1
    assert await acquire("n2") is None
    clock.forward(LEASE / 2)
    assert await acquire("n1") == 1, "renewed under the same token"
    clock.forward(LEASE / 2)
    assert await acquire("n2") is None
    clock.forward(LEASE / 2)
    assert await acquire("n2") == 2
    clock.forward(LEASE)
    assert await acquire("n1") == 3
