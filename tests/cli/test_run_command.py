import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.cli.terminal import Site
from tests.conftest import T0, FakeClock
from tests.queued_runs import attempt_key
from wingbeat.core.action import ErrorKind, Failure, TriggerRef
from wingbeat.core.ids import TriggerName

MINUTE = timedelta(minutes=1)
BROKEN = Failure("ValueError", ErrorKind.USER, "three is [bold]bad[/bold]\nand so is four", retryable=True)
TRIGGER = TriggerRef(1, TriggerName("p", "development", "env.f", "daily"), 3)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbeat.cli.run_watch.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("wingbeat.cli.run_logs.QUIET_SECONDS", 0.3)


def names(listed: dict[str, Any]) -> list[str]:
    return [run["name"] for run in listed["runs"]]


class TestList:
    async def test_shows_the_newest_first_with_a_documented_shape(self, site: Site, clock: FakeClock) -> None:
        await site.start("old", age=MINUTE)
        claim = await site.begin()
        clock.forward(timedelta(seconds=1.5))
        await site.end(claim)
        await site.start("new")
        listed = (await site.wingbeat("run", "list", "--output", "json")).json
        assert names(listed) == ["new", "old"]
        assert listed["more"] is False
        assert listed["runs"][1] == {
            "name": "old",
            "project": "p",
            "domain": "development",
            "task": "env.f",
            "task_version": "v1",
            "phase": "SUCCEEDED",
            "source": "CLI",
            "trigger": None,
            "started_at": "2025-12-31T23:59:00Z",
            "ended_at": "2026-01-01T00:00:01.500000Z",
            "duration_seconds": 61.5,
        }
        assert (listed["runs"][0]["ended_at"], listed["runs"][0]["duration_seconds"]) == (None, None)

    async def test_is_a_table_for_people(self, site: Site, clock: FakeClock) -> None:
        await site.start("r", trigger=TRIGGER, source="RUN_SOURCE_SCHEDULE_TRIGGER")
        claim = await site.begin()
        clock.forward(timedelta(seconds=61))
        await site.end(claim)
        done = await site.wingbeat("run", "list")
        header, row = done.out.splitlines()
        assert header.split() == ["NAME", "TASK", "PHASE", "SOURCE", "STARTED", "DURATION"]
        assert row.split() == ["r", "env.f", "SUCCEEDED", "trigger", "daily", "2026-01-01", "00:00:00", "1m01s"]

    async def test_narrows_by_phase_task_and_trigger(self, site: Site) -> None:
        await site.start("waiting")
        await site.start("done", age=MINUTE, trigger=TRIGGER)
        await site.end(await site.begin())

        async def found(*options: str) -> list[str]:
            return names((await site.wingbeat("run", "list", "-o", "json", *options)).json)

        one, other = sorted(await found())
        assert {one, other} == {"done", "waiting"}
        assert len(await found("--phase", "succeeded")) == 1
        assert len(await found("--phase", "succeeded", "--phase", "QUEUED")) == 2
        assert await found("--phase", "failed") == []
        assert await found("--trigger", "daily") == ["done"]
        assert len(await found("--task", "env.f")) == 2
        assert await found("--task", "env.g") == []
        assert await found("--project", "another") == []

    async def test_reads_page_after_page(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wingbeat.cli.client.PAGE", 2)
        for number in range(5):
            await site.start(f"r{number}", age=MINUTE * number)

        async def listed(limit: int) -> dict[str, Any]:
            return (await site.wingbeat("run", "list", "-o", "json", "--limit", str(limit))).json

        assert names(await listed(0)) == ["r0", "r1", "r2", "r3", "r4"]
        assert (await listed(5))["more"] is False
        three = await listed(3)
        assert (names(three), three["more"]) == (["r0", "r1", "r2"], True)
        assert "there are more: --limit" in (await site.wingbeat("run", "list", "--limit", "3")).err

    async def test_says_that_there_is_nothing(self, site: Site) -> None:
        done = await site.wingbeat("run", "list")
        assert (done.code, done.out, done.err) == (0, "", "no such runs in p/development\n")


class TestShow:
    async def test_tells_every_attempt_and_its_error(self, site: Site, clock: FakeClock) -> None:
        words = ("queue is not supported yet: every action waits in the same queue", "secrets: the task has none")
        await site.start("r", trigger=TRIGGER, not_honoured=words)
        for _ in range(2):
            claim = await site.begin()
            clock.forward(timedelta(seconds=2))
            await site.end(claim, BROKEN, retries=1)
        shown = (await site.wingbeat("run", "show", "r", "-o", "json")).json
        assert shown["run"]["phase"] == "FAILED"
        assert shown["trigger_revision"] == 3
        assert shown["not_honoured"] == list(words)
        assert shown["error"] == {"kind": "USER", "code": "ValueError", "message": BROKEN.message}
        first, second = shown["attempts"]
        assert (first["number"], first["phase"], first["node"]) == (1, "FAILED", "n1")
        assert (second["started_at"], second["duration_seconds"]) == ("2026-01-01T00:00:02Z", 2.0)
        assert first["error"] == second["error"] == shown["error"]

        text = (await site.wingbeat("run", "show", "r")).out
        assert "trigger daily, revision 3" in text
        assert "three is [bold]bad[/bold]" in text
        assert words[1] in text
        assert all(line == line.rstrip() for line in text.splitlines())

    async def test_names_where_it_looked_for_what_is_not_there(self, site: Site) -> None:
        complaint = (await site.wingbeat("run", "show", "nothing")).complaint
        assert "run 'nothing' not found" in complaint
        assert f"looked in p/development at {site.url}" in complaint


class TestTree:
    async def test_puts_each_action_below_the_one_that_asked_for_it(self, site: Site, clock: FakeClock) -> None:
        await grow(site, clock)
        tree = (await site.wingbeat("run", "tree", "r", "-o", "json")).json
        assert tree["run"]["name"] == "r"
        root = tree["root"]
        assert (root["name"], root["type"], root["task"], root["attempts"]) == ("a0", "TASK", "env.f", 1)
        assert [(child["name"], child["group"]) for child in root["children"]] == [("one", "leaves"), ("two", "leaves")]
        assert [child["name"] for child in root["children"][0]["children"]] == ["three"]
        assert root["children"][0]["duration_seconds"] is None

    async def test_draws_groups(self, site: Site, clock: FakeClock) -> None:
        await grow(site, clock)
        lines = (await site.wingbeat("run", "tree", "r")).out.splitlines()
        assert lines[0] == "r RUNNING"
        assert [line.lstrip(" │├└─").split()[0] for line in lines] == ["r", "a0", "leaves", "one", "three", "two"]

    async def test_of_a_run_that_is_not_there_is_an_error(self, site: Site) -> None:
        assert "run 'nothing' not found" in (await site.wingbeat("run", "tree", "nothing")).complaint


async def grow(site: Site, clock: FakeClock) -> None:
    await site.start("r")
    await site.begin()
    await site.ask_for_child("r", "one", group="leaves")
    clock.forward(timedelta(seconds=1))
    await site.ask_for_child("r", "two", group="leaves")
    await site.begin()
    await site.ask_for_child("r", "three", parent="one")


class TestWatch:
    async def test_tells_each_change_once_and_ends_with_the_run(self, site: Site) -> None:
        await site.start("r")
        watching = asyncio.create_task(site.wingbeat("run", "watch", "r"))
        claim = await site.begin()
        await asyncio.sleep(0.2)
        await site.end(claim)
        done = await asyncio.wait_for(watching, 10)
        assert done.code == 0
        *changes, last = done.out.splitlines()
        states = [change.split(maxsplit=2)[2] for change in changes]
        assert states[-2:] == ["a0 env.f RUNNING", "a0 env.f SUCCEEDED"]
        assert len(set(states)) == len(states)
        assert last == "run r SUCCEEDED after 0.0s"

    async def test_exits_with_1_and_the_error_when_the_run_has_failed(self, site: Site) -> None:
        await site.start("r")
        await site.end(await site.begin(), BROKEN)
        done = await site.wingbeat("run", "watch", "r")
        assert done.code == 1
        assert done.out.endswith(f"run r FAILED after 0.0s\n{BROKEN.message}\n")

    async def test_exits_with_1_and_the_reason_when_the_run_was_aborted(self, site: Site) -> None:
        await site.start("r")
        await site.wingbeat("run", "abort", "r", "--reason", "enough of it")
        done = await site.wingbeat("run", "watch", "r")
        assert done.code == 1
        assert done.out.endswith("enough of it\n")

    async def test_as_json_prints_the_tree_at_the_end(self, site: Site) -> None:
        await site.start("r")
        await site.end(await site.begin())
        assert (await site.wingbeat("run", "watch", "r", "-o", "json")).json["root"]["phase"] == "SUCCEEDED"

    async def test_of_a_run_that_is_not_there_ends_at_once(self, site: Site) -> None:
        assert "run 'nothing' not found" in (await site.wingbeat("run", "watch", "nothing")).complaint


class TestLogs:
    async def test_follows_until_the_attempt_is_over(self, site: Site) -> None:
        await site.start("r")
        async with site.node() as node:
            reading = asyncio.create_task(site.wingbeat("run", "logs", "r"))
            await node.dispatcher.tick()
            await site.executor.write(attempt_key("r"), b"one [bold]\n")
            await site.executor.write(attempt_key("r"), b"two")
            await site.executor.exit(attempt_key("r"))
            await node.round()
            done = await asyncio.wait_for(reading, 10)
        assert (done.code, done.out) == (0, "one [bold]\ntwo\n")

    async def test_without_following_prints_what_there_is(self, site: Site) -> None:
        await site.start("r")
        async with site.node() as node:
            await node.dispatcher.tick()
            await site.executor.run(attempt_key("r"))
            await site.executor.write(attempt_key("r"), b"one\n")
            await node.round()
            done = await site.wingbeat("run", "logs", "r", "--no-follow")
            assert (done.code, done.out) == (0, "one\n")

    async def test_without_following_leaves_out_what_is_written_meanwhile(self, site: Site) -> None:
        await site.start("r")
        async with site.node() as node:
            await node.dispatcher.tick()
            await site.executor.run(attempt_key("r"))
            await node.round()
            later = T0.replace(year=9999)
            for data, at in ((b"early\n", T0), (b"late\n", later), (b"later\n", later)):
                await site.executor.write(attempt_key("r"), data, at)
            assert (await site.wingbeat("run", "logs", "r", "a0", "--no-follow")).out == "early\n"

    async def test_names_the_attempt_that_does_not_exist(self, site: Site) -> None:
        await site.start("r")
        complaint = (await site.wingbeat("run", "logs", "r", "--attempt", "2")).complaint
        assert "action 'a0' of run 'r' has no attempt 2: the latest is 1" in complaint

    async def test_names_the_action_that_does_not_exist(self, site: Site) -> None:
        await site.start("r")
        assert "has no action 'a9'" in (await site.wingbeat("run", "logs", "r", "a9")).complaint


class TestAbort:
    async def test_ends_a_run(self, site: Site) -> None:
        await site.start("r")
        done = await site.wingbeat("run", "abort", "r", "--reason", "enough of it", "-o", "json")
        assert done.json == {"run": "r", "action": "a0", "phase": "ABORTED"}
        shown = (await site.wingbeat("run", "show", "r", "-o", "json")).json
        assert (shown["run"]["phase"], shown["abort_reason"]) == ("ABORTED", "enough of it")

    async def test_ends_one_action(self, site: Site, clock: FakeClock) -> None:
        await grow(site, clock)
        done = await site.wingbeat("run", "abort", "r", "one")
        assert done.out == "action one of run r is ABORTED\n"
        root = (await site.wingbeat("run", "tree", "r", "-o", "json")).json["root"]
        assert [child["phase"] for child in root["children"]] == ["ABORTED", "QUEUED"]
        assert root["children"][0]["children"][0]["phase"] == "ABORTED"

    async def test_leaves_what_is_over(self, site: Site) -> None:
        await site.start("r")
        await site.end(await site.begin())
        done = await site.wingbeat("run", "abort", "r")
        assert (done.code, done.out) == (0, "run r is SUCCEEDED already\n")

    async def test_names_the_run_that_does_not_exist(self, site: Site) -> None:
        assert "run 'nothing' not found" in (await site.wingbeat("run", "abort", "nothing")).complaint


async def test_a_wrong_option_is_a_mistake_of_usage(site: Site) -> None:
    assert (await site.wingbeat("run", "list", "--phase", "over")).code == 2
    assert (await site.wingbeat("run", "show")).code == 2
