import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0, FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.queued_runs import attempt_key, enqueue, root_of
from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Phase
from wingbeat.core.child import TraceChild
from wingbeat.core.ids import ActionId
from wingbeat.core.log_index import LogIndex
from wingbeat.errors import NotFound
from wingbeat.operations import actions, children, ending
from wingbeat.rpc.log_tail import LONGEST_LINE, PATIENCE, Batch, LogTail, _Chunk, _Lines
from wingbeat.rpc.pulse import with_pulse
from wingbeat.store import actions as stored
from wingbeat.store.database import Database

KEY = attempt_key("r")
PULSE = 0.02


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return blobs_in(tmp_path)


@pytest.fixture
async def node(database: Database, executor: FakeExecutor, blobs: Blobs) -> AsyncGenerator[OneNode]:
    async with OneNode(database, executor, blobs) as node:
        yield node


class Reader:
    """Reads a tail in the background, as a client does."""

    def __init__(self, tail: LogTail, number: int = 1) -> None:
        self.text = ""
        self.silences = 0
        self._task = asyncio.create_task(self._read(tail.follow(root_of("r"), number)))

    async def _read(self, batches: AsyncGenerator[Batch]) -> None:
        async for batch in batches:
            self.silences += not batch
            self.text += "".join(line.message for line in batch)

    async def until(self, text: str) -> None:
        async with asyncio.timeout(5):
            while self.text != text:
                await asyncio.sleep(0.001)

    async def end(self) -> str:
        async with asyncio.timeout(5):
            await self._task
        return self.text

    @property
    def open(self) -> bool:
        return not self._task.done()


@pytest.fixture
def tail(database: Database, blobs: Blobs, executor: FakeExecutor) -> LogTail:
    return LogTail(database, blobs, executor, node="n1", pulse_seconds=PULSE)


