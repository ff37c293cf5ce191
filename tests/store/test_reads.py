"""Reads that take long: they hold nobody up, and they end."""

import asyncio
from pathlib import Path
from threading import Event

import pytest

from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.errors import ResourceExhausted
from wingbeat.store import postgresql, sqlite_reads
from wingbeat.store.database import Database, Row, Transaction, open_database
from wingbeat.store.filters import Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page


def counting(to: int) -> str:
    return f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT max(i) AS i FROM n"


FOR_EVER = counting(10**12)


async def count(tx: Transaction, to: int) -> int:
    return (await tx.fetch(counting(to)))[0]["i"]


async def test_a_long_read_answers_like_a_short_one(database: Database) -> None:
    assert await database.read(lambda tx: count(tx, 100_000)) == 100_000


async def test_short_reads_pass_long_ones_by(database: Database) -> None:
    long = asyncio.create_task(database.read(lambda tx: tx.fetch(FOR_EVER)))
    assert [await database.read(lambda tx, to=to: count(tx, to)) for to in range(1, 30)] == list(range(1, 30))
    assert not long.done()
    long.cancel()


async def test_a_read_that_takes_too_long_asks_for_less(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_reads, "READ_SECONDS", 0.05)
    monkeypatch.setattr(postgresql, "_BEGIN_READ", postgresql._BEGIN_READ.replace("= 10000;", "= 50;"))
    with pytest.raises(ResourceExhausted, match="ask for less"):
        await database.read(lambda tx: tx.fetch(FOR_EVER))
    assert await database.read(lambda tx: count(tx, 3)) == 3, "the connection goes on"


async def test_a_list_that_takes_too_long_says_what_to_narrow(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_reads, "READ_SECONDS", 0.05)
    monkeypatch.setattr(postgresql, "_BEGIN_READ", postgresql._BEGIN_READ.replace("= 10000;", "= 50;"))
    endless = Listing(
        select="n.i",
        source=f"({FOR_EVER}) n WHERE {{where}}",
        columns=Columns({"i": Column("n.i", Kind.INTEGER)}),
        key=("i",),
        default_sort=(Sort("i"),),
    )
    query = ListQuery(filters=(Filter("i", Function.GREATER_THAN, ("7",)),))
    with pytest.raises(ResourceExhausted, match=r"smaller scope or with other filters.*i GREATER_THAN; the list's own"):
        await database.read(lambda tx: fetch_page(tx, endless, query))


async def test_what_the_body_refuses_is_not_taken_for_a_read_that_was_stopped(database: Database) -> None:
    async def body(tx: Transaction) -> None:
        raise ResourceExhausted("too many fish")

    with pytest.raises(ResourceExhausted, match="fish"):
        await database.read(body)


async def test_a_read_that_nobody_waits_for_stops(database: Database) -> None:
    async def body(tx: Transaction) -> list[Row]:
        return list(await tx.fetch(FOR_EVER))

    reads = [asyncio.create_task(database.read(body)) for _ in range(sqlite_reads.THREADS + 1)]
    await asyncio.sleep(0)
    await database.read(lambda tx: count(tx, 3))
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    async with asyncio.timeout(5):
        assert await database.read(lambda tx: count(tx, 100_000)) == 100_000


async def test_a_change_whose_loop_is_closed_stops_no_other_writer(tmp_path: Path) -> None:
    database = await open_database(str(tmp_path / "wingbeat.db"))
    closed = Event()

    async def patient(tx: Transaction) -> None:
        tx.changed("queue")
        closed.wait(5)

    def leave() -> None:
        with asyncio.Runner() as runner, pytest.raises(TimeoutError):
            runner.run(asyncio.wait_for(database.write(patient), 0.01))

    await asyncio.to_thread(leave)
    closed.set()
    async with asyncio.timeout(5):
        await database.write(lambda tx: tx.execute("DELETE FROM keyring"))
    await database.close()
