import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from flyteidl2.core import execution_pb2

from tests.conftest import T0, FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import attempt_key, enqueue, root, root_of, task_spec
from wingbeat.blobs.blob import Blob
from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Action, Attempt, Phase
from wingbeat.core.launch import ExecutionPhase, ExitReason, Status
from wingbeat.core.log_index import LogIndex
from wingbeat.core.retry import LOST
from wingbeat.operations import actions, ending
from wingbeat.store import actions as stored
from wingbeat.store.database import Database

KEY = attempt_key("r")
PREFIX = "s3://wingbeat/p/development/r/a0/1"
SECOND = timedelta(seconds=1)


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return blobs_in(tmp_path)


async def state(database: Database, name: str = "r") -> tuple[Action, list[Attempt]]:
    return await database.read(lambda tx: root(tx, name)), await database.read(
        lambda tx: stored.attempts(tx, root_of(name))
    )


async def test_a_run_from_the_queue_to_its_outcome(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        clock.forward(3 * SECOND)
        await executor.run(KEY, T0 + SECOND)
        await node.round()
        action, (attempt,) = await state(database)
        assert (action.phase, attempt.started_at) == (Phase.RUNNING, T0 + SECOND)
        await blobs.put(f"{PREFIX}/outputs.pb", b"")
        await executor.write(KEY, b"hello\n", T0 + SECOND)
        await executor.write(KEY, b"world", T0 + 2 * SECOND)
        await executor.exit(KEY, ended_at=T0 + 2 * SECOND)
        await node.round()
    action, (attempt,) = await state(database)
    assert (action.phase, action.output_uri, action.duration_ms) == (Phase.SUCCEEDED, PREFIX, 2000)
    assert (attempt.phase, attempt.log_uri) == (Phase.SUCCEEDED, f"{PREFIX}/log")
    assert await blobs.get(f"{PREFIX}/log") == b"hello\nworld"
    index = LogIndex.decoded(await blobs.get(f"{PREFIX}/log.idx"))
    assert [index.at(offset) for offset in (0, 6)] == [T0 + SECOND, T0 + 2 * SECOND]
    assert executor.forgotten == [KEY]
    assert node.statuses.snapshot() == {}


async def test_a_task_that_raises_is_tried_again_as_often_as_it_asked(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    error = execution_pb2.ContainerError(code="ValueError", message="no", kind="RECOVERABLE", origin="USER")
    document = execution_pb2.ErrorDocument(error=error).SerializeToString()
    await database.write(lambda tx: enqueue(tx, "r", spec=task_spec(retries=1)))
    async with OneNode(database, executor, blobs) as node:
        for number in (1, 2):
            await node.dispatcher.tick()
            await blobs.put(f"s3://wingbeat/p/development/r/a0/{number}/error.pb", document)
            await executor.exit(attempt_key("r", number))
            await node.round()
        await node.round()
    action, attempts = await state(database)
    assert action.phase is Phase.FAILED
    assert [attempt.failure and attempt.failure.code for attempt in attempts] == ["ValueError", "ValueError"]
    assert all(attempt.log_uri for attempt in attempts)


async def test_an_error_too_large_to_read_is_an_error_all_the_same(
    database: Database, executor: FakeExecutor, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wingbeat.loops.watcher.MAX_ERROR_BYTES", 5)
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await blobs.put(f"{PREFIX}/error.pb", b"123456")
        await executor.exit(KEY)
        await node.round()
    _, (attempt, *_) = await state(database)
    assert attempt.failure is not None
    assert attempt.failure.code == "MalformedErrorDocument"
    assert "has 6 bytes, more than the 5" in attempt.failure.message


async def test_an_aborted_action_is_stopped_and_its_log_kept(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await executor.run(KEY)
        await executor.write(KEY, b"so far\n")
        await node.round()
        await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
        await node.round()
        await node.round()
    action, (attempt,) = await state(database)
    assert executor.stopped == [KEY]
    assert (action.phase, attempt.phase, attempt.log_uri) == (Phase.ABORTED, Phase.ABORTED, f"{PREFIX}/log")
    assert executor.forgotten == [KEY]


async def test_a_stop_that_fails_is_asked_for_until_it_succeeds(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
        await node.hear()
        executor.away = True
        pauses = [await node.watcher.tick() for _ in range(20)]
        assert pauses[:3] == [0.75, 1.5, 3]
        assert pauses[-1] == 22.5
        executor.away = False
        assert await node.watcher.tick() is None
    assert executor.stopped == [KEY]


async def test_a_running_attempt_that_the_executor_never_heard_of_is_lost(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await executor.run(KEY)
        await node.round()
    await executor.lose(KEY)
    async with OneNode(database, executor, blobs) as node:
        await node.round()
        action, (attempt,) = await state(database)
        assert (action.phase, attempt.failure) == (Phase.QUEUED, LOST)
        clock.forward(SECOND)
        await node.round()
    assert list(executor.launches) == [attempt_key("r", 2)]


async def test_nothing_is_lost_while_the_executor_is_away(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await executor.run(KEY)
        await node.round()
    node = OneNode(database, executor, blobs)
    assert await node.watcher.tick() is None
    assert (await state(database))[0].phase is Phase.RUNNING


async def test_an_attempt_that_was_never_accepted_is_launched_after_a_restart(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await database.write(lambda tx: actions.claim(tx, "n1", 1))
    async with OneNode(database, executor, blobs) as node:
        await node.round()
    assert executor.asked == [KEY]
    assert (await state(database))[0].attempts == 1


async def test_an_executor_that_comes_back_empty_is_asked_again(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await node.hear()
        await executor.lose(KEY)
        await executor.disconnect()
        await asyncio.sleep(0)
        await node.connect()
        await node.round()
        assert list(executor.launches) == [KEY]


async def test_an_attempt_that_nobody_waits_for_is_stopped_and_forgotten(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await executor.say(Status(KEY, ExecutionPhase.RUNNING))
    async with OneNode(database, executor, blobs) as node:
        await node.round()
        await node.round()
    assert executor.stopped == executor.forgotten == [KEY]


class SlowBlobs(Blobs):
    """Each write waits for a sign."""

    def __init__(self, blobs: Blobs) -> None:
        self.__dict__.update(blobs.__dict__)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def put(self, where: str, data: bytes, *, overwrite: bool = True) -> Blob:
        self.asked.set()
        await self.go_on.wait()
        return await super().put(where, data, overwrite=overwrite)


@pytest.mark.parametrize("ends", [False, True], ids=["while it runs", "once it has ended"])
async def test_an_attempt_that_is_asked_for_again_late_does_not_run_again(
    database: Database, executor: FakeExecutor, blobs: Blobs, ends: bool
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
    slow = SlowBlobs(blobs)
    async with OneNode(database, executor, slow) as restarted:
        asking = asyncio.create_task(restarted.dispatcher.tick())
        await slow.asked.wait()
        await executor.exit(KEY, ExitReason.OOM)
        await restarted.hear()
        if ends:
            await restarted.watcher.tick()
            assert await restarted.archivist.tick() == 5
        slow.go_on.set()
        await asking
        assert executor.asked == [KEY] if ends else [KEY, KEY]
        assert executor.forgotten == []
        await restarted.round()
        assert executor.forgotten == [KEY]


async def test_a_log_is_forgotten_only_after_it_was_kept(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await executor.exit(KEY, ExitReason.OOM)
        await node.hear()
        await node.archivist.tick()
        assert executor.forgotten == [], "its outcome is not stored yet"
        await node.watcher.tick()
        executor.away = True
        assert await node.archivist.tick() == 5
        executor.away = False
        assert await node.archivist.tick() is None
    _, (attempt,) = await state(database)
    assert (attempt.log_uri, executor.forgotten) == (f"{PREFIX}/log", [KEY])
    assert attempt.failure
    assert attempt.failure.code == "OOMKilled"
