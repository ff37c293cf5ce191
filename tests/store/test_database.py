import asyncio
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import T0, FakeClock
from wingbeat.errors import Conflict, StartError, Unavailable
from wingbeat.store import postgresql, tasks
from wingbeat.store.changes import EVERYTHING, Changes
from wingbeat.store.database import Database, Row, Transaction, from_micros, open_database, to_micros, without_password

KEY = {"name": "text", "value": "bytea", "created_at": "bigint"}

TASK = """
    INSERT INTO task (project, domain, name, version, type, environment, function_name, short_name, env_description,
                      short_description, entrypoint, spec_digest, deployed_by, created_at, updated_at)
    VALUES ('p', 'd', 't', 'v', '', '', '', '', '', '', $1, 'd', '', 0, 0)
"""


async def add(tx: Transaction, *names: str) -> None:
    await tx.insert("keyring", KEY, [(name, b"", to_micros(tx.now)) for name in names])


async def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT name FROM keyring ORDER BY name")]


async def test_what_was_written_is_read(database: Database) -> None:
    await database.write(lambda tx: add(tx, "a", "b"))
    assert await database.read(names) == ["a", "b"]


async def test_any_of_many_keys_is_found_by_one_statement(database: Database) -> None:
    async def body(tx: Transaction) -> list[Sequence[Row]]:
        await add(tx, "a", "b", "c")
        by_name = (
            "SELECT name FROM keyring WHERE name = ANY($1::text[]) AND created_at = ANY($2::bigint[]) ORDER BY name"
        )
        times = [to_micros(tx.now), 0]
        return [await tx.fetch(by_name, keys, times) for keys in (["c", "a", "x"], list[str]())]

    some, none = await database.write(body)
    assert [row["name"] for row in some] == ["a", "c"]
    assert not none


async def test_a_body_that_raises_changes_nothing(database: Database) -> None:
    async def body(tx: Transaction) -> None:
        await add(tx, "a")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(body)
    assert await database.read(names) == []


async def test_one_body_that_fails_leaves_its_neighbours_alone(database: Database) -> None:
    async def fail(tx: Transaction) -> None:
        await add(tx, "bad")
        raise ValueError

    results = await asyncio.gather(
        *(database.write(fail if n == 5 else lambda tx, n=n: add(tx, f"{n}")) for n in range(10)),
        return_exceptions=True,
    )
    assert [type(result) for result in results if result is not None] == [ValueError]
    assert await database.read(names) == [f"{n}" for n in range(10) if n != 5]


async def test_a_taken_key_is_a_conflict(database: Database) -> None:
    await database.write(lambda tx: add(tx, "a"))
    with pytest.raises(Conflict):
        await database.write(lambda tx: add(tx, "a"))


async def test_a_transaction_has_one_now(database: Database, clock: FakeClock) -> None:
    async def body(tx: Transaction) -> list[object]:
        before = tx.now
        clock.forward(timedelta(minutes=1))
        return [before, tx.now]

    assert await database.write(body) == [T0, T0]


async def test_counts_rows_and_updates_many_at_once(database: Database) -> None:
    async def body(tx: Transaction) -> tuple[int, Sequence[Row]]:
        await add(tx, "a", "b", "c")
        await tx.update(
            "UPDATE keyring SET value = $2 WHERE name = $1",
            [("a", b"1"), ("b", b"2")],
        )
        gone = await tx.execute("DELETE FROM keyring WHERE name = $1", "c")
        return gone, await tx.fetch("SELECT value FROM keyring ORDER BY name")

    gone, rows = await database.write(body)
    assert gone == 1
    assert [row["value"] for row in rows] == [b"1", b"2"]


async def test_a_change_wakes_its_subscribers_after_the_commit(database: Database) -> None:
    async def body(tx: Transaction) -> None:
        await add(tx, "a")
        tx.changed("queue")

    with database.changes.subscribe("queue") as queue:
        await database.write(body)
        assert await queue.wait(5)


async def test_a_subscription_wakes_for_its_own_topics_only() -> None:
    changes = Changes()
    with changes.subscribe("queue") as queue, changes.subscribe("runs") as runs:
        changes.publish(["queue"])
        assert await queue.wait(0)
        assert not await runs.wait(0)
        changes.publish([EVERYTHING])
        assert await runs.wait(0)


async def test_many_writers_at_once_lose_nothing(database: Database) -> None:
    async def increment(tx: Transaction) -> None:
        row = await tx.fetchrow(f"SELECT created_at FROM keyring WHERE name = $1{tx.for_update}", "n")
        assert row
        await tx.execute("UPDATE keyring SET created_at = $1 WHERE name = $2", row["created_at"] + 1, "n")

    await database.write(lambda tx: add(tx, "n"))
    await asyncio.gather(*(database.write(increment) for _ in range(60)))

    async def value(tx: Transaction) -> int:
        row = await tx.fetchrow("SELECT created_at FROM keyring")
        assert row
        return row["created_at"]

    assert await database.read(value) == to_micros(T0) + 60