async def test_follows_an_attempt_from_before_it_begins_until_its_end(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    reader = Reader(tail)
    await node.dispatcher.tick()
    await executor.run(KEY)
    await executor.write(KEY, b"one\n")
    await node.round()
    await reader.until("one\n")
    await executor.write(KEY, b"two\nthr")
    await reader.until("one\ntwo\n")
    await executor.write(KEY, b"ee")
    await executor.exit(KEY)
    await node.round()
    assert await reader.end() == "one\ntwo\nthree\n"
    assert executor.forgotten == [KEY]


async def test_reads_from_the_blob_store_what_the_node_has_forgotten(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    await executor.write(KEY, b"one\n", T0)
    await executor.write(KEY, b"two\n", T0 + timedelta(seconds=1))
    await executor.exit(KEY)
    await node.round()
    lines = [line async for batch in tail.follow(root_of("r"), 1) for line in batch]
    assert [(line.message, line.at) for line in lines] == [("one\n", T0), ("two\n", T0 + timedelta(seconds=1))]


async def test_a_trace_has_no_log_to_wait_for(database: Database, node: OneNode, tail: LogTail) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    root = await database.read(lambda tx: stored.find(tx, root_of("r")))
    assert root
    trace = TraceChild(
        ActionId(root.id.run, "t1"),
        "a0",
        "",
        "s3://b/i",
        root.task,
        b"",
        Phase.SUCCEEDED,
        T0,
        T0,
        "",
        "s3://b/error.pb",
    )
    await database.write(lambda tx: children.record(tx, trace))
    async with asyncio.timeout(5):
        assert [line async for batch in tail.follow(trace.id, 1) for line in batch] == []


async def test_goes_on_in_the_blob_store_where_the_node_stopped(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    await executor.run(KEY)
    await executor.write(KEY, b"one\ntw")
    await node.round()
    reader = Reader(tail)
    await reader.until("one\n")
    await executor.write(KEY, b"o\n")
    await executor.exit(KEY)
    await node.round()
    assert await reader.end() == "one\ntwo\n"


async def test_outlives_a_node_that_is_away_for_a_moment(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    await executor.run(KEY)
    await executor.write(KEY, b"one\n")
    executor.away = True
    reader = Reader(tail)
    while not reader.silences:
        await asyncio.sleep(PULSE)
    executor.away = False
    await reader.until("one\n")
    await executor.exit(KEY)
    await node.round()
    assert await reader.end() == "one\n"


async def test_an_unknown_action_is_not_found(tail: LogTail, database: Database) -> None:
    with pytest.raises(NotFound):
        await anext(tail.follow(root_of("none"), 1))


async def test_a_quiet_attempt_gives_signs_of_life(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    waiting = Reader(tail)
    while waiting.silences < 3:
        await asyncio.sleep(PULSE)
    await node.dispatcher.tick()
    await executor.run(KEY)
    await node.round()
    running = Reader(tail)
    while running.silences < 3:
        await asyncio.sleep(PULSE)
    assert running.open
    await executor.exit(KEY)
    await node.round()
    assert await waiting.end() == await running.end() == ""


async def test_an_attempt_that_never_begins_has_an_empty_log(database: Database, tail: LogTail) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    reader = Reader(tail, number=2)
    await database.write(lambda tx: ending.abort(tx, root_of("r"), "enough"))
    assert await reader.end() == ""


async def test_waits_for_the_log_of_another_node(
    database: Database, node: OneNode, executor: FakeExecutor, blobs: Blobs
) -> None:
    elsewhere = LogTail(database, blobs, FakeExecutor(), node="n2", pulse_seconds=PULSE)
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    reader = Reader(elsewhere)
    await executor.write(KEY, b"one\n")
    await executor.exit(KEY)
    await node.watcher.tick()
    assert reader.open
    await node.round()
    assert await reader.end() == "one\n"


async def test_does_not_wait_for_ever_for_a_node_that_is_gone(
    database: Database, blobs: Blobs, clock: FakeClock
) -> None:
    elsewhere = LogTail(database, blobs, FakeExecutor(), node="n2", pulse_seconds=PULSE)
    await database.write(lambda tx: enqueue(tx, "r"))
    await database.write(lambda tx: actions.claim(tx, "ghost", 1))
    await database.write(lambda tx: actions.take_over(tx, 1, chance=0))
    reader = Reader(elsewhere)
    while not reader.silences:
        await asyncio.sleep(PULSE)
    assert reader.open
    clock.forward(PATIENCE)
    assert await reader.end() == ""


async def test_a_reader_that_leaves_stops_following(
    database: Database, node: OneNode, executor: FakeExecutor, tail: LogTail
) -> None:
    await database.write(lambda tx: enqueue(tx, "r"))
    await node.dispatcher.tick()
    await executor.write(KEY, b"one\n")
    stream = tail.follow(root_of("r"), 1)
    assert [line.message for line in await anext(stream)] == ["one\n"]
    await stream.aclose()
    assert not [task for task in asyncio.all_tasks() if "anext" in repr(task)]


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", "é".encode(), b"\xff", b"bc\nd"]), max_size=30))
def test_however_a_log_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    lines, whole, index = _Lines(), _Lines(), LogIndex()
    cut = [line for piece in pieces for line in lines.add(_Chunk(piece, index))] + lines.rest()
    assert cut == whole.add(_Chunk(b"".join(pieces), index)) + whole.rest()
    assert all(line.message.endswith("\n") and line.message.count("\n") == 1 for line in cut)
    assert lines.offset == len(b"".join(pieces))


def test_an_endless_line_is_cut() -> None:
    lines = _Lines()
    assert [len(line.message) for line in lines.add(_Chunk(b"x" * LONGEST_LINE, LogIndex()))] == [LONGEST_LINE + 1]
    assert lines.rest() == []


async def test_a_pulse_passes_everything_on_and_the_errors_too() -> None:
    async def stream() -> AsyncGenerator[int]:
        yield 1
        await asyncio.sleep(PULSE * 3)
        yield 2
        raise ValueError("no")

    async with contextlib.aclosing(with_pulse(stream(), seconds=PULSE)) as pulsing:
        assert await anext(pulsing) == 1
        assert await anext(pulsing) is None
        while (item := await anext(pulsing)) is None:
            pass
        assert item == 2
        with pytest.raises(ValueError, match="no"):
            await anext(pulsing)
