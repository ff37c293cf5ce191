from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.finished_runs import finish
from tests.loops.node import blobs_in
from tests.queued_runs import root_of
from tests.simulation.world import Killed
from wingbeat.blobs.store import Blobs
from wingbeat.errors import Unavailable
from wingbeat.loops import run_pruner
from wingbeat.loops.run_pruner import LEASE, PAUSE_SECONDS, REST_SECONDS, RunPruner
from wingbeat.loops.surveyor import Surveyor
from wingbeat.operations import pruning
from wingbeat.store import runs
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

DAY = timedelta(days=1)


def pruner(database: Database, blobs: Blobs, *, age: timedelta | None = DAY, node: str = "n1") -> RunPruner:
    return RunPruner(database, blobs, age=age, node=node, metrics=Metrics())


async def to_the_end(pruner: RunPruner) -> int:
    """Until it rests; the number of steps."""
    steps = 1
    while await pruner.tick() == PAUSE_SECONDS:
        steps += 1
    return steps


async def keys(blobs: Blobs) -> list[str]:
    return [blob.key async for blob in blobs.list()]


async def write_files(blobs: Blobs, *names: str) -> None:
    for name in names:
        for key in ("inputs/inputs.pb", "a0/1/outputs.pb", "a0/1/log", "c0/inputs.pb", "c0/1/raw/data.parquet"):
            await blobs.put(f"p/development/{name}/{key}", b"bytes")


async def left(database: Database) -> set[str]:
    async def body(tx: Transaction) -> set[str]:
        tables = {"run": "name", "action": "run", "attempt": "run", "event": "run"}
        return {
            f"{table} of {row['name']}"
            for table, name in tables.items()
            for row in await tx.fetch(f"SELECT DISTINCT {name} AS name FROM {table}")
        }

    return await database.read(body)


@pytest.fixture
async def blobs(tmp_path: Path) -> Blobs:
    blobs = blobs_in(tmp_path)
    await write_files(blobs, "old", "older", "young", "old-too")
    await blobs.put("uploads/p/development/hash/code.tgz", b"code")
    return blobs


async def test_old_runs_go_with_their_files_and_nothing_else_does(
    database: Database, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: finish(tx, "old", "older", children=2))
    clock.forward(2 * DAY)
    await database.write(lambda tx: finish(tx, "young", "old-too", children=2))
    loop = pruner(database, blobs)
    await to_the_end(loop)
    assert {key.split("/")[2] for key in await keys(blobs)} == {"young", "old-too", "development"}
    assert len(await keys(blobs)) == 11
    gone = {"run of old", "run of older"}
    stay = {f"{table} of {name}" for table in ("run", "action", "attempt", "event") for name in ("young", "old-too")}
    assert await left(database) == gone | stay
    clock.forward(2 * DAY)
    assert await loop.tick() == PAUSE_SECONDS
    await to_the_end(loop)
    clock.forward(pruning.NAME_RESTS + 2 * DAY)
    await to_the_end(loop)
    assert await left(database) == set()
    assert await keys(blobs) == ["uploads/p/development/hash/code.tgz"]


async def test_runs_are_kept_for_ever_unless_somebody_prunes_them(
    database: Database, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: finish(tx, "old"))
    clock.forward(1000 * DAY)
    loop = pruner(database, blobs, age=None)
    assert await loop.tick() == REST_SECONDS
    assert len(await left(database)) == 4
    order = pruning.Order(DAY)
    place = (await database.write(lambda tx: pruning.step(tx, order, limit=10))).reached
    assert place
    await database.write(lambda tx: pruning.step(tx, order, place, limit=10))
    await to_the_end(loop)
    assert await left(database) == {"run of old"}


