"""`wingbeat trigger` typed at a terminal, against a server in the test's own event loop."""

import asyncio
import io
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.trigger import trigger_service_pb2

from tests.cli.terminal import Done, type_in
from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from tests.listening import listening
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, Scope, TaskId
from wingbeat.core.pruning import Ended
from wingbeat.core.trigger import Deployment
from wingbeat.loops.backfiller import Backfiller
from wingbeat.loops.resumer import Resumer
from wingbeat.operations import ending, firing, pruning, triggers
from wingbeat.operations.firing import Firer
from wingbeat.rpc.app import build
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.store.database import Database, open_database
from wingbeat.telemetry import Metrics
from wingbeat.wire import triggers as wire

MINUTE = timedelta(minutes=1)


def ticking(cron: str, *, task: TaskId = TASK) -> Deployment:
    """As a client deploys it."""
    request = trigger_service_pb2.DeployTriggerRequest(
        name={"project": task.project, "domain": task.domain, "task_name": task.name, "name": "tick"},
        spec={"task_version": task.version, "active": True},
        automation_spec={"type": "TYPE_SCHEDULE", "schedule": {"cron": {"expression": cron}}},
    )
    return wire.deployment(request)


@dataclass(frozen=True)
class Office:
    """A server with one trigger `tick` of task `env.main`, every five minutes."""

    database: Database
    clock: FakeClock

    async def wingbeat(self, *arguments: str) -> Done:
        return await asyncio.to_thread(type_in, "trigger", *arguments)

    async def json(self, *arguments: str) -> Any:
        return (await self.wingbeat(*arguments, "--output", "json")).json

    async def fire_due(self, step: timedelta = 5 * MINUTE) -> None:
        self.clock.forward(step)
        await self.database.write(lambda tx: firing.fire_due(tx, Firer(DEFAULTS, DOMAINS), limit=100))


@pytest.fixture
async def office(
    desk: Path, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Office]:
    database = await open_database(str(tmp_path / "wingbeat.db"), clock)
    await deploy_task(database, triggers=[ticking("*/5 * * * *")])
    services = [
        Automation(database, DOMAINS, DEFAULTS),
        Tasks(database, DOMAINS, DEFAULTS),
        Triggers(database, DOMAINS, DEFAULTS),
    ]
    try:
        async with listening(build(services, draining=Draining(), metrics=Metrics())) as address:
            monkeypatch.setenv("WINGBEAT_URL", address.url)
            monkeypatch.setenv("WINGBEAT_PROJECT", TASK.project)
            monkeypatch.setenv("WINGBEAT_DOMAIN", TASK.domain)
            yield Office(database, clock)
    finally:
        await database.close()


async def test_list_shows_when_each_fires_next_and_what_came_of_the_last(office: Office) -> None:
    await office.fire_due()
    header, row = (await office.wingbeat("list")).out.splitlines()
    assert header.split() == ["TASK", "NAME", "SCHEDULE", "STATE", "NEXT", "FIRE", "LAST", "FIRE"]
    assert row.split() == [
        "env.main",
        "tick",
        *["*/5", "*", "*", "*", "*"],
        "active",
        "2026-01-01",
        "00:10:00",
        "QUEUED",
    ]


async def test_list_as_json_has_the_last_fires(office: Office) -> None:
    await office.fire_due()
    listed = await office.json("list")
    (found,) = listed["triggers"]
    assert (found["name"], found["task"], found["active"], found["pause"]) == ("tick", "env.main", True, None)
    assert found["next_fire_at"] == "2026-01-01T00:10:00Z"
    assert [fire["first_slot"] for fire in found["fires"]] == ["2026-01-01T00:05:00Z"]
    assert (await office.json("list", "--task", "nobody"))["triggers"] == []


async def test_show_has_the_next_slots_and_the_last_fires(office: Office) -> None:
    await office.fire_due()
    shown = await office.json("show", "tick")
    assert (shown["trigger"]["name"], shown["task_version"]) == ("tick", "v1")
    assert [slot["at"] for slot in shown["next_slots"]][:2] == ["2026-01-01T00:10:00Z", "2026-01-01T00:15:00Z"]
    text = (await office.wingbeat("show", "env.main/tick")).out
    assert "2026-01-01T00:10:00+00:00" in text
    assert "FIRED" in text


async def test_preview_works_without_a_trigger(office: Office) -> None:
    shown = await office.json(
        "preview", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--after", "2026-03-28T12:00:00Z", "--count", "1"
    )
    assert (shown["timezone"], shown["slots"][0]["local"]) == ("Europe/Berlin", "2026-03-30T02:30:00+02:00")
    done = await office.wingbeat("preview", "tick", "--count", "2")
    assert [line.split()[1] for line in done.out.splitlines()[1:]] == ["00:05:00", "00:10:00"]


