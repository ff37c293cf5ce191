import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import T0, FakeClock
from tests.explained import Explained
from tests.loops.node import blobs_in
from tests.planting import DOMAINS, deployment, plant, spec
from tests.queued_runs import root_of, run_of, task_spec
from wingbeat.blobs.store import Blobs
from wingbeat.core.uploads import folder_of, spoken_of
from wingbeat.loops.upload_sweeper import LEASE, REST_SECONDS, UploadSweeper
from wingbeat.operations import ending, pruning, runs, triggers
from wingbeat.operations.pruning import Order
from wingbeat.store import retention, tasks, upload_uses
from wingbeat.store.database import Database, Transaction, to_micros
from wingbeat.telemetry import Metrics
from wingbeat.wire.tasks import digest

DAY = timedelta(days=1)
AGE = 30 * DAY
BASE = "s3://wingbeat/uploads"


def sweeper(database: Database, blobs: Blobs, node: str = "n1") -> UploadSweeper:
    return UploadSweeper(database, blobs, age=AGE, node=node, metrics=Metrics())


async def upload(blobs: Blobs, *keys: str, age: timedelta = 2 * AGE) -> None:
    for key in keys:
        await blobs.put(key, b"content")
        assert blobs.directory
        touched = (T0 - age).timestamp()
        os.utime(blobs.directory.path(key), times=(touched, touched))


async def left(blobs: Blobs) -> set[str | None]:
    return {folder_of(blob.key) async for blob in blobs.list("uploads/")}


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return blobs_in(tmp_path)


async def test_old_uploads_that_nothing_speaks_of_go(database: Database, blobs: Blobs) -> None:
    await upload(blobs, "uploads/p/d/old/code.tgz", "uploads/p/d/tree/a", "uploads/p/d/tree/b/c")
    await upload(blobs, "uploads/p/d/offloaded-inputs/ab/inputs.pb", "runs/p/d/r1/inputs/inputs.pb")
    await upload(blobs, "uploads/p/d/young/code.tgz", "uploads/p/d/growing/new", age=DAY)
    await upload(blobs, "uploads/p/d/growing/old")
    assert await sweeper(database, blobs).tick() == REST_SECONDS
    assert await left(blobs) == {"p/d/young", "p/d/growing"}
    assert await blobs.exists("runs/p/d/r1/inputs/inputs.pb")


async def test_uploads_of_before_uses_were_known_stay(database: Database, blobs: Blobs) -> None:
    await database.write(
        lambda tx: tx.execute("INSERT INTO upload_use_since (at) VALUES ($1)", to_micros(T0 - 2 * AGE))
    )
    await upload(blobs, "uploads/p/d/older/code.tgz", age=3 * AGE)
    await upload(blobs, "uploads/p/d/known/code.tgz", age=2 * AGE)
    await sweeper(database, blobs).tick()
    assert await left(blobs) == {"p/d/older"}


