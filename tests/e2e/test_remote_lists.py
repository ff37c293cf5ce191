"""Filters as the stock SDK sends them: each finds the runs that it means."""

import asyncio
import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flyteidl2.task import run_pb2

from tests.conftest import T0
from tests.e2e.running import DONE
from tests.listening import listening
from tests.planting import DEFAULTS, DOMAINS, order, plant, spec
from wingbeat.core.action import Phase
from wingbeat.core.ids import ActionId, RunId
from wingbeat.operations import runs
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.run_service.service import Runs
from wingbeat.store import actions
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

BETWEEN = {"after": f"{T0 + timedelta(minutes=1)}", "before": f"{T0 + timedelta(minutes=3)}"}
WANTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all": ({}, ["r0", "r1", "r2", "r3"]),
    "newest": ({"sort_by": ["created_at", "desc"], "limit": 2}, ["r2", "r3"]),
    "failed": ({"in_phase": ["failed"]}, ["r1"]),
    "failed or recovered": ({"in_phase": ["failed", "recovered"]}, ["r1", "r2"]),
    "recovered, which is phase 10": ({"in_phase": ["recovered"]}, ["r2"]),
    "a task": ({"task_name": "env.fly", "task_version": "v1"}, ["r0", "r1", "r2", "r3"]),
    "another task": ({"task_name": "env.swim"}, []),
    "somebody's": ({"created_by_subject": "ada"}, ["r3"]),
    "a label": ({"with_labels": {"team": "owls"}}, ["r1"]),
    "a label, whatever it says": ({"with_label_keys": ["team"]}, ["r0", "r1", "r2"]),
    "a time": ({"created_at": BETWEEN}, ["r1", "r2"]),
    "paused": ({"paused_actions_only": True}, []),
}  # fmt: skip


async def fill(tx: Transaction) -> None:
    for number, (team, phase) in enumerate(
        [("larks", Phase.QUEUED), ("owls", Phase.FAILED), ("larks", Phase.RECOVERED), ("", Phase.SUCCEEDED)]
    ):
        labels = run_pb2.Labels(values={"team": team} if team else {})
        wanted = replace(order(), run_spec=run_pb2.RunSpec(labels=labels).SerializeToString())
        planned = runs.plan(
            replace(wanted, caller="" if team else "ada"),
            defaults=DEFAULTS,
            now=T0 + number * timedelta(minutes=1),
            name=f"r{number}",
        )
        await runs.start(tx, [planned])
        root = await actions.find(tx, ActionId(RunId("birds", "development", f"r{number}"), "a0"))
        assert root is not None
        await actions.save(tx, replace(root, phase=phase, ended_at=tx.now if phase.terminal else None))


async def test_the_stock_sdk_finds_what_it_asks_for(database: Database) -> None:
    await plant(database, spec())
    await database.write(fill)
    app = build([Runs(database, DOMAINS, DEFAULTS)], draining=Draining(), metrics=Metrics())
    async with listening(app) as address:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__).parent / "flows" / "lists.py",
            address.url,
            json.dumps({name: arguments for name, (arguments, _) in WANTED.items()}),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
    assert process.returncode in DONE
    assert json.loads(said.splitlines()[-1]) == {name: found for name, (_, found) in WANTED.items()}