async def test_fire_starts_a_run_with_the_inputs_that_were_typed(office: Office) -> None:
    dry = await office.json("fire", "tick", "--dry-run")
    assert dry["run"] is None
    assert dry["inputs"] == [{"name": "x", "value": '{"scalar": {"primitive": {"integer": "7"}}}'}]
    fired = await office.json("fire", "tick", "--input", "x=8")
    assert fired["inputs"] == [{"name": "x", "value": '{"scalar": {"primitive": {"integer": "8"}}}'}]
    (row,) = (await office.json("fires", "tick", "--kind", "manual"))["fires"]
    assert row["run"] == fired["run"]
    assert (await office.wingbeat("fire", "tick")).out.startswith("started run r")


async def test_fires_say_which_runs_are_pruned(office: Office) -> None:
    await office.fire_due()
    run = RunId(TASK.project, TASK.domain, (await office.json("fires", "tick"))["fires"][0]["run"])
    await office.database.write(lambda tx: ending.abort(tx, ActionId(run, ROOT_ACTION), "over"))
    office.clock.forward(timedelta(days=2))
    order, place = pruning.Order(timedelta(days=1)), Ended(Scope(TASK.project, TASK.domain), 0, "")
    await office.database.write(lambda tx: pruning.step(tx, order, place, limit=9))
    (row,) = (await office.json("fires", "tick"))["fires"]
    assert (row["outcome"], row["run"], row["phase"]) == ("FIRED", run.name, None)
    assert "pruned" in (await office.wingbeat("fires", "tick")).out
    assert "pruned" in (await office.wingbeat("list")).out


async def test_fires_are_narrowed_and_limited(office: Office) -> None:
    for _ in range(3):
        await office.fire_due()
    listed = await office.json("fires", "tick", "--limit", "2")
    assert [row["first_slot"] for row in listed["fires"]] == ["2026-01-01T00:15:00Z", "2026-01-01T00:10:00Z"]
    assert listed["more"]
    assert (await office.json("fires", "tick", "--outcome", "missed"))["fires"] == []
    since = await office.json(
        "fires", "tick", "--since", "2026-01-01T00:10:00+00:00", "--before", "2026-01-01T00:15:00Z"
    )
    assert [row["lag_seconds"] for row in since["fires"]] == [0.0]


async def test_pause_says_why_everywhere_and_ends_by_itself(office: Office) -> None:
    until = T0 + timedelta(days=3650)
    shown = await office.json("pause", "tick", "--reason", "no data", "--until", until.isoformat())
    assert not shown["trigger"]["active"]
    assert (shown["trigger"]["pause"]["reason"], shown["next_slots"]) == ("no data", [])
    assert "paused until 2035-12-30 00:00:00: no data" in (await office.wingbeat("list")).out
    office.clock.forward(timedelta(days=3650))
    await Resumer(office.database).tick()
    assert "active" in (await office.wingbeat("show", "tick")).out


async def test_resume_fires_again(office: Office) -> None:
    await office.wingbeat("pause", "tick")
    assert "inactive" not in (await office.wingbeat("list")).out
    assert (await office.json("resume", "tick"))["trigger"]["active"]


async def test_diff_and_rollback_go_by_revision(office: Office) -> None:
    changed = ticking("*/7 * * * *")
    await office.database.write(lambda tx: triggers.deploy(tx, changed, by="", domains=DOMAINS))
    shown = await office.json("diff", "tick", "--count", "1")
    assert (shown["old"], shown["new"]) == (1, 2)
    rolled = await office.json("rollback", "tick", "1", "--expect", "2")
    assert rolled["trigger"]["revision"] == 3
    assert (await office.wingbeat("diff", "tick", "--old", "1")).out == "revisions 1 and 3 are the same\n"
    stale = await office.wingbeat("rollback", "tick", "1", "--expect", "2")
    assert "the latest is 3" in stale.complaint


async def test_forecast_counts_the_runs_to_come(office: Office) -> None:
    shown = await office.json("forecast", "--horizon", "2h", "--bucket", "30m")
    assert [bucket["fires"] for bucket in shown["buckets"]] == [6, 6, 6, 6]
    assert [(load["name"], load["fires"]) for load in shown["triggers"]] == [("tick", 24)]
    assert "#" * 40 in (await office.wingbeat("forecast", "--everywhere")).out


async def test_health_is_the_exit_code(office: Office) -> None:
    assert (await office.wingbeat("health")).code == 0
    office.clock.forward(timedelta(minutes=7))
    late = await office.wingbeat("health", "--max-lag", "1m30s")
    assert (late.code, "overdue" in late.out) == (1, True)
    assert (await office.wingbeat("health", "--max-lag", "1h")).code == 0


