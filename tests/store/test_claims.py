"""What holds back some entries of the queue, and nothing else: limits of runs, and queues a node does not serve."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import T0, FakeClock
from tests.counting import Counting
from tests.explained import Explained
from tests.queued_runs import root_of, run_of, task_spec
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.operations import runs
from wingbeat.store import claims, queue, rooms
from wingbeat.store.changes import QUEUE
from wingbeat.store.database import Database, Transaction
from wingbeat.store.queue import Entry

SECOND = timedelta(seconds=1)


def entry(run: str, action: str = "a0", *, limit: int = 0, parent: str | None = None, lane: str = "") -> Entry:
    attempt = AttemptId(ActionId(root_of(run).run, action), 1)
    return Entry(attempt, 0, lane, None, T0, parent=parent, action_limit=limit)


def children(run: str, count: int, *, limit: int, parent: str = "a0") -> list[Entry]:
    return [entry(run, f"{parent}-{number}", limit=limit, parent=parent) for number in range(count)]


async def start(database: Database, *names: str, limit: int) -> None:
    """Runs with the rows that claims lock."""
    await database.write(
        lambda tx: runs.start(tx, [replace(run_of(name, task_spec()), action_limit=limit) for name in names])
    )


async def add(database: Database, entries: Sequence[Entry]) -> None:
    await database.write(lambda tx: queue.add(tx, entries))


async def claim(database: Database, limit: int = 9, node: str = "n1", lanes: Sequence[str] = ()) -> list[str]:
    claimed = await database.write(lambda tx: claims.claim(tx, node, limit, lanes=lanes))
    return [f"{item.attempt.action.run.name}/{item.attempt.action.name}" for item in claimed]


async def end(database: Database, run: str, action: str) -> None:
    await database.write(lambda tx: queue.remove(tx, entry(run, action).attempt.action))


async def test_a_run_with_a_limit_gets_so_many_and_the_next_when_one_ends(database: Database) -> None:
    await start(database, "r", limit=2)
    assert await claim(database) == ["r/a0"]
    await add(database, children("r", 4, limit=2))
    # Their parent waits for them and is not counted.
    assert await claim(database) == ["r/a0-0", "r/a0-1"]
    assert await claim(database) == []
    await end(database, "r", "a0-0")
    assert await claim(database) == ["r/a0-2"]


async def test_with_a_limit_of_one_parents_may_be_nested(database: Database) -> None:
    await start(database, "r", limit=1)
    parent = "a0"
    for _ in range(3):
        assert await claim(database) == [f"r/{parent}"]
        assert await claim(database) == []
        await add(database, children("r", 1, limit=1, parent=parent))
        parent = f"{parent}-0"
    assert await claim(database) == [f"r/{parent}"]


async def test_the_limit_of_one_run_holds_back_no_other(database: Database, clock: FakeClock) -> None:
    await start(database, "narrow", limit=1)
    await start(database, "wide", limit=0)
    assert await claim(database) == ["narrow/a0", "wide/a0"]
    await add(database, children("narrow", 20, limit=1))
    clock.forward(SECOND)
    await add(database, [entry("late")])
    clock.forward(timedelta(minutes=1))
    assert sorted(await claim(database, limit=2)) == ["late/a0", "narrow/a0-0"]


async def test_turns_are_kept_between_runs_with_a_limit_and_others(database: Database, clock: FakeClock) -> None:
    await start(database, "first", limit=0)
    clock.forward(SECOND)
    await start(database, "second", limit=5)
    clock.forward(SECOND)
    await start(database, "third", limit=0)
    assert await claim(database, limit=2) == ["first/a0", "second/a0"]
    assert await claim(database, limit=2) == ["third/a0"]


async def test_who_waits_for_others_of_its_run_keeps_no_node_awake(database: Database, clock: FakeClock) -> None:
    await start(database, "r", limit=1)
    await claim(database)
    await add(database, [entry("r", "brother", limit=1)])
    assert await claim(database) == []
    assert await database.read(claims.next_available_at) is None
    await database.write(lambda tx: queue.release(tx, entry("r").attempt, at=T0 + SECOND))
    assert await claim(database) == ["r/brother"]
    assert await database.read(claims.next_available_at) == T0 + SECOND


async def test_no_limit_is_passed_however_many_nodes_claim_at_once(database: Database) -> None:
    names = [f"r{number}" for number in range(4)]
    await start(database, *names, limit=3)
    await claim(database)
    for name in names:
        await add(database, children(name, 10, limit=3))
    got = await asyncio.gather(*(claim(database, limit=4, node=f"n{number}") for number in range(12)))
    with database.changes.subscribe(QUEUE) as again:
        got.append(await claim(database, limit=12))
        while await again.wait(0.1):
            got.append(await claim(database, limit=12))
    by_run = Counter(name.split("/")[0] for each in got for name in each)
    assert by_run == dict.fromkeys(names, 3)


async def test_a_node_gets_only_of_the_queues_that_it_serves(database: Database) -> None:
    await add(database, [entry("day"), entry("night", lane="night"), entry("gpu", lane="gpu")])
    assert await claim(database, lanes=("gpu", "cellar")) == ["gpu/a0"]
    assert await database.read(lambda tx: claims.next_available_at(tx, ("gpu",))) is None
    assert await claim(database, lanes=("",)) == ["day/a0"]
    assert await claim(database) == ["night/a0"]


async def test_what_is_kept_back_is_not_looked_at_and_starves_nobody(database: Database, database_url: str) -> None:
    await start(database, "narrow", limit=1)
    await claim(database)
    await add(database, children("narrow", 3000, limit=1))
    assert await claim(database) == ["narrow/a0-0"]
    await add(database, [entry(f"r{number}") for number in range(2000)])

    async def body(tx: Transaction) -> tuple[int, list[str]]:
        counting: Any = Counting(tx)
        explained: Any = Explained(counting, sqlite=not database_url.startswith("postgres"))
        if not explained._sqlite:
            await tx.execute("ANALYZE queue")
        assert len(await claims.claim(explained, "n1", 5)) == 5
        return counting.statements, explained.plans

    statements, plans = await database.write(body)
    # Each of the two looks with its plan, and two updates, one of them of nothing.
    assert statements == 6
    assert re.search(r"queue_waiting\b", plans[-1])


async def test_letting_in_looks_at_no_more_than_there_is_room_for(database: Database, database_url: str) -> None:
    await start(database, "narrow", limit=2)
    await claim(database)
    await add(database, children("narrow", 3000, limit=2))

    async def body(tx: Transaction) -> list[str]:
        explained: Any = Explained(tx, sqlite=not database_url.startswith("postgres"))
        if not explained._sqlite:
            await tx.execute("ANALYZE queue")
        await rooms.let_in(explained)
        return explained.plans

    word, _, lanes, busy, waiting, kept_back = await database.write(body)
    assert "run_room" in word
    assert "queue_kept_back" in lanes
    assert "queue_held_limited" in busy
    assert "queue_waiting_limited" in waiting
    assert "queue_kept_back" in kept_back
    assert not re.search("(?i)temp b-tree|\\bsort\\b", kept_back)
    assert await claim(database) == ["narrow/a0-0", "narrow/a0-1"]


async def test_each_queue_of_a_run_with_a_limit_goes_on_whether_the_others_are_served_or_not(
    database: Database,
) -> None:
    await start(database, "r", limit=2)
    await claim(database)
    brood = children("r", 6, limit=2)
    await add(database, [*(replace(each, lane="gpu") for each in brood[:3]), *brood[3:]])
    assert await claim(database, lanes=("",)) == ["r/a0-3", "r/a0-4"]
    await end(database, "r", "a0-3")
    # Room for one, whichever queue it is in: who comes first takes it, and the other is kept back again.
    assert await claim(database, lanes=("gpu",)) == ["r/a0-0"]
    assert await claim(database, lanes=("",)) == []
    await end(database, "r", "a0-4")
    await end(database, "r", "a0-0")
    assert await claim(database) == ["r/a0-1", "r/a0-2"]


async def test_a_parent_that_goes_on_takes_its_room_again(database: Database) -> None:
    await start(database, "r", limit=1)
    await claim(database)
    await add(database, children("r", 1, limit=1))
    assert await claim(database) == ["r/a0-0"]
    await end(database, "r", "a0-0")
    await add(database, [entry("r", "brother", limit=1)])
    assert await claim(database) == []
    await end(database, "r", "a0")
    assert await claim(database) == ["r/brother"]


async def test_an_entry_that_waits_for_its_time_keeps_nobody_back(database: Database, clock: FakeClock) -> None:
    await start(database, "r", limit=1)
    await claim(database)
    await add(database, children("r", 2, limit=1))
    assert await claim(database) == ["r/a0-0"]
    later = AttemptId(entry("r", "a0-0").attempt.action, 2)
    await database.write(lambda tx: queue.release(tx, later, at=tx.now + SECOND))
    assert await claim(database) == ["r/a0-1"]
    clock.forward(SECOND)
    assert await claim(database) == []
    await end(database, "r", "a0-1")
    assert await claim(database) == ["r/a0-0"]


async def test_a_run_that_somebody_else_holds_is_passed_over_and_looked_at_again(
    database: Database, database_url: str
) -> None:
    if not database_url.startswith("postgres"):
        pytest.skip("SQLite has one writer")
    await start(database, "held", limit=3)
    await claim(database)
    await add(database, children("held", 5, limit=3))
    await claim(database, limit=1)
    await end(database, "held", "a0-0")
    await add(database, [entry("free")])
    holding, done = asyncio.Event(), asyncio.Event()

    async def hold(tx: Transaction) -> None:
        await rooms.hold(tx, [root_of("held").run])
        holding.set()
        await done.wait()

    frozen = asyncio.create_task(database.write(hold))
    await holding.wait()
    assert await claim(database) == ["free/a0"]
    assert await database.read(claims.next_available_at) == T0
    done.set()
    await frozen
    assert await claim(database) == ["held/a0-1", "held/a0-2", "held/a0-3"]


async def test_what_waits_in_queues_that_a_node_does_not_serve_is_not_looked_at(
    database: Database, database_url: str
) -> None:
    await add(database, [entry(f"r{number}", lane="gpu") for number in range(2000)])
    await add(database, [entry("night", lane="night"), entry("day")])

    async def body(tx: Transaction) -> list[str]:
        explained: Any = Explained(tx, sqlite=not database_url.startswith("postgres"))
        if not explained._sqlite:
            await tx.execute("ANALYZE queue")
        assert await claims.next_available_at(explained, ("cellar",)) is None
        assert await claims.next_available_at(explained, ("cellar", "night")) == T0
        assert await claims.next_available_at(explained) == T0
        found = await claims.claim(explained, "n1", 5, lanes=("night", ""))
        assert [each.attempt.action.run.name for each in found] == ["night", "day"]
        return explained.plans

    plans = await database.write(body)
    for plan in plans[:3]:
        assert "queue_available" in plan, plan
    for plan in plans[-2:]:
        assert "queue_waiting_by_lane" in plan, plan