async def test_an_upload_that_cannot_be_removed_holds_up_no_other(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = blobs.delete

    async def refuse(key: str) -> None:
        if "/stuck/" in key:
            raise PermissionError(key)
        await delete(key)

    monkeypatch.setattr(blobs, "delete", refuse)
    await upload(blobs, "uploads/p/d/old/code.tgz", "uploads/p/d/stuck/code.tgz", "uploads/p/d/third/code.tgz")
    await sweeper(database, blobs).tick()
    assert await left(blobs) == {"p/d/stuck"}


async def test_two_days_are_the_least(database: Database, blobs: Blobs) -> None:
    await upload(blobs, "uploads/p/d/one/code.tgz", age=DAY)
    await UploadSweeper(database, blobs, age=timedelta(seconds=1), node="n1", metrics=Metrics()).tick()
    assert await left(blobs) == {"p/d/one"}


async def test_one_node_sweeps(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    await sweeper(database, blobs).tick()
    await upload(blobs, "uploads/p/d/old/code.tgz")
    await sweeper(database, blobs, "n2").tick()
    assert await left(blobs) == {"p/d/old"}
    clock.forward(LEASE)
    await sweeper(database, blobs, "n2").tick()
    assert await left(blobs) == set()


async def test_code_stays_until_its_last_run_is_gone(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    used = task_spec(args=["a0", "--tgz", f"{BASE}/p/d/code/bundle.tgz"])
    run = run_of("r1", used, inputs=f"{BASE}/p/d/file/poem.txt".encode())

    async def start(tx: Transaction) -> None:
        await tasks.put_spec(tx, digest(used), used)
        await runs.start(
            tx, [run, replace(run_of("r2", used, inputs=None), input_uri=f"{BASE}/p/d/offloaded-inputs/ab")]
        )

    await database.write(start)
    keys = ("code/bundle.tgz", "file/poem.txt", "offloaded-inputs/ab/inputs.pb", "file-too/x")
    await upload(blobs, *(f"uploads/p/d/{key}" for key in keys))
    await sweeper(database, blobs).tick()
    assert await left(blobs) == {"p/d/code", "p/d/file", "p/d/offloaded-inputs/ab"}
    for name in ("r1", "r2"):
        await database.write(lambda tx, name=name: ending.abort(tx, root_of(name), "over"))
    clock.forward(2 * DAY)
    await _prune(database)
    clock.forward(2 * DAY)
    await sweeper(database, blobs).tick()
    assert await left(blobs) == {"p/d/code"}
    await database.write(lambda tx: pruning.tidy(tx, limit=10))
    clock.forward(LEASE)
    await sweeper(database, blobs).tick()
    assert await left(blobs) == set()
    assert await database.read(lambda tx: tx.fetch("SELECT * FROM upload_use")) == []


async def _prune(database: Database) -> None:
    place = (await database.write(lambda tx: pruning.step(tx, Order(DAY), limit=9))).reached
    while place:
        place = (await database.write(lambda tx, at=place: pruning.step(tx, Order(DAY), at, limit=9))).reached
    remains = await database.read(lambda tx: pruning.remains(tx, limit=9))
    await database.write(lambda tx: pruning.remove_rows(tx, remains, limit=99))
    await database.write(lambda tx: pruning.cleared(tx, remains))


async def test_inputs_of_a_trigger_stay_with_each_revision(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    first = deployment(uploaded=f"{BASE}/p/d/offloaded-inputs/{'a' * 64}")
    await plant(database, spec(), first)
    await upload(blobs, f"uploads/p/d/offloaded-inputs/{'a' * 64}/inputs.pb")
    await database.write(lambda tx: triggers.deploy(tx, deployment(), by="", domains=DOMAINS))
    await sweeper(database, blobs).tick()
    assert len(await left(blobs)) == 1
    clock.forward(DAY)
    await database.write(lambda tx: retention.revisions(tx, before=tx.now, after=0, limit=9))
    await sweeper(database, blobs).tick()
    assert await left(blobs) == set()


async def test_an_upload_keeps_the_files_that_it_speaks_of(database: Database, blobs: Blobs, clock: FakeClock) -> None:
    inputs = "uploads/p/d/offloaded-inputs/ab"
    await upload(blobs, "uploads/p/d/file/poem.txt")
    await upload(blobs, f"{inputs}/inputs.pb", age=DAY)
    files = spoken_of(f"{BASE}/p/d/file/poem.txt".encode())
    await database.write(lambda tx: upload_uses.note(tx, upload_uses.of_upload(inputs), files))
    await sweeper(database, blobs).tick()
    assert await left(blobs) == {"p/d/file", "p/d/offloaded-inputs/ab"}
    clock.forward(2 * AGE)
    await sweeper(database, blobs).tick()
    clock.forward(LEASE)
    await sweeper(database, blobs).tick()
    assert await left(blobs) == set()


async def test_uses_are_looked_up_and_never_searched(database: Database) -> None:
    used = task_spec()

    async def body(tx: Transaction) -> list[str]:
        await tasks.put_spec(tx, digest(used), used)
        await runs.start(
            tx, [replace(run_of(f"r{n}", used, inputs=None), input_uri=f"{BASE}/x/{n}") for n in range(3000)]
        )
        await upload_uses.note(tx, "one", [f"p/d/{n}/f" for n in range(20_000)])
        await tx.execute("ANALYZE")
        explained: Any = Explained(tx, sqlite=not database.shared)
        assert await upload_uses.used(explained, ["p/d/1", "p/d/none", "x/7"], base_uri="s3://wingbeat") == {
            "p/d/1",
            "x/7",
        }
        await upload_uses.forget(explained, ["two"])
        return explained.scanned("u", "upload_use", "r", "run")

    assert await database.write(body) == []