async def test_one_node_prunes_until_it_is_gone(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    first, second = pruner(database, blobs), pruner(database, blobs, node="n2")
    await database.write(lambda tx: finish(tx, "old"))
    clock.forward(2 * DAY)
    await first.tick()
    assert await second.tick() == LEASE.total_seconds()
    clock.forward(LEASE)
    await to_the_end(second)
    assert await left(database) == {"run of old"}


async def test_many_rows_and_files_go_in_bounded_steps(
    database: Database, blobs: Blobs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RUNS", "ROWS", "BLOBS"):
        monkeypatch.setattr(run_pruner, name, 2)
    await database.write(lambda tx: finish(tx, "old", "older", "old-too", children=5))
    clock.forward(2 * DAY)
    assert await to_the_end(pruner(database, blobs)) > 20
    assert await left(database) == {"run of old", "run of older", "run of old-too"}
    assert {key.split("/")[2] for key in await keys(blobs)} == {"young", "development"}


async def test_what_waits_to_be_cleared_is_measured(database: Database, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "old", "older"))
    clock.forward(2 * DAY)
    place = (await database.write(lambda tx: pruning.step(tx, pruning.Order(DAY), limit=10))).reached
    assert place
    await database.write(lambda tx: pruning.step(tx, pruning.Order(DAY), place, limit=10))
    metrics = Metrics()
    await Surveyor(database, metrics).tick()
    assert metrics.registry.get_sample_value("wingbeat_runs_to_clear") == 2


class Fuse:
    """Burns a little with everything that is done, and kills at its end."""

    def __init__(self, length: int) -> None:
        self.length = length

    def burn(self) -> None:
        self.length -= 1
        if self.length < 0:
            raise Killed


class DyingTransaction:
    def __init__(self, tx: Transaction, fuse: Fuse) -> None:
        self._tx: Any = tx
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        if name in ("fetch", "fetchrow", "execute", "update"):
            self._fuse.burn()
        return getattr(self._tx, name)


class Dying:
    """A database and a storage whose user is killed before any statement, after any COMMIT, amid any removal."""

    def __init__(self, database: Database, blobs: Blobs, fuse: Fuse) -> None:
        self._database = database
        self._blobs = blobs
        self._fuse = fuse
        self.owns = blobs.owns

    async def write(self, body: Any) -> Any:
        result = await self._database.write(lambda tx: body(DyingTransaction(tx, self._fuse)))
        self._fuse.burn()
        return result

    async def remove_below(self, where: str, **options: Any) -> Any:
        removed = 0
        while await self._blobs.remove_below(where, limit=1, only=options["only"]):
            removed += 1
            self._fuse.burn()
        return removed


async def test_killed_at_every_step_it_goes_on_and_leaves_nothing(
    database: Database, tmp_path: Path, clock: FakeClock
) -> None:
    blobs = blobs_in(tmp_path)
    seen: set[tuple[bool, int]] = set()
    for length in range(100):
        name, fuse = f"r{length}", Fuse(length)
        dying: Any = Dying(database, blobs, fuse)
        await write_files(blobs, name)
        await database.write(lambda tx, name=name: finish(tx, name, children=2))
        clock.forward(2 * DAY)
        with suppress(Killed):
            await to_the_end(pruner(dying, dying))
        rows = {each for each in await left(database) if each.endswith(f"of {name}")}
        visible = await database.read(lambda tx, name=name: runs.find(tx, root_of(name).run)) is not None
        assert not visible or (len(rows), len(await keys(blobs))) == (4, 5)
        seen.add((visible, len(rows) + len(await keys(blobs))))
        await to_the_end(pruner(database, blobs))
        assert await keys(blobs) == []
        assert {each.split()[0] for each in await left(database)} == {"run"}
        if fuse.length >= 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert seen >= {(True, 9), (False, 9), (False, 6), (False, 5), (False, 4), (False, 3), (False, 2), (False, 1)}


class Broken:
    """Storage that refuses to delete below one run."""

    def __init__(self, blobs: Blobs, error: Exception | None = None) -> None:
        self._blobs = blobs
        self._error = error or PermissionError("no")
        self.owns = blobs.owns
        self.broken = True

    async def remove_below(self, where: str, **options: Any) -> int:
        if self.broken and "/old/" in where:
            raise self._error
        return await self._blobs.remove_below(where, **options)


async def test_a_run_whose_files_cannot_go_holds_up_no_other_and_goes_later(
    database: Database, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: finish(tx, "old", "older"))
    clock.forward(DAY)
    await database.write(lambda tx: finish(tx, "old-too"))
    clock.forward(DAY / 2)
    broken: Any = Broken(blobs)
    loop = pruner(database, broken)
    await to_the_end(loop)
    assert "action of old-too" in await left(database)
    clock.forward(DAY)
    await to_the_end(loop)
    assert await left(database) == {"run of old", "run of older", "run of old-too"}
    assert [each.run.name for each in await database.read(lambda tx: pruning.remains(tx, limit=9))] == ["old"]
    broken.broken = False
    await to_the_end(loop)
    assert {key.split("/")[2] for key in await keys(blobs)} == {"young", "development"}


async def test_a_storage_that_is_away_is_waited_for(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    await database.write(lambda tx: finish(tx, "old"))
    clock.forward(2 * DAY)
    away: Any = Broken(blobs, Unavailable("no answer"))
    loop = pruner(database, away)
    with pytest.raises(Unavailable):
        await to_the_end(loop)
    away.broken = False
    await to_the_end(loop)
    assert await left(database) == {"run of old"}