async def test_opening_twice_at_once_migrates_once(database_url: str) -> None:
    first, second = await asyncio.gather(open_database(database_url), open_database(database_url))
    await first.write(lambda tx: add(tx, "a"))
    assert await second.read(names) == ["a"]
    await first.close()
    await second.close()


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    async def newer(tx: Transaction) -> None:
        await tx.execute("UPDATE schema_migration SET version = 9999 WHERE version = 1")

    opened = await open_database(database_url)
    await opened.write(newer)
    await opened.close()
    with pytest.raises(StartError, match="schema 9999, newer than"):
        await open_database(database_url)


async def test_awaiting_the_outside_in_a_transaction_is_a_programming_error(tmp_path: object) -> None:
    database = await open_database(f"{tmp_path}/wingbeat.db")

    async def body(tx: Transaction) -> None:
        await add(tx, "a")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something else"):
        await database.write(body)
    assert await database.read(names) == []
    await database.close()


async def test_a_cancelled_body_rolls_back_and_holds_no_lock(postgresql_url: str) -> None:
    database = await open_database(postgresql_url)
    begun = asyncio.Event()

    async def body(tx: Transaction) -> None:
        await add(tx, "a")
        begun.set()
        await tx.fetch("SELECT pg_sleep(60)")

    writing = asyncio.create_task(database.write(body))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.write(lambda tx: add(tx, "a"))
    assert await database.read(names) == ["a"]
    await database.close()


async def test_a_transaction_that_takes_too_long_ends_and_leaves_the_database_usable(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "TRANSACTION_SECONDS", 0.1)
    database = await open_database(postgresql_url)

    async def slow(tx: Transaction) -> None:
        await tx.fetch("SELECT pg_sleep(60)")

    async def quick(tx: Transaction) -> int:
        return len(await tx.fetch("SELECT 1"))

    try:
        with pytest.raises(Unavailable):
            await database.write(slow)
        assert await database.write(quick) == 1
    finally:
        await database.close()


async def test_a_change_in_one_process_wakes_the_others(postgresql_url: str) -> None:
    here, there = await open_database(postgresql_url), await open_database(postgresql_url)

    async def body(tx: Transaction) -> None:
        tx.changed("queue")

    with there.changes.subscribe("queue") as queue:
        while await queue.wait(0.2):  # the first connection of the feed wakes everybody
            pass
        await here.write(body)
        assert await queue.wait(5)
    await here.close()
    await there.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://127.0.0.1:1/none", "/proc/none/wingbeat.db"])
async def test_a_database_that_cannot_be_used_says_why_in_one_line(url: str) -> None:
    with pytest.raises(StartError) as raised:
        await open_database(url)
    assert "\n" not in str(raised.value)
    assert "database" in str(raised.value)


async def test_what_is_in_a_file_is_for_nobody_else(tmp_path: Path) -> None:
    database = await open_database(str(tmp_path / "wingbeat.db"))
    await database.write(lambda tx: add(tx, "a"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    await database.close()
    assert modes == dict.fromkeys(("wingbeat.db", "wingbeat.db-wal", "wingbeat.db-shm"), 0o600)


async def test_what_others_remove_while_it_is_spoken_of_is_written_anew(database: Database) -> None:
    if not database.shared:
        pytest.skip("SQLite has one writer")
    seen, removed = asyncio.Event(), asyncio.Event()

    async def deploy(tx: Transaction) -> None:
        await tasks.put_spec(tx, "d", b"spec")
        seen.set()
        await removed.wait()
        await tx.execute(TASK, False)

    await database.write(lambda tx: tasks.put_spec(tx, "d", b"spec"))
    deploying = asyncio.create_task(database.write(deploy))
    await seen.wait()
    await database.write(lambda tx: tx.execute("DELETE FROM task_spec"))
    removed.set()
    await deploying
    assert await database.read(lambda tx: tasks.spec(tx, "d")) == b"spec"


async def test_what_is_never_there_is_a_conflict(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if not database.shared:
        pytest.skip("SQLite has one writer")
    monkeypatch.setattr(postgresql, "MAX_TRIES", 2)
    with pytest.raises(Conflict, match="was removed at the same time"):
        await database.write(lambda tx: tx.execute(TASK, False))


def test_times_are_exact_microseconds() -> None:
    moment = T0 + timedelta(microseconds=123_456)
    assert from_micros(to_micros(moment)) == moment


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(
            "postgresql://ada:p:w@d/@db.example/wingbeat", "postgresql://ada@db.example/wingbeat", id="user's"
        ),
        pytest.param("postgresql:///w?password=pw&user=ada", "postgresql:///w?password=&user=ada", id="parameter"),
        pytest.param("postgresql://db.example:5432/wingbeat", "postgresql://db.example:5432/wingbeat", id="none"),
        pytest.param("sqlite:///srv/a:b@c.db", "sqlite:///srv/a:b@c.db", id="file"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
