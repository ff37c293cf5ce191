"""`wingbeat prune` typed at a terminal."""

import asyncio
from datetime import timedelta

import pytest

from tests.cli.terminal import Site, type_in
from tests.conftest import FakeClock
from tests.finished_runs import finish
from wingbeat.cli import prune_views
from wingbeat.loops.run_pruner import RunPruner
from wingbeat.telemetry import Metrics

DAY = timedelta(days=1)


async def old_runs(site: Site, clock: FakeClock, *names: str) -> None:
    await site.database.write(lambda tx: finish(tx, *names, children=1))
    await site.blobs.put("p/development/r1/a0/1/outputs.pb", b"outputs")
    clock.forward(40 * DAY)
    await site.start("young")


async def test_without_yes_nothing_goes(site: Site, clock: FakeClock) -> None:
    await old_runs(site, clock, "r1", "r2")
    done = await site.wingbeat("prune")
    assert done.code == 0
    assert done.out.splitlines() == [
        "would prune 2 runs with 4 actions in p/development",
        "  p/development/r1",
        "  p/development/r2",
    ]
    assert "--yes" in done.err
    assert len((await site.wingbeat("run", "list", "-o", "json")).json["runs"]) == 3


async def test_it_prunes_and_waits_until_the_server_has_removed_all(
    site: Site, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_views, "POLL_SECONDS", 0.01)
    await old_runs(site, clock, "r1", "r2")
    pruner = RunPruner(site.database, site.blobs, age=None, node="n1", metrics=Metrics())
    typed = asyncio.create_task(site.wingbeat("prune", "--older-than", "36h", "--yes", "-o", "json"))
    while not typed.done():
        await asyncio.sleep(min(await pruner.tick(), 0.01))
    assert (await typed).json == {
        "dry_run": False,
        "older_than_seconds": 36 * 3600.0,
        "project": "p",
        "domain": "development",
        "runs": 2,
        "actions": 4,
        "kept": [],
        "removing": 0,
    }
    assert "pruned 2 runs" in typed.result().err
    assert [run["name"] for run in (await site.wingbeat("run", "list", "-o", "json")).json["runs"]] == ["young"]
    assert [blob.key async for blob in site.blobs.list()] == []
    assert "was pruned" in (await site.wingbeat("run", "show", "r1")).complaint


async def test_what_stays_is_explained_and_elsewhere_is_left_alone(site: Site, clock: FakeClock) -> None:
    await old_runs(site, clock, "r1", "r2")
    await site.database.write(
        lambda tx: tx.execute(
            "INSERT INTO run_need VALUES ('p', 'development', 'r1', 'p', 'development', 'r9', 'pruned')"
        )
    )
    assert (await site.wingbeat("prune", "--project", "q", "-o", "json")).json["runs"] == 0
    done = await site.wingbeat("prune", "--everywhere", "--yes", "--no-wait")
    assert done.out.splitlines() == [
        "pruned 1 runs with 2 actions in all projects",
        "  p/development/r2",
        "kept 1 that are read by other runs",
        "the server is removing the rows and files of 1 runs",
    ]


@pytest.mark.parametrize("age", ["soon", "0d", "-3d", "5", "1.5d"])
def test_an_age_that_is_none_is_refused(desk: object, age: str) -> None:
    done = type_in("prune", "--url", "http://127.0.0.1:9", "--project", "p", "--domain", "d", f"--older-than={age}")
    assert done.code in (1, 2)
    assert done.out == ""


async def test_what_has_just_ended_is_not_pruned(site: Site) -> None:
    assert "at least 0:10:00" in (await site.wingbeat("prune", "--older-than", "9m")).complaint
