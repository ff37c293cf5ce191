"""What is below an action that ends, however much it is: aborted in a few statements, and told to who watches."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import T0, FakeClock
from tests.counting import Counting
from tests.queued_runs import enqueue, root, root_of
from wingbeat.core.action import Action, Phase, PhaseChange
from wingbeat.core.child import TaskChild
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.timer import Timeouts
from wingbeat.operations import actions, children, ending
from wingbeat.store import actions as stored
from wingbeat.store import events, queue, timers
from wingbeat.store.changes import children_topic, run_topic
from wingbeat.store.database import Database, Transaction
from wingbeat.store.queue import Entry

SECOND = timedelta(seconds=1)
MANY = 5000
RUN = root_of("r").run


@pytest.fixture(autouse=True)
async def one_run(database: Database) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))


async def grow(tx: Transaction, family: Sequence[tuple[str, str]]) -> None:
    """Children by name and parent, all at once."""
    bounds = Timeouts(queued=SECOND)
    parent = await root(tx, "r")
    children = [
        replace(parent, id=ActionId(RUN, name), parent=above, created_at=T0, timeouts=bounds) for name, above in family
    ]
    await stored.insert(tx, children)
    await events.record(tx, [(child.id, PhaseChange(1, Phase.QUEUED, T0, "")) for child in children])
    await queue.add(tx, [Entry(AttemptId(child.id, 1), 0, "", None, T0, parent=child.parent) for child in children])
    await timers.add(tx, [timer for child in children for timer in bounds.when_available(AttemptId(child.id, 1), T0)])


async def found(database: Database, name: str) -> Action:
    return await database.read(lambda tx: found_in(tx, name))


async def test_thousands_below_an_action_end_with_it_in_a_few_statements(database: Database, clock: FakeClock) -> None:
    wide = [(f"c{number:04}", "a0") for number in range(MANY // 2)]
    deep = [(f"d{number:04}", f"c{number:04}") for number in range(MANY // 2)]
    await database.write(lambda tx: grow(tx, wide + deep))
    clock.forward(SECOND)

    async def body(tx: Transaction) -> int:
        counting: Any = Counting(tx)
        assert await ending.abort(counting, root_of("r"), "enough")
        return counting.statements

    assert await database.write(body) < 60

    async def left(tx: Transaction) -> Counter[int]:
        rows = await tx.fetch("SELECT phase FROM action WHERE run = 'r' AND ended_at IS NOT NULL")
        ended = await tx.fetch("SELECT count(*) AS number FROM event WHERE run = 'r' AND phase = 7")
        assert ended[0]["number"] == MANY + 1
        assert await timers.next_at(tx) is None
        assert await queue.find(tx, ActionId(RUN, "d0000")) is None
        return Counter(row["phase"] for row in rows)

    assert await database.write(left) == {Phase.ABORTED.value: MANY + 1}


@pytest.mark.parametrize("given_back", [pytest.param(False, id="held"), pytest.param(True, id="given back")])
async def test_each_of_them_ends_as_if_it_were_aborted_alone(
    database: Database, clock: FakeClock, *, given_back: bool
) -> None:
    await database.write(lambda tx: grow(tx, [("alone", "a0"), ("parent", "a0"), ("child", "parent")]))
    claimed = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    assert len(claimed) == 4
    for each in claimed if given_back else ():
        await database.write(lambda tx, each=each: actions.release(tx, each.id, each.token, at=tx.now, why="busy"))
    clock.forward(SECOND)
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "alone"), "enough"))
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, "parent"), "enough"))
    alone, child = await found(database, "alone"), await found(database, "child")
    assert child == replace(alone, id=child.id, parent="parent")
    assert (child.phase, child.abort_reason, child.duration_ms) == (Phase.ABORTED, "enough", 1000)
    for read in (stored.attempts, events.first_entries):
        seen = await database.read(lambda tx, read=read: read(tx, alone.id))
        assert str(await database.read(lambda tx, read=read: read(tx, child.id))) == str(seen).replace("alone", "child")
    held = await database.read(lambda tx: queue.held(tx, "n1"))
    assert [item.attempt.action.name for item in held] == ([] if given_back else ["a0"])


async def test_who_watches_the_run_or_one_of_the_parents_is_woken(database: Database) -> None:
    await database.write(lambda tx: grow(tx, [("parent", "a0"), ("child", "parent")]))
    with ExitStack() as stack:
        topics = (run_topic(RUN), children_topic(RUN, "a0"), children_topic(RUN, "parent"))
        wakes = [stack.enter_context(database.changes.subscribe(topic)) for topic in topics]
        await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
        assert [await wake.wait(5) for wake in wakes] == [True] * 3


async def test_a_child_that_is_asked_for_meanwhile_is_not_forgotten(database: Database) -> None:
    """The lock of its parent comes first: it is there before the abort looks, or its parent is over."""
    await database.write(lambda tx: grow(tx, [("parent", "a0")]))
    await asyncio.gather(
        *(database.write(lambda tx, n=n: _ask(tx, f"child{n}")) for n in range(8)),
        database.write(lambda tx: ending.abort(tx, root_of("r"), "enough")),
        *(database.write(lambda tx, n=n: _ask(tx, f"child{n}")) for n in range(8, 16)),
        return_exceptions=True,
    )

    async def living(tx: Transaction) -> int:
        rows = await tx.fetch("SELECT name FROM action WHERE run = 'r' AND ended_at IS NULL")
        return len(rows)

    assert await database.read(living) == 0


async def _ask(tx: Transaction, name: str) -> None:
    parent = await found_in(tx, "parent")
    child = TaskChild(ActionId(RUN, name), "parent", "", "s3://b/i", parent.task, b"", lane="")
    await children.enqueue(tx, child)


async def found_in(tx: Transaction, name: str) -> Action:
    action = await stored.find(tx, ActionId(RUN, name))
    assert action
    return action
