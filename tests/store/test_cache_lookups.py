"""Nothing about the cache reads a table from one end to the other, however much is kept and however many wait."""

from typing import Any

import pytest

from tests.conftest import T0
from tests.explained import Explained
from tests.queued_runs import root_of
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import ActionId, AttemptId, RunId, Scope
from wingbeat.store import cache, claims, queue, reservations
from wingbeat.store.database import Database, Transaction, to_micros

MANY = 3000
TABLES = ("cache_entry", "cache_reservation", "queue", "q")
OWN = CachePolicy("k7", Scope("p", "development"))
ENTRY = {
    "key": "text",
    "project": "text",
    "domain": "text",
    "run": "text",
    "action": "text",
    "attempt": "bigint",
    "output_uri": "text",
    "made_at": "bigint",
    "used_at": "bigint",
}
RESERVATION = {"name": "text", "project": "text", "domain": "text", "run": "text", "action": "text"}


@pytest.fixture(autouse=True)
async def much(database: Database) -> None:
    now = to_micros(T0)

    async def body(tx: Transaction) -> None:
        entries = [(f"k{each}", "p", "development", f"r{each}", "a0", 1, "s3://o", now, now) for each in range(MANY)]
        await tx.insert("cache_entry", ENTRY, entries)
        await tx.insert(
            "cache_reservation",
            RESERVATION,
            [(f"n{each}", "p", "development", f"r{each}", "a0") for each in range(MANY)],
        )
        for each in range(MANY // 10):
            attempt = AttemptId(root_of(f"w{each}"), 1)
            await queue.add(tx, [queue.Entry(attempt, 0, "", None, tx.now)])
            await reservations.wait(tx, attempt, f"n{each}")

    await database.write(body)
    await database.write(lambda tx: tx.execute("ANALYZE"))


async def test_lookups_and_reservations_ask_indexes(database: Database) -> None:
    async def body(tx: Transaction) -> list[str]:
        explained: Any = Explained(tx, sqlite=not database.shared)
        await cache.find(explained, OWN)
        await cache.find(explained, CachePolicy("k7", None))
        await cache.put(explained, OWN, AttemptId(root_of("r1"), 1), "s3://new")
        assert await reservations.reserve(explained, "n1", root_of("x")) == root_of("r1")
        assert await reservations.of_run(explained, RunId("p", "development", "r2")) == [("n2", root_of("r2"))]
        await reservations.pass_on(explained, "n1", root_of("r1"))
        await reservations.give_up(explained, "n2", root_of("r2"))
        return explained.scanned(*TABLES)

    assert await database.write(body) == []


async def test_who_waits_is_not_looked_at_by_who_claims(database: Database) -> None:
    async def body(tx: Transaction) -> tuple[list[queue.Entry], object]:
        return await claims.claim(tx, "n1", 9), await claims.next_available_at(tx)

    assert await database.write(body) == ([], None)
    await database.write(lambda tx: reservations.give_up(tx, "n3", root_of("r3")))
    (entry,), _ = await database.write(body)
    assert entry.attempt.action == ActionId(root_of("w3").run, "a0")