async def test_a_name_that_several_tasks_have_must_be_said_in_full(office: Office) -> None:
    other = TaskId(TASK.project, TASK.domain, "env.other", "v1")
    await deploy_task(office.database, other, [ticking("* * * * *", task=other)])
    done = await office.wingbeat("show", "tick")
    assert "say which, env.main/tick, env.other/tick" in done.complaint
    assert (await office.json("show", "env.other/tick"))["trigger"]["task"] == "env.other"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("show", "nobody"), "no trigger is called 'nobody'"),
        (("fire", "env.main/nobody"), "no trigger 'nobody'"),
        (("fire", "tick", "--input", "y=1"), "the task has no input 'y': it has x"),
        (("fire", "tick", "--input", "x=one"), "input 'x' is 'one': that is no integer"),
        (("pause", "tick", "--until", "2020-01-01T00:00:00Z"), "until is 2020-01-01T00:00:00+00:00"),
        (("preview", "--cron", "61 * * * *"), "61"),
        (("preview", "--cron", "* * * * *", "--zone", "Mars/Olympus"), "time zone 'Mars/Olympus' is unknown"),
        (("rollback", "tick", "9"), "has no revision 9"),
        (("forecast", "--bucket", "1s"), "bucket is 0:00:01"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_what_cannot_be_is_said_in_one_line(office: Office, arguments: tuple[str, ...], text: str) -> None:
    assert text in (await office.wingbeat(*arguments)).complaint


@pytest.mark.parametrize(
    "arguments",
    [
        ("preview",),
        ("preview", "tick", "--cron", "* * * * *"),
        ("preview", "tick", "--zone", "UTC"),
        ("pause", "tick", "--until", "tomorrow"),
        ("pause", "tick", "--until", "2026-01-01T00:00:00"),
        ("pause", "tick", "--for", "1 hour"),
        ("pause", "tick", "--for", "1h", "--until", "2036-01-01"),
        ("fire", "tick", "--input", "x"),
    ],
    ids=" ".join,
)
async def test_wrong_usage_is_exit_code_2(office: Office, arguments: tuple[str, ...]) -> None:
    assert (await office.wingbeat(*arguments)).code == 2


THREE_SLOTS = ("--begin", "2025-12-31T23:45:00Z", "--end", "2026-01-01T00:00:00Z")


async def test_backfill_shows_the_exact_list_and_asks_before_it_starts(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    asked = await office.wingbeat("backfill", "tick", *THREE_SLOTS)
    assert asked.code == 1
    assert [line.split()[0] for line in asked.out.splitlines()[1:4]] == [
        f"2025-12-31T23:{minute}:00+00:00" for minute in (45, 50, 55)
    ]
    assert "3 slots to start, 0 left out" in asked.out
    assert "Start 3 runs, 1 at a time?" in asked.err
    assert (await office.json("backfills", "list"))["backfills"] == []
    assert (await office.wingbeat("backfill", "tick", *THREE_SLOTS, "--dry-run")).code == 0
    assert (await office.json("backfills", "list"))["backfills"] == []
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert "started backfill b" in (await office.wingbeat("backfill", "tick", *THREE_SLOTS)).out


async def test_backfill_starts_at_once_when_told_so_and_is_seen_through(office: Office) -> None:
    started = await office.json("backfill", "tick", *THREE_SLOTS, "--yes", "--max-running", "2")
    assert len(started["slots"]) == 3
    found = started["backfill"]["id"]
    await Backfiller(office.database, Firer(DEFAULTS, DOMAINS), Metrics()).tick()
    shown = await office.json("backfills", "show", found)
    assert (shown["state"], shown["started"], shown["running"], shown["slots"]) == ("RUNNING", 2, 2, 3)
    assert (await office.json("backfills", "pause", found))["state"] == "PAUSED"
    assert (await office.json("backfills", "resume", found))["state"] == "RUNNING"
    assert "CANCELLED" in (await office.wingbeat("backfills", "cancel", found)).out
    listed = await office.json("backfills", "list", "tick", "--state", "cancelled")
    assert [each["id"] for each in listed["backfills"]] == [found]
    assert found in (await office.wingbeat("backfills", "list")).out


async def test_a_long_backfill_shows_its_ends_and_its_length(office: Office) -> None:
    day = ("--begin", "2025-12-31", "--end", "2026-01-01")
    shown = (await office.wingbeat("backfill", "tick", *day, "--dry-run")).out.splitlines()
    assert len(shown) == 1 + 10 + 1 + 5 + 1
    assert shown[11] == "... 273 more ..."
    assert shown[-1].startswith("288 slots to start")


async def test_a_backfill_of_a_million_slots_is_refused_before_anything_starts(office: Office) -> None:
    done = await office.wingbeat("backfill", "tick", "--begin", "2016-01-01", "--end", "2026-01-01", "--yes")
    assert "a backfill has at most 10000" in done.complaint
