import pytest

from wingbeat.core.action import Phase, PhaseChange
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, RunId
from wingbeat.errors import Conflict
from wingbeat.store import events
from wingbeat.store.database import Database, Transaction, to_micros
from wingbeat.store.pending import Insert, statement

KEY = ("name", "value", "created_at")


async def add(tx: Transaction, *names: str) -> None:
    await tx.insert("keyring", KEY, [(name, b"", to_micros(tx.now)) for name in names])


async def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT name FROM keyring ORDER BY name")]


def test_several_rows_are_one_statement() -> None:
    sql, values = statement([Insert("a", ("x", "y"), (1, 2)), Insert("b", ("z",), (3,))])
    assert sql == "WITH part_0 AS (INSERT INTO a (x, y) VALUES ($1, $2)) INSERT INTO b (z) VALUES ($3)"
    assert values == [1, 2, 3]


async def test_what_was_inserted_is_seen_at_once(database: Database) -> None:
    async def body(tx: Transaction) -> list[list[str]]:
        await add(tx, "a")
        first = await names(tx)
        await add(tx, "b")
        await tx.execute("DELETE FROM keyring WHERE name = $1", "b")
        for number in range(10):
            await add(tx, f"n{number}")
        await add(tx, "x", "y")
        return [first, await names(tx)]

    seen = ["a", *(f"n{number}" for number in range(10)), "x", "y"]
    assert await database.write(body) == [["a"], seen]
    assert await database.read(names) == seen


async def test_a_key_that_is_taken_by_the_last_row_is_a_conflict(database: Database) -> None:
    await database.write(lambda tx: add(tx, "a"))
    with pytest.raises(Conflict):
        await database.write(lambda tx: add(tx, "a"))
    assert await database.read(names) == ["a"]


async def test_rows_of_one_table_are_numbered_in_the_order_of_their_inserts(database: Database) -> None:
    action, said = ActionId(RunId("p", "development", "r"), ROOT_ACTION), ["first", "second", "third"]

    async def body(tx: Transaction) -> None:
        for words in said:
            await events.record(tx, [(action, PhaseChange(1, Phase.QUEUED, tx.now, words))])

    await database.write(body)
    found = await database.read(lambda tx: events.said(tx, AttemptId(action, 1), after=0))
    assert [each.change.message for each in found] == said
