import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import attempt_key, enqueue, root, root_of, task_spec
from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Action, Phase
from wingbeat.core.ids import AttemptId
from wingbeat.core.launch import ExitReason, Launch
from wingbeat.core.retry import SYSTEM_RETRIES
from wingbeat.errors import Unavailable
from wingbeat.loops import launches
from wingbeat.loops.dispatcher import Dispatcher
from wingbeat.operations import actions, caching, ending
from wingbeat.store import actions as stored
from wingbeat.store import events
from wingbeat.store.database import Database, Transaction
from wingbeat.store.queue import Entry

INPUTS = "s3://wingbeat/p/development/{}/inputs/inputs.pb"


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return blobs_in(tmp_path)


async def phase(database: Database, name: str) -> Phase:
    return (await database.read(lambda tx: root(tx, name))).phase


async def test_launches_what_waits_with_its_inputs(database: Database, executor: FakeExecutor, blobs: Blobs) -> None:
    await database.write(lambda tx: enqueue(tx, "r1", "r2", inputs=b"some"))
    async with OneNode(database, executor, blobs) as node:
        assert await node.dispatcher.tick() is None
    assert sorted(executor.launches) == [attempt_key("r1"), attempt_key("r2")]
    launch = executor.launches[attempt_key("r1")]
    assert launch.argv[:3] == ("a0", "--inputs", INPUTS.format("r1"))
    assert await blobs.get(INPUTS.format("r1")) == b"some"
    assert await phase(database, "r1") is Phase.INITIALIZING


