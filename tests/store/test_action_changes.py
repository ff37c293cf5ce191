"""Looks of those who watch: what they find, and that an index serves them."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import T0, FakeClock
from tests.explained import Explained
from tests.rpc.watched import RUN, Watched, watched
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.store import action_changes, run_changes
from wingbeat.store.database import Database, Transaction

SECOND = timedelta(seconds=1)


@pytest.fixture
async def served(database: Database) -> AsyncGenerator[Watched]:
    async with watched(database) as it:
        await it.start()
        await it.add("b", "c")
        yield it


async def test_a_look_finds_what_changed_since_and_always_the_root(
    served: Watched, database: Database, clock: FakeClock
) -> None:
    clock.forward(SECOND)
    await served.move(Phase.RUNNING, "c")
    found = await database.read(lambda tx: action_changes.versions(tx, RUN, since=T0 + SECOND))
    assert found == {ROOT_ACTION: 1, "c": 2}


async def test_actions_come_page_by_page(served: Watched, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.store.action_changes.PAGE", 2)
    first = await database.read(lambda tx: action_changes.page(tx, RUN, after=""))
    rest = await database.read(lambda tx: action_changes.page(tx, RUN, after=first[-1].id.name))
    assert [each.id.name for each in [*first, *rest]] == [ROOT_ACTION, "b", "c"]
    every = await database.read(lambda tx: action_changes.find_many(tx, RUN, ["c", ROOT_ACTION, "b"]))
    assert {each.id.name for each in every} == {ROOT_ACTION, "b", "c"}


@pytest.mark.parametrize("name", [ROOT_ACTION, "b"])
async def test_every_change_leaves_its_mark(served: Watched, database: Database, name: str) -> None:
    async def mark() -> dict[RunId, action_changes.Mark]:
        nobody = RunId("birds", "development", "nobody")
        return dict(await database.read(lambda tx: action_changes.marks(tx, [RUN, nobody], since=T0)))

    before = await mark()
    assert before == await mark()
    assert set(before) == {RUN}
    await served.move(Phase.RUNNING, name)
    assert await mark() != before


async def test_looks_are_served_by_indexes(served: Watched, database: Database) -> None:
    async def body(tx: Transaction) -> list[str]:
        if database.shared:
            await tx.execute("SET LOCAL enable_seqscan = off")
        explained: Any = Explained(tx, sqlite=not database.shared)
        await action_changes.versions(explained, RUN, since=T0)
        await action_changes.marks(explained, [RUN], since=T0)
        await action_changes.page(explained, RUN, after="")
        await action_changes.find_many(explained, RUN, ["b"])
        await run_changes.page(explained, since=T0, after=None)
        await run_changes.find_many(explained, [RUN])
        if not database.shared:  # PostgreSQL takes any index as long as a table is small
            assert "action_by_change" in explained.plans[0]
            assert "action_root_by_change" in explained.plans[4]
        return explained.scanned("action", "a", "r", "c")

    assert await database.write(body) == []
