import os
from datetime import datetime, timedelta
from pathlib import Path

from tests.conftest import T0, FakeClock
from tests.deployed import deploy_task, trigger
from tests.ledger import newest_entries
from wingbeat.blobs.directory import Directory
from wingbeat.loops.pruner import ABANDONED, BATCH, PAUSE_SECONDS, REST_SECONDS, Pruner
from wingbeat.operations import retention
from wingbeat.operations.retention import Rule
from wingbeat.store import fires
from wingbeat.store.database import Database, Transaction
from wingbeat.store.retention import Step
from wingbeat.telemetry import Metrics

DAY = timedelta(days=1)


class Pile:
    """Things to remove; the steps that were taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.steps: list[tuple[datetime, int]] = []

    async def remove(self, tx: Transaction, *, before: datetime, after: int, limit: int) -> Step:
        self.steps.append((before, after))
        removed = min(self.size, limit)
        self.size -= removed
        return Step(removed, after + removed if removed == limit else None)


def pruner(database: Database, *rules: Rule, node: str = "n1", metrics: Metrics | None = None) -> Pruner:
    return Pruner(database, rules, node=node, metrics=metrics or Metrics())


async def test_a_pass_goes_over_one_pile_after_the_other_in_steps(database: Database) -> None:
    large, small, metrics = Pile(2 * BATCH + 1), Pile(1), Metrics()
    tick = pruner(
        database, Rule("large", large.remove, DAY), Rule("small", small.remove, 2 * DAY), metrics=metrics
    ).tick
    pauses = [await tick() for _ in range(5)]
    assert pauses == [PAUSE_SECONDS, PAUSE_SECONDS, PAUSE_SECONDS, REST_SECONDS, PAUSE_SECONDS]
    assert large.steps[:3] == [(T0 - DAY, 0), (T0 - DAY, BATCH), (T0 - DAY, 2 * BATCH)]
    assert small.steps == [(T0 - 2 * DAY, 0)]
    assert large.steps[3:] == [(T0 - DAY, 0)]
    assert metrics.registry.get_sample_value("wingbeat_pruned_total", {"what": "large"}) == 2 * BATCH + 1


async def test_one_node_prunes_until_it_is_gone(database: Database, clock: FakeClock) -> None:
    pile = Pile(0)
    first, second = (pruner(database, Rule("pile", pile.remove, DAY), node=node) for node in ("n1", "n2"))
    for _ in range(3):
        assert (await first.tick(), await second.tick()) == (REST_SECONDS, REST_SECONDS)
        clock.forward(timedelta(seconds=REST_SECONDS))
    assert len(pile.steps) == 3
    clock.forward(timedelta(hours=1))
    await second.tick()
    assert len(pile.steps) == 4


async def test_what_is_kept_for_ever_is_not_even_looked_at(database: Database) -> None:
    assert retention.rules(ledger=None, revisions=None, events=None, cache=None) == ()
    assert await pruner(database).tick() == REST_SECONDS


async def test_the_ledger_shrinks_to_its_age(database: Database, clock: FakeClock) -> None:
    await deploy_task(database, triggers=[trigger()])

    async def decide(tx: Transaction) -> None:
        await fires.insert(tx, [fires.missed(1, 1, tx.now, tx.now, 1, "tests")])

    for _ in range(3):
        await database.write(decide)
        clock.forward(DAY)
    await pruner(database, *retention.rules(ledger=2 * DAY, revisions=None, events=None, cache=None)).tick()
    left = await database.read(lambda tx: newest_entries(tx, 1, limit=10))
    assert [at for at, _ in left] == [T0 + 2 * DAY, T0 + DAY]


async def test_uploads_that_nobody_goes_on_with_are_forgotten(database: Database, tmp_path: Path) -> None:
    directory = Directory(tmp_path / "blobs", fsync=False)
    for folder, age in (("old", ABANDONED + DAY), ("young", ABANDONED - DAY)):
        (directory.uploads / folder).mkdir()
        (directory.uploads / folder / "key").write_text("k")
        touched = (T0 - age).timestamp()
        os.utime(directory.uploads / folder, times=(touched, touched))
    metrics = Metrics()
    await Pruner(database, (), node="n1", metrics=metrics, sweep=directory.sweep).tick()
    assert [path.name for path in directory.uploads.iterdir()] == ["young"]
    assert metrics.registry.get_sample_value("wingbeat_pruned_total", {"what": "multipart_uploads"}) == 1
