"""Server, agent, zygotes, keepers and tasks are killed at random under a fan-out: nothing is lost, nothing is doubled.

A failure prints its seed; WINGBEAT_CHAOS_SEED=<seed> kills in the same order again. WINGBEAT_SOAK=1 kills more.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceClient

from tests.e2e.chaos import Killer, Runs, Stored, Supervised, processes_of
from tests.e2e.running import Client, Server, wait_for
from tests.postgresql import CRASH_SAFE, postgresql_cluster
from wingbeat.core.action import ActionType, Phase
from wingbeat.wire.outcome import START_FAILED, STORAGE_AWAY, UNKNOWN

SOAK = os.environ.get("WINGBEAT_SOAK") == "1"
SEED = int(os.environ.get("WINGBEAT_CHAOS_SEED", random.randrange(10**6)))
LINES = 2 if SOAK else 1
LONG, SHORT = (60, 100), (60, 100) if SOAK else (15, 40)
"""Seconds of killing, and the width of the fan-outs."""
FLOWS = Path(__file__).parent / "flows"
END_SECONDS = 150
EXPLAINED = (START_FAILED, STORAGE_AWAY)
"""Failures that follow from the deaths of zygotes, and of the server that is the storage."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LONG[0] + END_SECONDS + 120)]


async def test_whatever_is_killed_every_run_succeeds_and_every_attempt_is_told_once(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    await endure(server, str(server.directory / "data" / "wingbeat.db"), *LONG)


async def test_a_killed_database_loses_and_doubles_nothing_either(tmp_path: Path) -> None:
    with postgresql_cluster(CRASH_SAFE) as cluster:

        def kill() -> None:
            cluster.kill()
            cluster.start()

        await endure(Server(tmp_path / "server", ("--database", cluster.url)), cluster.url, *SHORT, kill_database=kill)


async def endure(
    server: Server, database: str, seconds: float, width: int, *, kill_database: Callable[[], None] | None = None
) -> None:
    print(f"WINGBEAT_CHAOS_SEED={SEED}")
    supervised = Supervised(server, random.Random(SEED))
    killer = Killer(supervised, random.Random(SEED), kill_database)
    user = Client(server, server.directory.parent / "work")
    runs = Runs(user, width=width, lines=LINES)
    server.start()
    try:
        user.configure()
        for flow in ("storm.py", "keep_starting.py"):
            user.write(flow, (FLOWS / flow).read_text())
        user.flyte("deploy", "storm.py", "env")
        with supervised.kept_up(), runs.going_on() as client:
            await asyncio.to_thread(killer.rage, seconds)
            runs.enough()
            told, _ = await asyncio.to_thread(client.communicate, timeout=END_SECONDS)
        ended = json.loads(told)
        print(f"killed {dict(killer.kills)}, ended {len(ended)} runs")
        assert killer.kills.total() > 1
        assert ended == {name: {"phase": "succeeded", "output": runs.expected()} for name in ended}
        wait_for(lambda: not any((killer.executor / "actions").iterdir()), seconds=60, what="the end of all attempts")
        diary = Diary(runs.diary)
        assert await unlogged(server.url, diary) == []
        stored = await Stored.of(database)
        audit(stored, diary)
        assert await unexplained(server.url, stored, killer) == {}, "an attempt failed that nobody had killed"
        assert "running action" not in server.stop()
        wait_for(lambda: not processes_of(user), seconds=10, what="the end of all processes")
        assert "unexpectedly" not in server.log.read_text(), "a caller was told of an internal error"
    finally:
        server.close()
        for process in processes_of(user):
            process.kill()


class Diary:
    """What the attempts have written: how often each began and ended, by run, action and number."""

    def __init__(self, path: Path) -> None:
        self.lines = Counter(path.read_text().splitlines())
        self.begun = {line.removeprefix("begun "): times for line, times in self.lines.items() if line.startswith("b")}
        self.ended = {line.removeprefix("ended "): times for line, times in self.lines.items() if line.startswith("e")}


def audit(stored: Stored, diary: Diary) -> None:
    assert stored.queued == 0
    unfinished = [path for path, row in stored.actions.items() if row["phase"] != Phase.SUCCEEDED]
    assert unfinished == []
    assert [line for line, times in diary.lines.items() if times > 1] == [], "an attempt ran twice"
    tasks = {path: row for path, row in stored.actions.items() if row["action_type"] == ActionType.TASK}
    last = [diary_name(path, row["attempts"]) for path, row in tasks.items()]
    assert [attempt for attempt in last if attempt not in diary.ended] == [], "it succeeded without having ended"


async def unexplained(url: str, stored: Stored, killer: Killer) -> dict[str, str]:
    """Of failed attempts that nobody killed: the error and the end of the log.

    Without the storage, which is the server, a task cannot even leave its error; its log says so.
    """
    found: dict[str, str] = {}
    async with DataProxyServiceClient(url) as client:
        for (path, number), row in stored.attempts.items():
            if row["phase"] == Phase.SUCCEEDED or (path, number) in killer.killed or row["error_code"] in EXPLAINED:
                continue
            log = await log_of(client, *diary_name(path, number).split())
            if row["error_code"] != UNKNOWN or not any(STORAGE_AWAY in line for line in log):
                found[f"{path} {number}"] = "\n".join([f"{row['error_code']}: {row['error_message']}", *log[-20:]])
    return found


def diary_name(path: str, attempt: int) -> str:
    """`project/domain/run/action` as its attempt calls itself in the diary."""
    return f"{path.split('/', 2)[2].replace('/', ' ')} {attempt}"


async def unlogged(url: str, diary: Diary) -> list[str]:
    """Lines of the diary that the attempt's log lacks."""
    missing: list[str] = []
    async with DataProxyServiceClient(url) as client:
        for who in diary.begun:
            log = await log_of(client, *who.split())
            missing += [line for line in (f"begun {who}", f"ended {who}") if log.count(line) != diary.lines[line]]
    return missing


async def log_of(client: DataProxyServiceClient, run: str, action: str, attempt: str) -> list[str]:
    run_id = identifier_pb2.RunIdentifier(project="flytesnacks", domain="development", name=run)
    action_id = identifier_pb2.ActionIdentifier(run=run_id, name=action)
    request = dataproxy_service_pb2.TailLogsRequest(action_id=action_id, attempt=int(attempt))
    return [
        line.message.rstrip("\n")
        async for answer in client.tail_logs(request)
        for batch in answer.logs
        for line in batch.lines
    ]