async def test_uploaded_inputs_are_left_where_they_are(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1", inputs=None))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
    assert executor.asked == [attempt_key("r1")]
    assert not await blobs.exists(INPUTS.format("r1"))


async def test_a_node_takes_no_more_than_it_has_slots_for(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1", "r2", "r3"))
    async with OneNode(database, executor, blobs, slots=2) as node:
        assert await node.dispatcher.tick() is None
        assert len(executor.launches) == 2
        await node.dispatcher.tick()
        assert len(executor.launches) == 2
        done = next(iter(executor.launches)).split("/")[2]
        await database.write(lambda tx: ending.abort(tx, root_of(done), "enough"))
        await node.dispatcher.tick()
        assert len(executor.launches) == 3


async def test_an_action_that_cannot_be_claimed_holds_up_no_other(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1", "r2", "r3"))
    begin = caching.serve

    async def broken(tx: Transaction, action: Action, entry: Entry) -> Action | None:
        if action.id == root_of("r2"):
            raise ValueError("no")
        return await begin(tx, action, entry)

    monkeypatch.setattr(caching, "serve", broken)
    async with OneNode(database, executor, blobs, slots=4) as node:
        with pytest.raises(ValueError, match="no"):
            await node.dispatcher.tick()
        for _ in range(2):
            await node.dispatcher.tick()
        assert sorted(executor.launches) == [attempt_key("r1"), attempt_key("r3")]
        said = await database.read(lambda tx: events.said(tx, AttemptId(root_of("r2"), 1), after=0))
        assert [each.change.message for each in said] == [
            "the action cannot be claimed (ValueError): the server's log says why"
        ]
        monkeypatch.undo()
        clock.forward(actions.PUT_OFF)
        await node.dispatcher.tick()
        assert attempt_key("r2") in executor.launches


async def test_wakes_when_the_next_action_may_be_claimed(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    clock.forward(-timedelta(seconds=7))
    await database.write(lambda tx: enqueue(tx, "r1"))
    async with OneNode(database, executor, blobs) as node:
        assert await node.dispatcher.tick() == 7
        clock.forward(timedelta(seconds=7))
        assert await node.dispatcher.tick() is None
    assert executor.asked == [attempt_key("r1")]


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        pytest.param(task_spec("raw-container"), "UnsupportedTaskType", id="a task that cannot run here"),
        pytest.param(b"\xff\xff", "BadTaskSpecification", id="a spec that cannot be read"),
        pytest.param(
            task_spec(args=("a0", "--tgz", "s3://wingbeat/uploads/gone.tgz")),
            "CodeBundleNotFound",
            id="code that a client believes to have uploaded",
        ),
    ],
)
async def test_what_can_never_run_fails_at_once(
    database: Database, executor: FakeExecutor, blobs: Blobs, spec: bytes, code: str
) -> None:
    await database.write(lambda tx: enqueue(tx, "good"))
    await database.write(lambda tx: enqueue(tx, "bad", spec=spec))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
    assert executor.asked == [attempt_key("good")]
    assert await phase(database, "bad") is Phase.FAILED
    (attempt,) = await database.read(lambda tx: stored.attempts(tx, root_of("bad")))
    assert attempt.failure
    assert attempt.failure.code == code


async def test_inputs_that_belong_elsewhere_fail_the_action(
    database: Database, executor: FakeExecutor, tmp_path: Path
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    bucket = blobs_in(tmp_path)
    bucket.base_uri = "s3://other"
    async with OneNode(database, executor, bucket) as node:
        await node.dispatcher.tick()
    assert executor.asked == []
    assert await phase(database, "r1") is Phase.FAILED


class AwayBlobs(Blobs):
    """The store cannot be reached for the first `failures` writes."""

    def __init__(self, blobs: Blobs, failures: int, error: Exception) -> None:
        self.__dict__.update(blobs.__dict__)
        self._failures, self._error = failures, error

    async def put(self, where: str, data: bytes, *, overwrite: bool = True):
        if self._failures:
            self._failures -= 1
            raise self._error
        return await super().put(where, data, overwrite=overwrite)


async def test_when_the_outside_is_away_the_action_waits_longer_each_time(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    async with OneNode(database, executor, AwayBlobs(blobs, 3, Unavailable("the bucket is away"))) as node:
        waits: list[float] = []
        for _ in range(3):
            await node.dispatcher.tick()
            assert executor.asked == []
            assert await phase(database, "r1") is Phase.QUEUED
            pause = await node.dispatcher.tick()
            assert pause
            waits.append(pause)
            clock.forward(timedelta(seconds=pause))
        assert waits == [0.75, 1.5, 3.0]
        await node.dispatcher.tick()
    assert executor.asked == [attempt_key("r1")]
    attempts = await database.read(lambda tx: stored.attempts(tx, root_of("r1")))
    assert [attempt.id.number for attempt in attempts] == [1]


async def test_a_launch_whose_answer_is_lost_is_asked_for_again_and_happens_once(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    executor.loses_answers = True
    async with OneNode(database, executor, blobs) as node:
        assert await node.dispatcher.tick() == 1
        executor.loses_answers = False
        assert await node.dispatcher.tick() is None
        await node.dispatcher.tick()
    assert executor.asked == [attempt_key("r1")] * 2
    assert list(executor.launches) == [attempt_key("r1")]
    assert await phase(database, "r1") is Phase.INITIALIZING


async def test_what_may_run_already_is_not_given_away_because_the_outside_is_away(
    database: Database, executor: FakeExecutor, blobs: Blobs
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
    async with OneNode(database, executor, AwayBlobs(blobs, 2, Unavailable("the bucket is away"))) as restarted:
        for _ in range(2):
            assert await restarted.dispatcher.tick() == 1
            assert await phase(database, "r1") is Phase.INITIALIZING
        assert await restarted.dispatcher.tick() is None
    assert executor.asked == [attempt_key("r1")] * 2
    assert list(executor.launches) == [attempt_key("r1")]


async def test_what_fails_here_without_a_reason_is_tried_again_and_fails_in_the_end(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    async with OneNode(database, executor, AwayBlobs(blobs, 99, RuntimeError("a bug"))) as node:
        for _ in range(SYSTEM_RETRIES + 1):
            assert await phase(database, "r1") is Phase.QUEUED
            await node.dispatcher.tick()
            clock.forward(timedelta(minutes=1))
    assert executor.asked == []
    assert await phase(database, "r1") is Phase.FAILED
    attempts = await database.read(lambda tx: stored.attempts(tx, root_of("r1")))
    assert len(attempts) == SYSTEM_RETRIES + 1
    assert attempts[-1].failure is not None
    assert "RuntimeError" in attempts[-1].failure.message


class SlowExecutor(FakeExecutor):
    """One launch takes as long as the test wants."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self._slow = slow
        self.goes_on = asyncio.Event()

    async def launch(self, launch: Launch) -> None:
        if launch.key == self._slow:
            await self.goes_on.wait()
        await super().launch(launch)


async def test_a_launch_that_takes_long_holds_up_no_other(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches.Launches.settle, "__kwdefaults__", {"patience": 0.05})
    executor = SlowExecutor(attempt_key("slow"))
    await database.write(lambda tx: enqueue(tx, "slow"))
    async with OneNode(database, executor, blobs) as node:
        assert await node.dispatcher.tick() is None
        await database.write(lambda tx: enqueue(tx, "quick"))
        await node.dispatcher.tick()
        assert executor.asked == [attempt_key("quick")]
        assert node.statuses.asked == {attempt_key("slow")}
        with database.changes.subscribe(*Dispatcher.TOPICS) as wake:
            executor.goes_on.set()
            assert await wake.wait(5)
        await node.dispatcher.tick()
        assert executor.asked == [attempt_key("quick"), attempt_key("slow")]
        assert node.statuses.asked == frozenset()


async def test_an_attempt_that_saved_nothing_does_not_hide_what_was_saved_before(
    database: Database, executor: FakeExecutor, blobs: Blobs, clock: FakeClock
) -> None:
    await database.write(lambda tx: enqueue(tx, "r1"))
    saved = "s3://wingbeat/p/development/r1/a0/1/_flytecheckpoints"
    earlier: dict[str, str] = {}
    async with OneNode(database, executor, blobs) as node:
        await node.dispatcher.tick()
        await blobs.put(saved, b"half")
        for number in (1, 2):
            await executor.exit(attempt_key("r1", number), ExitReason.LOST)
            earlier |= {key: previous(launch) for key, launch in executor.launches.items()}
            await node.round()
            clock.forward(timedelta(minutes=1))
            await node.dispatcher.tick()
        earlier |= {key: previous(launch) for key, launch in executor.launches.items()}
    assert [earlier[key] for key in sorted(earlier)] == ['""', saved, saved]


def previous(launch: Launch) -> str:
    """Where the attempt looks for what was saved before."""
    return launch.argv[launch.argv.index("--prev-checkpoint") + 1]
