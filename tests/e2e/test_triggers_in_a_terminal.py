"""`wingbeat trigger` against a real server that is killed meanwhile, with the stock SDK's triggers. Both databases."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Client, Server, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOTS = ("--begin", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:04:00Z")


def said(user: Client, *arguments: str) -> Any:
    return json.loads(user.run("wingbeat", "trigger", *arguments, "--output", "json").stdout)


def test_a_backfill_and_a_pause_outlive_a_killed_server(database_url: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "server", options=("--database", database_url))
    user = Client(server, tmp_path / "work")
    try:
        server.start()
        user.configure()
        user.copy("scheduled.py")
        user.flyte("deploy", "scheduled.py", "env")
        assert {each["name"] for each in said(user, "list")["triggers"]} == {"every_minute", "every_hour"}
        started = said(user, "backfill", "every_minute", *SLOTS, "--yes")
        assert [slot["at"] for slot in started["slots"]] == [f"2026-01-01T00:0{minute}:00Z" for minute in range(4)]
        backfill = started["backfill"]["id"]
        paused = said(user, "pause", "every_hour", "--reason", "repairs", "--for", "5s")
        assert paused["trigger"]["pause"]["reason"] == "repairs"
        wait_for(lambda: said(user, "backfills", "show", backfill)["started"] >= 2, seconds=60, what="the second run")
        server.kill()
        server.start()
        wait_for(
            lambda: said(user, "backfills", "show", backfill)["state"] == "DONE", seconds=90, what="the backfill's end"
        )
        fires = said(user, "fires", "every_minute", "--kind", "backfill")["fires"]
        assert [(fire["first_slot"], fire["phase"]) for fire in fires] == [
            (f"2026-01-01T00:0{minute}:00Z", "SUCCEEDED") for minute in (3, 2, 1, 0)
        ]
        assert "Vienna: report for 2026-01-01 00:03" in user.flyte("get", "io", fires[0]["run"])
        wait_for(lambda: said(user, "show", "every_hour")["trigger"]["active"], seconds=30, what="the end of the pause")
        assert said(user, "health", "--max-lag", "30s")["healthy"]
    finally:
        server.close()
