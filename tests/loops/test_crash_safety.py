"""kill -9 before and after every single thing that a node does to the world; the next one makes it good."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.core import execution_pb2

from tests.conftest import FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import enqueue, root, root_of, task_spec
from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Phase
from wingbeat.core.launch import ExecutionPhase, attempt_of
from wingbeat.operations import ending
from wingbeat.store import actions as stored
from wingbeat.store import queue
from wingbeat.store.database import Database

ERROR = execution_pb2.ErrorDocument(
    error=execution_pb2.ContainerError(code="ValueError", message="no", kind="RECOVERABLE", origin="USER")
).SerializeToString()
EFFECTS = {"write", "put", "launch", "stop", "forget"}
MANY = 10_000


class Killed(BaseException):
    pass


class Fuse:
    """Burns through with the n-th call of something that changes the world, before it or after it."""

    def __init__(self, left: int, *, after: bool) -> None:
        self.left = left
        self._after = after

    def on(self, target: Any) -> Any:
        return Fused(self, target)

    def before(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        if self.left == 0 and not self._after:
            raise Killed

    def after(self) -> None:
        """The dead do nothing more."""
        if self.left <= 0:
            raise Killed


class Fused:
    def __init__(self, fuse: Fuse, target: Any) -> None:
        self._fuse, self._target = fuse, target

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name not in EFFECTS:
            return method

        async def fused(*args: Any, **kwargs: Any) -> Any:
            self._fuse.before()
            result = await method(*args, **kwargs)
            self._fuse.after()
            return result

        return fused


async def let_tasks_run(executor: FakeExecutor, blobs: Blobs) -> None:
    """Every attempt goes one step further; the first attempt at `bad` raises, `stuck` waits to be aborted."""
    for key, status in list(executor.statuses.items()):
        attempt, launch = attempt_of(key), executor.launches[key]
        match status.phase:
            case ExecutionPhase.PENDING:
                await executor.run(key)
            case ExecutionPhase.RUNNING if not attempt.action.run.name.startswith("stuck"):
                await executor.write(key, f"log of {attempt.number}\n".encode())
                fails = attempt.action.run.name.startswith("bad") and attempt.number == 1
                name, data = ("error.pb", ERROR) if fails else ("outputs.pb", b"")
                await blobs.put(f"{launch.output_prefix}/{name}", data)
                await executor.exit(key)
            case _:
                pass


@dataclass(frozen=True)
class Story:
    """Three runs, from the queue to their end, by nodes that may die."""

    database: Database
    blobs: Blobs
    executor: FakeExecutor
    number: int

    def name(self, kind: str) -> str:
        return f"{kind}-{self.number}"

    async def begin(self) -> None:
        await self.database.write(lambda tx: enqueue(tx, self.name("good"), self.name("stuck")))
        await self.database.write(lambda tx: enqueue(tx, self.name("bad"), spec=task_spec(retries=1)))

    async def go_on(self, fuse: Fuse, *, rounds: int = 8) -> None:
        """One node's life."""
        node = OneNode(fuse.on(self.database), fuse.on(self.executor), fuse.on(self.blobs))
        try:
            async with node:
                for number in range(rounds):
                    await node.round(fuse.after)
                    if number == 2:
                        await self.database.write(lambda tx: ending.abort(tx, root_of(self.name("stuck")), "enough"))
                    await let_tasks_run(self.executor, self.blobs)
        except Killed:
            return

    async def check(self) -> None:
        assert await self._end_of("good") == (Phase.SUCCEEDED, 1)
        assert await self._end_of("bad") == (Phase.SUCCEEDED, 2)
        assert (await self._end_of("stuck"))[0] is Phase.ABORTED
        for kind in ("good", "bad", "stuck"):
            for attempt in await self.database.read(lambda tx, k=kind: stored.attempts(tx, root_of(self.name(k)))):
                assert attempt.ended_at
                if kind != "stuck":
                    assert attempt.log_uri
                    assert await self.blobs.get(attempt.log_uri) == f"log of {attempt.id.number}\n".encode()
        assert await self.database.read(lambda tx: queue.held(tx, "n1")) == []
        assert self.executor.statuses == {}
        assert len(self.executor.forgotten) == len(set(self.executor.forgotten))

    async def _end_of(self, kind: str) -> tuple[Phase, int]:
        action = await self.database.read(lambda tx: root(tx, self.name(kind)))
        return action.phase, action.attempts


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_point_is_made_good(
    database: Database, clock: FakeClock, tmp_path: Path, after: bool
) -> None:
    blobs = blobs_in(tmp_path)
    left = 0
    for left in itertools.count(1):
        story, fuse = Story(database, blobs, FakeExecutor(), left), Fuse(left, after=after)
        await story.begin()
        await story.go_on(fuse)
        clock.forward(timedelta(hours=1))
        await story.go_on(Fuse(MANY, after=True))
        await story.check()
        if fuse.left:
            break
    assert left > 20, "there was something to crash between"
