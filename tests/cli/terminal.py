"""A server in the test's own event loop, and `wingbeat` typed at a terminal beside it."""

import asyncio
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode
from tests.queued_runs import root_of, run_of, task_spec
from wingbeat.blobs.store import Blobs
from wingbeat.cli.main import command_line
from wingbeat.core.action import Outcome, Success
from wingbeat.core.child import TaskChild
from wingbeat.core.ids import ActionId
from wingbeat.core.retry import RetryPolicy
from wingbeat.core.run import Run
from wingbeat.operations import actions, children, runs
from wingbeat.operations.actions import Claim
from wingbeat.store import tasks
from wingbeat.store.database import Database, Transaction
from wingbeat.wire.tasks import digest

SPEC = task_spec()


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line that a command which failed has said."""
        assert self.code == 1, self
        assert self.out == ""
        assert self.err.startswith("wingbeat: ")
        assert self.err.count("\n") == 1
        return self.err


def type_in(*arguments: str) -> Done:
    """Runs `wingbeat` with its output going to no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["wingbeat", *arguments]), redirect_stdout(out), redirect_stderr(err):
        code = command_line()
    return Done(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Site:
    """A server of project `p`, whose runs tests drive themselves."""

    url: str
    database: Database
    executor: FakeExecutor
    blobs: Blobs

    async def wingbeat(self, *arguments: str) -> Done:
        return await asyncio.to_thread(type_in, *arguments)

    async def start(self, name: str, *, age: timedelta = timedelta(), **fields: Any) -> None:
        """A run that waits; the larger its `age`, the longer ago it began."""
        run = run_of(name, SPEC)
        await self.start_run(replace(run, created_at=run.created_at - age, **fields))

    async def start_run(self, run: Run) -> None:
        async def body(tx: Transaction) -> None:
            await tasks.put_spec(tx, digest(SPEC), SPEC)
            await runs.start(tx, [run])

        await self.database.write(body)

    async def begin(self) -> Claim:
        """The action that has waited longest runs."""
        (claim,) = await self.database.write(lambda tx: actions.claim(tx, "n1", 1))
        await self.database.write(lambda tx: actions.started(tx, claim.id, claim.token, at=tx.now))
        return claim

    async def end(self, claim: Claim, outcome: Outcome | None = None, *, retries: int = 0) -> None:
        """Well, unless `outcome` says otherwise."""
        ending, policy = outcome or Success(), RetryPolicy(retries)
        await self.database.write(
            lambda tx: actions.finished(tx, claim.id, claim.token, ending, retries=policy, chance=0.0)
        )

    async def ask_for_child(self, run: str, name: str, *, parent: str = "a0", group: str = "") -> None:
        child = TaskChild(
            ActionId(root_of(run).run, name),
            parent,
            group=group,
            input_uri=f"s3://b/{name}/inputs.pb",
            task=run_of(run, SPEC).task,
            spec=SPEC,
            lane="",
        )
        await self.database.write(lambda tx: children.enqueue(tx, child))

    def node(self) -> OneNode:
        return OneNode(self.database, self.executor, self.blobs)
